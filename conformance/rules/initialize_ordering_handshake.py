"""Family initialize_ordering, the gateway as server: what a sound initialize is answered with (MGC101-103, 111, 115).

Source of all: basic/lifecycle, Initialization and Version Negotiation.
"""

from __future__ import annotations

from conformance import timing
from conformance.evidence.events import Kind, Point
from conformance.evidence.transcript import Exchange, Transcript
from conformance.rules.answers import without_result
from conformance.rules.base import Inputs, Level, Precondition, Side, fail, rule
from conformance.rules.initialize_ordering_evidence import (
    INITIALIZE_ANSWERED,
    INITIALIZE_SENT,
    REVISION_ASKED,
    SUITE,
    UNKNOWN_REVISION_ASKED,
    answered_version,
    asked_of_backends,
    asked_version,
    blame,
    is_handshake_version,
    lagged,
    posted,
    refused,
    result_fault,
    said,
    settled_at,
    sound_initializes,
)
from conformance.rules.preconditions import initializes
from conformance.rules.verdicts import Inconclusive, NotApplicable, Pass, Verdict


def second_initializes(transcript: Transcript) -> tuple[tuple[Exchange, Exchange], ...]:
    """Return (first, second) initializes of two clients, the second sent while the first's session was in use."""
    found = []
    for first in initializes(transcript):
        used = [item.t for item in transcript.client() if item.tap == first.tap and item.method == "POST"]
        found += [
            (first, second)
            for second in sound_initializes(transcript)
            if second.tap != first.tap and first.t < second.t < max(used) and "mcp-session-id" not in second.headers
        ]
    return tuple(found)


SECOND_INITIALIZE = Precondition(
    "second-initialize",
    "an initialize of a second client while the first used its session",
    lambda transcript: bool(second_initializes(transcript)),
)


@rule(
    id="MGC101",
    title="The answer to initialize is complete",
    suite=SUITE,
    level=Level.MUST,
    side=Side.SERVER,
    requirements=("LIFE-03",),
    when=INITIALIZE_ANSWERED,
    failure_classes=("initialize-result-invalid",),
)
def initialize_result_is_complete(inputs: Inputs) -> Verdict:
    """Judge the members of every InitializeResult.

    What it checks: protocolVersion, capabilities and serverInfo with name and version are there and of their types.
    Why it matters: clients validate this result first; one missing member ends the connection before it began.
    A failing exchange: POST initialize → {"result": {"protocolVersion": "2025-11-25", "capabilities": {}}}
    A conforming exchange: the same with "serverInfo": {"name": "gateway", "version": "1"}
    Known gaps: whether the declared capabilities are true is MGC117's.
    """
    answered = initializes(inputs.through)
    for item in answered:
        answer = item.answer()
        fault = result_fault(answer.result or {}) if answer else None
        if fault is not None:
            return fail(
                "an InitializeResult with protocolVersion, capabilities and serverInfo",
                f"{fault} in the answer to initialize",
                item,
                charged_to=blame(
                    inputs, item, lambda _, theirs: theirs is not None and result_fault(theirs.result or {}) is not None
                ),
            )
    return Pass(f"{len(answered)} complete answer(s) to initialize", answered[0].events)


@rule(
    id="MGC102",
    title="A supported version is echoed",
    suite=SUITE,
    level=Level.MUST,
    side=Side.SERVER,
    requirements=("LIFE-08",),
    when=REVISION_ASKED,
    failure_classes=("initialize-result-invalid",),
)
def supported_version_is_echoed(inputs: Inputs) -> Verdict:
    """Judge the version that initialize is answered with, against the one asked for.

    What it checks: a version that the gateway gives anybody is given to whoever asks for it; each one given is known.
    Why it matters: both sides then speak different revisions, or the client disconnects from a server that would do.
    A failing exchange: initialize 2025-06-18 → 2025-11-25, and initialize 1.0.0 → 2025-06-18
    A conforming exchange: initialize 2025-06-18 → 2025-06-18
    Known gaps: a gateway that never gives the cell's revision is taken not to support it, which is its right.
    """
    answered = [item for item in initializes(inputs.through) if asked_version(item) is not None]
    given = [answered_version(item) for item in answered]
    for item in answered:
        asked, got = asked_version(item), answered_version(item)
        if not is_handshake_version(got) or (asked in given and got != asked):
            return fail(
                f"initialize for {asked} is answered with it, as the gateway supports it"
                if asked in given
                else "initialize is answered with a revision that has the handshake",
                f"initialize for {asked} was answered with {got}",
                item,
                charged_to=blame(
                    inputs,
                    item,
                    lambda request, theirs: (
                        theirs is not None
                        and theirs.result is not None
                        and theirs.result.get("protocolVersion") != request.params.get("protocolVersion")
                    ),
                ),
            )
    revision, spoken = inputs.through.header["revision"], ", ".join(sorted(set(map(str, given))))
    if revision not in given:
        return NotApplicable(f"the gateway does not support {revision}; it speaks {spoken}")
    return Pass(f"each of {spoken} was given to whoever asked for it", answered[0].events)


