"""Family initialize_ordering, initialize where it is not the first: again, in crowds, with ids, in batches."""

from __future__ import annotations

from conformance.evidence.transcript import Exchange, Transcript
from conformance.rules.answers import without_result
from conformance.rules.base import Inputs, Level, Precondition, Side, charge, fail, rule
from conformance.rules.initialize_ordering_evidence import SUITE, blame, posted, refused, said
from conformance.rules.preconditions import initializes
from conformance.rules.verdicts import Inconclusive, NotApplicable, Pass, Verdict

SESSION_HEADER = "mcp-session-id"
_SERVER_ERROR = 500


def repeated(transcript: Transcript) -> tuple[Exchange, ...]:
    """Return the initializes sent in a session that a client already had: with its id, or after it where none is."""
    found = []
    for opened in initializes(transcript):
        own = opened.response_headers.get(SESSION_HEADER)
        found += [
            item
            for item in posted(transcript, "initialize")
            if item.tap == opened.tap and item.t > opened.t and item.headers.get(SESSION_HEADER) == own
        ]
    return tuple(found)


def with_foreign_id(transcript: Transcript) -> tuple[Exchange, ...]:
    """Return the initializes that carried a session id which the gateway had not issued by then."""
    issued = [(item.t, item.response_headers.get(SESSION_HEADER)) for item in initializes(transcript)]
    return tuple(
        item
        for item in posted(transcript, "initialize")
        if SESSION_HEADER in item.headers
        and not any(t < item.t and known == item.headers[SESSION_HEADER] for t, known in issued)
    )


def _adopted(exchange: Exchange) -> bool:
    """Whether an initialize was answered with the very id that it brought along."""
    brought = exchange.headers.get(SESSION_HEADER)
    return brought is not None and exchange.response_headers.get(SESSION_HEADER) == brought


def crowded(transcript: Transcript) -> tuple[Exchange, ...]:
    """Return the initializes without a session id that were under way beside another one."""
    alone = [item for item in posted(transcript, "initialize") if SESSION_HEADER not in item.headers]
    return tuple(
        item
        for item in alone
        if any(
            other.id != item.id and other.t < transcript.end_of(item) and item.t < transcript.end_of(other)
            for other in alone
        )
    )


def batched(transcript: Transcript) -> tuple[Exchange, ...]:
    """Return the POSTs whose body is an array with an initialize in it."""
    return tuple(
        item
        for item in transcript.client()
        if isinstance(item.request, list)
        and any(isinstance(message, dict) and message.get("method") == "initialize" for message in item.request)
    )


def _unanswered(exchange: Exchange) -> bool:
    """Whether a request ended in no HTTP response, in a server error, or in a response without a message."""
    return (
        exchange.status is None
        or exchange.status >= _SERVER_ERROR
        or (exchange.is_stream and exchange.answer() is None)
    )


SECOND_INITIALIZE = Precondition(
    "initialize-repeated", "an initialize in a session that exists", lambda transcript: bool(repeated(transcript))
)
FOREIGN_ID = Precondition(
    "initialize-with-foreign-id",
    "an initialize with a session id that was never issued",
    lambda transcript: bool(with_foreign_id(transcript)),
)
CROWD = Precondition(
    "initializes-at-once", "initializes of several clients at once", lambda transcript: len(crowded(transcript)) > 1
)
BATCH = Precondition(
    "initialize-in-batch", "an initialize in a JSON-RPC batch", lambda transcript: bool(batched(transcript))
)


@rule(
    id="MGC118",
    title="A repeated initialize leaves the session working",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.SERVER,
    requirements=("INIT-07",),
    when=SECOND_INITIALIZE,
    failure_classes=("reinitialize-breaks-session",),
)
def repeated_initialize_is_harmless(inputs: Inputs) -> Verdict:
    """Judge an initialize that a client sends in a session it already has, and what the session serves afterwards.

    What it checks: it is answered, with a result or a refusal and no server error; a request in the session after it,
    under the id given last, has a result.
    Why it matters: clients repeat initialize after a reconnection, not knowing whether the first one arrived.
    A failing exchange: POST initialize, Mcp-Session-Id: s1 → 400; POST tools/list, Mcp-Session-Id: s1 → 404
    A conforming exchange: POST initialize, Mcp-Session-Id: s1 → 400; POST tools/list, Mcp-Session-Id: s1 → 200
    Known gaps: whether the session's state survives a repeated initialize that is accepted is not judged.
    """
    for again in repeated(inputs.through):
        if _unanswered(again):
            return fail(
                "an answer to a repeated initialize",
                f"it was answered {said(again)}",
                again,
                charged_to=charge(inputs, again, _unanswered),
            )
        later = [i for i in posted(inputs.through, "tools/list") if i.tap == again.tap and i.t > again.t]
        if not later:
            return Inconclusive("nothing was asked in the session after the repeated initialize")
        if without_result(later[0]):
            return fail(
                "a result in the session after the repeated initialize",
                f"tools/list was answered {said(later[0])}; initialize had been answered {said(again)}",
                again,
                later[0],
                charged_to=blame(inputs, later[0], refused),
            )
    first = repeated(inputs.through)[0]
    return Pass(f"the repeated initialize was answered {said(first)}, and the session served on", first.events)


