"""Family isolation, what belongs to one client: answers, progress, logs and cancels of equal names (MGC801 to 804)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from conformance import timing
from conformance.evidence.events import Hop
from conformance.evidence.links import nonce_of
from conformance.evidence.transcript import Exchange, Message
from conformance.rules.answers import without_result
from conformance.rules.base import Inputs, Level, Precondition, Side, fail, rule
from conformance.rules.initialize_ordering_evidence import blame, lagged
from conformance.rules.isolation_evidence import (
    CANCELLED,
    LOG,
    PROGRESS,
    SUITE,
    backend_misdelivered,
    cancels,
    clients_of_two,
    colliding,
    delivered,
    ids_cross,
    same_id,
    sent_by_backend,
    share_backend_session,
    undisturbed,
)
from conformance.rules.session_reuse_evidence import said
from conformance.rules.session_reuse_messages import EQUAL_IDS
from conformance.rules.transparency_calls_evidence import CAPABILITY_OF
from conformance.rules.verdicts import Fail, Inconclusive, NotApplicable, NotExercised, Pass, Verdict

CROSSED: Final = ("response-crosswire", "upstream-session-shared")

EQUAL_TOKENS = Precondition(
    "progress-of-two-clients",
    "progress that the backend reported for calls of a client",
    lambda transcript: bool(sent_by_backend(transcript, (PROGRESS,))),
)
LOGGED = Precondition(
    "logs-of-two-clients",
    "log messages that the backend sent because of a client's call",
    lambda transcript: bool(sent_by_backend(transcript, (LOG,))),
)
CANCEL = Precondition(
    "cancel-beside-equal-id",
    "a cancel whose id another client's call in flight had too",
    lambda transcript: bool(cancels(transcript)),
)


@rule(
    id="MGC801",
    title="Each of two calls with equal ids has an answer",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.TRANSPARENCY,
    requirements=("ISO-01",),
    when=EQUAL_IDS,
    failure_classes=("response-crosswire",),
)
def equal_ids_lose_no_answer(inputs: Inputs) -> Verdict:
    """Judge whether calls of two clients that have the same JSON-RPC id at the same time are both answered.

    What it checks: every such call has a response, where calls of the same clients with an id of their own have one.
    Why it matters: every client numbers from 1; who keeps one table for all of them forgets the first of two.
    A failing exchange: a: id 1, b: id 1; b gets its result, a waits for ever or its stream ends without an event
    A conforming exchange: a: id 1, b: id 1; each gets a result with id 1
    Known gaps: whether the answer is the right one is MGC213's.
    """
    if not undisturbed(inputs.through):
        return Inconclusive("no call with an id of its own was answered either")
    asked = colliding(inputs.through)
    if not asked:
        return Inconclusive("every call that shared its id was cancelled")
    for item in asked:
        if item.answer() is not None:
            continue
        until = inputs.through.end_of(item)
        if item.how in ("abandoned", "open"):
            if until - item.t < timing.LOST_ANSWER:
                continue
            if lagged(inputs.through, item.t, until):
                return Inconclusive("the machine was too busy while an answer was awaited")
        return fail(
            "both of two calls with the same id are answered",
            f"the call with id {item.request['id']!r} and nonce {nonce_of(item)} got no answer in {until - item.t:.1f} "
            f"s beside another client's with the same id ({said(item)})",
            item,
            charged_to=blame(inputs, item, lambda _, theirs: theirs is None),
            symptom="response-crosswire",
        )
    return Pass(f"{len(asked)} calls shared their ids with another client's, and each was answered", asked[0].events)


@rule(
    id="MGC802",
    title="Progress of one client never reaches another",
    suite=SUITE,
    level=Level.MUST,
    side=Side.TRANSPARENCY,
    requirements=("PROG-01",),
    when=EQUAL_TOKENS,
    failure_classes=CROSSED,
)
def progress_reaches_who_asked(inputs: Inputs) -> Verdict:
    """Judge to whom progress reports of two clients with the same token go.

    What it checks: each report that carries the nonce of a call came to the client that made the call.
    Why it matters: tokens are unique in one client only; a mixed-up one shows a user what another is doing.
    A failing exchange: a and b: tools/call, progressToken 1; the report on b's call arrives on a's stream
    A conforming exchange: a and b: tools/call, progressToken 1; each stream carries its own call's reports
    Known gaps: a report without the witness's message cannot be told apart and is not judged. Where no report reaches
    anybody, nothing is said here.
    """
    return _misdelivery(inputs, {PROGRESS: "progress report"})


@rule(
    id="MGC803",
    title="What a backend logs or asks for one client never reaches another",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.TRANSPARENCY,
    requirements=("ISO-02",),
    when=LOGGED,
    failure_classes=CROSSED,
)
def logs_reach_who_caused_them(inputs: Inputs) -> Verdict:
    """Judge to whom go the log messages and the requests that a backend sends while it serves one client.

    What it checks: each log message and each sampling, elicitation or roots request that carries the nonce of a call
    came to the client that made the call, and to no other.
    Why it matters: both quote arguments and results; sent to every client, they hand one user's data to all, and a
    stranger's answer to the backend.
    A failing exchange: a: tools/call; notifications/message about it arrives on b's GET stream
    A conforming exchange: a: tools/call; notifications/message about it arrives on a's POST or GET stream
    Known gaps: whether a's own arrive is not judged here, and where nothing arrives at all nothing is said; a request
    from which the gateway took the nonce is not told apart.
    """
    return _misdelivery(inputs, {LOG: "log message", **dict.fromkeys(CAPABILITY_OF, "request of the backend's")})


def _misdelivery(inputs: Inputs, words: Mapping[str | None, str]) -> Verdict:
    """Judge every delivery of the methods that `words` has words for."""
    found = list(delivered(inputs.through, words))
    for exchange, message, owner in found:
        if exchange.tap != owner:
            return _astray(inputs, exchange, message, owner, words[message.method])
    sent = sent_by_backend(inputs.through, words)
    if not found and not any(item.is_stream for item in inputs.through.client()):
        return NotApplicable("nothing is served as an event stream, so there is no room for what the backend sent")
    if not found:
        return NotExercised(f"something that reached a client, of {len(sent)} that the backend sent")
    if not clients_of_two(owner for *_, owner in found):
        return Inconclusive("what the backend sent came for one client only")
    return Pass(f"{len(sent)} sent, {len(found)} delivered, none to another client", (sent[0].seq,))


def _astray(inputs: Inputs, exchange: Exchange, message: Message, owner: str, what: str) -> Fail:
    shared = share_backend_session(inputs.through, exchange.tap, owner)
    return fail(
        f"a {what} comes only to the client whose call caused it",
        f"a {what} about a call of {owner} came to {exchange.tap} on {exchange.method}",
        exchange,
        events=(message.seq,),
        charged_to=Hop.BACKEND if backend_misdelivered(inputs.through, message) else Hop.GATEWAY,
        symptom="upstream-session-shared" if shared else "response-crosswire",
    )


@rule(
    id="MGC804",
    title="A cancel ends no other client's call",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.TRANSPARENCY,
    requirements=("ISO-03",),
    when=CANCEL,
    failure_classes=("cancel-crosses-clients",),
)
def cancel_spares_others(inputs: Inputs) -> Verdict:
    """Judge the call of a client while another client cancels a call of its own that has the same id.

    What it checks: the call that nobody cancelled ends with its result.
    Why it matters: ids are unique in one client only; who looks a cancelled one up among all ends a stranger's work.
    A failing exchange: a and b: tools/call id 1; a: cancelled, requestId 1; b's call ends without a result
    A conforming exchange: a and b: tools/call id 1; a: cancelled, requestId 1; b gets its result
    Known gaps: whether a's own call is cancelled is not judged here.
    """
    spared = cancels(inputs.through)
    for cancel, item in spared:
        if not without_result(item):
            continue
        if ids_cross(inputs.through):
            return Inconclusive("answers to equal ids go astray without any cancel")
        until = inputs.through.end_of(item)
        if item.how in ("abandoned", "open") and lagged(inputs.through, item.t, until):
            return Inconclusive("the machine was too busy while the answer was awaited")
        return fail(
            "a call goes on while another client cancels one with the same id",
            f"the call of {item.tap} with id {item.request['id']!r} was then answered {said(item)}",
            cancel,
            item,
            charged_to=_cancel_blame(inputs, item),
            symptom="cancel-crosses-clients",
        )
    return Pass(f"{len(spared)} call(s) outlived another client's cancel of the same id", spared[0][1].events)


def _cancel_blame(inputs: Inputs, item: Exchange) -> Hop:
    """Charge the backend where it gave the linked call up though the gateway never cancelled it."""
    cancelled = [
        (message.tap, message.session, message.params.get("requestId"))
        for message in inputs.through.backend_messages
        if message.method == CANCELLED and message.direction == "up"
    ]

    def gave_up(request: Message, answer: Message | None) -> bool:
        told = any(
            (tap, session) == (request.tap, request.session) and same_id(request.id, wanted)
            for tap, session, wanted in cancelled
        )
        return not told and (answer is None or answer.result is None)

    return blame(inputs, item, gave_up)
