"""In which order a run's items are judged: those of a cell once its evidence is there, whichever cell that is.

In the order of the suites the first cell that is driven late would hold up all that could be judged meanwhile.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Container, Iterator, Mapping
from pathlib import Path
from typing import Final, TypeVar

from conformance.stage.plan import Cell, Plan
from conformance.stage.scenario import scenarios
from conformance.stage.supervisor import EXIT_FILE

POLL: Final = 0.25
"""Seconds between two looks at the folder of evidence, which in a whole fleet holds thousands of files."""

_T = TypeVar("_T")


def judged_on(cell: Cell, driven: Container[Cell]) -> tuple[Cell, ...]:
    """Return the cells whose evidence a cell is judged on: itself, and its control run where that is driven too."""
    compared = scenarios()[cell.scenario].control and cell.control in driven
    return (cell, cell.control) if compared else (cell,)


def driving_ended(plan: Plan) -> bool:
    """Return whether no more evidence will come."""
    return (Path(plan.work) / EXIT_FILE).exists() or not Path(plan.work).exists()


def as_evidence_comes(
    waiting: Mapping[Cell, _T], plan: Plan, *, patience: float, clock: Callable[[], float] = time.monotonic
) -> Iterator[_T]:
    """Yield what belongs to each cell once all files that it is judged on are there; of several in the given order.

    What is left when the driving has ended comes last, and so does what no evidence came for in `patience` seconds,
    beyond every deadline there is.
    """
    driven = frozenset(plan.cells)
    left = {cell: {plan.evidence_file(one).name for one in judged_on(cell, driven)} for cell in waiting}
    news = clock()
    while left:
        ended = driving_ended(plan)  # asked first: what is there afterwards is all that there will be
        there = _names(plan.evidence_dir)
        ready = [cell for cell, needed in left.items() if needed <= there]
        if not ready and (ended or clock() - news > patience):
            ready = list(left)
        for cell in ready:
            del left[cell]
            yield waiting[cell]
        if ready:
            news = clock()
        elif left:
            time.sleep(POLL)  # a file's appearance is the marker; there is nothing else to wait on across processes


def _names(folder: Path) -> set[str]:
    try:
        with os.scandir(folder) as entries:
            return {entry.name for entry in entries}
    except FileNotFoundError:  # nothing was driven yet
        return set()
