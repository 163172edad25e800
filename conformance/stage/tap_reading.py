"""Reading a tap's spool while it grows: each byte is parsed once, however many cells collect evidence."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from conformance.evidence.events import Point
from conformance.evidence.log import Observation
from conformance.evidence.redact import Redactor
from conformance.wire.assemble import FramesBegun, TapAssembler, assemble_stdio
from conformance.wire.spool import read_spools
from conformance.wire.tap import Position, TapProcess

Assemble: TypeAlias = Callable[[Sequence[Path], Position, Position], Iterable[Observation]]
"""What is observed in a part of spool files, from one position up to another; asked in order, of each part once."""


@dataclass(slots=True)
class TapReading:
    """What one tap, or one collector of stdio taps, has seen so far.

    tap: its name in the tap process. label: its name in evidence; a collector's taps have names of their own there.
    """

    taps: TapProcess
    tap: str
    label: str
    assemble: Assemble
    _read: Position = ()
    """How far the spools were read."""
    _seen: list[Observation] = field(default_factory=list)
    _reading: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def collect(self) -> list[Observation]:
        """Return what was seen since it was opened. Only what is new is read and parsed.

        In a thread: some cells leave tens of megabytes, and what is timed beside them would be late.
        """
        async with self._reading:
            end = await self.taps.sync(self.tap)
            if end != self._read:
                paths, begin = self.taps.spools(self.tap), self._read
                self._seen += await asyncio.to_thread(lambda: list(self.assemble(paths, begin, end)))
                self._read = end
            return list(self._seen)


def of_tap(taps: TapProcess, tap: str, label: str, point: Point, redactor: Redactor) -> TapReading:
    """Return the reading of a tap that relays connections. label: its name in evidence."""
    assembler = TapAssembler(label, point, redactor)
    return TapReading(taps, tap, label, lambda paths, begin, end: assembler.feed(read_spools(paths, begin, end)))


def of_stdio(taps: TapProcess, collector: str, redactor: Redactor) -> TapReading:
    """Return the reading of a collector of stdio taps."""
    begun: FramesBegun = {}

    def assemble(paths: Sequence[Path], begin: Position, end: Position) -> Iterable[Observation]:
        return assemble_stdio(_lines(paths[0], begin, end), redactor, begun)

    return TapReading(taps, collector, "stdio", assemble)


def _lines(path: Path, begin: Position, end: Position) -> Iterator[bytes]:
    first = sum(begin)  # of a collector's one file; 0 where nothing was read yet
    with path.open("rb") as file:
        file.seek(first)
        yield from file.read(sum(end) - first).splitlines()
