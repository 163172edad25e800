"""Collects what the stage does and sees: stimuli, readiness, process starts and exits, logs, the loop's own lag."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping
from typing import Final

from conformance.evidence.events import JSON, Kind, Point
from conformance.evidence.log import Observation
from conformance.evidence.redact import Redactor
from conformance.wire.assemble import assemble_stdio

_LAG_PERIOD: Final = 0.1
_LAG_NOTED: Final = 0.02


class Recorder:
    """An append-only list of observations, redacted as they come in."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self.observations: list[Observation] = []

    def add(self, point: Point, kind: Kind, data: Mapping[str, JSON], t_ns: int | None = None) -> None:
        """Record one observation, stamped now unless `t_ns` (monotonic nanoseconds) says when it was."""
        stamp = time.monotonic_ns() if t_ns is None else t_ns
        self.observations.append(Observation(stamp, point, kind, self._redactor.plain(data)))

    def stimulus(self, name: str, **detail: JSON) -> None:
        """Record something a scenario did."""
        self.add(Point.DRIVER, Kind.STIMULUS, {"name": name, **detail})

    def application(self, lines: Iterable[bytes]) -> None:
        """Record what the stdio tap wrote that stands between an application and a client that has ended."""
        self.observations += assemble_stdio(lines, self._redactor, point=Point.APPLICATION_TAP)

    def stage(self, kind: Kind, data: Mapping[str, JSON]) -> None:
        """Record something the stage saw."""
        self.add(Point.STAGE, kind, data)

    async def watch_lag(self) -> None:
        """Record, until cancelled, whenever this loop runs late: what it stamps then is late by as much."""
        while True:
            before = time.monotonic()
            await asyncio.sleep(_LAG_PERIOD)
            late = time.monotonic() - before - _LAG_PERIOD
            if late > _LAG_NOTED:
                self.add(Point.DRIVER, Kind.LAG, {"seconds": round(late, 4)})
