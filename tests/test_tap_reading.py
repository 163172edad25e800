"""A tap's spool is read while it grows: in threads, each part once, however many ask at a time."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

from conformance.evidence.events import Kind, Point
from conformance.evidence.log import Observation
from conformance.stage.tap_reading import TapReading


class Growing:
    """Stands for the tap process: each time it is asked, the spool is ten bytes longer."""

    def __init__(self) -> None:
        self.size = 0

    async def sync(self, _tap: str) -> int:
        self.size += 10
        await asyncio.sleep(0)
        return self.size

    def spool_path(self, tap: str) -> Path:
        return Path(tap)


def reading(parts: list[tuple[int, int]], threads: set[int]) -> TapReading:
    def assemble(_path: Path, begin: int, end: int) -> list[Observation]:
        parts.append((begin, end))
        threads.add(threading.get_ident())
        return [Observation(begin, Point.CLIENT_TAP, Kind.LAG, {})]

    return TapReading(Growing(), "tap", "client:a", assemble)  # type: ignore[arg-type]


def test_each_part_is_read_once_and_not_in_the_loops_thread() -> None:
    parts: list[tuple[int, int]] = []
    threads: set[int] = set()

    async def collect() -> list[list[Observation]]:
        one = reading(parts, threads)
        return await asyncio.gather(*(one.collect() for _ in range(5)))

    found = asyncio.run(collect())
    assert parts == [(0, 10), (10, 20), (20, 30), (30, 40), (40, 50)]
    assert sorted(len(seen) for seen in found) == [1, 2, 3, 4, 5]
    assert threading.get_ident() not in threads
