"""What the rules of family isolation read off the evidence: whose a message is, and who got it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from conformance.evidence.events import JSON
from conformance.evidence.links import links, nonce_of
from conformance.evidence.transcript import Exchange, Message, Transcript
from conformance.rules.session_reuse_evidence import (
    answered_nonces,
    calls,
    overlapping,
    posted,
)

SUITE: Final = "isolation"
LOG: Final = "notifications/message"
PROGRESS: Final = "notifications/progress"
CANCELLED: Final = "notifications/cancelled"


# calls with equal ids ------------------------------------------------------------------------------------------------


def colliding(transcript: Transcript) -> tuple[Exchange, ...]:
    """Return the calls in flight beside another client's with the same JSON-RPC id, unless that id was cancelled."""
    found = {item.id: item for pair in overlapping(transcript) for item in pair}
    given_up = [_given_up(item) for item in transcript.client() if item.rpc_method == CANCELLED]
    return tuple(item for item in found.values() if not any(same_id(item.request["id"], number) for number in given_up))


def _given_up(cancel: Exchange) -> JSON:
    """Return the id of the request that a client's cancel names, None where it names none."""
    params = cancel.request.get("params")
    return params.get("requestId") if isinstance(params, Mapping) else None


def undisturbed(transcript: Transcript) -> tuple[Exchange, ...]:
    """Return the answered calls whose id no other client's call in flight had."""
    shared = {item.id for item in colliding(transcript)}
    return tuple(
        item for item in posted(transcript, "tools/call") if item.id not in shared and item.answer() is not None
    )


def ids_cross(transcript: Transcript) -> bool:
    """Whether a call of two with equal ids got another's answer or none, without any cancel."""
    answers = ((item, item.answer()) for item in colliding(transcript))
    return any(
        answer is None or any(nonce != nonce_of(item) for nonce in answered_nonces(answer)) for item, answer in answers
    )


def cancels(transcript: Transcript) -> tuple[tuple[Exchange, Exchange], ...]:
    """Return each client's cancel with the calls of others that had the cancelled id and were in flight then."""
    return tuple(
        (cancel, item)
        for cancel in transcript.client()
        if cancel.rpc_method == CANCELLED
        for item in posted(transcript, "tools/call")
        if item.tap != cancel.tap
        and same_id(item.request["id"], _given_up(cancel))
        and item.t < cancel.t < transcript.end_of(item)
    )


def same_id(one: JSON, other: JSON) -> bool:
    """Whether two JSON-RPC ids have the same type and value."""
    return type(one) is type(other) and bool(one == other)


# messages with a nonce -----------------------------------------------------------------------------------------------


def owners(transcript: Transcript) -> Mapping[str, str]:
    """Return the tap of the client that made the call with each nonce; one that several clients used is left out."""
    taps: dict[str, set[str]] = {}
    for item in posted(transcript, "tools/call"):
        nonce = nonce_of(item)
        if nonce is not None:
            taps.setdefault(nonce, set()).add(item.tap)
    return {nonce: next(iter(found)) for nonce, found in taps.items() if len(found) == 1}


def nonce_in(message: Message) -> str | None:
    """Return the nonce that the witness put into a log message or a progress report."""
    data = message.params.get("data")
    value = data.get("nonce") if message.method == LOG and isinstance(data, Mapping) else None
    if message.method == PROGRESS:
        value = message.params.get("message")
    return value if isinstance(value, str) else None


def sent_by_backend(transcript: Transcript, method: str) -> tuple[Message, ...]:
    """Return the backend's notifications of one method whose call is known."""
    known = owners(transcript)
    return tuple(
        message
        for message in transcript.backend_messages
        if message.direction == "down" and message.method == method and nonce_in(message) in known
    )


def delivered(transcript: Transcript, method: str) -> Iterator[tuple[Exchange, Message, str]]:
    """Yield each notification that came to a client, its exchange, and the tap of the client whose call caused it."""
    known = owners(transcript)
    for exchange in transcript.client():
        for message in exchange.messages():
            nonce = nonce_in(message) if message.method == method else None
            if nonce is not None and nonce in known:
                yield exchange, message, known[nonce]


def clients_of_two(taps: Iterable[str]) -> bool:
    """Whether at least two clients are among these taps."""
    return len(set(taps)) > 1


# the backend's side --------------------------------------------------------------------------------------------------


def share_backend_session(transcript: Transcript, one: str, other: str) -> bool:
    """Whether the calls of two clients (by their taps) were made in one session at the backend."""
    reached: dict[str, set[tuple[str, str]]] = {}
    known = owners(transcript)
    for call in calls(transcript):
        if nonce_of(call.link.client) not in known:  # several clients made this call: the nonce links all to all
            continue
        reached.setdefault(call.session[0], set()).add(call.backend)
    return bool(reached.get(one, set()) & reached.get(other, set()))


def backend_misdelivered(transcript: Transcript, message: Message) -> bool:
    """Whether the backend itself sent a message of that nonce in a session where no call with the nonce was made."""
    nonce = nonce_in(message)
    homes = {(link.backend.tap, link.backend.session) for link in links(transcript) if nonce_of(link.client) == nonce}
    return any(
        (sent.tap, sent.session) not in homes
        for sent in transcript.backend_messages
        if homes and sent.direction == "down" and sent.method == message.method and nonce_in(sent) == nonce
    )
