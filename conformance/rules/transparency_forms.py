"""Family transparency, forms: responses, errors and notifications are what JSON-RPC and MCP say they are.

basic, Messages: Responses and Notifications, of each revision.
"""

from __future__ import annotations

from typing import Final

from conformance.evidence.events import Hop
from conformance.evidence.transcript import Exchange, Message, Transcript
from conformance.rules.base import Inputs, Level, Precondition, Side, charge, fail, rule
from conformance.rules.session_reuse_evidence import posted, said
from conformance.rules.transparency_messages_evidence import (
    SUITE,
    answered_notification,
    defect,
    lacks_request_id,
    responses,
    unasked_responses,
)
from conformance.rules.verdicts import NotApplicable, Pass, Verdict
from conformance.spec.revisions import Revision

MALFORMED: Final = "malformed-message"


def _notifications(messages: tuple[Message, ...], direction: str) -> list[Message]:
    """Return what is a notification by its method, whether it carries an id or not."""
    return [m for m in messages if m.direction == direction and str(m.method).startswith("notifications/")]


def _errors(transcript: Transcript) -> list[Exchange]:
    return [item for item in posted(transcript) if any(message.error is not None for message in responses(item))]


def _posted_notifications(transcript: Transcript) -> list[Exchange]:
    return [item for item in transcript.client() if item.rpc_method is not None and "id" not in item.request]


RESPONDED: Final = Precondition(
    "results-and-errors",
    "requests that were answered with a result, and with an error",
    lambda transcript: (
        bool(_errors(transcript)) and any(m.result is not None for i in posted(transcript) for m in responses(i))
    ),
)
REFUSED: Final = Precondition(
    "error-answered",
    "a request that was answered with a JSON-RPC error",
    lambda transcript: bool(_errors(transcript)),
)
NOTIFIED: Final = Precondition(
    "notification-for-client",
    "a notification that the backend sent, or that a client got",
    lambda transcript: bool(
        _notifications(transcript.backend_messages, "down") or _notifications(transcript.client_messages(), "down")
    ),
)
BACKEND_TOLD: Final = Precondition(
    "notification-to-backend",
    "a notification that the gateway sent to its backend",
    lambda transcript: bool(_notifications(transcript.backend_messages, "up")),
)
POSTED: Final = Precondition(
    "notifications-of-many-kinds",
    "a notification of a client whose method no server knows",
    lambda transcript: len({item.rpc_method for item in _posted_notifications(transcript)}) > 1,
)
BACKEND_SPOKE: Final = Precondition(
    "backend-notified",
    "a notification that the backend sent",
    lambda transcript: bool(_notifications(transcript.backend_messages, "down")),
)


@rule(
    id="MGC706",
    title="A response has either a result or an error",
    suite=SUITE,
    level=Level.MUST,
    side=Side.SERVER,
    requirements=("MSG-07",),
    revisions=(Revision.V2025_03_26, Revision.V2025_06_18),
    when=RESPONDED,
    failure_classes=(MALFORMED,),
)
def responses_are_of_one_kind(inputs: Inputs) -> Verdict:
    """Judge the form of every response that clients got, up to revision 2025-06-18.

    What it checks: exactly one of result and error; an error has an integer code and a message.
    Why it matters: clients that validate drop a result with `"error": null` beside it, and the call hangs.
    A failing exchange: {"id": 1, "result": {…}, "error": null}
    A conforming exchange: {"id": 1, "result": {…}}
    Known gaps: bodies of HTTP errors that are no JSON-RPC at all are not judged.
    """
    return _well_formed(inputs)


@rule(
    id="MGC707",
    title="A response is a result, or an error with code and message",
    suite=SUITE,
    level=Level.MUST,
    side=Side.SERVER,
    requirements=("MSG-08",),
    revisions=(Revision.V2025_11_25,),
    when=RESPONDED,
    failure_classes=(MALFORMED,),
)
def responses_are_well_formed(inputs: Inputs) -> Verdict:
    """Judge the form of every response that clients got, from revision 2025-11-25 on.

    What it checks: result or error and not both; an error has an integer code and a message that is a string.
    Why it matters: clients that validate drop the message, and the error they should show becomes a time-out.
    A failing exchange: {"id": 1, "error": {"code": "ECONNRESET", "message": "socket hang up"}}
    A conforming exchange: {"id": 1, "error": {"code": -32000, "message": "socket hang up"}}
    Known gaps: bodies of HTTP errors that are no JSON-RPC at all are not judged.
    """
    return _well_formed(inputs)


