"""Stages of the toxics that know HTTP/1.1 messages, and of the Host header that TLS origination rewrites."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from conformance.wire.spool import Direction
from conformance.wire.tap_framing import Framer, Piece, PieceKind, header, without_header
from conformance.wire.tap_stages import Stage, Unit, UnitKind

HOLD_LIMIT: Final = 1 << 26
"""Bytes a buffering toxic holds at most."""
_LINE: Final = re.compile(rb"[^\r\n]*(?:\r\n|\n|\r(?!\Z))")
"""A line with its end. A CR that comes last waits, for the LF may be in the next read."""
_DENIED_BODY: Final = b'{"message":"permission denied while trying to use the container engine"}\n'
_DENIED: Final = (
    b"HTTP/1.1 403 Forbidden\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n"
    % len(_DENIED_BODY)
) + _DENIED_BODY


class HttpStage(Stage):
    """Passes on what `piece` makes of each piece of the stream."""

    def __init__(self, direction: Direction) -> None:
        self.framer = Framer(direction)

    def piece(self, piece: Piece) -> bytes:
        """Return the bytes to pass on for a piece."""
        return piece.raw

    def rest(self) -> bytes:
        """Return what is still held, when the stream ends or the toxic is removed."""
        return self.framer.rest()

    def feed(self, unit: Unit) -> Iterable[Unit]:
        """Return the edited bytes as one unit; an end comes after what was held."""
        if unit.kind is UnitKind.DATA:
            edited = b"".join([self.piece(piece) for piece in self.framer.feed(bytes(unit.payload))])
            return (Unit(unit.due_ns, UnitKind.DATA, edited),) if edited else ()
        return (*self.flush(unit.due_ns), unit)

    def flush(self, now_ns: int) -> Iterable[Unit]:
        """Return what is held."""
        rest = self.rest()
        return (Unit(now_ns, UnitKind.DATA, rest),) if rest else ()


class HoldStage(HttpStage):
    """BufferUntilEnd and BufferBytes: hold until so many bytes are there or the message ends."""

    edits = False

    def __init__(self, direction: Direction, limit: int = HOLD_LIMIT) -> None:
        super().__init__(direction)
        self._limit = limit
        self._held = bytearray()

    def piece(self, piece: Piece) -> bytes:
        """Return nothing, or at a message's end everything held."""
        self._held += piece.raw
        return self._release() if piece.kind is PieceKind.END else b""

    def feed(self, unit: Unit) -> Iterable[Unit]:
        """Return what messages are complete, or everything when the limit is reached."""
        yield from super().feed(unit)
        if len(self._held) >= self._limit:
            yield Unit(unit.due_ns, UnitKind.DATA, self._release())

    def rest(self) -> bytes:
        """Return everything held."""
        return self._release() + self.framer.rest()

    def _release(self) -> bytes:
        held = bytes(self._held)
        self._held.clear()
        return held


class StripHeaderStage(HttpStage):
    """StripHeader."""

    def __init__(self, direction: Direction, name: str) -> None:
        super().__init__(direction)
        self._name = name.encode()

    def piece(self, piece: Piece) -> bytes:
        """Return heads without the header."""
        return without_header(piece.raw, self._name) if piece.kind is PieceKind.HEAD else piece.raw


class RewriteHostStage(HttpStage):
    """Gives every request the Host of the server behind TLS."""

    def __init__(self, host: str) -> None:
        super().__init__(Direction.UP)
        self._line = b"Host: " + host.encode()

    def piece(self, piece: Piece) -> bytes:
        """Return heads with the other Host."""
        if piece.kind is not PieceKind.HEAD:
            return piece.raw
        lines = piece.raw.split(b"\r\n")
        return b"\r\n".join([self._line if line.lower().startswith(b"host:") else line for line in lines])


class EngineDeniedStage(HttpStage):
    """EngineDenied: the answer comes from here, the request goes nowhere."""

    def __init__(self) -> None:
        super().__init__(Direction.UP)
        self._denied = False

    def feed(self, unit: Unit) -> Iterable[Unit]:
        """Return the request unless it is a POST; then the answer to it, and nothing of what follows but an end."""
        if unit.kind is not UnitKind.DATA:
            return (unit,) if self._denied else super().feed(unit)
        passed: list[bytes] = []
        for piece in self.framer.feed(bytes(unit.payload)):
            if piece.kind is PieceKind.HEAD and piece.raw.startswith(b"POST ") and not self._denied:
                self._denied = True
                reply = Unit(unit.due_ns, UnitKind.REPLY, _DENIED)
                return (Unit(unit.due_ns, UnitKind.DATA, b"".join(passed)), reply)
            if not self._denied:
                passed.append(piece.raw)
        return (Unit(unit.due_ns, UnitKind.DATA, b"".join(passed)),) if passed else ()


class DropSseCommentsStage(HttpStage):
    """DropSseComments: comment lines go, and with them the empty line that ends a block of nothing but comments."""

    def __init__(self) -> None:
        super().__init__(Direction.DOWN)
        self._editing = False
        self._start_stream()

    def piece(self, piece: Piece) -> bytes:
        """Return the piece; of event streams, the body without comments, chunked anew where it was chunked."""
        match piece.kind:
            case PieceKind.HEAD:
                is_stream = header(piece.raw, b"content-type").lower().startswith(b"text/event-stream")
                self._editing = is_stream and not header(piece.raw, b"content-length")
                self._start_stream()
                return piece.raw
            case PieceKind.BODY if self._editing:
                return self._chunk(self._without_comments(piece.raw))
            case PieceKind.FRAMING if self._editing:
                return b""
            case PieceKind.END if self._editing:
                self._editing = False
                return self._chunk(self._last_line()) + piece.raw
            case _:
                return piece.raw

    def rest(self) -> bytes:
        """Return the partial line."""
        return self._chunk(self._last_line()) + super().rest()

    def _start_stream(self) -> None:
        self._partial = b""
        self._commented = False
        self._has_field = False

    def _last_line(self) -> bytes:
        partial, self._partial = self._partial, b""
        whole = partial.endswith(b"\r")
        return b"" if whole and not self._keeps(partial) else partial

    def _chunk(self, data: bytes) -> bytes:
        if not data or not self.framer.chunked:
            return data
        return b"%x\r\n%b\r\n" % (len(data), data)

    def _without_comments(self, data: bytes) -> bytes:
        text = self._partial + data
        kept: list[bytes] = []
        position = 0
        for match in _LINE.finditer(text):
            position = match.end()
            if self._keeps(match.group()):
                kept.append(match.group())
        self._partial = text[position:]
        return b"".join(kept)

    def _keeps(self, line: bytes) -> bool:
        if line.startswith(b":"):
            self._commented = True
            return False
        if line.strip(b"\r\n"):
            self._has_field = True
            return True
        keeps = self._has_field or not self._commented
        self._has_field = self._commented = False
        return keeps
