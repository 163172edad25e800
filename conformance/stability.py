"""Whether the same gateway gets the same verdicts again: what several runs of one selection say, side by side."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from conformance.evidence.events import JSON
from conformance.progress import Record
from conformance.rules.verdicts import Fail, HarnessFault, Pass

INCONCLUSIVE: Final = "inconclusive"
MOST_INCONCLUSIVE: Final = {"idle": 0.02, "loaded": 0.10}
"""Share of verdicts that may be inconclusive: on a machine that does nothing else, and with every core busy."""

Place: TypeAlias = tuple[str, str, str, str]
"""Target, backend, scenario and rule."""


@dataclass(slots=True)
class Condition:
    """The verdicts of every run under one condition, by place. runs: how many there were."""

    name: str
    runs: int = 0
    verdicts: dict[Place, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))

    def add(self, records: Sequence[Record]) -> None:
        """Take the records of one run."""
        self.runs += 1
        for record in records:
            target, backend, scenario, rule = (str(record[key]) for key in ("target", "backend", "scenario", "rule"))
            self.verdicts[target, backend, scenario, rule][str(record["verdict"])] += 1

    @property
    def judged(self) -> int:
        """How many verdicts there were in all runs."""
        return sum(count.total() for count in self.verdicts.values())

    @property
    def inconclusive(self) -> float:
        """The share of them that were inconclusive; 0 where there were none."""
        unsure = sum(count[INCONCLUSIVE] for count in self.verdicts.values())
        return unsure / self.judged if self.judged else 0.0

    @property
    def allowed(self) -> float:
        """The share that may be."""
        return MOST_INCONCLUSIVE[self.name]


@dataclass(frozen=True, slots=True)
class Flip:
    """A place with more than one verdict, inconclusive ones aside: how often each came, under each condition."""

    place: Place
    counts: dict[str, dict[str, int]]

    def to_json(self) -> dict[str, JSON]:
        """Return the record of `stability --json`."""
        target, backend, scenario, rule = self.place
        return {"target": target, "backend": backend, "scenario": scenario, "rule": rule, "counts": self.counts}


def flips(conditions: Sequence[Condition]) -> tuple[Flip, ...]:
    """Return the places whose verdict was not always the same, in order."""
    places = sorted({place for condition in conditions for place in condition.verdicts})
    found = []
    for place in places:
        counts = {item.name: dict(item.verdicts[place]) for item in conditions if item.verdicts[place]}
        said = {verdict for count in counts.values() for verdict in count} - {INCONCLUSIVE}
        if len(said) > 1:
            found.append(Flip(place, counts))
    return tuple(found)


def is_stable(conditions: Sequence[Condition]) -> bool:
    """Whether nothing flipped and no condition has more inconclusive verdicts than allowed."""
    return not flips(conditions) and all(item.inconclusive <= item.allowed for item in conditions)


def trouble(conditions: Sequence[Condition]) -> str:
    """Return what kept runs from being judged, in one line; empty when all of them were."""
    said: Counter[str] = Counter()
    for condition in conditions:
        for found in condition.verdicts.values():
            said.update(found)
    if errors := said[HarnessFault.name]:
        return f"{errors} of {said.total()} results are errors of the harness"
    return "" if said[Pass.name] + said[Fail.name] else "no result is a pass or a fail"


@contextmanager
def every_core_busy(cores: int) -> Iterator[None]:
    """Keep `cores` cores busy while the block runs, with a process each that is ended with it."""
    spinning = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(cores)]
    try:
        yield
    finally:
        for process in spinning:
            process.kill()
            process.wait()
