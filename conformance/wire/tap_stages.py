"""What toxics do to the stream of one direction: stages that take units and give units."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, auto


class UnitKind(Enum):
    """What a unit is."""

    DATA = auto()
    FIN = auto()
    RST = auto()
    CUT = auto()
    """The tap's own doing: reset both sides."""
    REPLY = auto()
    """Bytes for the sender itself, in place of an answer; the connection then ends."""


@dataclass(slots=True)
class Unit:
    """Something to pass on at `due_ns` (CLOCK_MONOTONIC) or as soon after as the receiver takes it."""

    due_ns: int
    kind: UnitKind
    payload: bytes | memoryview = b""


class Stage:
    """The neutral stage; each toxic's stage overrides what it changes."""

    edits = True
    """The bytes forwarded may differ from the bytes read, so the spool must keep both."""

    def begin(self, now_ns: int) -> Iterable[Unit]:
        """Return what to send at once on a connection that was open when the toxic was set."""
        del now_ns
        return ()

    def feed(self, unit: Unit) -> Iterable[Unit]:
        """Return what to pass on for `unit`."""
        return (unit,)

    def flush(self, now_ns: int) -> Iterable[Unit]:
        """Return what is held, when the toxic is removed."""
        del now_ns
        return ()


def push(stages: list[Stage], units: Iterable[Unit]) -> list[Unit]:
    """Return what comes out of the last stage when `units` enter the first."""
    flowing = list(units)
    for stage in stages:
        flowing = [out for unit in flowing for out in stage.feed(unit)]
    return flowing


class LatencyStage(Stage):
    """Latency: everything is due later."""

    edits = False

    def __init__(self, seconds: float) -> None:
        self._delay_ns = int(seconds * 1e9)

    def feed(self, unit: Unit) -> Iterable[Unit]:
        """Return the unit, due later."""
        unit.due_ns += self._delay_ns
        return (unit,)


class BlackholeStage(Stage):
    """Blackhole: nothing comes out."""

    def feed(self, unit: Unit) -> Iterable[Unit]:
        """Return nothing."""
        del unit
        return ()


class ResetStage(Stage):
    """Reset: cut after so many bytes, or at once."""

    edits = False

    def __init__(self, after_bytes: int | None) -> None:
        self._left = after_bytes

    def begin(self, now_ns: int) -> Iterable[Unit]:
        """Return the cut when it is due at once."""
        return (Unit(now_ns, UnitKind.CUT),) if self._left is None else ()

    def feed(self, unit: Unit) -> Iterable[Unit]:
        """Return the unit, or its first bytes and the cut."""
        if unit.kind is not UnitKind.DATA or self._left is None:
            return (unit,)
        if len(unit.payload) < self._left:
            self._left -= len(unit.payload)
            return (unit,)
        head = Unit(unit.due_ns, UnitKind.DATA, unit.payload[: self._left])
        self._left = None
        return (head, Unit(unit.due_ns, UnitKind.CUT))


class HalfCloseStage(Stage):
    """HalfClose: FIN at once, nothing but a reset afterwards."""

    def __init__(self) -> None:
        self._closed = False

    def begin(self, now_ns: int) -> Iterable[Unit]:
        """Return the FIN."""
        self._closed = True
        return (Unit(now_ns, UnitKind.FIN),)

    def feed(self, unit: Unit) -> Iterable[Unit]:
        """Return the unit unless the half is closed."""
        return () if self._closed and unit.kind in {UnitKind.DATA, UnitKind.FIN} else (unit,)
