"""Family transparency, ids: they keep value and JSON type, illegal ones are refused, the gateway's own are legal.

2025-11-25 basic, Requests. Ids are never compared across the gateway: each side is judged by itself.
"""

from __future__ import annotations

from typing import Final

from conformance.evidence.events import JSON
from conformance.evidence.transcript import Exchange, Transcript
from conformance.rules.base import Inputs, Level, Precondition, Side, charge, fail, rule
from conformance.rules.transparency_messages_evidence import (
    SUITE,
    answered_how,
    calls_posted,
    exact_id,
    illegal_requests,
    lag_decided,
    legal_id,
    not_refused,
    not_served,
    repeated_requests,
    requests_to_backend,
    untied,
)
from conformance.rules.verdicts import Inconclusive, Pass, Verdict

MISHANDLED: Final = "request-id-mishandled"
MALFORMED: Final = "malformed-message"


def _ids(transcript: Transcript) -> list[JSON]:
    return [item.request["id"] for item in calls_posted(transcript)]


BOTH_TYPES: Final = Precondition(
    "ids-of-both-types",
    "calls with numbers and with strings as ids",
    lambda transcript: {str, int} <= {type(value) for value in _ids(transcript)},
)
BEYOND: Final = Precondition(
    "ids-beyond-exact-integers",
    "a call with an id beyond 2^53",
    lambda transcript: any(legal_id(value) and not exact_id(value) for value in _ids(transcript)),
)
ILLEGAL: Final = Precondition(
    "illegal-ids",
    "a call whose id is null or no integer",
    lambda transcript: not all(map(legal_id, _ids(transcript))),
)
TO_BACKEND: Final = Precondition(
    "backend-requests",
    "a request that the gateway sent to its backend",
    lambda transcript: bool(requests_to_backend(transcript)),
)


@rule(
    id="MGC701",
    title="A call is answered under its own id",
    suite=SUITE,
    level=Level.MUST,
    side=Side.SERVER,
    requirements=("MSG-03",),
    when=BOTH_TYPES,
    failure_classes=(MISHANDLED,),
)
def ids_come_back(inputs: Inputs) -> Verdict:
    """Judge the ids of the answers to calls with legal ids of many kinds.

    What it checks: each call has a result whose id has the value and the JSON type of the request's.
    Why it matters: 0 and the empty string are ids; who tests for "no id" by truth leaves such a call unanswered.
    A failing exchange: tools/call id 0 → 202; tools/call id "7" → a result with id 7
    A conforming exchange: tools/call id 0 → a result with id 0
    Known gaps: integers beyond 2^53 are MGC702's.
    """
    asked = [item for item in calls_posted(inputs.through) if exact_id(item.request["id"])]
    return _come_back(inputs, asked)


@rule(
    id="MGC702",
    title="Ids beyond 2^53 come back exact",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.SERVER,
    requirements=("SAME-01",),
    when=BEYOND,
    failure_classes=(MISHANDLED,),
)
def large_ids_come_back(inputs: Inputs) -> Verdict:
    """Judge the ids of the answers to calls whose ids are integers that no double can hold.

    What it checks: each such call has a result with exactly the request's id.
    Why it matters: clients take ids from clocks and hashes; rounded ones match no request, and the call hangs.
    A failing exchange: tools/call id 9007199254740993 → a result with id 9007199254740992
    A conforming exchange: tools/call id 9007199254740993 → a result with id 9007199254740993
    Known gaps: RFC 8259 section 6 does not promise such integers, so no specification is broken.
    """
    wanted = (item for item in calls_posted(inputs.through) if legal_id(item.request["id"]))
    return _come_back(inputs, [item for item in wanted if not exact_id(item.request["id"])])


def _come_back(inputs: Inputs, asked: list[Exchange]) -> Verdict:
    if all(not_served(item) for item in calls_posted(inputs.through)):
        return Inconclusive("no call was answered under its id at all, so the kind of id cannot be why")
    for item in asked:
        if not not_served(item):
            continue
        if lag_decided(inputs.through, item):
            return Inconclusive("the machine was too busy while the answer was awaited")
        return fail(
            f"a result with id {item.request['id']!r}",
            f"the call with id {item.request['id']!r} {answered_how(item)}",
            item,
            charged_to=charge(inputs, item, _left_unserved),
            symptom=MISHANDLED,
        )
    return Pass(f"{len(asked)} call(s), each answered under its own id", asked[0].events)


