"""Incremental parser for event streams (WHATWG HTML, section 9.2.6), used on tapped bytes and by the driver."""

from __future__ import annotations

import codecs
from dataclasses import dataclass, field
from typing import TypeAlias

_DIGITS = 18
"""Digits up to which a `retry` is taken by its value; longer than 30 million years is for ever."""


@dataclass(frozen=True, slots=True)
class SseEvent:
    """A dispatched event. data joins several data lines with LF; id and retry (milliseconds) are None when absent."""

    event: str
    data: str
    id: str | None = None
    retry: int | None = None


@dataclass(frozen=True, slots=True)
class SseComment:
    """A comment line without its leading colon and one space."""

    text: str


SseItem: TypeAlias = SseEvent | SseComment


@dataclass(slots=True)
class SseParser:
    """Feed bytes, get the items they complete.

    Unlike a browser's, it also reports events whose data is empty but which carry an id or a retry: the priming event
    of revision 2025-11-25 is one (transports, Sending Messages to the Server, item 6).
    """

    _decoder: codecs.IncrementalDecoder = field(
        default_factory=lambda: codecs.getincrementaldecoder("utf-8-sig")(errors="replace"),
    )
    _pending: list[str] = field(default_factory=list)
    _event: str = ""
    _data: list[str] = field(default_factory=list)
    _id: str | None = None
    _retry: int | None = None
    _dirty: bool = False
    _after_cr: bool = False

    def feed(self, chunk: bytes) -> list[SseItem]:
        """Return the events and comments that `chunk` completes, in order."""
        text = self._decoder.decode(chunk)
        if not text:
            return []
        if self._after_cr:
            text = text.removeprefix("\n")  # the second half of a CRLF; the CR has ended the line already
        self._after_cr = text.endswith("\r")
        # only what is new is looked at, and not by a pattern: a line of 16 MB comes in hundreds of chunks
        *lines, rest = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        items: list[SseItem] = []
        for ending in lines:
            line = "".join([*self._pending, ending])
            self._pending.clear()
            item = self._line(line)
            if item is not None:
                items.append(item)
        if rest:
            self._pending.append(rest)
        return items

    @property
    def incomplete(self) -> bool:
        """Whether an event was begun that no blank line has ended; at end of stream it must be discarded."""
        return self._dirty or bool(self._pending)

    def _line(self, line: str) -> SseItem | None:
        if not line:
            return self._dispatch()
        if line.startswith(":"):
            return SseComment(line[1:].removeprefix(" "))
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        self._dirty = True
        if name == "event":
            self._event = value
        elif name == "data":
            self._data.append(value)
        elif name == "id" and "\0" not in value:
            self._id = value
        elif name == "retry" and value.isascii() and value.isdigit():
            self._retry = int(value) if len(value) <= _DIGITS else 10**_DIGITS
        return None

    def _dispatch(self) -> SseEvent | None:
        seen = self._data or self._id is not None or self._retry is not None or self._event
        event = SseEvent(self._event or "message", "\n".join(self._data), self._id, self._retry) if seen else None
        self._event, self._data, self._id, self._retry, self._dirty = "", [], None, None, False
        return event
