"""How much may be alive at one time, counted in memory: heavy gateways do not run together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

import psutil

BUDGET_MB: Final = 3600
"""Most memory of all gateways and backends alive at one time, in MB: eighteen of the light instances, which keep two
cores busy; with twice as many, start-ups and deadlines suffer."""
SHARE: Final = 0.5
"""Most of the memory that is available when a run begins; the harness, its judging and the engine need some too."""
BACKEND_MB: Final = 50
"""Memory counted for an instance's backend and taps, in MB; the witness takes 40."""


def budget_mb() -> int:
    """Return how much memory instances may take on this machine now, in MB."""
    return min(BUDGET_MB, int(psutil.virtual_memory().available * SHARE / 1e6))


@dataclass(slots=True)
class MemoryBudget:
    """Memory that instances take and give back, in MB. Whoever asks first is served first, so nobody waits for ever."""

    total: int = field(default_factory=budget_mb)
    free: int = field(init=False)
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    _given_back: asyncio.Condition = field(default_factory=asyncio.Condition)

    def __post_init__(self) -> None:
        self.free = self.total

    @asynccontextmanager
    async def take(self, megabytes: int) -> AsyncIterator[None]:
        """Wait until there is room, and hold it within. What needs more than there is in all lives alone."""
        wanted = min(megabytes, self.total)
        async with self._turn, self._given_back:
            await self._given_back.wait_for(lambda: self.free >= wanted)
            self.free -= wanted
        try:
            yield
        finally:
            # Not awaited through a lock: given back at once, also while a cancelled task unwinds.
            self.free += wanted
            async with self._given_back:
                self._given_back.notify_all()