@rule(
    id="MGC119",
    title="An initialize does not choose its session id",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.SERVER,
    requirements=("INIT-08",),
    when=FOREIGN_ID,
    failure_classes=("session-id-adopted", "reinitialize-rejected"),
)
def foreign_id_is_not_adopted(inputs: Inputs) -> Verdict:
    """Judge an initialize that brings a session id which the gateway never issued.

    What it checks: it is refused with a 4xx, or answered under an id of the gateway's own.
    Why it matters: clients keep ids over restarts; and who lets a stranger choose an id lets him choose somebody's.
    A failing exchange: POST initialize, Mcp-Session-Id: chosen → 200, Mcp-Session-Id: chosen
    A conforming exchange: POST initialize, Mcp-Session-Id: chosen → 404, or 200 with another id
    Known gaps: an id that another client owns is not tried here.
    """
    for item in with_foreign_id(inputs.through):
        if _adopted(item):
            return fail(
                "a refusal, or an id of the gateway's own",
                "the id that the client had made up became the session's",
                item,
                charged_to=charge(inputs, item, _adopted),
                symptom="session-id-adopted",
            )
        if _unanswered(item):
            return fail(
                "a refusal with a 4xx, or a result",
                f"it was answered {said(item)}",
                item,
                charged_to=charge(inputs, item, _unanswered),
                symptom="reinitialize-rejected",
            )
    first = with_foreign_id(inputs.through)[0]
    return Pass(f"it was answered {said(first)}", first.events)


@rule(
    id="MGC120",
    title="Clients that initialize at once are all served",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.SERVER,
    requirements=("INIT-09",),
    when=CROWD,
    failure_classes=("connect-refresh-collision",),
)
def crowd_is_served(inputs: Inputs) -> Verdict:
    """Judge initializes that are under way at the same time.

    What it checks: each has a result.
    Why it matters: after a restart everybody connects at once; handshakes that share a transport or a lock refuse some
    of them (IBM/mcp-context-forge#1540).
    A failing exchange: six initializes at once → five results, one 500
    A conforming exchange: six initializes at once → six results
    Known gaps: six clients are no crowd; load is not what is judged.
    """
    crowd = crowded(inputs.through)
    for item in crowd:
        if without_result(item):
            return fail(
                f"a result for each of {len(crowd)} initializes at once",
                f"one was answered {said(item)}",
                item,
                charged_to=blame(inputs, item, refused),
            )
    return Pass(f"all of {len(crowd)} initializes at once had a result", crowd[0].events)


@rule(
    id="MGC121",
    title="An initialize in a batch is refused",
    suite=SUITE,
    level=Level.MUST,
    side=Side.SERVER,
    requirements=("LIFE-11",),
    when=BATCH,
    failure_classes=("initialize-in-batch-served",),
    revisions=("2025-03-26",),
)
def batched_initialize_is_refused(inputs: Inputs) -> Verdict:
    """Judge a batch with an initialize in it, in the one revision that has batches.

    What it checks: no result of initialize comes of it.
    Why it matters: what stands beside it in the batch would be served before the handshake is complete.
    A failing exchange: POST [initialize] → 200, [{"id": 1, "result": {…}}]
    A conforming exchange: POST [initialize] → 400
    Known gaps: the code of the refusal is not judged.
    """
    items = batched(inputs.through)
    if any(item.status is None for item in items):
        return NotApplicable("the batch had no response")
    for item in items:
        results = [m.result for m in item.messages() if m.result is not None and "protocolVersion" in m.result]
        if results:
            return fail(
                "no result of an initialize that came in a batch",
                f"it was answered {item.status} with an InitializeResult",
                item,
                charged_to=charge(inputs, item, lambda other: any(m.result is not None for m in other.messages())),
            )
    return Pass(f"the batch was answered {items[0].status} without an InitializeResult", items[0].events)
