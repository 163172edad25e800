"""Family spin_up: backends that the gateway starts as containers."""

from __future__ import annotations

from conformance.evidence.events import Kind
from conformance.rules.base import Inputs, Level, Precondition, Side, fail, rule
from conformance.rules.verdicts import Pass, Verdict

SUITE = "spin_up"
TRIGGERED = Precondition(
    "spin-up-triggered",
    "a client that connected to a gateway which starts its backend as a container",
    lambda transcript: bool(transcript.stimuli("trigger")),
)


@rule(
    id="MGC501",
    title="The trigger leads to a container that is created and started",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.SERVER,
    requirements=("SPIN-01",),
    when=TRIGGERED,
    failure_classes=("enabled-but-not-started",),
)
def container_is_started(inputs: Inputs) -> Verdict:
    """Judge whether a container of the backend's image was started."""
    started = [event for event in inputs.through.of(Kind.ENGINE_EVENT) if event.data.get("action") == "start"]
    if started:
        return Pass(f"started at {started[0].t:.3f} s", (started[0].seq,))
    return fail("a container of the backend's image is started", "the engine reported none", events=(0,))
