"""Which cells share an instance, which instances start first, and how many may live at one time.

A run lasts about as long as its longest chain of work only if that chain begins at once, and no longer than the machine
can bear it: so lanes are started the longest first, and each takes the memory of its instance from a common room.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Final

import psutil

from conformance.stage.manifest import TargetManifest
from conformance.stage.plan import Cell
from conformance.stage.scenario import ScenarioKind, scenarios

MEMORY_MB: Final = 10 * 1024
"""Most that the instances alive at one time may take; with the harness and the judging a run stays under 12 GiB."""
MEMORY_SHARE: Final = 0.75
"""Of the memory that is free when a run begins, the share its instances may take."""
LIVE_INSTANCES: Final = 12
"""Instances alive at one time, however small: each has a gateway and a backend that want processor time."""
BACKEND_MB: Final = 100
"""What a backend of an instance takes: server-everything 70 MB, the witness 45 MB."""
GATEWAY_MB: Final = 150
"""What a gateway takes."""
_SLOWEST_START: Final = 10.0
"""`ready.seconds` over a start-up as seen: the default of 30 s stands for gateways that need 1 to 3 s."""
_EXCHANGES: Final = 1.5
"""What a cell takes beside its deliberate waits: sentinels, its own exchanges, reading the taps. Seen: 0.5 to 3 s."""


def start_up(target: TargetManifest | None) -> float:
    """Return about how long an instance takes to start, in seconds; without a target it is a backend alone."""
    return target.ready.seconds / _SLOWEST_START if target is not None else 1.0


def cell_seconds(cell: Cell, target: TargetManifest | None) -> float:
    """Return about how long a cell keeps an instance busy, in seconds, the start-up of one of its own included."""
    scenario = scenarios()[cell.scenario]
    own = start_up(target) if scenario.kind is ScenarioKind.DESTRUCTIVE else 0.0
    return scenario.seconds + _EXCHANGES + own


def lanes(cells: Iterable[Cell], targets: Mapping[str, TargetManifest]) -> list[list[Cell]]:
    """Return cells by the instance they may share, the longest lane first.

    Cells of one target, backend and pair of revisions share instances: the idle ones one, the exclusive ones another,
    those with a container that the gateway starts one more each; every destructive cell has its own.
    """
    known = scenarios()
    shared: dict[tuple[object, ...], list[Cell]] = defaultdict(list)
    for cell in cells:
        scenario = known[cell.scenario]
        alone = cell.scenario if scenario.kind is ScenarioKind.DESTRUCTIVE else ""
        place = (cell.target, cell.backend, cell.revision, cell.backend_revision)
        shared[*place, scenario.kind, scenario.spin_up is not None, alone].append(cell)

    def length(lane: list[Cell]) -> float:
        target = targets.get(lane[0].target)
        if known[lane[0].scenario].kind is ScenarioKind.IDLE:
            return start_up(target) + max(cell_seconds(cell, target) for cell in lane)
        return start_up(target) + sum(cell_seconds(cell, target) for cell in lane)

    return sorted(shared.values(), key=lambda lane: (-length(lane), lane))


class Room:
    """What instances may take of the machine at one time. Those that wait get in in the order in which they came."""

    def __init__(self, megabytes: int, instances: int = LIVE_INSTANCES) -> None:
        self._megabytes = megabytes
        self._instances = instances
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._taken = 0
        self._inside = 0

    @classmethod
    def of_this_machine(cls) -> Room:
        """Return the room that a run has on this machine as it is now."""
        free = psutil.virtual_memory().available / 1024 / 1024
        return cls(min(MEMORY_MB, int(free * MEMORY_SHARE)))

    @asynccontextmanager
    async def taken(self, target: TargetManifest | None) -> AsyncIterator[None]:
        """Within, an instance of `target` may live. One that is larger than the room waits until it is alone."""
        wanted = min(self._megabytes, BACKEND_MB + (GATEWAY_MB if target else 0))
        entered = asyncio.get_running_loop().create_future()
        self._waiting.append((wanted, entered))
        self._let_in()
        try:
            await entered
        except asyncio.CancelledError:
            if entered.done() and not entered.cancelled():
                self._leave(wanted)
            else:
                self._waiting.remove((wanted, entered))
                self._let_in()
            raise
        try:
            yield
        finally:
            self._leave(wanted)

    def _leave(self, megabytes: int) -> None:
        self._taken -= megabytes
        self._inside -= 1
        self._let_in()

    def _let_in(self) -> None:
        """Let in whoever is first, and no one before it: a large instance would else wait for ever."""
        while self._waiting and self._inside < self._instances:
            wanted, entered = self._waiting[0]
            if self._taken + wanted > self._megabytes:
                return
            self._waiting.popleft()
            self._taken += wanted
            self._inside += 1
            entered.set_result(None)
