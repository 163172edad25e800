"""Which cells share an instance, and which instances start first.

A run lasts about as long as its longest chain of work only if that chain begins at once; so the longest chain of all
targets is started first, and those that are short fill the gaps. A lane is a chain; so are the destructive cells of one
target, of which few are driven at one time.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import Final

from conformance.stage.manifest import TargetManifest
from conformance.stage.plan import DIRECT, Cell
from conformance.stage.scenario import Scenario, ScenarioKind, scenarios

HARMED_AT_ONCE: Final = 2
"""Destructive scenarios driven at one time on one target: more would crowd what is timed beside them."""
_SLOWEST_START: Final = 10.0
"""`ready.seconds` over a start-up as seen: the default of 30 s stands for gateways that need 1 to 3 s."""
_EXCHANGES: Final = 1.5
"""What a cell takes beside its deliberate waits: sentinels, its own exchanges, reading the taps. Seen: 0.5 to 3 s."""
_TURNS: Final = (ScenarioKind.EXCLUSIVE, ScenarioKind.IDLE, ScenarioKind.DESTRUCTIVE)
"""In which order the kinds follow each other on one instance: what does harm comes last."""


def start_up(target: TargetManifest | None) -> float:
    """Return about how long an instance takes to start, in seconds; without a target it is a backend alone."""
    return target.ready.seconds / _SLOWEST_START if target is not None else 1.0


def cell_seconds(cell: Cell, target: TargetManifest | None) -> float:
    """Return about how long a cell keeps an instance busy, in seconds, the start-up of one of its own included."""
    scenario = scenarios()[cell.scenario]
    own = start_up(target) if scenario.kind is ScenarioKind.DESTRUCTIVE else 0.0
    return scenario.seconds + _EXCHANGES + own


def lanes(cells: Iterable[Cell], targets: Mapping[str, TargetManifest], *, frugal: bool = False) -> list[list[Cell]]:
    """Return cells by the instance they may share: controls first, then those behind which the longest chain waits.

    What has a control is judged no sooner than that is there: were it driven last, no verdict would show before.

    Cells of one target, backend and pair of revisions share instances: the idle ones one, the exclusive ones another,
    those with a container that the gateway starts one more each, and so those behind the same edge in the same variant;
    every destructive cell has its own, except that those which start the gateway anew follow each other on one.

    frugal: the exclusive, the idle and those destructive ones that may follow others share one, in this order.
    Those which start the gateway anew have one of their own there too: they take long.
    """
    known = scenarios()
    shared: dict[tuple[object, ...], list[Cell]] = defaultdict(list)
    for cell in cells:
        shared[cell.target, cell.backend, *(_frugal if frugal else _own)(cell, known[cell.scenario])].append(cell)
    for lane in shared.values():
        lane.sort(key=lambda cell: (*_turn(known[cell.scenario]), cell))

    def length(lane: list[Cell]) -> float:
        target = targets.get(lane[0].target)
        return start_up(target) + sum(max(cell_seconds(cell, target) for cell in batch) for batch in batches(lane))

    chained = {target: 0.0 for target, *_ in shared}
    waits: list[tuple[float, list[Cell]]] = []
    for lane in sorted(shared.values(), key=lambda lane: (length(lane), lane)):
        seconds = length(lane)
        if known[lane[0].scenario].kind is ScenarioKind.DESTRUCTIVE:
            chained[lane[0].target] += seconds / HARMED_AT_ONCE
            seconds = max(seconds, chained[lane[0].target])
        waits.append((seconds, lane))
    return [lane for _, lane in sorted(waits, key=lambda item: (item[1][0].target != DIRECT, -item[0], item[1]))]


def batches(lane: Iterable[Cell]) -> Iterator[list[Cell]]:
    """Yield the cells of a lane that are driven at one time: the idle ones of one run together, all others alone."""
    known = scenarios()
    for idle, cells in groupby(lane, key=lambda cell: known[cell.scenario].kind is ScenarioKind.IDLE):
        if idle:
            yield list(cells)
        else:
            yield from ([cell] for cell in cells)


def _turn(scenario: Scenario) -> tuple[int, float]:
    """Return what decides when a scenario comes: its kind, and its wait if it is idle, for those begin one by one."""
    return _TURNS.index(scenario.kind), -scenario.seconds if scenario.kind is ScenarioKind.IDLE else 0.0


def _own(cell: Cell, scenario: Scenario) -> tuple[object, ...]:
    """Return what cells of one target and backend have in common that share an instance."""
    alone = cell.scenario if scenario.kind is ScenarioKind.DESTRUCTIVE and not scenario.renews else ""
    return (
        cell.revision,
        cell.backend_revision,
        scenario.kind,
        scenario.spin_up is not None,
        scenario.edge,
        alone,
    )


def _frugal(cell: Cell, scenario: Scenario) -> tuple[object, ...]:
    """Return the same for a frugal run."""
    alone = scenario.kind is ScenarioKind.DESTRUCTIVE and not scenario.renews and not scenario.follows
    setup = (scenario.spin_up is not None, scenario.edge, scenario.second_backend)
    return (cell.revision, cell.backend_revision, *setup, scenario.renews, cell.scenario if alone else "")
