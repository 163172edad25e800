"""Hypothesis over sequences: what departs is shrunk to the shortest sequence, one for each kind of departure.

It knows nothing of gateways: `examine` says what came of a sequence, and is asked about each sequence once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from random import Random
from typing import Final, TypeAlias

from hypothesis import Phase, Verbosity, find, settings
from hypothesis.errors import NoSuchExample
from hypothesis.strategies import SearchStrategy

from conformance.errors import HarnessError
from conformance.search.model import Departure
from conformance.search.steps import Steps, without

Examine: TypeAlias = "Callable[[Steps, Collection[str]], tuple[Departure, ...]]"
"""Drives a sequence and returns its departures. The kinds it is given are known and need no confirmation."""

MOST_KINDS: Final = 8
"""After so many kinds of departure the search ends: what else is wrong shows better once those are mended."""


@dataclass(frozen=True, slots=True)
class Found:
    """The shortest sequence seen for one kind of departure."""

    sequence: Steps
    departure: Departure


@dataclass(slots=True)
class Hunt:
    """One search. seconds: no sequence is begun later than this; what is being shrunk then is taken as it is."""

    examine: Examine
    sequences: SearchStrategy[Steps]
    seed: int
    examples: int
    seconds: float
    clock: Callable[[], float] = time.monotonic
    late: bool = False
    _seen: dict[Steps, tuple[Departure, ...]] = field(default_factory=dict)
    _trouble: HarnessError | None = None

    @property
    def examined(self) -> int:
        """How many different sequences were driven."""
        return len(self._seen)

    def run(self) -> tuple[Found, ...]:
        """Search and return what was found. Raises the HarnessError that kept `examine` from driving."""
        until = self.clock() + self.seconds
        found: dict[str, Found] = {}
        while len(found) < MOST_KINDS:
            sequence = self._shortest(frozenset(found), until)
            if self._trouble is not None:
                raise self._trouble
            if sequence is None:
                break
            for departure in self._seen[sequence]:
                found.setdefault(departure.kind, Found(sequence, departure))
        return tuple(found.values())

    def _shortest(self, known: frozenset[str], until: float) -> Steps | None:
        """Return the shortest sequence with a departure of no known kind, None where none is found.

        The same seed draws the same sequences again, and those are not driven twice.
        """

        def departs(sequence: Steps) -> bool:
            return any(item.kind not in known for item in self._look(sequence, known, until))

        quiet = settings(
            max_examples=self.examples,
            database=None,
            deadline=None,
            phases=(Phase.generate, Phase.shrink),
            verbosity=Verbosity.quiet,
        )
        try:
            shrunk = find(self.sequences, departs, settings=quiet, random=Random(self.seed))  # noqa: S311 - no secret
        except NoSuchExample:
            return None
        return _without_idle_steps(shrunk, departs)

    def _look(self, sequence: Steps, known: frozenset[str], until: float) -> tuple[Departure, ...]:
        if sequence not in self._seen:
            if self._trouble is not None:
                return ()
            if self.clock() >= until:
                self.late = True
                return ()
            try:
                self._seen[sequence] = self.examine(sequence, known)
            except HarnessError as error:
                self._trouble = error  # Hypothesis would shrink an exception; the search is over, not the sequence
                return ()
        return self._seen[sequence]


def _without_idle_steps(sequence: Steps, departs: Callable[[Steps], bool]) -> Steps:
    """Return a sequence of which no step can be left out: Hypothesis may end its shrinking before that."""
    for position in range(len(sequence)):
        shorter = without(sequence, position)
        if departs(shorter):
            return _without_idle_steps(shorter, departs)
    return sequence
