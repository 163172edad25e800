"""Family transparency, cancellation: what becomes of a call that its client gives up (MGC741 to MGC744).

Legacy basic/utilities/cancellation.
"""

from __future__ import annotations

from typing import Final

from conformance import timing
from conformance.evidence.events import Hop
from conformance.evidence.links import nonce_of
from conformance.evidence.transcript import BackendSession, Exchange, Message, Transcript
from conformance.rules.base import Inputs, Level, Precondition, Side, charge, fail, rule
from conformance.rules.keep_alive_evidence import lost_with_connection
from conformance.rules.session_reuse_evidence import accepted, answered_nonces, said
from conformance.rules.transparency_cancellation_evidence import (
    SUITE,
    Cancelled,
    all_sent,
    at_gateway,
    beside,
    call_of,
    cancelled,
    cancels,
    in_a_crowd,
    known_over,
    lagged,
    lost,
    may_be_one_of,
    meant,
    named_requests,
    over_at,
    passed_on,
    strays,
    unsent,
)
from conformance.rules.verdicts import Fail, Inconclusive, NotApplicable, NotExercised, Pass, Verdict

CALL_CANCELLED = Precondition(
    "call-cancelled",
    "a client's cancel of a call that was under way at the backend",
    lambda transcript: bool(cancelled(transcript)),
)
CANCEL_OUTLIVED = Precondition(
    "cancel-outlived",
    "a request in a session in which a call under way was cancelled",
    lambda transcript: bool(_beside(transcript)),
)
CROSSED: Final = "it got another call's result"
NO_SESSION: Final = NotApplicable("no session is issued, so a cancel cannot be told to belong to a call")


def _heard(found: tuple[Cancelled, ...]) -> tuple[Cancelled, ...]:
    """Return the calls without those whose cancel was refused after another in their session: MGC744 judges that."""
    first = {(item.cancel.tap, item.cancel.session): item.cancel.id for item in reversed(found)}
    return tuple(item for item in found if accepted(item.cancel) or item.cancel.id in first.values())


def _sessionless(found: tuple[Cancelled, ...]) -> bool:
    return all("mcp-session-id" not in item.cancel.headers for item in found)


@rule(
    id="MGC741",
    title="A cancel reaches the backend",
    suite=SUITE,
    level=Level.SHOULD,
    side=Side.CLIENT,
    requirements=("POST-21",),
    when=CALL_CANCELLED,
    failure_classes=("cancel-not-propagated",),
)
def cancel_is_passed_on(inputs: Inputs) -> Verdict:
    """Judge whether the backend of a cancelled call hears of the cancel.

    What it checks: notifications/cancelled in the backend session of the call, which the call's nonce leads to, one for
    each call; that none comes counts after CANCEL_PROMPT, if the backend has not answered by then.
    Why it matters: a tool that nobody stops runs on, with its side effects and its costs.
    A failing exchange: client → cancelled; gateway → backend nothing, and the tool runs to its end
    A conforming exchange: client → cancelled, its own requestId; gateway → backend cancelled, the id of its own request
    Known gaps: whether the right request is named is MGC742's; a cancel with a wrong id counts within CANCEL_PROMPT.
    """
    through = inputs.through
    found = _heard(cancelled(through))
    if _sessionless(found):
        return NO_SESSION
    prompt: list[float] = []
    reached = passed_on(through, found)
    for item in found:
        told = reached.get(item.cancel.id)
        if told is not None:
            prompt.append(max(0.0, told.t - item.cancel.t))
            continue
        answered = item.answered
        until = min(answered.t if answered is not None else through.end, through.end)
        if until - max(item.cancel.t, item.link.backend.t) < timing.CANCEL_PROMPT:
            continue  # the backend was done: a gateway that knows it has nothing to say
        if lagged(through, item.cancel.t, until):
            return Inconclusive("the machine was too busy while the backend was to hear of the cancel")
        return fail(
            f"notifications/cancelled at the backend within {timing.CANCEL_PROMPT:.0f} s",
            f"none came in {until - item.cancel.t:.1f} s",
            item.call,
            item.cancel,
            events=item.events,
            symptom="cancel-not-propagated",
        )
    if not prompt:
        return Inconclusive("the backend was done with every call before it could hear of the cancel")
    return Pass(f"{len(prompt)} cancel(s) reached the backend, the slowest after {max(prompt):.3f} s", found[0].events)


