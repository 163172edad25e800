"""What became of a real client under each condition in which a field failure was looked for. Pure, over the evidence.

A condition that does not bring the failure about is a result like one that does: the page shows both, and neither is
asserted.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

from conformance.evidence.events import JSON
from conformance.evidence.transcript import Exchange, Transcript
from conformance.replays.catalogue import Condition
from conformance.rules.clients_evidence import StepSeen, during, steps
from conformance.stage.scenario import scenarios


@dataclass(frozen=True, slots=True)
class Tried:
    """What was seen under a condition.

    outcome: what the client said. seconds: how long it took. slowest: which of its requests took the longest, and how
    its first GET fared. reproduced: whether it said what the write-up quotes.
    """

    condition: str
    title: str
    client: str
    gateway: str
    outcome: str
    seconds: float
    slowest: str
    reproduced: bool

    @property
    def sentence(self) -> str:
        """The whole of it in one sentence."""
        found = "reproduced" if self.reproduced else "not reproduced"
        return f"{found} with {self.title}: {self.outcome} after {self.seconds:.1f} s; {self.slowest}"

    def to_json(self) -> dict[str, JSON]:
        """Return its record in the replay's JSON."""
        return {**asdict(self), "seconds": round(self.seconds, 1)}


def tried(condition: Condition, transcript: Transcript, sign: str) -> Tried | None:
    """Return what was seen under a condition, None where the client was never asked to connect.

    sign: the words of the write-up by which its failure is known.
    """
    asked = steps(transcript, "connect")
    if not asked:
        return None
    step = asked[0]
    return Tried(
        condition=condition.name,
        title=condition.title,
        client=scenarios()[condition.topology.scenario].client,
        gateway=condition.topology.target.title,
        outcome="connected" if step.succeeded else step.words,
        seconds=step.end - step.start,
        slowest=_slowest(transcript, step),
        reproduced=not step.succeeded and sign in step.words,
    )


def _slowest(transcript: Transcript, step: StepSeen) -> str:
    """Say which of the client's requests took the longest, and how its GET fared."""
    made = during(transcript, step)
    waits = {item.id: _answered(item, step) - item.t for item in made if item.rpc_method is not None}
    said = [
        f"{item.rpc_method} took {waits[item.id]:.1f} s"
        for item in made
        if waits.get(item.id, 0.0) == max(waits.values(), default=-1.0)
    ][:1]
    for get in [item for item in made if item.method == "GET"][:1]:
        waited = (get.t_response if get.t_response is not None else get.ended(step.end)) - get.t
        said.append(f"GET had {'its' if get.t_response is not None else 'no'} headers in {waited:.1f} s")
    return ", ".join(said) or "it asked nothing"


def _answered(item: Exchange, step: StepSeen) -> float:
    """Return when a request was answered or refused, in seconds; the step's end where it never was."""
    answer = item.answer()
    if answer is not None:
        return answer.t
    return item.t_end if item.t_end is not None and item.how != "abandoned" else step.end