def _left_unserved(theirs: Exchange) -> bool:
    """Whether the backend was itself asked with a legal id and gave no result under it."""
    return legal_id(theirs.request.get("id")) and not_served(theirs)


@rule(
    id="MGC703",
    title="A call with an illegal id is refused, not swallowed",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.SERVER,
    requirements=("SAME-02", "MSG-03"),
    when=ILLEGAL,
    failure_classes=(MISHANDLED,),
)
def illegal_ids_are_refused(inputs: Inputs) -> Verdict:
    """Judge the answers to calls whose id is null, a fraction, a boolean or an object.

    What it checks: each is refused, with an HTTP error or a JSON-RPC error.
    Why it matters: taken for a notification, the call is accepted and its caller waits for ever.
    A failing exchange: tools/call id null → 202
    A conforming exchange: tools/call id null → 400 with error -32600
    Known gaps: the specification forbids such ids to who sends them and leaves open what the receiver does.
    """
    asked = [item for item in calls_posted(inputs.through) if not legal_id(item.request["id"])]
    for item in asked:
        if not not_refused(item):
            continue
        if lag_decided(inputs.through, item):
            return Inconclusive("the machine was too busy while the answer was awaited")
        return fail(
            f"an error for the id {item.request['id']!r}",
            f"the call with id {item.request['id']!r} {answered_how(item)}",
            item,
            charged_to=charge(inputs, item, _took_illegal_id),
            symptom=MISHANDLED,
        )
    return Pass(f"{len(asked)} call(s) with illegal ids, each refused", asked[0].events)


def _took_illegal_id(theirs: Exchange) -> bool:
    """Whether the backend was itself asked with an illegal id and did not refuse it."""
    return "id" in theirs.request and not legal_id(theirs.request["id"]) and not_refused(theirs)


@rule(
    id="MGC704",
    title="The gateway's own requests have legal ids",
    suite=SUITE,
    level=Level.MUST,
    side=Side.CLIENT,
    requirements=("MSG-03",),
    when=TO_BACKEND,
    failure_classes=(MALFORMED,),
)
def own_ids_are_legal(inputs: Inputs) -> Verdict:
    """Judge the ids of the requests that the gateway sends to its backends.

    What it checks: each is a string or an integer, unless the gateway passes on a client's call as it came.
    Why it matters: servers refuse null ids, or take the request for a notification and never answer.
    A failing exchange: gateway → backend: {"id": null, "method": "ping"}
    A conforming exchange: gateway → backend: {"id": 17, "method": "ping"}
    Known gaps: what clients sent with an illegal id is MGC703's.
    """
    sent = requests_to_backend(inputs.through)
    for message in illegal_requests(inputs.through):
        return fail(
            "a string or an integer as the id of each request to the backend",
            f"{message.method} was sent with id {message.id!r}",
            events=(message.seq,),
            symptom=MALFORMED,
        )
    return Pass(f"{len(sent)} request(s) to the backend, all with legal ids", (sent[0].seq,))


@rule(
    id="MGC705",
    title="The gateway uses no id twice in one backend session",
    suite=SUITE,
    level=Level.MUST,
    side=Side.CLIENT,
    requirements=("MSG-04",),
    when=TO_BACKEND,
    failure_classes=(MALFORMED,),
)
def own_ids_are_fresh(inputs: Inputs) -> Verdict:
    """Judge whether the gateway's requests within one session of a backend have different ids.

    What it checks: no id occurs twice, by value and JSON type, unless one client used it twice and it was passed on, or
    the same message was sent again after a status of 3xx or 4xx.
    Why it matters: a late answer to the first request is taken for the answer to the second.
    A failing exchange: gateway → backend in one session: tools/list id 1, tools/call id 1
    A conforming exchange: gateway → backend in one session: tools/list id 1, tools/call id 2
    Known gaps: requests to a backend that issues no session id are told apart by their connection, and are not judged
    from its second handshake on: nothing ties them to theirs.
    """
    for first, message in repeated_requests(inputs.through):
        return fail(
            "a new id for each request in a backend session",
            f"{message.method} was sent with id {message.id!r}, which an earlier request had",
            events=(first, message.seq),
            symptom=MALFORMED,
        )
    sent, apart = requests_to_backend(inputs.through), untied(inputs.through)
    judged = [message for message in sent if message.seq not in apart]
    return Pass(f"{len(judged)} request(s) to the backend, no id twice in a session", (sent[0].seq,))