@rule(
    id="MGC742",
    title="A cancel names a request under way in its backend session",
    suite=SUITE,
    level=Level.MUST,
    side=Side.TRANSPARENCY,
    requirements=("CAN-01",),
    when=CALL_CANCELLED,
    failure_classes=("cancel-not-propagated",),
)
def cancel_names_its_call(inputs: Inputs) -> Verdict:
    """Judge which requests the gateway cancels at its backends.

    What it checks: requestId is, in value and type, that of a request of the gateway's in the same backend session, not
    known to be over, and, after a client's cancel, that of the call the client cancelled.
    Why it matters: ids differ on the two sides; the client's own means nothing to the backend, or another call.
    A failing exchange: client → cancelled "x-1"; gateway → backend cancelled "x-1", where the call had the id 7
    A conforming exchange: client → cancelled "x-1"; gateway → backend cancelled 7
    Known gaps: what a gateway sends shortly after a client's own cancel of nothing is not judged; it may be that one.
    Neither is a cancel of an unknown id shortly after a client gave up a call that the backend was never asked. How
    long is counted from when the gateway had answered the client's cancel, or had ended that call.
    """
    through = inputs.through
    sent = tuple(all_sent(through))
    if not sent:
        return NotApplicable("the gateway sent its backend no cancel; that it should is judged by MGC741")
    of_nothing, of_unsent = at_gateway(strays(through)), unsent(through)
    judged = [
        (session, item)
        for session, item in sent
        if not may_be_one_of(item, of_nothing) and (meant(session, item) or not may_be_one_of(item, of_unsent))
    ]
    if not judged:
        return Inconclusive(
            "each of its cancels may be of nothing that it had asked, as its client's cancel just before"
        )
    given_up = cancelled(through)
    for session, item in judged:
        trouble = _misses(through, session, item, given_up) or _hits_another(session, item, given_up)
        if trouble:
            return _missed(item, trouble, given_up)
    return Pass(f"{len(judged)} cancel(s), each of a request under way", tuple(item.seq for _, item in judged))


def _misses(transcript: Transcript, session: BackendSession, cancel: Message, given_up: tuple[Cancelled, ...]) -> str:
    """Return in words why a cancel names nothing under way, empty when it does not. given_up: by clients."""
    request = meant(session, cancel)
    if request is None:
        return f"{cancel.params.get('requestId')!r} is the id of no request in that session"
    over = known_over(transcript, session, request)
    # A client's own cancel that was in time may be handed on late: it is the client who believed the call under way.
    handed_on = any(item.link.backend.seq == request.seq for item in given_up)
    if over is not None and not handed_on and cancel.t - over > timing.CANCEL_RACE:
        return f"the request it names had been over for {cancel.t - over:.1f} s"
    return ""


def _hits_another(session: BackendSession, cancel: Message, given_up: tuple[Cancelled, ...]) -> str:
    """Return in words that a cancel names another call than the one that a client had just cancelled."""
    request = meant(session, cancel)
    recent = [
        item
        for item in given_up
        if item.session.key == session.key and item.cancel.t <= cancel.t <= item.cancel.t + timing.CANCEL_PROMPT
    ]
    wanted = {item.link.backend.seq for item in recent}
    missed = [item for item in recent if item.told is None and item.answered is None]
    if request is None or request.seq in wanted or not missed:
        return ""
    return f"the client cancelled the request {missed[0].link.backend.id!r}, and {request.id!r} was named"


def _missed(cancel: Message, trouble: str, given_up: tuple[Cancelled, ...]) -> Fail:
    near = [item for item in given_up if item.cancel.t <= cancel.t]
    where = (near[-1].call, near[-1].cancel) if near else ()
    return fail(
        "the id of the gateway's own request that is to end",
        trouble,
        *where,
        events=(cancel.seq,),
        symptom="cancel-not-propagated",
    )


@rule(
    id="MGC743",
    title="A cancelled call ends, without a result",
    suite=SUITE,
    level=Level.SHOULD,
    side=Side.TRANSPARENCY,
    requirements=("CAN-03",),
    when=CALL_CANCELLED,
    failure_classes=("cancelled-call-left-open", "cancel-not-propagated"),
)
def cancelled_call_ends(inputs: Inputs) -> Verdict:
    """Judge what becomes of the response to a call that was cancelled.

    What it checks: within CANCEL_PROMPT, or LOST_ANSWER where a crowd of requests is under way beside it, it ends
    without a response, or with an error; not where the backend has a result, because it was quicker or did not stop.
    Why it matters: a stream that nothing will come down any more holds a connection until somebody times out.
    A failing exchange: cancelled → 202; the call's stream stays open, silent or with comments
    A conforming exchange: cancelled → 202; the call's stream ends, or brings an error (the Python SDK's -32800)
    Known gaps: a client that closes the call's connection together with its cancel is not driven; a gateway that takes
    the cancel's POST later than anybody waits for the call is judged by others.
    """
    through = inputs.through
    found = _heard(cancelled(through))
    if _sessionless(found):
        return NO_SESSION
    took: list[float] = []
    for item in found:
        if _has_result(item):
            continue
        over = over_at(through, item.call)
        patience = timing.LOST_ANSWER if in_a_crowd(through, item.cancel) else timing.CANCEL_PROMPT
        if over is not None and over - item.cancel.t <= patience:
            took.append(over - item.cancel.t)
            continue
        until = over if over is not None else through.end_of(item.call)
        if until - item.cancel.t < patience or lagged(through, item.cancel.t, until):
            return Inconclusive("the end of a cancelled call was not watched for long enough, or the harness lagged")
        if through.end_of(item.cancel) > until:
            return Inconclusive("the gateway took the cancel itself only when nobody waited for the call any more")
        return fail(
            f"the end of the response within {patience:g} s of the cancel, or an error",
            f"it was open for {until - item.cancel.t:.1f} s after it" + (f", then {said(item.call)}" if over else ""),
            item.call,
            item.cancel,
            events=item.events,
            charged_to=_left_open_by(through, item),
            symptom="cancelled-call-left-open" if item.told is not None else "cancel-not-propagated",
        )
    if not took:
        return Inconclusive("the backend answered every call that was cancelled")
    return Pass(f"{len(took)} cancelled call(s) ended, the slowest after {max(took):.3f} s", found[0].call.events)


