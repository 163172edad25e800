"""Reading a tap's spool while it grows: each byte is parsed once, however many cells collect evidence."""

from __future__ import annotations

from dataclasses import dataclass, field

from conformance.evidence.events import Point
from conformance.evidence.log import Observation
from conformance.evidence.redact import Redactor
from conformance.wire.assemble import TapAssembler
from conformance.wire.spool import read_spool
from conformance.wire.tap import TapProcess


@dataclass(slots=True)
class TapReading:
    """What one tap has seen so far. tap: its name in the tap process. label: its name in evidence."""

    taps: TapProcess
    tap: str
    label: str
    point: Point
    redactor: Redactor
    _assembler: TapAssembler = field(init=False)
    _read: int = 0
    """How far the spool was read, in bytes."""
    _seen: list[Observation] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._assembler = TapAssembler(self.label, self.point, self.redactor)

    async def collect(self) -> list[Observation]:
        """Return what the tap has seen since it was opened. Only what is new is read and parsed."""
        size = await self.taps.sync(self.tap)
        if size > self._read:  # not when another cell's evidence, collected meanwhile, has reached further
            self._seen += self._assembler.feed(read_spool(self.taps.spool_path(self.tap), self._read, size))
            self._read = size
        return self._seen
