"""The search over lifecycles: sequences of legal and illegal requests by several clients, against the tables."""

from __future__ import annotations

from dataclasses import dataclass

from conformance import timing
from conformance.diagnosis.reproduce_sequence import reproduce_sequence
from conformance.evidence.events import JSON
from conformance.evidence.transcript import Transcript
from conformance.search.departure import Departure
from conformance.search.drive import drive, look_around
from conformance.search.experiment import Alphabet
from conformance.search.model import departures
from conformance.search.steps import Step, Steps, alphabet, to_json
from conformance.stage.stage import Stage


@dataclass(slots=True)
class Lifecycle:
    """An `Experiment`. issues_ids, tool: what `look` saw: whether session ids are given, and which tool to call."""

    step_seconds: float = timing.LIFECYCLE_ANSWER + timing.STREAM_END
    registering: bool = False
    whole: bool = False
    issues_ids: bool = False
    tool: str = ""

    @property
    def alphabet(self) -> Alphabet[Step]:
        """The sequences to draw from."""
        return alphabet(calls=bool(self.tool))

    async def look(self, stage: Stage) -> None:
        """Learn from one legal lifecycle what the gateway does. Raises CannotJudgeError."""
        self.issues_ids, self.tool = await look_around(stage)

    async def clean(self, stage: Stage) -> bool:  # noqa: ARG002 - nothing is left but sessions, which disturb nobody
        """Return True."""
        return True

    async def drive(self, stage: Stage, sequence: Steps) -> None:
        """Drive a sequence."""
        await drive(stage, sequence, tool=self.tool, issues_ids=self.issues_ids)

    def departures(self, transcript: Transcript) -> tuple[Departure, ...]:
        """Return how the evidence of a sequence departs from the lifecycle tables."""
        return departures(transcript)

    def reproduction(self, transcript: Transcript) -> tuple[str, ...]:
        """Return what to type to see a sequence again."""
        return reproduce_sequence(transcript)

    def to_json(self, sequence: Steps) -> list[dict[str, JSON]]:
        """Return the JSON form of a sequence."""
        return to_json(sequence)
