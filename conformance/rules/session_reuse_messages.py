"""Family session_reuse: answers that go to who asked, and the HTTP form of answers (MGC213 to 215)."""

from __future__ import annotations

from typing import Final

from conformance.evidence.events import Hop
from conformance.evidence.links import links, nonce_of
from conformance.evidence.transcript import Exchange, Message, Transcript
from conformance.rules.base import Inputs, Level, Precondition, Side, charge, fail, rule
from conformance.rules.session_reuse_evidence import (
    SUITE,
    accepted,
    answered_nonces,
    overlapping,
    posted,
    said,
)
from conformance.rules.verdicts import Inconclusive, Pass, Verdict

ANSWER_TYPES: Final = ("text/event-stream", "application/json")
_SYMPTOMS: Final = {"text/event-stream": "empty-200-stream", "text/html": "wrong-route-html"}


def notifications(transcript: Transcript) -> tuple[Exchange, ...]:
    """Return the clients' notifications that were answered 2xx: a refused one has a status of its own."""
    return tuple(
        item
        for item in transcript.client()
        if item.rpc_method is not None and "id" not in item.request and accepted(item)
    )


EQUAL_IDS = Precondition(
    "equal-ids-in-flight",
    "two calls of two clients with the same JSON-RPC id, in flight together",
    lambda transcript: bool(overlapping(transcript)),
)
NOTIFIED = Precondition(
    "notification-posted",
    "a notification that was accepted",
    lambda transcript: bool(notifications(transcript)),
)
ANSWERED = Precondition(
    "request-answered",
    "a request that was answered with a 2xx status",
    lambda transcript: any(map(accepted, posted(transcript))),
)


@rule(
    id="MGC213",
    title="Equal ids of two clients never cross",
    suite=SUITE,
    level=Level.MUST,
    side=Side.TRANSPARENCY,
    requirements=("MSG-06",),
    when=EQUAL_IDS,
    failure_classes=("response-crosswire",),
)
def answers_reach_who_asked(inputs: Inputs) -> Verdict:
    """Judge the answers to calls of two clients that use the same ids at the same time.

    What it checks: each response has the id of the request it came for, of the same JSON type, and that call's nonce.
    Why it matters: every client numbers from 1; crossed answers hand one user's data to another.
    A failing exchange: a: id 1 nonce x, b: id 1 nonce y; a gets id 1 nonce y
    A conforming exchange: a: id 1 nonce x, b: id 1 nonce y; a gets id 1 nonce x, b gets id 1 nonce y
    Known gaps: a call without any answer is not a crossing; calls whose results carry no nonce are judged by id only.
    """
    asked = [item for item in posted(inputs.through, "tools/call") if nonce_of(item) is not None]
    for item in asked:
        for message in item.messages():
            wrong = _crossed(item, message)
            if wrong:
                return fail(
                    "each response has its request's id and nonce",
                    f"the call with id {item.request['id']!r} and nonce {nonce_of(item)} got {wrong}",
                    item,
                    events=(message.seq,),
                    charged_to=_blame(inputs, item),
                    symptom="response-crosswire",
                )
    answered = [item for item in asked if item.answer() is not None]
    if len({item.tap for item in answered}) < 2:
        return Inconclusive("fewer than two clients had an answer")
    return Pass(f"{len(answered)} answers, each with its call's id and nonce", answered[0].events)


def _crossed(item: Exchange, message: Message) -> str:
    """Return what is wrong with a response that came for a call, empty when nothing is."""
    if not message.is_response:
        return ""
    wanted = item.request["id"]
    of_nothing = message.id is None and message.result is None  # an error for what could not be read (JSON-RPC 2.0, 5)
    if not of_nothing and (type(message.id) is not type(wanted) or message.id != wanted):
        return f"a response with id {message.id!r}"
    strange = [nonce for nonce in answered_nonces(message) if nonce != nonce_of(item)]
    return f"the result of nonce {strange[0]}" if strange else ""


def _blame(inputs: Inputs, item: Exchange) -> Hop:
    """Charge the backend when it answered the linked call with another's id or nonce itself."""
    sessions = {(session.tap, session.key): session for session in inputs.through.backend_sessions}
    for link in links(inputs.through):
        session = sessions.get((link.backend.tap, link.backend.session or ""))
        if link.client.id != item.id or session is None:
            continue
        answer = session.response_to(link.backend)
        if answer is None:
            continue
        if answer.id != link.backend.id or any(nonce != nonce_of(item) for nonce in answered_nonces(answer)):
            return Hop.BACKEND
    return Hop.GATEWAY


@rule(
    id="MGC214",
    title="An accepted notification is answered 202 without a body",
    suite=SUITE,
    level=Level.MUST,
    side=Side.SERVER,
    requirements=("POST-05",),
    when=NOTIFIED,
    failure_classes=("empty-200-stream", "wrong-route-html", "http-form-mishandled"),
)
def notification_is_answered_202(inputs: Inputs) -> Verdict:
    """Judge the answer to every notification that was not refused.

    What it checks: status 202 and no body.
    Why it matters: clients that get 200 wait for an answer that a notification never has.
    A failing exchange: POST notifications/initialized → 200 text/event-stream
    A conforming exchange: POST notifications/initialized → 202, Content-Length: 0
    Known gaps: whether a notification may be refused is not judged, only that an accepted one is answered so.
    """
    found = notifications(inputs.through)
    for item in found:
        if _not_202(item):
            return fail(
                "202 without a body for a notification",
                f"{item.rpc_method} was answered {said(item)}{' with a body' if _has_body(item) else ''}",
                item,
                charged_to=charge(inputs, item, _not_202),
                symptom=_SYMPTOMS.get(item.content_type, "http-form-mishandled"),
            )
    return Pass(f"{len(found)} notification(s), each answered 202 without a body", found[0].events)


def _not_202(item: Exchange) -> bool:
    return item.status != 202 or _has_body(item)


def _has_body(item: Exchange) -> bool:
    return item.body is not None or bool(item.body_text) or bool(item.beats)


@rule(
    id="MGC215",
    title="A request is answered as an event stream or as JSON",
    suite=SUITE,
    level=Level.MUST,
    side=Side.SERVER,
    requirements=("POST-08",),
    when=ANSWERED,
    failure_classes=("wrong-route-html", "empty-200-stream"),
)
def request_is_answered_in_either_form(inputs: Inputs) -> Verdict:
    """Judge the media type of every 2xx answer to a request.

    What it checks: text/event-stream or application/json.
    Why it matters: clients choose their parser by it and fail on anything else, even when the bytes are JSON.
    A failing exchange: POST tools/list → 200 text/html
    A conforming exchange: POST tools/list → 200 application/json
    Known gaps: what the stream or the JSON holds is judged by other rules.
    """
    found = [item for item in posted(inputs.through) if accepted(item)]
    for item in found:
        if _other_type(item):
            return fail(
                "text/event-stream or application/json for a request",
                f"{item.rpc_method} was answered {said(item)}",
                item,
                charged_to=charge(inputs, item, _other_type),
                symptom=_SYMPTOMS.get(item.content_type, "" if _has_body(item) else "empty-200-stream"),
            )
    return Pass(f"{len(found)} requests answered as {_types(found)}", found[0].events)


def _other_type(item: Exchange) -> bool:
    return accepted(item) and item.content_type not in ANSWER_TYPES


def _types(found: list[Exchange]) -> str:
    return " and ".join(sorted({item.content_type for item in found}))
