"""What the rules on ids, on the form of messages and on their contents read off the evidence of both sides."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from conformance import timing
from conformance.evidence.events import JSON
from conformance.evidence.links import Link, links
from conformance.evidence.transcript import Exchange, Message, Transcript
from conformance.rules.isolation_evidence import same_id

SUITE: Final = "transparency"

EXACT_INTEGERS: Final = 2**53 - 1
"""Largest integer up to which every JSON implementation keeps each value (RFC 8259 section 6)."""


# ids -----------------------------------------------------------------------------------------------------------------


def legal_id(value: JSON) -> bool:
    """Whether a value may be a request's id: a string or an integer (all revisions, basic, Requests)."""
    return isinstance(value, str | int) and not isinstance(value, bool)


def exact_id(value: JSON) -> bool:
    """Whether a value is a legal id that also survives where every number is a double."""
    return legal_id(value) and (isinstance(value, str) or abs(value) <= EXACT_INTEGERS)


def calls_posted(transcript: Transcript) -> tuple[Exchange, ...]:
    """Return the clients' tools/calls that carry an id, of whatever kind."""
    return tuple(item for item in transcript.client() if item.rpc_method == "tools/call" and "id" in item.request)


def responses(exchange: Exchange) -> tuple[Message, ...]:
    """Return the JSON-RPC responses that came in the answer to one POST."""
    return tuple(message for message in exchange.messages() if message.is_response)


def under_its_id(exchange: Exchange) -> Message | None:
    """Return the response that carries the request's id, of the same value and JSON type; None when none does."""
    return next((item for item in responses(exchange) if same_id(item.id, exchange.request["id"])), None)


def not_served(exchange: Exchange) -> bool:
    """Whether a call has no result under its own id."""
    answer = under_its_id(exchange)
    return answer is None or answer.result is None


def not_refused(exchange: Exchange) -> bool:
    """Whether a request was neither refused with an HTTP error nor answered with a JSON-RPC error."""
    refused = exchange.status is not None and exchange.status >= 400
    return not refused and not any(item.error is not None for item in responses(exchange))


def answered_how(exchange: Exchange) -> str:
    """Return in words how a request was answered, its id above all."""
    if exchange.status is None:
        return f"got no response at all ({exchange.how})"
    found = responses(exchange)
    if not found:
        return f"got no response message ({exchange.status}, {exchange.how})"
    kind = "a result" if found[0].result is not None else f"error {(found[0].error or {}).get('code')}"
    return f"got {kind} with id {found[0].id!r} ({exchange.status})"


def lag_decided(transcript: Transcript, exchange: Exchange) -> bool:
    """Whether the harness's own lag could be why nothing came for a request that was given up or never ended."""
    if exchange.how not in ("open", "abandoned"):
        return False
    until = exchange.t_end if exchange.t_end is not None else transcript.end
    return transcript.lag(exchange.t, until) > (until - exchange.t) * timing.LAG_SHARE


# the gateway's own messages ------------------------------------------------------------------------------------------


def requests_to_backend(transcript: Transcript) -> tuple[Message, ...]:
    """Return the requests that the gateway sent to its backends, in order."""
    return tuple(item for item in transcript.backend_messages if item.direction == "up" and item.is_request)


def passed_on(transcript: Transcript) -> Mapping[int, Exchange]:
    """Return the client's call by the `seq` of the gateway's request that carries its nonce."""
    return {link.backend.seq: link.client for link in links(transcript) if link.client.rpc_method == "tools/call"}