@rule(
    id="MGC103",
    title="An unknown version is answered with a supported one",
    suite=SUITE,
    level=Level.MUST,
    side=Side.SERVER,
    requirements=("LIFE-09",),
    when=UNKNOWN_REVISION_ASKED,
    failure_classes=("era-mismatch",),
)
def unknown_version_gets_another(inputs: Inputs) -> Verdict:
    """Judge what an initialize for an unknown version is answered with.

    What it checks: initialize for a version the gateway cannot know has a result with a revision of the handshake.
    Why it matters: this is how a newer client and an older server meet; an error shuts the newer client out.
    A failing exchange: initialize 2099-01-01 → error -32602 "Unsupported protocol version"
    A conforming exchange: initialize 2099-01-01 → result with protocolVersion 2025-11-25
    Known gaps: the specification only prefers the latest supported version, so any supported one passes.
    """
    asked = [item for item in sound_initializes(inputs.through) if not is_handshake_version(asked_version(item))]
    for item in asked:
        if item.status is None:
            return Inconclusive("an initialize for an unknown version was never answered; hangs are MGC115's")
        if not is_handshake_version(answered_version(item)):
            return fail(
                "a result with another revision, one that the gateway supports",
                f"initialize for {asked_version(item)} was answered {said(item)}"
                + (f", version {answered_version(item)}" if answered_version(item) else ""),
                item,
                charged_to=blame(
                    inputs,
                    item,
                    lambda request, theirs: (
                        not is_handshake_version(request.params.get("protocolVersion"))
                        and not (theirs and is_handshake_version((theirs.result or {}).get("protocolVersion")))
                    ),
                ),
                symptom="era-mismatch",
            )
    given = sorted({str(answered_version(item)) for item in asked})
    return Pass(f"{len(asked)} unknown version(s) answered with {', '.join(given)}", asked[0].events)


@rule(
    id="MGC111",
    title="A second client can initialize beside the first",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.SERVER,
    requirements=("INIT-02",),
    when=SECOND_INITIALIZE,
    failure_classes=("reinitialize-rejected", "one-client-kills-all"),
)
def second_client_initializes(inputs: Inputs) -> Verdict:
    """Judge a client's initialize while another client is connected, and both sessions after it.

    What it checks: the second initialize has a result, and requests of both clients after it have results.
    Why it matters: a gateway is there for many clients; with one global session only the first ever gets in.
    A failing exchange: initialize (A) → 200, initialize (B) → 400 "Server already initialized"
    A conforming exchange: initialize (A) → 200, initialize (B) → 200, tools/list (A) → 200, tools/list (B) → 200
    Known gaps: that the two sessions are kept apart is judged in suite session_reuse.
    """
    pairs = second_initializes(inputs.through)
    for first, second in pairs:
        if second.status is None:
            return Inconclusive("the second initialize was never answered; hangs are MGC115's")
        if without_result(second):
            return fail(
                "a second client's initialize has a result while the first client is connected",
                f"initialize for {asked_version(second)} was answered {said(second)}",
                first,
                second,
                charged_to=blame(inputs, second, refused),
                symptom="reinitialize-rejected",
            )
        for item in posted(inputs.through, "tools/list"):
            if item.t > second.t and item.tap in (first.tap, second.tap) and without_result(item):
                earlier = item.tap == first.tap
                return fail(
                    "both clients are served after the second one's initialize",
                    f"tools/list of the {'first' if earlier else 'second'} client was then answered {said(item)}",
                    second,
                    item,
                    charged_to=blame(inputs, item, refused),
                    symptom="one-client-kills-all" if earlier else "reinitialize-rejected",
                )
    return Pass(f"{len(pairs)} pair(s) of clients initialized one beside the other and were served", pairs[0][1].events)