def _well_formed(inputs: Inputs) -> Verdict:
    judged = 0
    for item in inputs.through.client():
        for message in _answers(item):
            judged += 1
            if wrong := defect(message.payload):
                return fail(
                    "a response with either a result, or an error with an integer code and a message",
                    f"{item.rpc_method or item.method} was answered with {wrong}",
                    item,
                    events=(message.seq,),
                    charged_to=charge(inputs, item, lambda theirs: any(defect(m.payload) for m in _answers(theirs))),
                    symptom=MALFORMED,
                )
    return Pass(f"{judged} responses, all well formed", _errors(inputs.through)[0].events)


def _answers(exchange: Exchange) -> list[Message]:
    """Return what came where a response belongs: everything without a method."""
    return [message for message in exchange.messages() if message.method is None]


@rule(
    id="MGC708",
    title="An error repeats the id of its request",
    suite=SUITE,
    level=Level.MUST,
    side=Side.SERVER,
    requirements=("MSG-09",),
    revisions=(Revision.V2025_11_25,),
    when=REFUSED,
    failure_classes=(MALFORMED,),
)
def errors_repeat_the_id(inputs: Inputs) -> Verdict:
    """Judge the ids of JSON-RPC errors that answer requests with legal ids.

    What it checks: an error under a 2xx status has the request's id, by value and JSON type.
    Why it matters: a client that several requests wait in cannot tell which has failed, and lets all wait.
    A failing exchange: {"id": 5, "method": "x"} → 200 {"id": null, "error": {"code": -32601, …}}
    A conforming exchange: {"id": 5, "method": "x"} → 200 {"id": 5, "error": {"code": -32601, …}}
    Known gaps: under an HTTP error status the body may have no id (transports, Sending Messages to the Server).
    """
    found = [item for item in _errors(inputs.through) if item.status is not None and item.status < 400]
    for item in found:
        if lacks_request_id(item):
            got = next(message.id for message in responses(item) if message.error is not None)
            return fail(
                f"an error with id {item.request['id']!r}",
                f"{item.rpc_method} was answered {said(item)}, with id {got!r}",
                item,
                charged_to=charge(inputs, item, lacks_request_id),
                symptom=MALFORMED,
            )
    if not found:
        return NotApplicable("every error came under an HTTP error status, where the id may be left out")
    return Pass(f"{len(found)} errors, each with its request's id", found[0].events)


@rule(
    id="MGC709",
    title="Notifications to clients carry no id",
    suite=SUITE,
    level=Level.MUST,
    side=Side.SERVER,
    requirements=("MSG-10",),
    when=NOTIFIED,
    failure_classes=(MALFORMED,),
)
def notifications_have_no_id(inputs: Inputs) -> Verdict:
    """Judge the notifications that clients get.

    What it checks: no message whose method is a notification's has an id.
    Why it matters: with an id it is a request, which the client refuses with an error instead of taking the news.
    A failing exchange: {"id": 3, "method": "notifications/message", …}
    A conforming exchange: {"method": "notifications/message", …}
    Known gaps: whether notifications arrive at all is judged elsewhere.
    """
    found = _notifications(inputs.through.client_messages(), "down")
    for message in found:
        if wrong := defect(message.payload):
            theirs = _notifications(inputs.through.backend_messages, "down")
            same = any(item.method == message.method and defect(item.payload) for item in theirs)
            return fail(
                "notifications without an id",
                f"{message.method} came as {wrong} ({message.id!r})",
                events=(message.seq,),
                charged_to=Hop.BACKEND if same else Hop.GATEWAY,
                symptom=MALFORMED,
            )
    if not found:
        return NotApplicable("the gateway relays no notifications")
    return Pass(f"{len(found)} notification(s) to clients, none with an id", (found[0].seq,))


