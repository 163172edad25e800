"""Reading a tap's spool while it grows: each byte is parsed once, however many cells collect evidence."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from conformance.evidence.events import Point
from conformance.evidence.log import Observation
from conformance.evidence.redact import Redactor
from conformance.evidence.window import History
from conformance.wire.assemble import FramesBegun, TapAssembler, assemble_stdio
from conformance.wire.spool import read_spool
from conformance.wire.tap import TapProcess

Assemble: TypeAlias = Callable[[Path, int, int], Iterable[Observation]]
"""What is observed in a part of a spool file, from one byte up to another; asked in order, of each part once."""


@dataclass(slots=True)
class TapReading:
    """What one tap, or one collector of stdio taps, has seen so far.

    tap: its name in the tap process. label: its name in evidence; a collector's taps have names of their own there.
    """

    taps: TapProcess
    tap: str
    label: str
    assemble: Assemble
    _read: int = 0
    """How far the spool was read, in bytes."""
    _seen: History = field(default_factory=History)
    _reading: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def collect(self, begin_ns: int = 0) -> list[Observation]:
        """Return what was seen since it was opened that belongs to a cell which began then. Only what is new is parsed.

        In a thread: some cells leave tens of megabytes, and what is timed beside them would be late.
        """
        async with self._reading:
            size = await self.taps.sync(self.tap)
            if size > self._read:
                path, begin = self.taps.spool_path(self.tap), self._read
                await asyncio.to_thread(lambda: self._seen.add(list(self.assemble(path, begin, size))))
                self._read = size
            return self._seen.within(begin_ns)


def of_tap(taps: TapProcess, tap: str, label: str, point: Point, redactor: Redactor) -> TapReading:
    """Return the reading of a tap that relays connections. label: its name in evidence."""
    assembler = TapAssembler(label, point, redactor)
    return TapReading(taps, tap, label, lambda path, begin, end: assembler.feed(read_spool(path, begin, end)))


def of_stdio(taps: TapProcess, collector: str, redactor: Redactor) -> TapReading:
    """Return the reading of a collector of stdio taps."""
    begun: FramesBegun = {}
    return TapReading(
        taps, collector, "stdio", lambda path, begin, end: assemble_stdio(_lines(path, begin, end), redactor, begun)
    )


def _lines(path: Path, begin: int, end: int) -> Iterator[bytes]:
    with path.open("rb") as file:
        file.seek(begin)
        yield from file.read(end - begin).splitlines()
