"""How long a gateway's processes wait for a processor: what a busy machine takes is no slowness of theirs."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from conformance.evidence.events import Kind
from conformance.stage.recorder import Recorder
from conformance.stage.runtime import Running

PERIOD: Final = 0.5
"""Seconds between two looks."""

NOTED: Final = 0.05
"""Shortest wait within a period that is recorded, in seconds: a tenth of it."""


def waits(pid: int) -> dict[int, int]:
    """Return how long the main thread of a process, and of each that it started, has waited to run, by process id.

    In nanoseconds, ever since each began. Empty where the process has ended, or no kernel tells: Linux does, with
    CONFIG_SCHED_INFO (Documentation/scheduler/sched-stats, second field of schedstat).
    """
    found: dict[int, int] = {}
    left = [pid]
    while left:
        process = left.pop()
        of = Path("/proc", str(process), "task", str(process))
        try:
            found[process] = int((of / "schedstat").read_text().split()[1])
            left += map(int, (of / "children").read_text().split())
        except (OSError, ValueError, IndexError):
            continue  # it has ended meanwhile, and with it what it waited for
    return found


def longest(before: Mapping[int, int], after: Mapping[int, int]) -> float:
    """Return the longest that one process waited between two looks, in seconds; one that is new waited since it began.

    The longest and not the sum: an answer waits for one of them, and they may wait at one time.
    """
    return max((waited - before.get(process, 0) for process, waited in after.items()), default=0) / 1e9


async def watch(gateway: Running, recorder: Recorder) -> None:
    """Record, until it has ended, whenever a gateway, or what it started, waited for a processor."""
    known = waits(gateway.pid)
    while gateway.returncode is None:
        await asyncio.sleep(PERIOD)
        seen = waits(gateway.pid)
        if (seconds := longest(known, seen)) > NOTED:
            recorder.stage(Kind.PROCESSOR_WAIT, {"name": "gateway", "seconds": round(seconds, 3)})
        known = seen
