"""Family transparency, what a cancel must not do, and what is none (MGC745 to MGC749).

Legacy basic/utilities/cancellation; basic/transports, Sending Messages to the Server.
"""

from __future__ import annotations

from typing import Final

from conformance.evidence.events import Hop
from conformance.evidence.links import links, nonce_of
from conformance.evidence.transcript import Exchange, Transcript
from conformance.rules.answers import without_result
from conformance.rules.base import Inputs, Level, Precondition, Side, charge, fail, rule
from conformance.rules.session_reuse_evidence import answered_nonces, said
from conformance.rules.transparency_cancellation_evidence import (
    SUITE,
    Cancelled,
    abandoned_initializes,
    beside,
    cancels_of_initialize,
    cut_off,
    is_malformed,
    lost,
    strays,
    told_about,
    went_on,
)
from conformance.rules.verdicts import Fail, Inconclusive, NotApplicable, Pass, Verdict

SERVER_ERROR: Final = 500

POINTLESS = Precondition(
    "cancel-of-nothing",
    "a cancel of a request that was never made, or was over",
    lambda transcript: any(not is_malformed(item) for item in strays(transcript)),
)
MALFORMED = Precondition(
    "cancel-malformed",
    "a cancel whose requestId is missing or neither a string nor an integer",
    lambda transcript: any(is_malformed(item) for item in strays(transcript)),
)
LATE = Precondition(
    "answered-after-cancel",
    "a cancelled call that its backend did not stop for",
    lambda transcript: bool(went_on(transcript)),
)
CALL_CUT_OFF = Precondition(
    "call-cut-off",
    "a client that closed its connection while its call was under way at the backend",
    lambda transcript: bool(cut_off(transcript)),
)
INITIALIZE_CUT_OFF = Precondition(
    "initialize-cut-off",
    "a client that closed its connection while the gateway waited for its backend's answer to initialize",
    lambda transcript: bool(abandoned_initializes(transcript)),
)


@rule(
    id="MGC745",
    title="A cancel of nothing does nothing",
    suite=SUITE,
    level=Level.MAY,
    side=Side.SERVER,
    requirements=("CAN-04",),
    when=POINTLESS,
    failure_classes=("stray-cancel-does-harm", "cancel-poisons-session"),
)
def pointless_cancel_is_harmless(inputs: Inputs) -> Verdict:
    """Judge what cancels do that name no request, or one that was answered before.

    What it checks: none meets a server error or silence, and the session's requests, then under way or later, have
    results.
    Why it matters: every cancel that crosses its answer on the way is of this kind, through nobody's fault.
    A failing exchange: cancelled, the id of an answered call → 500, an id that is not in the table any more
    A conforming exchange: cancelled, the id of an answered call → 202, and nothing happens
    Known gaps: a refusal with a 4xx status is tolerated, for the row only permits to ignore.
    """
    return _harmless(inputs, tuple(item for item in strays(inputs.through) if not is_malformed(item)))


@rule(
    id="MGC746",
    title="A malformed cancel does nothing",
    suite=SUITE,
    level=Level.SHOULD,
    side=Side.SERVER,
    requirements=("CAN-07",),
    when=MALFORMED,
    failure_classes=("stray-cancel-does-harm", "cancel-poisons-session"),
)
def malformed_cancel_is_harmless(inputs: Inputs) -> Verdict:
    """Judge what cancels do whose requestId is missing, null, or of another type than ids have.

    What it checks: none meets a server error or silence, and the session's requests, then under way or later, have
    results.
    Why it matters: a notification that cannot be read must cost its sender nothing but itself.
    A failing exchange: cancelled without params → 500, and the call under way ends
    A conforming exchange: cancelled without params → 202 or 400; the call under way has its result
    Known gaps: which of the two statuses comes is not judged here.
    """
    return _harmless(inputs, tuple(item for item in strays(inputs.through) if is_malformed(item)))


def _harmless(inputs: Inputs, sent: tuple[Exchange, ...]) -> Verdict:
    through = inputs.through
    for item in sent:
        if _upset(item):
            return fail(
                "202, or a refusal, and nothing else",
                f"it was answered {said(item)}",
                item,
                charged_to=charge(inputs, item, _upset),
                symptom="stray-cancel-does-harm",
            )
    for item in sent:
        for other in beside(through, item):
            if lost(through, other):
                ended = other.t < item.t
                return fail(
                    "a result for every request of that session",
                    f"{other.rpc_method}, {'under way then' if ended else 'sent later'}, was answered {said(other)}",
                    item,
                    other,
                    charged_to=_blame(inputs, other),
                    symptom="stray-cancel-does-harm" if ended else "cancel-poisons-session",
                )
    answers = sorted({str(item.status) for item in sent})
    return Pass(f"{len(sent)} such cancel(s), answered {', '.join(answers)}", sent[0].events)


def _blame(inputs: Inputs, item: Exchange) -> Hop:
    """Charge the backend with a request that it did not answer, unless the gateway told it to cancel that one."""
    told = any(told_about(inputs.through, link.backend) for link in links(inputs.through) if link.client.id == item.id)
    return Hop.GATEWAY if told else charge(inputs, item, without_result)


def _upset(exchange: Exchange) -> bool:
    return exchange.status is None or exchange.status >= SERVER_ERROR