@rule(
    id="MGC115",
    title="initialize is answered when the backend answers",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.SERVER,
    requirements=("INIT-04",),
    when=INITIALIZE_SENT,
    failure_classes=("initialize-hang", "empty-200-stream", "gateway-timeout-too-short"),
)
def initialize_is_answered(inputs: Inputs) -> Verdict:
    """Judge whether every sound initialize got an answer, and not one that the gateway's own impatience made.

    What it checks: each is answered while it was waited for; no error comes that a backend's result follows.
    Why it matters: a client that waits on initialize shows nothing at all, often for minutes, and no reason.
    A failing exchange: POST initialize → 200 text/event-stream, no event in 20 s; the backend answered in 3 s
    A conforming exchange: POST initialize → its result 3 s later, just after the backend's
    Known gaps: a client that left before HANG_OBSERVATION seconds shows nothing; any error status counts as an answer;
    a gateway that hangs at the first initialize after its start and at no later one is taken for one that still starts.
    """
    sent = sound_initializes(inputs.through)
    for item in sent:
        until = inputs.through.end_of(item)
        if item.answer() is not None or (item.status or 0) >= 400:
            if _impatient(inputs, item):
                return fail(
                    "initialize waits for a backend that answers in time",
                    f"it was answered {said(item)} after {until - item.t:.1f} s, and the backend's result came later",
                    item,
                    symptom="gateway-timeout-too-short",
                )
            continue
        if item.how in ("abandoned", "open") and until - item.t < timing.HANG_OBSERVATION:
            return Inconclusive(f"initialize was waited for only {until - item.t:.1f} s")
        if lagged(inputs.through, item.t, until):
            return Inconclusive("the machine was too busy while initialize was awaited")
        if _perhaps_starting(inputs.through, item):
            return Inconclusive(
                f"for {until - item.t:.1f} s after the first initialize since its start the gateway said nothing, and "
                "then answered a later one: it may have been starting still"
            )
        ended = item.is_stream and item.how == "complete"
        return fail(
            "initialize is answered with a result or an error",
            f"{until - item.t:.1f} s after it was sent: {said(item)}; {_at_the_backend(inputs, item)}",
            item,
            charged_to=blame(inputs, item, lambda _, theirs: theirs is None),
            symptom="empty-200-stream" if ended else "initialize-hang",
        )
    slowest = max((answer.t - item.t for item in sent if (answer := item.answer()) is not None), default=0.0)
    return Pass(f"{len(sent)} initialize(s) answered, the slowest after {slowest:.1f} s", sent[0].events)


def _perhaps_starting(transcript: Transcript, item: Exchange) -> bool:
    """Whether an initialize found a gateway that had said nothing yet, said nothing meanwhile and served a later one.

    A port accepts as soon as it is listened on; what a busy machine's gateway loads after that takes it many seconds.
    """
    left = transcript.over_for_client(item)
    said_before = any(
        other.t_response is not None and other.t_response < left
        for other in transcript.exchanges
        if other.point is Point.CLIENT_TAP
    )
    asked_meanwhile = any(
        item.t < event.t < left
        for event in transcript.events
        if event.point is Point.BACKEND_TAP and event.kind != Kind.LAG
    )
    later = any(other.t >= left for other in initializes(transcript))
    return later and not (transcript.probe_answered or said_before or asked_meanwhile)


def _impatient(inputs: Inputs, item: Exchange) -> bool:
    """Whether a backend's result to the linked initialize came after the client had been given an error."""
    given_up = settled_at(inputs.through, item)
    return without_result(item) and any(
        theirs is not None and theirs.result is not None and theirs.t > given_up
        for _, theirs in asked_of_backends(inputs.through, item)
    )


def _at_the_backend(inputs: Inputs, item: Exchange) -> str:
    """Return what the backends' side shows meanwhile: this tells at which hop initialize got stuck."""
    asked = asked_of_backends(inputs.through, item)
    if not inputs.through.sees_backend:
        return "the backend's side was not recorded"
    if not asked:
        return "meanwhile the gateway sent no backend an initialize"
    answered = sum(theirs is not None for _, theirs in asked)
    return f"meanwhile {answered} of {len(asked)} initialize(s) it sent to backends were answered"
