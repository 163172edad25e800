"""Streams that can be resumed: each event has an id, and what was sent is kept (transports § Resumability)."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from conformance.witness import jsonrpc
from conformance.witness.jsonrpc import JSON
from conformance.witness.scripts import Script

PRIMED_SINCE: Final = "2025-11-25"
"""First revision whose clients know an event without data; older ones take it for a message and fail to read it."""


class Leaving(StrEnum):
    """How a connection is given up whose stream goes on."""

    CLOSE = "close"
    CUT = "cut"


@dataclass(slots=True)
class _Entry:
    """One event of the log: a message, or a place where one connection is left and the next ones go on (`passed`)."""

    message: JSON = None
    leaving: Leaving | None = None
    retry: int = 0
    passed: bool = False


class StoredStream:
    """The messages of one stream in order, for as many connections as it takes to deliver them.

    unasked: whether it is a GET's. primes: whether the first connection begins with an event that only carries an id.
    Ids are unguessable, so that one which somebody in between made up is not taken for one of these.
    """

    def __init__(self, *, unasked: bool, primes: bool) -> None:
        self.name = os.urandom(4).hex()
        self.unasked = unasked
        self.was_left: Leaving | None = None
        self._primes = primes
        self._log: list[_Entry] = []
        self._ended = False
        self._changed = asyncio.Event()

    def send(self, message: JSON) -> bool:
        """Add a message."""
        self._add(_Entry(message))
        return True

    def end(self) -> None:
        """End the stream behind what it holds."""
        self._ended = True
        self._changed.set()

    def leave(self, how: Leaving, retry: int) -> bool:
        """Give up the connection behind what was sent, without ending the stream.

        CLOSE says first how many milliseconds the client is to wait (`retry`); CUT says nothing and breaks off.
        """
        self._add(_Entry(leaving=how, retry=retry))
        return True

    def reopen(self) -> None:
        """Go on after `end`: the client comes back for a stream that it had left."""
        self._ended = False

    def number(self, event_id: str) -> int | None:
        """Return which event of this stream has that id, None if none has."""
        name, _, number = event_id.rpartition("-")
        known = name == self.name and number.isascii() and number.isdigit() and int(number) <= len(self._log)
        return int(number) if known else None

    async def frames(self, script: Script, after: int | None = None) -> AsyncIterator[bytes]:
        """Yield the events behind number `after` (None: all, and the priming event) and a comment each quiet period."""
        loop = asyncio.get_running_loop()
        self.was_left = None
        if after is None and self._primes:
            yield self._event(0, None, script)
        sent = after or 0
        beat = None if script.keepalive_period is None else loop.time() + script.keepalive_period
        while True:
            while sent < len(self._log):
                entry = self._log[sent]
                sent += 1
                if entry.leaving is None:
                    yield self._event(sent, entry.message, script)
                elif not entry.passed:
                    if entry.leaving is Leaving.CLOSE:
                        yield self._event(sent, None, script, retry=entry.retry)
                    self.was_left, entry.passed = entry.leaving, True
                    return
            if self._ended:
                return
            self._changed.clear()
            try:
                async with asyncio.timeout_at(beat):
                    await self._changed.wait()
            except TimeoutError:
                yield f": keepalive{script.newline * 2}".encode()
                beat = loop.time() + (script.keepalive_period or 0)

    def _add(self, entry: _Entry) -> None:
        self._log.append(entry)
        self._changed.set()

    def _event(self, number: int, message: JSON, script: Script, retry: int | None = None) -> bytes:
        lines = [] if message is None else [b"event: message"]
        lines.append(f"id: {self.name}-{number}".encode())
        if retry is not None:
            lines.append(f"retry: {retry}".encode())
        lines.append(b"data: " + (b"" if message is None else jsonrpc.encode(message)))
        newline = script.newline.encode()
        return newline.join(lines) + newline * 2
