"""What the rules on ids, on the form of messages and on their contents read off the evidence of both sides."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from conformance import timing
from conformance.evidence.events import JSON
from conformance.evidence.links import Link, links
from conformance.evidence.transcript import Exchange, Message, Transcript
from conformance.rules.initialize_ordering_evidence import stateless_taps
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
    """Whether a busy machine could be why nothing came for a request that was given up or never ended."""
    if exchange.how not in ("open", "abandoned"):
        return False
    until = transcript.end_of(exchange)
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


def illegal_requests(transcript: Transcript) -> tuple[Message, ...]:
    """Return the gateway's requests whose id is no string or integer, but for clients' calls passed on as they came."""
    passed = passed_on(transcript)
    return tuple(
        message
        for message in requests_to_backend(transcript)
        if not legal_id(message.id) and (message.seq not in passed or legal_id(passed[message.seq].request["id"]))
    )


def turned_away(exchange: Exchange) -> bool:
    """Whether a request was redirected or refused by its HTTP status, so that its message was not taken."""
    return exchange.status is not None and 300 <= exchange.status < 500


def untied(transcript: Transcript) -> frozenset[int]:
    """Return the `seq` of the gateway's requests that belong to one of several handshakes, and nothing tells to which.

    They went to a backend that issues no session ids, after a second initialize: what follows may come on whichever
    connection is free, and each session counts its ids anew.
    """
    stateless = stateless_taps(transcript)
    shaken: Counter[str] = Counter()
    found: list[int] = []
    for message in requests_to_backend(transcript):
        shaken[message.tap] += message.method == "initialize"
        without_id = message.tap in stateless and message.session is None
        if without_id and message.method != "initialize" and shaken[message.tap] > 1:
            found.append(message.seq)
    return frozenset(found)


def repeated_requests(transcript: Transcript) -> tuple[tuple[int, Message], ...]:
    """Return the gateway's requests whose id an earlier one of the backend session had, each with the earlier `seq`.

    One client may itself give two of its calls the same id; passed on, they are not the gateway's fault. A message that
    was turned away may be sent again as it was: to where it was redirected, with a new token, or later.
    """
    passed, found = passed_on(transcript), list[tuple[int, Message]]()
    apart = untied(transcript)
    for session in transcript.backend_sessions:
        away = {item.id for item in session.exchanges if turned_away(item)}
        seen: dict[tuple[type, JSON], Message] = {}
        for message in session.up():
            if not message.is_request or not legal_id(message.id) or message.seq in apart:
                continue
            first = seen.setdefault((type(message.id), message.id), message)
            if first.exchange in away and first.payload == message.payload:
                seen[type(message.id), message.id] = message
            elif first is not message and not _reused_by_client(passed.get(first.seq), passed.get(message.seq)):
                found.append((first.seq, message))
    return tuple(found)


def _reused_by_client(first: Exchange | None, second: Exchange | None) -> bool:
    """Whether one client itself gave two of its calls the same id in its session."""
    return (
        first is not None
        and second is not None
        and (first.tap, first.session, first.request["id"]) == (second.tap, second.session, second.request["id"])
    )


def malformed_from_gateway(transcript: Transcript) -> tuple[Message, ...]:
    """Return the messages of the gateway that break JSON-RPC: their form, their ids, or that they answer nothing."""
    found = [item for item in from_gateway(transcript) if defect(item.payload)]
    found += [answer for item in transcript.client() if (answer := answered_notification(item)) is not None]
    found += [answer for item in transcript.client() if lacks_request_id(item) for answer in responses(item)]
    found += [*unasked_responses(transcript), *illegal_requests(transcript)]
    found += [message for _, message in repeated_requests(transcript)]
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


def failed_at_backend(call: Served) -> bool:
    """Whether the backend answered a call with an error, of the protocol or of the tool."""
    return call.said.error is not None or (call.said.result or {}).get("isError") is True


def other_error(call: Served) -> str:
    """Return what the client got in place of the backend's error, empty where it is the same."""
    error, got = call.said.error, call.got.error
    if error is None:
        kept = call.got.result is not None and call.got.result.get("isError") is True
        return "" if kept else f"a tool's error came as {error_words(got) if got else 'a success'}"
    if got is None:
        return "it came as a result"
    same = got.get("code") == error.get("code") and str(error.get("message")) in str(got.get("message"))
    return "" if same else error_words(got)


def error_words(error: Mapping[str, JSON] | None) -> str:
    """Return an error in words; None is a tool's error, which is a result."""
    if error is None:
        return "a result with isError"
    return f"error {error.get('code')} {str(error.get('message'))[:80]!r}"


# contents ------------------------------------------------------------------------------------------------------------

_PARAMS: Final = ("name", "arguments", "_meta", "task")
_RESULT: Final = ("content", "structuredContent", "isError", "_meta")
_CONTENT: Final = ("type", "text", "annotations", "_meta")
_DEFINED: Final = frozenset((*_PARAMS, *_RESULT, *_CONTENT))
"""Members that some revision defines for a call, its result or its text: what a gateway makes of them is not judged by
their being unknown."""


def arguments_of(source: Exchange | Message) -> Mapping[str, JSON]:
    """Return the arguments of a call, on either side."""
    params = source.params if isinstance(source, Message) else source.request.get("params")
    found = params.get("arguments") if isinstance(params, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def texts_of(message: Message) -> list[JSON]:
    """Return the texts in a result's content."""
    content = (message.result or {}).get("content")
    return [item.get("text") for item in content if isinstance(item, Mapping)] if isinstance(content, list) else []


def strange_meta(holder: JSON) -> Mapping[str, JSON]:
    """Return the members of `_meta` that the gateway has no business with: all but the progress token."""
    meta = holder.get("_meta") if isinstance(holder, Mapping) else None
    return {name: value for name, value in meta.items() if name != "progressToken"} if isinstance(meta, Mapping) else {}


def strange_members(holder: JSON) -> Mapping[str, JSON]:
    """Return the members of a call's params, a result or a text that no revision defines."""
    return {n: v for n, v in holder.items() if n not in _DEFINED} if isinstance(holder, Mapping) else {}


def members_lost(sent: Mapping[str, JSON], came: JSON, but: tuple[str, ...] = ()) -> str:
    """Return the names of members that did not come with the value they were sent with, `but` aside; empty for none."""
    got = came if isinstance(came, Mapping) else {}
    return ", ".join(sorted(n for n, v in sent.items() if n not in but and (n not in got or got[n] != v)))


def garbled_text(exchange: Exchange) -> str:
    """Return what came in a response and could not be read as JSON."""
    return exchange.body_text + "".join(beat.text for beat in exchange.beats if beat.what == "event")
