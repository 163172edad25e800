"""Where HTTP/1.1 messages begin and end in a stream being relayed: for the toxics that edit or hold (RFC 9112).

Bytes are never changed here: the `raw` of all pieces together is the stream. A response to HEAD is not told apart from
one with a body, since the request is in the other direction.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from conformance.wire.spool import Direction

HEAD_LIMIT: Final = 1 << 16
"""Bytes of a head, or of a line between chunks, beyond which the stream is not taken for HTTP."""
_REQUEST_START: Final = re.compile(rb"[A-Z]{1,16}( |$)")
_LAST_CHUNK: Final = b"0\r\n\r\n"


class PieceKind(Enum):
    """What a piece of the stream is."""

    HEAD = auto()
    """Start line and headers, with the empty line."""
    BODY = auto()
    """Body bytes, without any chunked coding."""
    FRAMING = auto()
    """Chunk sizes and line ends."""
    END = auto()
    """The message is complete; raw: last chunk and trailers, if any."""
    OPAQUE = auto()
    """Not HTTP, or the middle of a message whose head was not seen."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of the stream. raw: the bytes as they came."""

    kind: PieceKind
    raw: bytes


class _State(Enum):
    IDLE = auto()
    HEAD = auto()
    LENGTH = auto()
    UNTIL_CLOSE = auto()
    CHUNK_SIZE = auto()
    CHUNK = auto()
    CHUNK_END = auto()
    TRAILERS = auto()
    UPGRADED = auto()


class Framer:
    """Cuts one direction of a connection into pieces. In mid-stream it waits for a read that starts a message."""

    chunked = False
    """The current message's body is chunked."""

    def __init__(self, direction: Direction) -> None:
        self._direction = direction
        self._state = _State.IDLE
        self._buffer = b""
        self._left = 0
        self._last = b""

    def feed(self, data: bytes) -> Iterator[Piece]:
        """Yield the pieces that `data` completes; an incomplete head or chunk line waits."""
        self._buffer += data
        while self._buffer and (pieces := self._next()):
            yield from pieces

    def rest(self) -> bytes:
        """Return the bytes that wait for the rest of their line or head, and forget them."""
        rest, self._buffer, self._last = self._last + self._buffer, b"", b""
        self._state = _State.IDLE
        return rest

    def _next(self) -> list[Piece]:
        """Return the next pieces from the buffer, or none when more is needed."""
        match self._state:
            case _State.IDLE:
                return self._idle()
            case _State.LENGTH | _State.CHUNK:
                return self._body()
            case _State.UNTIL_CLOSE:
                return [Piece(PieceKind.BODY, self._take(len(self._buffer)))]
            case _State.UPGRADED:
                return [Piece(PieceKind.OPAQUE, self._take(len(self._buffer)))]
            case _State.HEAD:
                return self._line(b"\r\n\r\n", self._head)
            case lined:
                then = {
                    _State.CHUNK_SIZE: self._chunk_size,
                    _State.CHUNK_END: self._chunk_end,
                    _State.TRAILERS: self._trailer,
                }
                return self._line(b"\r\n", then[lined])

    def _idle(self) -> list[Piece]:
        if self._starts_message():
            self._state = _State.HEAD
            return self._next()
        raw = self._take(len(self._buffer))
        opaque = [Piece(PieceKind.OPAQUE, raw)]
        return [*opaque, Piece(PieceKind.END, b"")] if raw.endswith(_LAST_CHUNK) else opaque

    def _starts_message(self) -> bool:
        if self._direction is Direction.DOWN:
            return b"HTTP/1.".startswith(self._buffer[:7])
        return _REQUEST_START.match(self._buffer[:17]) is not None

    def _take(self, count: int) -> bytes:
        raw, self._buffer = self._buffer[:count], self._buffer[count:]
        return raw

    def _line(self, end: bytes, then: Callable[[bytes], list[Piece]]) -> list[Piece]:
        position = self._buffer.find(end)
        if position >= 0:
            return then(self._take(position + len(end)))
        if len(self._buffer) <= HEAD_LIMIT:
            return []
        return self._lost()

    def _lost(self) -> list[Piece]:
        self._state = _State.IDLE
        return [Piece(PieceKind.OPAQUE, self._take(len(self._buffer)))]

    def _head(self, raw: bytes) -> list[Piece]:
        head = Piece(PieceKind.HEAD, raw)
        self.chunked = b"chunked" in header(raw, b"transfer-encoding").lower()
        length = header(raw, b"content-length")
        status = raw.split(b" ", 2)[1] if self._direction is Direction.DOWN else b""
        if status == b"101":
            self._state = _State.UPGRADED
            return [head]
        if status.startswith(b"1") or status in {b"204", b"304"}:
            return [head, self._end(b"")]
        if self.chunked:
            self._state = _State.CHUNK_SIZE
        elif length.isdigit() and int(length):
            self._state, self._left = _State.LENGTH, int(length)
        elif length or self._direction is Direction.UP:
            return [head, self._end(b"")]
        else:
            self._state = _State.UNTIL_CLOSE
        return [head]

    def _body(self) -> list[Piece]:
        raw = self._take(self._left)
        self._left -= len(raw)
        pieces = [Piece(PieceKind.BODY, raw)]
        if self._left:
            return pieces
        if self._state is _State.LENGTH:
            return [*pieces, self._end(b"")]
        self._state = _State.CHUNK_END
        return pieces

    def _end(self, raw: bytes) -> Piece:
        self._state = _State.IDLE
        return Piece(PieceKind.END, raw)

    def _chunk_size(self, raw: bytes) -> list[Piece]:
        try:
            self._left = int(raw.split(b";")[0], 16)
        except ValueError:
            self._buffer = raw + self._buffer
            return self._lost()
        if not self._left:
            self._last, self._state = raw, _State.TRAILERS
            return self._next() if self._buffer else []
        self._state = _State.CHUNK
        return [Piece(PieceKind.FRAMING, raw)]

    def _chunk_end(self, raw: bytes) -> list[Piece]:
        self._state = _State.CHUNK_SIZE
        return [Piece(PieceKind.FRAMING, raw)]

    def _trailer(self, raw: bytes) -> list[Piece]:
        self._last += raw
        if raw != b"\r\n":
            return self._next() if self._buffer else []
        last, self._last = self._last, b""
        return [self._end(last)]


def header(head: bytes, name: bytes) -> bytes:
    """Return the value of the first header of that (lower-case) name in a raw head, b"" without one."""
    for line in head.split(b"\r\n")[1:]:
        key, _, value = line.partition(b":")
        if key.lower() == name:
            return value.strip()
    return b""


def without_header(head: bytes, name: bytes) -> bytes:
    """Return the raw head without any header of that name, everything else byte for byte."""
    kept = [line for line in head.split(b"\r\n") if line.partition(b":")[0].lower() != name.lower()]
    return b"\r\n".join(kept)
