"""The search over registrations: servers registered, enabled, disabled and removed, by who may and who may not."""

from __future__ import annotations

from dataclasses import dataclass, field

from conformance import timing
from conformance.errors import CannotJudgeError
from conformance.evidence.events import JSON
from conformance.evidence.transcript import Transcript
from conformance.search.departure import Departure
from conformance.search.experiment import Alphabet
from conformance.search.registration_drive import Before, drive, hire, listed
from conformance.search.registration_model import departures
from conformance.search.registration_reproduction import reproduction
from conformance.search.registration_steps import SERVERS, By, Change, Step, Steps, alphabet, to_json
from conformance.stage.stage import Stage


@dataclass(slots=True)
class Registrations:
    """An `Experiment`. before: what `look` learnt. left: ids of the servers that the last sequence may have left."""

    step_seconds: float = timing.REGISTRATION_STEP
    registering: bool = True
    whole: bool = True
    before: Before | None = None
    left: dict[str, str] = field(default_factory=dict)

    @property
    def alphabet(self) -> Alphabet[Step]:
        """The sequences to draw from."""
        registry = self._known().registry
        return alphabet(registry.changes, others=bool(registry.other_headers))

    async def look(self, stage: Stage) -> None:
        """Read the manifest and list the tools of a gateway that knows no server. Raises CannotJudgeError."""
        self.before = Before.of(stage)
        if shown := set(map(self.before.tool, SERVERS)) & set(await listed(stage, "scout")):
            raise CannotJudgeError(
                f"{', '.join(shown)} is listed before it is registered; register it in [[registration]] alone."
            )

    async def clean(self, stage: Stage) -> bool:
        """Remove the servers that the sequence before left; return whether none of their tools is listed any more."""
        before = self._known()
        clerk = await hire(stage, before, self.left)
        for server in self.left:
            await clerk.make(Step(server, Change.REMOVE, By.OWNER))
        return not set(map(before.tool, SERVERS)) & set(await listed(stage, "cleaner"))

    async def drive(self, stage: Stage, sequence: Steps) -> None:
        """Drive a sequence."""
        self.left = {}
        self.left = dict((await drive(stage, self._known(), sequence)).ids)

    def departures(self, transcript: Transcript) -> tuple[Departure, ...]:
        """Return how the evidence of a sequence departs from the model."""
        return departures(transcript)

    def reproduction(self, transcript: Transcript) -> tuple[str, ...]:
        """Return what to type to see a sequence again."""
        return reproduction(transcript)

    def to_json(self, sequence: Steps) -> list[dict[str, JSON]]:
        """Return the JSON form of a sequence."""
        return to_json(sequence)

    def _known(self) -> Before:
        if self.before is None:
            raise RuntimeError("look at the gateway first")
        return self.before