def defect(payload: JSON) -> str:
    """Return what is wrong with the form of a JSON-RPC message, empty when nothing is; ids are judged by themselves."""
    if not isinstance(payload, Mapping) or "jsonrpc" not in payload:
        return ""  # the body of an HTTP error need not be JSON-RPC
    if "method" in payload:
        notification = str(payload["method"]).startswith("notifications/")
        return "a notification with an id" if notification and "id" in payload else ""
    if ("result" in payload) == ("error" in payload):
        return "both result and error" if "result" in payload else "neither result nor error"
    if "result" in payload:
        return ""
    error = payload["error"]
    if not isinstance(error, Mapping):
        return "an error that is no object"
    if not isinstance(error.get("code"), int) or isinstance(error.get("code"), bool):
        return f"an error whose code is {error.get('code')!r}"
    return "" if isinstance(error.get("message"), str) else f"an error whose message is {error.get('message')!r}"


def from_gateway(transcript: Transcript) -> Iterator[Message]:
    """Yield every message that the gateway sent: down to clients, up to backends."""
    yield from (item for item in transcript.client_messages() if item.direction == "down")
    yield from (item for item in transcript.backend_messages if item.direction == "up")


def answered_notification(exchange: Exchange) -> Message | None:
    """Return the JSON-RPC response to a notification that was accepted; None when there is none, as there must not."""
    if exchange.rpc_method is None or "id" in exchange.request or (exchange.status or 0) >= 400:
        return None
    return next(iter(responses(exchange)), None)


def unasked_responses(transcript: Transcript) -> tuple[Message, ...]:
    """Return the responses that the gateway sent to a backend which had not asked anything under their ids.

    Those to a backend without sessions are left out: its questions and their answers are on different connections.
    """
    found: list[Message] = []
    for session in transcript.backend_sessions:
        asked: list[JSON] = []
        for message in session.messages:
            if message.direction == "down" and message.is_request:
                asked.append(message.id)
            answers = message.direction == "up" and message.method is None and message.is_response
            if answers and message.session is not None and not any(same_id(message.id, wanted) for wanted in asked):
                found.append(message)
    return tuple(found)


def malformed_from_gateway(transcript: Transcript) -> tuple[Message, ...]:
    """Return the messages of the gateway that break JSON-RPC: their form, their ids, or that they answer nothing."""
    passed, seen = passed_on(transcript), set[tuple[str, str | None, type, JSON]]()
    found = [item for item in from_gateway(transcript) if defect(item.payload)]
    found += [answer for item in transcript.client() if (answer := answered_notification(item)) is not None]
    found += unasked_responses(transcript)
    for message in requests_to_backend(transcript):
        legal = legal_id(message.id)
        key = (message.tap, message.session, type(message.id), message.id if legal else None)
        if message.seq not in passed and (not legal or key in seen):
            found.append(message)
        seen.add(key)
    for item in transcript.client():
        found += responses(item) if lacks_request_id(item) else ()
    return tuple(found)


def lacks_request_id(exchange: Exchange) -> bool:
    """Whether a request with a legal id was answered, under a 2xx status, by an error that does not repeat the id."""
    asked = exchange.request
    if not isinstance(asked, Mapping) or not legal_id(asked.get("id")) or exchange.rpc_method is None:
        return False
    if exchange.status is None or exchange.status >= 400:
        return False  # the body of an HTTP error need not have an id (transports, Sending Messages to the Server)
    return any(item.error is not None and not same_id(item.id, asked["id"]) for item in responses(exchange))


# both sides of one call ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Served:
    """A client's call and the backend's answer to it: what the client got, and what the backend said."""

    link: Link
    got: Message
    said: Message


def served(transcript: Transcript) -> Iterator[Served]:
    """Yield each call that reached the backend once and was answered on both sides."""
    sessions = {(item.tap, item.key): item for item in transcript.backend_sessions}
    by_call: dict[str, list[Link]] = {}
    for link in links(transcript):
        if link.client.rpc_method == "tools/call":
            by_call.setdefault(link.client.id, []).append(link)
    for found in by_call.values():
        link = found[0]
        session = sessions.get((link.backend.tap, link.backend.session or ""))
        said = session.response_to(link.backend) if session is not None else None
        got = link.client.answer()
        if len(found) == 1 and said is not None and got is not None:
            yield Served(link, got, said)
