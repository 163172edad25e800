"""How much may be alive at one time, counted in memory: heavy gateways do not run together."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Final

import psutil

BUDGET_MB: Final = 3000
"""Most memory of all gateways and backends alive at one time, in MB: six of the heaviest instances, or fifteen of the
light ones, which keep two cores busy. With 7000 the load was seen to reach 31, with 5000 and a fleet's long lanes 17,
and start-ups and drives passed their limits. A fleet holds 3 million MB times seconds of it by waits alone."""
SHARE: Final = 0.5
"""Most of the memory that is available when a run begins; the harness, its judging and the engine need some too."""
BACKEND_MB: Final = 50
"""Memory counted for an instance's backend and taps, in MB; the witness takes 40."""
FRUGAL_MB: Final = 300
"""Least memory counted for an instance of a frugal matrix, in MB, where each does a long row of work: with twenty light
gateways at one time on two cores the load was seen to pass 13, and one took 30 s to start that starts in two."""
SPUN_UP_MB: Final = 800
"""Memory counted for the containers that a gateway starts for its clients, in MB, of which there are up to eight at one
time. Starting one keeps the engine busy for about a second of one core: with 35 such gateways counted like others the
load was seen to pass 40, with 450 it passed 15, and containers took longer to answer than gateways wait."""


def budget_mb() -> int:
    """Return how much memory instances may take on this machine now, in MB."""
    return min(BUDGET_MB, int(psutil.virtual_memory().available * SHARE / 1e6))


@dataclass(slots=True)
class MemoryBudget:
    """Memory that instances take and give back, in MB. The lowest rank is served first, of equal ones who asked first.

    What fits does not overtake: else a heavy instance would wait for as long as light ones come.
    """

    total: int = field(default_factory=budget_mb)
    free: int = field(init=False)
    _waiting: list[tuple[int, int]] = field(default_factory=list)
    """A heap: rank and number of each who waits."""
    _numbers: Iterator[int] = field(default_factory=count)
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    def __post_init__(self) -> None:
        self.free = self.total

    @asynccontextmanager
    async def take(self, megabytes: int, rank: int = 0) -> AsyncIterator[None]:
        """Wait until there is room, and hold it within. What needs more than there is in all lives alone."""
        wanted = min(megabytes, self.total)
        place = (rank, next(self._numbers))
        heapq.heappush(self._waiting, place)
        held = False
        try:
            async with self._changed:
                await self._changed.wait_for(lambda: self._waiting[0] == place and self.free >= wanted)
                heapq.heappop(self._waiting)
                self.free -= wanted
                held = True
                self._changed.notify_all()  # the next in turn may fit beside this one
            yield
        finally:
            # Not awaited through a lock: given back at once, also while a cancelled task unwinds.
            if held:
                self.free += wanted
            else:
                self._waiting.remove(place)
                heapq.heapify(self._waiting)
            async with self._changed:
                self._changed.notify_all()