def _has_result(item: Cancelled) -> bool:
    """Whether the backend was quicker than the cancel, or did not stop for it: its result may then be relayed."""
    answered = item.answered
    if answered is None or answered.result is None:
        return False
    return item.told is not None or answered.t - item.cancel.t <= timing.CANCEL_PROMPT


def _left_open_by(transcript: Transcript, item: Cancelled) -> Hop:
    """Charge the backend where it was told and left its own HTTP response open, which a relay hands on as it is."""
    behind = item.link.exchange
    if behind is None or item.told is None or item.answered is not None:
        return Hop.GATEWAY
    over = over_at(transcript, behind)
    return Hop.BACKEND if over is None or over - item.told.t > timing.CANCEL_PROMPT else Hop.GATEWAY


@rule(
    id="MGC744",
    title="A session outlives the cancels in it",
    suite=SUITE,
    level=Level.MUST,
    side=Side.SERVER,
    requirements=("CAN-06",),
    when=CANCEL_OUTLIVED,
    failure_classes=("cancel-poisons-session", "response-crosswire"),
)
def session_outlives_cancel(inputs: Inputs) -> Verdict:
    """Judge a session in which calls are cancelled, many of them just as they are answered.

    What it checks: every other request of the session, beside the cancel and after it, has a result, and its own; a
    cancelled one has at most one response.
    Why it matters: cancel and answer cross on the wire every day; a server that answers twice, or trips over it, loses
    all that the session held.
    A failing exchange: tools/call, cancelled → 202, tools/list → 404
    A conforming exchange: tools/call, cancelled → 202, tools/list → its result
    Known gaps: whether the cancelled calls end is MGC743's.
    """
    through = inputs.through
    others = _beside(through)
    if not others:
        return NotExercised("a request of that session that is not cancelled")
    given_up = named_requests(through)
    for item in (*others, *given_up):
        trouble = _trouble(through, item, named=item in given_up)
        if trouble:
            return fail(
                "a result for each request that was not cancelled, and one response at most for each that was",
                f"{item.rpc_method}: {trouble}",
                *cancels(through)[:1],
                item,
                charged_to=_blame(inputs, item, named=item in given_up),
                symptom="response-crosswire" if trouble == CROSSED else "cancel-poisons-session",
            )
    return Pass(f"{len(given_up)} cancelled, {len(others)} other request(s) served", others[-1].events)


def _blame(inputs: Inputs, item: Exchange, *, named: bool) -> Hop:
    return charge(inputs, item, lambda behind: bool(_trouble(inputs.through, behind, named=named)))


def _beside(transcript: Transcript) -> tuple[Exchange, ...]:
    """Return the requests that no cancel names, under way at the cancel of a call in their session or after it."""
    effective = [item for item in cancels(transcript) if call_of(transcript, item) is not None]
    found = {item.id: item for cancel in effective for item in beside(transcript, cancel)}
    aside = lost_with_connection(transcript)
    return tuple(sorted((item for item in found.values() if item.id not in aside), key=lambda item: item.seq))


def _trouble(transcript: Transcript, item: Exchange, *, named: bool) -> str:
    """Return in words what is wrong with the answer to a request, empty when nothing is. named: by some cancel."""
    responses = [message for message in item.messages() if message.is_response]
    if len(responses) > 1:
        return f"it got {len(responses)} responses"
    if any(nonce != nonce_of(item) for message in responses for nonce in answered_nonces(message)):
        return CROSSED
    return "" if named or not lost(transcript, item) else f"it was answered {said(item)}"