@rule(
    id="MGC710",
    title="Notifications to the backend carry no id",
    suite=SUITE,
    level=Level.MUST,
    side=Side.CLIENT,
    requirements=("MSG-10",),
    when=BACKEND_TOLD,
    failure_classes=(MALFORMED,),
)
def own_notifications_have_no_id(inputs: Inputs) -> Verdict:
    """Judge the notifications that the gateway sends to its backends.

    What it checks: no message whose method is a notification's has an id.
    Why it matters: with an id it is a request, which servers refuse as an unknown method.
    A failing exchange: gateway → backend: {"id": 3, "method": "notifications/cancelled", …}
    A conforming exchange: gateway → backend: {"method": "notifications/cancelled", …}
    Known gaps: which notifications of a client the gateway passes on is not judged.
    """
    found = _notifications(inputs.through.backend_messages, "up")
    for message in found:
        if wrong := defect(message.payload):
            return fail(
                "notifications without an id",
                f"{message.method} was sent as {wrong} ({message.id!r})",
                events=(message.seq,),
                symptom=MALFORMED,
            )
    return Pass(f"{len(found)} notification(s) to the backend, none with an id", (found[0].seq,))


@rule(
    id="MGC711",
    title="A notification is not answered with a JSON-RPC response",
    suite=SUITE,
    level=Level.MUST,
    side=Side.SERVER,
    requirements=("MSG-11",),
    when=POSTED,
    failure_classes=(MALFORMED,),
)
def notifications_get_no_response(inputs: Inputs) -> Verdict:
    """Judge what comes for notifications of clients, known and unknown ones.

    What it checks: no accepted notification has a JSON-RPC response, and none without an id comes on the GET stream.
    Why it matters: nobody waits for it; strict clients take a response without a request for a broken connection.
    A failing exchange: POST notifications/unknown → 200 {"id": null, "error": {"code": -32601, …}}
    A conforming exchange: POST notifications/unknown → 202
    Known gaps: a notification may be refused with an HTTP error, whose body may be a JSON-RPC error without an id.
    """
    sent = _posted_notifications(inputs.through)
    for item in sent:
        answer = answered_notification(item)
        if answer is not None:
            return fail(
                "no JSON-RPC response to a notification",
                f"{item.rpc_method} was answered {said(item)}",
                item,
                events=(answer.seq,),
                charged_to=charge(inputs, item, lambda theirs: answered_notification(theirs) is not None),
                symptom=MALFORMED,
            )
    for item in inputs.through.client():
        for answer in _without_id(item):
            theirs = [found for other in inputs.through.backend for found in _without_id(other)]
            return fail(
                "no JSON-RPC response to a notification",
                "a response without an id came on the GET stream",
                item,
                events=(answer.seq,),
                charged_to=Hop.BACKEND if theirs else Hop.GATEWAY,
                symptom=MALFORMED,
            )
    return Pass(f"{len(sent)} notifications, none answered with a response", sent[0].events)


def _without_id(exchange: Exchange) -> list[Message]:
    """Return the responses without an id on a GET stream, which can belong to no request."""
    if exchange.method != "GET" or exchange.status != 200:
        return []
    return [message for message in responses(exchange) if message.id is None]


@rule(
    id="MGC712",
    title="The gateway answers no notification of its backend",
    suite=SUITE,
    level=Level.MUST,
    side=Side.CLIENT,
    requirements=("MSG-11",),
    when=BACKEND_SPOKE,
    failure_classes=(MALFORMED,),
)
def backend_notifications_get_no_response(inputs: Inputs) -> Verdict:
    """Judge the responses that the gateway sends to its backends.

    What it checks: each answers a request that the backend made in that session.
    Why it matters: servers refuse a response to nothing with 400, and some end the session.
    A failing exchange: backend → gateway: notifications/message; gateway → backend: {"id": null, "error": {…}}
    A conforming exchange: backend → gateway: notifications/message; nothing goes back
    Known gaps: backends that issue no session ids are not judged, for requests and responses cannot be paired there.
    """
    unasked = unasked_responses(inputs.through)
    if unasked:
        return fail(
            "no response to what is not a request",
            f"the gateway sent the backend a response with id {unasked[0].id!r}, which it had not asked under",
            events=(unasked[0].seq,),
            symptom=MALFORMED,
        )
    heard = _notifications(inputs.through.backend_messages, "down")
    return Pass(f"{len(heard)} notification(s) of the backend, none answered", (heard[0].seq,))
