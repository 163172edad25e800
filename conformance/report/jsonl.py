"""report.jsonl: the one file from which every other report can be made again."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self, TextIO

from conformance.errors import EvidenceError
from conformance.evidence.events import JSON
from conformance.report.records import (
    REPORT_SCHEMA_VERSION,
    Diagnosis,
    Footer,
    Header,
    Report,
    Result,
    SpinUp,
    count_verdicts,
    place_of,
)

_MALFORMED: Final = (KeyError, TypeError, ValueError, AttributeError)


class ReportWriter:
    """Writes the records as they come; each line is flushed, so that a killed run leaves all it had found.

    The file is ASCII: whatever a server sent (line separators, lone surrogates) stays inside its JSON string.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file: TextIO = path.open("w", encoding="ascii")
        self._verdicts: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def header(self, header: Header) -> None:
        """Write what the run runs on; the first record."""
        self._write(header.to_json())

    def result(self, record: Mapping[str, JSON]) -> None:
        """Write one result."""
        self._verdicts.append(str(record["verdict"]))
        self._write({**record, "kind": "result"})

    def diagnosis(self, record: Mapping[str, JSON]) -> None:
        """Write one diagnosis."""
        self._write({**record, "kind": "diagnosis"})

    def spin_up(self, record: Mapping[str, JSON]) -> None:
        """Write how a container came up for one client."""
        self._write({**record, "kind": "spin-up"})

    def footer(self, *, exit_code: int, complete: bool, unmet: Sequence[Mapping[str, JSON]] = ()) -> None:
        """Write how the run ended, with the counts of what was written; the last record.

        unmet: baseline entries that the run did not bear out (conformance.expectations).
        """
        self._write(
            {
                "kind": "footer",
                "counts": count_verdicts(self._verdicts),
                "exit_code": int(exit_code),
                "complete": complete,
                "baseline": list(unmet),
            },
        )

    def close(self) -> None:
        """Close the file. Without a footer it reads as truncated."""
        self._file.close()

    def _write(self, record: Mapping[str, JSON]) -> None:
        self._file.write(json.dumps(record, separators=(",", ":")) + "\n")
        self._file.flush()


def read_report(path: Path) -> Report:
    """Return the report in a file; `complete` is False when it was cut off or its run did not end in order.

    Raises EvidenceError when the file is missing, was not written by a run, or has another schema version.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise EvidenceError(f"{path} does not exist; name a report such as reports/latest/report.jsonl") from None
    except (OSError, UnicodeDecodeError) as error:
        raise EvidenceError(f"{path} cannot be read as a report ({error}); name a file that a run wrote") from error
    # The writer ends each line; what stands behind the last line end is a record that was cut off.
    return parse_report(path, text.split("\n")[:-1] or [text])


def parse_report(path: Path, lines: Sequence[str], before: int = 0) -> Report:
    """Return the report in the lines of a file that come after its first `before`; see `read_report`.

    Its results are in the order of the suites, cells and rules, in whichever they were judged. Raises EvidenceError for
    lines that are no report's.
    """
    first, *whole = lines
    header = _header(path, first)
    results: list[Result] = []
    diagnoses: list[Diagnosis] = []
    spin_ups: list[SpinUp] = []
    footer: Footer | None = None
    for number, line in enumerate(whole, start=before + 2):
        if footer is not None:
            raise EvidenceError(f"{path} line {number} follows the footer; the file is two reports or was edited")
        match _record(path, number, line):
            case Result() as result:
                results.append(result)
            case Diagnosis() as diagnosis:
                diagnoses.append(diagnosis)
            case SpinUp() as spin_up:
                spin_ups.append(spin_up)
            case Footer() as footer:
                pass
    place = place_of(header.selection.suites)
    results.sort(key=lambda item: place(item.suite, item.id))
    counted = footer is not None and footer.counts == count_verdicts(result.verdict for result in results)
    complete = counted and footer is not None and footer.complete
    return Report(header, tuple(results), tuple(diagnoses), footer, complete, tuple(spin_ups))


def _header(path: Path, line: str) -> Header:
    foreign = EvidenceError(f"{path} does not begin with a report header; it was not written by a run")
    try:
        record = json.loads(line)
        if record["kind"] != "header" or "versions" not in record:
            raise foreign
        version = record["schema"]
    except _MALFORMED:
        raise foreign from None
    if version != REPORT_SCHEMA_VERSION:
        raise EvidenceError(
            f"{path} has report schema {version!r} and this program reads {REPORT_SCHEMA_VERSION}; "
            "read it with the version named in its header",
        )
    try:
        return Header.from_json(record)
    except _MALFORMED as error:
        raise EvidenceError(f"{path} has a malformed header ({error!r}); it was not written by a run") from error


def _record(path: Path, number: int, line: str) -> Result | Diagnosis | SpinUp | Footer:
    try:
        record = json.loads(line)
        match record["kind"]:
            case "result":
                return Result.from_json(record)
            case "diagnosis":
                return Diagnosis.from_json(record)
            case "spin-up":
                return SpinUp.from_json(record)
            case "footer":
                return Footer.from_json(record)
            case kind:
                raise EvidenceError(f"{path} line {number} is of an unknown kind {kind!r}; the file is foreign")
    except _MALFORMED as error:
        raise EvidenceError(f"{path} line {number} is not a report record ({error!r}); the file is foreign") from error
