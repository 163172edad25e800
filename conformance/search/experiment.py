"""What a search needs of the thing it searches over: sequences, how they are driven, and what is judged of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from hypothesis.strategies import SearchStrategy

from conformance.evidence.events import JSON
from conformance.evidence.transcript import Transcript
from conformance.search.departure import Departure
from conformance.stage.stage import Stage

Step = TypeVar("Step")


@dataclass(frozen=True, slots=True)
class Alphabet(Generic[Step]):
    """The sequences there are.

    sequences: draws them, fewer steps and plainer ones being smaller. without: a sequence less the step at a position.
    renamed: the same sequence under every name that who acts in it may have.
    """

    sequences: SearchStrategy[tuple[Step, ...]]
    without: Callable[[tuple[Step, ...], int], tuple[Step, ...]]
    renamed: Callable[[tuple[Step, ...]], Iterable[tuple[Step, ...]]]


class Experiment(Protocol[Step]):
    """One kind of search.

    step_seconds: longest that one step may take.
    registering: the gateway is to start with nothing registered. whole: evidence always has the backend's side.
    """

    step_seconds: float
    registering: bool
    whole: bool

    @property
    def alphabet(self) -> Alphabet[Step]:
        """The sequences to draw from, known once `look` was called."""

    async def look(self, stage: Stage) -> None:
        """Learn from a fresh gateway what sequences need to know. Raises CannotJudgeError where it does not serve."""

    async def clean(self, stage: Stage) -> bool:
        """Take back what the sequence before left in the gateway; return whether that succeeded."""

    async def drive(self, stage: Stage, sequence: tuple[Step, ...]) -> None:
        """Drive a sequence, step after step. Never judges."""

    def departures(self, transcript: Transcript) -> tuple[Departure, ...]:
        """Return how the evidence of a sequence departs from the model, in order. Pure."""

    def reproduction(self, transcript: Transcript) -> tuple[str, ...]:
        """Return what to type to see a sequence again."""

    def to_json(self, sequence: tuple[Step, ...]) -> list[dict[str, JSON]]:
        """Return the JSON form of a sequence; each step has `says`, itself in words."""
