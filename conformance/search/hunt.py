"""Hypothesis over sequences: what departs is shrunk to the shortest sequence, one for each kind of departure.

It knows nothing of gateways: `examine` says what came of a sequence, and is asked about each sequence once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from random import Random
from typing import Final, Generic

from hypothesis import Phase, Verbosity, find, settings
from hypothesis.errors import NoSuchExample

from conformance.errors import HarnessError
from conformance.search.departure import Departure
from conformance.search.experiment import Alphabet, Step

MOST_KINDS: Final = 8
"""After so many kinds of departure the search ends: what else is wrong shows better once those are mended."""

SHRINKING: Final = 300.0
"""How long one departure is shrunk at most, in seconds, as long as Hypothesis by itself would; then it is taken as it
is."""


@dataclass(frozen=True, slots=True)
class Found(Generic[Step]):
    """The shortest sequence seen for one kind of departure."""

    sequence: tuple[Step, ...]
    departure: Departure


@dataclass(slots=True)
class Hunt(Generic[Step]):
    """One search. seconds: no sequence is drawn later than this; what was found by then is still shrunk.

    examine: drives a sequence and returns its departures; the kinds it is given are known and need no confirmation.
    """

    examine: Callable[[tuple[Step, ...], Collection[str]], tuple[Departure, ...]]
    alphabet: Alphabet[Step]
    seed: int
    examples: int
    seconds: float
    clock: Callable[[], float] = time.monotonic
    late: bool = False
    _seen: dict[tuple[Step, ...], tuple[Departure, ...]] = field(default_factory=dict)
    _trouble: HarnessError | None = None
    _shrinking_until: float | None = None

    @property
    def examined(self) -> int:
        """How many different sequences were driven."""
        return len(self._seen)

    def run(self) -> tuple[Found[Step], ...]:
        """Search and return what was found. Raises the HarnessError that kept `examine` from driving."""
        until = self.clock() + self.seconds
        found: dict[str, Found[Step]] = {}
        while len(found) < MOST_KINDS:
            sequence = self._shortest(frozenset(found), until)
            if self._trouble is not None:
                raise self._trouble
            if sequence is None:
                break
            for departure in self._told(sequence, frozenset(found)) or ():
                found.setdefault(departure.kind, Found(sequence, departure))
        return tuple(found.values())

    def _shortest(self, known: frozenset[str], until: float) -> tuple[Step, ...] | None:
        """Return the shortest sequence with a departure of no known kind, None where none is found.

        What Hypothesis draws first is cut down step by step at once. Hypothesis then shrinks from there on: what
        contains that cut is taken to depart too, so only sequences that are no longer than it are driven. The same seed
        draws the same sequences again, and those are not driven twice.
        """
        cut: list[tuple[Step, ...]] = []
        answers: dict[tuple[Step, ...], bool] = {}

        def new(sequence: tuple[Step, ...]) -> tuple[Departure, ...]:
            return tuple(item for item in self._look(sequence, known, until) if item.kind not in known)

        def departs(sequence: tuple[Step, ...]) -> bool:
            if sequence not in answers:
                answers[sequence] = judged(sequence)
            return answers[sequence]

        def judged(sequence: tuple[Step, ...]) -> bool:
            if cut and len(sequence) >= len(cut[-1]):
                return self._contains(sequence, cut[-1])
            found = new(sequence)
            if found:
                cut.append(self._cut_down(sequence[: found[0].step], lambda shorter: bool(new(shorter))))
            return bool(found)

        self._shrinking_until = None
        quiet = settings(
            max_examples=self.examples,
            database=None,
            deadline=None,
            phases=(Phase.generate, Phase.shrink),
            verbosity=Verbosity.quiet,
        )
        try:
            find(self.alphabet.sequences, departs, settings=quiet, random=Random(self.seed))  # noqa: S311 - no secret
        except NoSuchExample:
            return None
        return cut[-1]

    def _look(self, sequence: tuple[Step, ...], known: frozenset[str], until: float) -> tuple[Departure, ...]:
        """Return the departures of a sequence: driven now, driven before, or told by what begins in the same way."""
        told = self._told(sequence, known)
        if told is not None:
            return told
        if self._trouble is not None:
            return ()
        if self.clock() >= (self._shrinking_until or until):
            self.late = True
            return ()
        try:
            found = self._seen[sequence] = self.examine(sequence, known)
        except HarnessError as error:
            self._trouble = error  # Hypothesis would shrink an exception; the search is over, not the sequence
            return ()
        if self._shrinking_until is None and any(item.kind not in known for item in found):
            self._shrinking_until = self.clock() + SHRINKING
        return found

    def _told(self, sequence: tuple[Step, ...], known: frozenset[str]) -> tuple[Departure, ...] | None:
        """Return what a sequence driven before says of this one, None where none says enough.

        A sequence answers for all with which it begins, and what departed at a step departs whatever follows it.
        """
        if sequence in self._seen:
            return self._seen[sequence]
        for driven, found in self._seen.items():
            common = _common(driven, sequence)
            so_far = tuple(item for item in found if item.step <= common)
            if common == len(sequence) or any(item.kind not in known for item in so_far):
                return so_far
        return None

    def _cut_down(self, sequence: tuple[Step, ...], departs: Callable[[tuple[Step, ...]], bool]) -> tuple[Step, ...]:
        """Return a part of a departing sequence from which no step can be left out; the last steps are tried first."""
        for position in reversed(range(len(sequence))):
            shorter = self.alphabet.without(sequence, position)
            if departs(shorter):
                return self._cut_down(shorter, departs)
        return sequence

    def _contains(self, sequence: tuple[Step, ...], part: tuple[Step, ...]) -> bool:
        """Whether the steps of `part` occur in `sequence`, in order, with whatever names who acts in them has there."""
        return any(_occurs(sequence, renamed) for renamed in self.alphabet.renamed(part))


def _common(one: tuple[Step, ...], other: tuple[Step, ...]) -> int:
    """Return with how many equal steps two sequences begin."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((position for position, (left, right) in pairs if left != right), min(len(one), len(other)))


def _occurs(sequence: tuple[Step, ...], part: tuple[Step, ...]) -> bool:
    left = iter(sequence)
    return all(step in left for step in part)
