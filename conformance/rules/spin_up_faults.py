"""Family spin_up: what clients are told when the backend's container cannot be started: some error, and no hang."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from conformance.evidence.events import Event
from conformance.evidence.transcript import Transcript
from conformance.rules.base import Inputs, Level, Precondition, Side, fail, rule
from conformance.rules.faults_told import Told, told_of
from conformance.rules.spin_up_cause import unreachable
from conformance.rules.spin_up_start import SUITE
from conformance.rules.spin_up_times import engine_requests, spun_up
from conformance.rules.verdicts import Inconclusive, NotExercised, Pass, Verdict

_MISSING: Final = "image-missing"
_UNUSABLE: Final = {
    "engine-denied": "the engine refuses every change (403)",
    "engine-missing": "the engine's socket is not there",
    "engine-forbidden": "the permissions of the engine's socket keep the gateway out",
}


def tried(transcript: Transcript) -> bool:
    """Whether a client tried to connect, however far it came."""
    return bool(transcript.stimuli("trigger"))


IMAGE_MISSING = Precondition(
    "spin-up-image-missing",
    "a client of a gateway whose backend's image does not exist",
    lambda transcript: transcript.header.get("spin_up") == _MISSING and tried(transcript),
)
EXITS_AT_ONCE = Precondition(
    "spin-up-exits-at-once",
    "a client of a gateway whose backend's container ended before it answered anything",
    lambda transcript: any(_ended_unheard(transcript)) and tried(transcript),
)
ENGINE_UNUSABLE = Precondition(
    "spin-up-engine-unusable",
    "a client of a gateway that the container engine refuses, or whose engine is not there",
    lambda transcript: transcript.header.get("spin_up") in _UNUSABLE and tried(transcript),
)


def told(transcript: Transcript) -> Told:
    """Return what came of the clients' last initialize or tools/list."""
    return told_of(transcript, ("initialize", "tools/list"))


def _ended_unheard(transcript: Transcript) -> Iterator[Event]:
    """Yield the ends of containers whose backend had not answered anything."""
    for item in spun_up(transcript):
        heard = item.process is not None and any(m.direction == "down" for m in item.process.messages)
        if item.died is not None and not heard:
            yield item.died


def verdict_on(transcript: Transcript, what: Told, fault: str, symptom: str) -> Verdict:
    """Judge what a client was told of a fault; symptom: the failure class where no error was told."""
    if what.how == "error":
        return Pass(f"{fault}: {what.what}", what.seen)
    events = (transcript.stimuli("trigger")[0].seq, *what.seen)
    return fail(f"an error where {fault}", what.what, events=events, symptom=symptom)


@rule(
    id="MGC509",
    title="A missing image is answered with an error, not with a hang",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.SERVER,
    requirements=("SPIN-09",),
    when=IMAGE_MISSING,
    failure_classes=("initialize-hang", "hang-on-upstream-error", "empty-200-stream", "enabled-but-not-started"),
)
def missing_image_is_an_error(inputs: Inputs) -> Verdict:
    """Judge what a client is told when the backend's image does not exist.

    What it checks: initialize, or the tools/list after it, ends in an error: JSON-RPC, HTTP, a closed connection, or a
    gateway that has ended and refuses connections.
    Why it matters: a typing error in an image's name must be seen at once, not after a client's own timeout.
    A failing exchange: engine: create → 404; gateway: initialize … nothing in 20 s
    A conforming exchange: engine: create → 404; gateway: initialize → error -32603
    Known gaps: which error is not judged, nor whether it names the image.
    """
    answered = [item for item in engine_requests(inputs.through) if item.status is not None and item.status >= 400]
    if not any(item.status == 404 for item in answered):
        return NotExercised("an image that the engine was asked for and said it does not have")
    what = told(inputs.through)
    pull = next((item for item in engine_requests(inputs.through, "/images/create") if item.how == "open"), None)
    if what.how == "hang" and pull is not None:
        return Inconclusive(f"the engine itself had not answered the pull after {inputs.through.end - pull.t:.1f} s")
    return verdict_on(inputs.through, what, "the image is missing", what.symptom("enabled-but-not-started"))


@rule(
    id="MGC510",
    title="A container that exits at once is answered with an error, not with a hang",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.SERVER,
    requirements=("SPIN-10",),
    when=EXITS_AT_ONCE,
    failure_classes=("initialize-hang", "hang-on-upstream-error", "empty-200-stream", "dead-child-zombie"),
)
def exit_at_once_is_an_error(inputs: Inputs) -> Verdict:
    """Judge what a client is told when the container ends before its server has said a word.

    What it checks: initialize, or the tools/list after it, ends in an error, as for MGC509.
    Why it matters: a server that lacks its configuration ends like this; its clients wait for a process that is gone.
    A failing exchange: engine: die, exit code 3; gateway: initialize … nothing in 20 s
    A conforming exchange: engine: die, exit code 3; gateway: initialize → error -32603
    Known gaps: a gateway that starts it again and again is only told from the count of containers in the pass.
    """
    ends = tuple(_ended_unheard(inputs.through))
    fault = f"the container exits at once (code {ends[0].data.get('exit_code')}, started {len(ends)} time(s))"
    what = told(inputs.through)
    return verdict_on(inputs.through, what, fault, what.symptom("dead-child-zombie"))


@rule(
    id="MGC511",
    title="An engine that refuses or is not there is answered with an error, not with a hang",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.SERVER,
    requirements=("INIT-04",),
    when=ENGINE_UNUSABLE,
    failure_classes=("docker-socket-unusable",),
)
def unusable_engine_is_an_error(inputs: Inputs) -> Verdict:
    """Judge what a client is told when the gateway may not, or cannot, use the container engine.

    What it checks: initialize, or the tools/list after it, ends in an error, as for MGC509.
    Why it matters: a socket that is not mounted or not permitted is the commonest fault of a fresh deployment.
    A failing exchange: engine: POST /containers/create → 403; gateway: initialize … nothing in 20 s
    A conforming exchange: engine: POST /containers/create → 403; gateway: initialize → error -32603
    Known gaps: whether the client can tell this error from that of a missing image is not judged.
    """
    kind = str(inputs.through.header.get("spin_up"))
    missing = kind != "engine-denied"
    what = told(inputs.through)
    asked = any(item.method == "POST" for item in engine_requests(inputs.through))
    if not asked and (not missing or what.how == "success"):
        # Without a socket nobody sees whether the gateway tried; a gateway that never does is MGC501's to judge.
        return NotExercised("a request of the gateway to the engine")
    found = unreachable(inputs.through)
    fault = f"{_UNUSABLE[kind]} ({found.what})" if found is not None else _UNUSABLE[kind]
    return verdict_on(inputs.through, what, fault, "docker-socket-unusable")
