"""Family transparency, forms: in which form the gateway, as a server, takes messages and how it refuses others.

2025-11-25 basic/transports, Sending Messages to the Server; 2025-03-26 basic, Batching; RFC 9110 sections 8.3, 12.5.1.
"""

from __future__ import annotations

from typing import Final

from conformance.evidence.events import JSON
from conformance.evidence.transcript import Exchange, Transcript
from conformance.rules.answers import without_result
from conformance.rules.base import Inputs, Level, Precondition, Side, charge, fail, rule
from conformance.rules.preconditions import initializes
from conformance.rules.verdicts import Pass, Verdict

SUITE: Final = "transparency"


def _batches(transcript: Transcript) -> tuple[Exchange, ...]:
    """Return the clients' POSTs of arrays with requests in them."""
    return tuple(item for item in transcript.client() if wanted_ids(item))


def wanted_ids(batch: Exchange) -> tuple[JSON, ...]:
    """Return the ids of the requests in a posted array; empty for anything else."""
    if not isinstance(batch.request, list):
        return ()
    return tuple(item["id"] for item in batch.request if isinstance(item, dict) and "id" in item and "method" in item)


def answered_ids(batch: Exchange) -> tuple[JSON, ...]:
    """Return the ids of the responses that came."""
    return tuple(message.id for message in batch.messages() if message.is_response)


def _all_answered(batch: Exchange) -> bool:
    """Whether one response came for each request, under its id; the ids 1 and "1" are two."""
    return sorted(map(repr, answered_ids(batch))) == sorted(map(repr, wanted_ids(batch)))


def _listed(ids: tuple[JSON, ...]) -> str:
    return ", ".join(map(repr, ids)) or "none"


def _refused(exchange: Exchange) -> bool:
    return exchange.status is not None and 400 <= exchange.status < 500


BATCH = Precondition("batch-posted", "an array of requests that a client posted", lambda t: bool(_batches(t)))


@rule(
    id="MGC729",
    title="A batch is taken and every request in it answered",
    suite=SUITE,
    level=Level.MUST,
    side=Side.SERVER,
    requirements=("MSG-12",),
    when=BATCH,
    failure_classes=("http-form-mishandled",),
    revisions=("2025-03-26",),
)
def batch_is_answered(inputs: Inputs) -> Verdict:
    """Judge the answer to an array of requests in the one revision that has them.

    What it checks: one response for each request in the array, each with its id, of the same JSON type.
    Why it matters: receiving batches is a MUST there; a client that uses them loses every request in one that is not.
    A failing exchange: [{"id": 1, …}, {"id": 2, …}] → 400
    A conforming exchange: [{"id": 1, …}, {"id": 2, …}] → [{"id": 1, "result": …}, {"id": 2, "result": …}]
    Known gaps: batches of notifications only are not driven.
    """
    for batch in _batches(inputs.through):
        if not _all_answered(batch):
            return fail(
                f"responses with the ids {_listed(wanted_ids(batch))}",
                f"{_listed(answered_ids(batch))} came, with HTTP status {batch.status}",
                batch,
                charged_to=charge(inputs, batch, lambda item: isinstance(item.request, list) and _refused(item)),
            )
    return Pass("each request of the batch was answered", _batches(inputs.through)[0].events)


@rule(
    id="MGC730",
    title="An array is refused, or answered, and not lost",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.SERVER,
    requirements=("MSG-13",),
    when=BATCH,
    failure_classes=("http-form-mishandled", "empty-200-stream"),
    revisions=("2025-06-18", "2025-11-25"),
)
def array_is_not_lost(inputs: Inputs) -> Verdict:
    """Judge what becomes of an array of requests in the revisions that have none.

    What it checks: a 4xx status or a JSON-RPC error; where it is taken all the same, a response to each request under
    its id.
    Why it matters: a client of 2025-03-26 learns from a refusal that it must send messages singly; else it waits.
    A failing exchange: [{"id": 1, …}, {"id": 2, …}] → 202
    A conforming exchange: [{"id": 1, …}, {"id": 2, …}] → 400
    Known gaps: that arrays are taken is left to pass: the revisions bind who sends, and SDK servers of 2025 do so.
    """
    for batch in _batches(inputs.through):
        error = any(message.error is not None for message in batch.messages())
        if not (_refused(batch) or error or _all_answered(batch)):
            empty = batch.status == 200 and batch.is_stream
            return fail(
                f"a refusal with 4xx, or responses with the ids {_listed(wanted_ids(batch))}",
                f"{_listed(answered_ids(batch))} came, with HTTP status {batch.status}",
                batch,
                charged_to=charge(inputs, batch, lambda item: not (_refused(item) or _all_answered(item))),
                symptom="empty-200-stream" if empty else "http-form-mishandled",
            )
    first = _batches(inputs.through)[0]
    return Pass(f"HTTP status {first.status}, {len(answered_ids(first))} response(s)", first.events)


def _is_notification(exchange: Exchange) -> bool:
    body = exchange.request
    return exchange.method == "POST" and isinstance(body, dict) and "method" in body and "id" not in body


def _unacceptable(transcript: Transcript) -> tuple[tuple[Exchange, str], ...]:
    """Return the notifications that cannot be accepted, each with why: a session never issued, or no message."""
    ids = {item.response_headers.get("mcp-session-id") for item in initializes(transcript)} - {None}
    found = []
    for item in transcript.client():
        if not _is_notification(item):
            continue
        if ids and item.headers.get("mcp-session-id") not in {None, *ids}:
            found.append((item, "unknown-session-wrong-status"))
        elif item.rpc_method is None:
            found.append((item, "error-misclassified"))
    return tuple(found)


