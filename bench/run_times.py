"""How long the parts of a run took, read from its evidence, and the time that a run may take by them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from conformance.evidence.events import JSON, Event, Kind
from conformance.evidence.log import read_evidence
from conformance.evidence.transcript import SENTINEL
from conformance.stage.plan import Cell
from conformance.stage.scenario import ScenarioKind, scenarios

WAIT_FACTOR: Final = 1.25
"""A run may last this many times its longest single wait, and its exclusive sections and its start-up besides."""
EXCLUSIVE_LIMIT: Final = 60.0
"""Seconds that the exclusive sections of one run must stay below, in sum."""


@dataclass(frozen=True, slots=True, order=True)
class Section:
    """The time in which one cell was driven.

    begin, end: seconds since 1970; from the scenario's begin to its end, the sentinel exchange after it included, for
    until then nothing else may happen on the instance. wait: its longest deliberate wait in seconds.
    """

    begin: float
    end: float
    cell: Cell
    kind: ScenarioKind
    wait: float

    @property
    def seconds(self) -> float:
        """How long it took."""
        return self.end - self.begin


@dataclass(frozen=True, slots=True)
class RunTimes:
    """What a run took. All in seconds.

    wall: from the start of its command to its end. start_up: until the first scenario began. longest_wait: the longest
    deliberate wait of its scenarios. exclusive: the sum of the exclusive sections of each instance that is shared so,
    by target and backend; they run side by side.
    """

    wall: float
    start_up: float
    longest_wait: float
    exclusive: dict[str, float]

    @property
    def exclusive_sum(self) -> float:
        """The largest of the sums."""
        return max(self.exclusive.values(), default=0.0)

    @property
    def bound(self) -> float:
        """The longest time that the run may take."""
        return WAIT_FACTOR * self.longest_wait + self.exclusive_sum + self.start_up

    @property
    def holds(self) -> bool:
        """Whether the run kept to the bound, and its exclusive sections to theirs."""
        return self.wall <= self.bound and self.exclusive_sum < EXCLUSIVE_LIMIT

    def to_json(self) -> dict[str, JSON]:
        """Return it as a JSON object."""
        return {
            "wall": round(self.wall, 2),
            "start_up": round(self.start_up, 2),
            "longest_wait": self.longest_wait,
            "exclusive": {name: round(seconds, 2) for name, seconds in self.exclusive.items()},
            "exclusive_limit": EXCLUSIVE_LIMIT,
            "bound": round(self.bound, 2),
            "wall_of_bound": round(self.wall / self.bound, 3),
            "holds": self.holds,
        }


def sections(folder: Path) -> list[Section]:
    """Return the sections of a run's evidence folder, in the order they began.

    Cells that were not driven have none. Raises EvidenceError for a file that is no evidence.
    """
    return sorted(found for file in folder.glob("*.jsonl") if (found := section(read_evidence(file))) is not None)


def section(events: Sequence[Event]) -> Section | None:
    """Return the section of one cell's evidence; None when its scenario did not begin or did not end."""
    header = events[0].data
    times = dict(_marks(events))
    if not {"scenario.begin", "scenario.end"} <= times.keys():
        return None
    scenario = scenarios()[header["scenario"]]
    started = float(header["started"])
    return Section(
        begin=started + times["scenario.begin"],
        end=started + max(times.values()),
        cell=Cell.parse(header["cell"]),
        kind=scenario.kind,
        wait=scenario.seconds,
    )


def _marks(events: Iterable[Event]) -> Iterator[tuple[str, float]]:
    """Yield what bounds a section, with its time; of the sentinel exchanges only the one after."""
    for event in events:
        if event.kind is Kind.STIMULUS:
            name = str(event.data.get("name"))
            if name in {"scenario.begin", "scenario.end"}:
                yield name, event.t
            elif name == SENTINEL and event.data.get("when") == "after":
                yield "sentinel.after", event.t


def run_times(found: Sequence[Section], begun: float, ended: float) -> RunTimes:
    """Return what a run took that its sections were found of. begun, ended: of its command, in seconds since 1970."""
    exclusive: dict[str, float] = {}
    for item in found:
        if item.kind is ScenarioKind.EXCLUSIVE:
            shared = f"{item.cell.target} before {item.cell.backend}"
            exclusive[shared] = exclusive.get(shared, 0.0) + item.seconds
    return RunTimes(
        wall=ended - begun,
        start_up=min((item.begin for item in found), default=ended) - begun,
        longest_wait=max((item.wait for item in found), default=0.0),
        exclusive=exclusive,
    )