@rule(
    id="MGC748",
    title="An answer that comes after its cancel is ignored",
    suite=SUITE,
    level=Level.SHOULD,
    side=Side.CLIENT,
    requirements=("CAN-05",),
    when=LATE,
    failure_classes=("cancel-poisons-session", "response-crosswire"),
)
def late_answer_is_ignored(inputs: Inputs) -> Verdict:
    """Judge what the gateway makes of a backend that answers a call though it was told to stop it.

    What it checks: the answer comes to no other request and on no other stream, and the session's other requests, then
    under way or later, have results.
    Why it matters: a backend may be unable to stop; whoever has forgotten the call must not trip over its answer.
    A failing exchange: cancelled → 202; the backend answers all the same; tools/list → 500
    A conforming exchange: cancelled → 202; the backend answers all the same; tools/list → its result
    Known gaps: the late answer on the cancelled call's own stream is tolerated, for the client ignores it. A gateway
    that closes the call's connection to the backend never gets the answer.
    """
    through = inputs.through
    found = tuple(item for item in went_on(through) if item.told is not None)
    if not found:
        return NotApplicable("the gateway told no backend to stop; that it should is judged by MGC741")
    for item in found:
        for other in through.client():
            if other.id != item.call.id and _carries(other, item.link.backend.nonce):
                expected = "the late answer on no stream but the cancelled call's own"
                crossed = f"it came in answer to {other.rpc_method or other.method}"
                return fail(expected, crossed, item.call, other, symptom="response-crosswire")
        harmed = [other for other in beside(through, item.cancel) if lost(through, other)]
        if harmed and harmed[0].t < _late_at(through, item):
            return Inconclusive("the session had come to harm before the answer came; MGC744 judges that")
        if harmed:
            return _tripped(inputs, harmed[0], item.cancel)
    closed = sum(item.answered is None for item in found)
    return Pass(f"{len(found)} answer(s) too late, {closed} of them not waited for", found[0].call.events)


def _late_at(transcript: Transcript, item: Cancelled) -> float:
    """Return when the backend answered, or its gateway had gone, in seconds."""
    if item.answered is not None:
        return item.answered.t
    return transcript.end_of(item.link.exchange) if item.link.exchange is not None else item.cancel.t


def _carries(exchange: Exchange, nonce: str | None) -> bool:
    responses = (message for message in exchange.messages() if message.is_response)
    told = {found for message in responses for found in answered_nonces(message)}
    return nonce in told and nonce_of(exchange) != nonce


def _tripped(inputs: Inputs, item: Exchange, cancel: Exchange) -> Fail:
    return fail(
        "a result for every other request of the session",
        f"{item.rpc_method} was answered {said(item)}",
        cancel,
        item,
        charged_to=_blame(inputs, item),
        symptom="cancel-poisons-session",
    )


@rule(
    id="MGC749",
    title="A lost connection is not a cancel",
    suite=SUITE,
    level=Level.SHOULD,
    side=Side.TRANSPARENCY,
    requirements=("POST-20",),
    when=CALL_CUT_OFF,
    failure_classes=("disconnect-taken-for-cancel",),
)
def disconnect_is_no_cancel(inputs: Inputs) -> Verdict:
    """Judge what the backend hears of a call whose client closed or lost its connection.

    What it checks: no notifications/cancelled names the gateway's request for the call, unless its client cancels too,
    or had ended its session by then.
    Why it matters: networks break; the client may come back for the answer, and cancels when it means to.
    A failing exchange: client's connection of the call ends; gateway → backend cancelled, the id of its request
    A conforming exchange: client's connection of the call ends; the backend works on
    Known gaps: a gateway that closes its own connection in turn does as it was done by. Whether the answer can be had
    later is judged by the rules on resumption.
    """
    through = inputs.through
    found = cut_off(through)
    for link in found:
        told = told_about(through, link.backend)
        if told is not None and not _session_ended(through, link.client, told.t):
            return fail(
                "no cancel, for the client sent none",
                f"the backend was told to cancel {told.t - (through.left_at(link.client) or 0.0):.2f} s after the end",
                link.client,
                events=(link.backend.seq, told.seq),
            )
    return Pass(f"{len(found)} call(s) lost their connection, and none was cancelled", found[0].client.events)


def _session_ended(transcript: Transcript, call: Exchange, t: float) -> bool:
    """Whether the client of a call had sent DELETE of its session by a time, in seconds."""
    return any(
        item.method == "DELETE" and (item.tap, item.session) == (call.tap, call.session) and item.t <= t
        for item in transcript.client()
    )


@rule(
    id="MGC747",
    title="initialize is never cancelled",
    suite=SUITE,
    level=Level.MUST,
    side=Side.CLIENT,
    requirements=("CAN-02",),
    when=INITIALIZE_CUT_OFF,
    failure_classes=("disconnect-taken-for-cancel",),
)
def initialize_is_not_cancelled(inputs: Inputs) -> Verdict:
    """Judge whether the gateway cancels its own initialize, which the loss of the client may tempt it to.

    What it checks: no notifications/cancelled to a backend names an initialize that the gateway awaits there.
    Why it matters: initialize has no session yet, and a server need not take anything before it is answered.
    A failing exchange: gateway → backend initialize, id 0; the client leaves; gateway → backend cancelled, requestId 0
    A conforming exchange: gateway → backend initialize, id 0; the client leaves; the answer comes, and the session ends
    Known gaps: a client that itself cancels its initialize is not driven.
    """
    through = inputs.through
    left = abandoned_initializes(through)
    for asked, told in cancels_of_initialize(through):
        return fail(
            "no cancel of initialize",
            f"it came {told.t - asked.t:.2f} s after the initialize it names, which was not answered",
            left[0],
            events=(asked.seq, told.seq),
            charged_to=Hop.GATEWAY,
        )
    return Pass(f"{len(left)} client(s) left while the backend initialized, and none was cancelled", left[0].events)