REFUSABLE = Precondition(
    "notification-unacceptable",
    "a notification that cannot be accepted: malformed, or in a session that was never issued",
    lambda transcript: bool(_unacceptable(transcript)),
)


@rule(
    id="MGC731",
    title="A notification that is not accepted gets an HTTP error",
    suite=SUITE,
    level=Level.MUST,
    side=Side.SERVER,
    requirements=("POST-06",),
    when=REFUSABLE,
    failure_classes=("unknown-session-wrong-status", "error-misclassified"),
)
def refused_notification_is_an_http_error(inputs: Inputs) -> Verdict:
    """Judge the status of notifications that a server cannot accept.

    What it checks: an HTTP error for one with a session id that was never issued, and for one whose method is no text.
    Why it matters: a notification has no answer but its status; with 202 the client believes that it was heard.
    A failing exchange: POST notifications/cancelled with an unknown Mcp-Session-Id → 202
    A conforming exchange: POST notifications/cancelled with an unknown Mcp-Session-Id → 404
    Known gaps: which HTTP error it is is not judged here.
    """
    posted = _unacceptable(inputs.through)
    for item, symptom in posted:
        if item.status is None or item.status < 400:
            return fail(
                "an HTTP error status",
                f"it was answered {item.status}" if item.status is not None else f"no status came ({item.how})",
                item,
                charged_to=charge(inputs, item, lambda behind: behind.status is None or behind.status < 400),
                symptom=symptom,
            )
    return Pass(f"refused with {', '.join(str(item.status) for item, _ in posted)}", posted[0][0].events)


@rule(
    id="MGC732",
    title="The error in a refused notification's answer has no id",
    suite=SUITE,
    level=Level.MAY,
    side=Side.SERVER,
    requirements=("POST-07",),
    when=REFUSABLE,
    failure_classes=("error-misclassified",),
)
def refusal_of_a_notification_has_no_id(inputs: Inputs) -> Verdict:
    """Judge the body of an HTTP error that answers a notification.

    What it checks: where it is a JSON-RPC error, it has no id, or null.
    Why it matters: an invented id may be that of a request in flight, which its client then takes for failed.
    A failing exchange: POST notifications/cancelled → 404 {"id": "server-error", "error": {…}}
    A conforming exchange: POST notifications/cancelled → 404 {"id": null, "error": {…}}, or a body of another kind
    Known gaps: bodies that are no JSON-RPC error are not looked at.
    """
    posted = [item for item, _ in _unacceptable(inputs.through)]
    for item in posted:
        if _has_id(item):
            observed = f"its id is {item.messages()[0].id!r}"
            return fail("an error without an id", observed, item, charged_to=charge(inputs, item, _has_id))
    return Pass(f"{len(posted)} refusal(s) without an id", posted[0].events)


def _has_id(exchange: Exchange) -> bool:
    return any(message.error is not None and message.id is not None for message in exchange.messages())


_PLAIN: Final = {
    "content-type": "application/json",
    "accept": "application/json, text/event-stream",
    "accept-encoding": "identity",
}


def _unusual(transcript: Transcript) -> tuple[Exchange, ...]:
    """Return requests whose header fields are written otherwise than usual and mean the same, or offer a coding."""
    stimuli = transcript.stimuli("request.form")
    return tuple(
        item
        for item in transcript.client()
        if stimuli
        and item.rpc_method == "tools/list"
        and any(item.headers.get(name, usual) != usual for name, usual in _PLAIN.items())
    )


FORMS = Precondition(
    "request-forms",
    "a request whose Content-Type or Accept has parameters, or that offers a coding",
    lambda transcript: bool(_unusual(transcript)),
)


@rule(
    id="MGC733",
    title="Parameters and spelling of Content-Type and Accept do not matter, nor what coding is offered",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.SERVER,
    requirements=("FLOW-21",),
    when=FORMS,
    failure_classes=("accept-406", "http-form-mishandled"),
)
def header_forms_are_read(inputs: Inputs) -> Verdict:
    """Judge requests whose media types have parameters, quality values or another order, or that offer a coding.

    What it checks: each is answered with a result, as the same request with the plain header fields is; where gzip or
    deflate was offered it may be so coded.
    Why it matters: HTTP libraries add charset, q-values and Accept-Encoding by themselves; a literal comparison, or a
    coding that is not what it is called, shuts their users out.
    A failing exchange: Content-Type: application/json; charset=utf-8 → 415
    A conforming exchange: Content-Type: application/json; charset=utf-8 → 200
    Known gaps: wildcards in Accept are not driven, as the SDKs' servers differ on them.
    """
    asked = _unusual(inputs.through)
    for item in asked:
        if without_result(item):
            kind, accept, coding = (item.headers.get(name, "nothing") for name in _PLAIN)
            return fail(
                f"a result for Content-Type {kind!r}, Accept {accept!r} and Accept-Encoding {coding!r}",
                f"it was answered {item.status}",
                item,
                charged_to=charge(inputs, item, without_result),
                symptom="accept-406" if item.status == 406 else "http-form-mishandled",
            )
    return Pass(f"{len(asked)} forms were read", asked[0].events)
