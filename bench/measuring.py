"""What the benchmarks share: a value's spread over rounds, and a few words on what else the machine was doing."""

from __future__ import annotations

import os
import statistics
import time
from dataclasses import asdict, dataclass

from conformance.evidence.events import JSON


@dataclass(frozen=True, slots=True)
class Spread:
    """Median over the rounds, with the smallest and the largest."""

    median: float
    smallest: float
    largest: float

    @classmethod
    def of(cls, values: list[float]) -> Spread:
        """Return the spread of some values."""
        return cls(statistics.median(values), min(values), max(values))

    def scaled(self, factor: float) -> Spread:
        """Return the same spread in another unit."""
        return Spread(self.median * factor, self.smallest * factor, self.largest * factor)

    def __str__(self) -> str:
        return f"{self.median:8.3f}  ({self.smallest:.3f} … {self.largest:.3f})"

    def to_json(self) -> dict[str, JSON]:
        """Return it as a JSON object."""
        return asdict(self)


def cpu_seconds(pid: int) -> float:
    """Return how much CPU time all threads of a process have used (Linux). Raises OSError when it has ended."""
    return time.clock_gettime(~pid << 3 | 2)  # what clock_getcpuclockid(3) returns: its CPUCLOCK_SCHED


def machine() -> dict[str, JSON]:
    """Return how many cores there are and how loaded they were over the last minute (runnable processes)."""
    return {"cores": os.cpu_count(), "load_1min": round(os.getloadavg()[0], 2)}
