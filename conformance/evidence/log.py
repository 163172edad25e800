"""The evidence file: JSON lines, a header first, a footer last, appended and never rewritten."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from conformance import __version__
from conformance.errors import EvidenceError
from conformance.evidence.events import JSON, SCHEMA_VERSION, Event, Kind, Point


@dataclass(frozen=True, slots=True)
class Observation:
    """An event before it has a place in a file. t_ns: nanoseconds of the machine's monotonic clock."""

    t_ns: int
    point: Point
    kind: Kind
    data: Mapping[str, JSON]


def write_evidence(
    path: Path,
    header: Mapping[str, JSON],
    observations: Iterable[Observation],
    footer: Mapping[str, JSON],
) -> int:
    """Write one evidence file in time order and return its number of events.

    header says which cell this is; footer says how the drive ended (`complete`, and `error` when it did not).
    Everything handed in must already be redacted. The file appears under its name only when it is whole.
    """
    ordered = sorted(observations, key=lambda item: item.t_ns)
    base = ordered[0].t_ns if ordered else 0
    end = ordered[-1].t_ns if ordered else 0
    events = [
        Event(0, 0.0, Point.STAGE, Kind.HEADER, {"schema": SCHEMA_VERSION, "harness": __version__, **header}),
        *(
            Event(seq, (item.t_ns - base) / 1e9, item.point, item.kind, item.data)
            for seq, item in enumerate(ordered, start=1)
        ),
        Event(len(ordered) + 1, (end - base) / 1e9, Point.STAGE, Kind.FOOTER, {"events": len(ordered), **footer}),
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(path.suffix + ".partial")
    with partial.open("w", encoding="ascii") as file:
        for event in events:
            # ASCII: a line separator or a lone surrogate that a server sent stays inside its JSON string
            file.write(json.dumps(event.to_json(), separators=(",", ":")))
            file.write("\n")
    partial.rename(path)
    return len(ordered)


def read_evidence(path: Path) -> tuple[Event, ...]:
    """Return the events of an evidence file, header first and footer last.

    Raises EvidenceError when the file is missing, foreign, of another version or truncated.
    """
    lines = _lines(path)
    events = tuple(_event(path, number, line) for number, line in enumerate(lines, start=1))
    _check_ends(path, events[0], events[-1], len(lines))
    return events


def read_ends(path: Path) -> tuple[Event, Event]:
    """Return the header and the footer of an evidence file. Of what is between them the lines are counted, no more.

    Raises EvidenceError when the file is missing, foreign, of another version or truncated.
    """
    lines = _lines(path)
    header, footer = (_event(path, number, lines[number - 1]) for number in (1, len(lines)))
    _check_ends(path, header, footer, len(lines))
    return header, footer


def _lines(path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    except FileNotFoundError:
        raise EvidenceError(
            f"{path} does not exist; name an evidence file such as reports/latest/evidence/*.jsonl"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise EvidenceError(f"{path} cannot be read as evidence ({error}); name a file that a run wrote") from error
    if lines == [""]:
        raise EvidenceError(f"{path} is empty; run the cell again to record its evidence")
    return lines


def _check_ends(path: Path, header: Event, footer: Event, lines: int) -> None:
    """Raise EvidenceError unless a file of so many lines that begins and ends with these was written whole, for us."""
    if header.kind is not Kind.HEADER:
        raise EvidenceError(f"{path} does not begin with an evidence header; it was not written by this program")
    if header.data.get("schema") != SCHEMA_VERSION:
        raise EvidenceError(
            f"{path} has evidence schema {header.data.get('schema')!r} and this program reads {SCHEMA_VERSION}; "
            "judge it with the version named in its header",
        )
    if footer.kind is not Kind.FOOTER or footer.data.get("events") != lines - 2:
        raise EvidenceError(f"{path} is truncated (no footer that matches its {lines} lines); record it again")


def _event(path: Path, number: int, line: str) -> Event:
    try:
        record = json.loads(line)
        data = {name: value for name, value in record.items() if name not in {"seq", "t", "point", "kind"}}
        return Event(int(record["seq"]), float(record["t"]), Point(record["point"]), Kind(record["kind"]), data)
    except json.JSONDecodeError as error:
        raise EvidenceError(f"{path} line {number} is not JSON; the file is truncated or foreign") from error
    except RecursionError as error:
        raise EvidenceError(f"{path} line {number} is nested too deeply to be read; the file is foreign") from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise EvidenceError(
            f"{path} line {number} is not an evidence event ({error!r}); the file is foreign"
        ) from error
