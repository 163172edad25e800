"""From a tap's spool to observations: the bytes are parsed here, after the fact, and leave only redacted records."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, TypeAlias

from conformance.evidence.events import JSON, Kind, Point
from conformance.evidence.log import Observation
from conformance.evidence.redact import Redactor
from conformance.wire.http import HttpConnection, body_record
from conformance.wire.spool import Direction, RecordKind, SpoolRecord

_DIRECTION: Final = {Direction.UP: "up", Direction.DOWN: "down"}


class TapAssembler:
    """Tells what the relay tap named `tap` saw, also of a spool that still grows: each record is parsed once."""

    def __init__(self, tap: str, point: Point, redactor: Redactor) -> None:
        self._tap = tap
        self._point = point
        self._redactor = redactor
        self._connections: dict[int, HttpConnection] = {}

    def feed(self, records: Iterable[SpoolRecord]) -> Iterator[Observation]:
        """Yield what these records, which follow those fed before, say in the order the tap saw it."""
        tap, point = self._tap, self._point
        for record in records:
            if record.kind is RecordKind.TOXIC:
                yield Observation(record.t_ns, point, Kind.STIMULUS, {"name": "toxics", "tap": tap, **_json(record)})
                continue
            if record.kind is RecordKind.LAG:
                yield Observation(record.t_ns, point, Kind.LAG, {"tap": tap, **_json(record)})
                continue
            parser = self._connections.get(record.conn)
            if parser is None:
                parser = self._connections[record.conn] = HttpConnection(tap, record.conn, point, self._redactor)
            yield from _connection_event(parser, record, self._redactor)


def assemble_tap(tap: str, point: Point, records: Iterable[SpoolRecord], redactor: Redactor) -> Iterator[Observation]:
    """Yield what the relay tap named `tap` saw, in the order it saw it."""
    yield from TapAssembler(tap, point, redactor).feed(records)


def _json(record: SpoolRecord) -> dict[str, JSON]:
    value: dict[str, JSON] = json.loads(record.payload) if record.payload else {}
    return value


def _connection_event(parser: HttpConnection, record: SpoolRecord, redactor: Redactor) -> Iterator[Observation]:
    base = {"tap": parser.tap, "conn": parser.conn}
    direction = _DIRECTION.get(record.direction, "none")
    t_ns, point = record.t_ns, parser.point
    if record.kind is RecordKind.OPEN:
        yield Observation(t_ns, point, Kind.CONN_OPEN, base | redactor.plain(_json(record)))
    elif record.kind is RecordKind.CONNECTED:
        yield Observation(t_ns, point, Kind.CONN_CONNECTED, base | redactor.plain(_json(record)))
    elif record.kind is RecordKind.CONNECT_FAILED:
        yield Observation(t_ns, point, Kind.CONN_FAILED, base | redactor.plain(_json(record)))
    elif record.kind is RecordKind.DATA:
        yield Observation(t_ns, point, Kind.CHUNK, base | {"dir": direction, "length": len(record.payload)})
        yield from parser.up(t_ns, record.payload) if direction == "up" else parser.down(t_ns, record.payload)
    elif record.kind is RecordKind.FIN:
        yield from parser.fin(t_ns, direction)
    elif record.kind is RecordKind.RST:
        yield from parser.rst(t_ns, direction)
    elif record.kind is RecordKind.CLOSED:
        yield from parser.closed(t_ns)


_ENDINGS: Final = {"signal": (Kind.STDIO_SIGNAL, "signal"), "exit": (Kind.STDIO_EXIT, "code")}
"""Records of how a process is made to end, and ends: the kind of event and the member that says how."""


FramesBegun: TypeAlias = dict[tuple[str, str], list[bytes]]
"""By process and direction (up, down or stderr), the pieces of a frame or line that is not whole yet."""


def assemble_stdio(
    lines: Iterable[bytes],
    redactor: Redactor,
    begun: FramesBegun | None = None,
    *,
    point: Point = Point.STDIO_TAP,
) -> Iterator[Observation]:
    """Yield what stdio taps wrote that stand at a point; frames are cut at newlines (2025-11-25 transports, stdio).

    begun: the pieces of frames that lines read before had begun; filled with what these lines begin. What a process
    prints on stderr is told when its line ends, or the process.
    """
    pending = {} if begun is None else begun
    for line in lines:
        record = json.loads(line)
        if "kind" not in record:
            text = "a stdio tap was cut off inside a record; what it saw after that is lost"
            yield Observation(int(record["received_ns"]), point, Kind.LOG, {"source": "stdio", "line": text})
            continue
        t_ns, kind = int(record["t_ns"]), str(record["kind"])
        base = {"tap": record["tap"], "process": record["process"]}
        if kind == "start":
            data = base | redactor.plain({name: record.get(name) for name in ("pid", "argv", "host")})
            yield Observation(t_ns, point, Kind.STDIO_START, data)
        elif kind in {"up", "down"}:
            key = (str(record["process"]), kind)
            for frame in _frames(pending.setdefault(key, []), base64.b64decode(record["b64"])):
                if frame.strip():
                    yield _frame(t_ns, point, base | {"dir": kind}, frame, redactor)
        elif kind == "stderr":
            yield from _stderr(t_ns, point, base, _said(pending, record), redactor)
        elif kind in {"eof-up", "eof-down"}:
            yield Observation(t_ns, point, Kind.STDIO_EOF, base | {"dir": kind.removeprefix("eof-")})
        elif kind in _ENDINGS:
            yield from _stderr(t_ns, point, base, _said(pending, record), redactor)
            event, member = _ENDINGS[kind]
            yield Observation(t_ns, point, event, base | {member: record.get(member)})


def _frames(begun: list[bytes], data: bytes) -> list[bytes]:
    """Return the frames that `data` completes; `begun` holds the pieces of the one that is not whole yet.

    They are joined only when the frame ends: one of 16 MB comes in hundreds of records.
    """
    first, *others = data.split(b"\n")
    begun.append(first)
    if not others:
        return []
    frames = [b"".join(begun), *others[:-1]]
    begun[:] = [others[-1]]
    return frames


def _frame(t_ns: int, point: Point, base: dict[str, JSON], frame: bytes, redactor: Redactor) -> Observation:
    return Observation(t_ns, point, Kind.STDIO_FRAME, base | body_record(frame, redactor))


def _said(begun: FramesBegun, record: Mapping[str, JSON]) -> bytes:
    """Return the lines of stderr that a record completes; half a secret, in one read, would not be known for one."""
    key = (str(record["process"]), "stderr")
    if record["kind"] != "stderr":
        return b"".join(begun.pop(key, ())) if record["kind"] == "exit" else b""
    lines = _frames(begun.setdefault(key, []), base64.b64decode(str(record["b64"])))
    return b"\n".join([*lines, b""])


def _stderr(t_ns: int, point: Point, base: dict[str, JSON], said: bytes, redactor: Redactor) -> Iterator[Observation]:
    if said:
        text = redactor.text(said.decode("utf-8", "replace"))
        yield Observation(t_ns, point, Kind.STDIO_STDERR, base | {"text": text})
