"""What the rules of family isolation read off the evidence: whose a message is, and who got it."""

from __future__ import annotations

from collections.abc import Collection, Container, Iterable, Iterator, Mapping
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
from conformance.rules.transparency_calls_evidence import CAPABILITY_OF, mentions

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


def caused_by(message: Message, known: Collection[str]) -> str | None:
    """Return the nonce of the call, one of those known, that a message of the backend's is about; None for no such."""
    if message.method in CAPABILITY_OF:
        return next((nonce for nonce in known if mentions(message, nonce)), None)
    nonce = nonce_in(message)
    return nonce if nonce in known else None


def sent_by_backend(transcript: Transcript, methods: Container[str | None]) -> tuple[Message, ...]:
    """Return the backend's notifications and requests of some methods whose call is known."""
    known = owners(transcript)
    return tuple(
        message
        for message in transcript.backend_messages
        if message.direction == "down" and message.method in methods and caused_by(message, known) is not None
    )


def delivered(transcript: Transcript, methods: Container[str | None]) -> Iterator[tuple[Exchange, Message, str]]:
    """Yield each such message that came to a client, its exchange, and the tap of the client whose call caused it."""
    known = owners(transcript)
    for exchange in transcript.client():
        for message in exchange.messages():
            nonce = caused_by(message, known) if message.method in methods else None
            if nonce is not None:
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
    known = owners(transcript)
    nonce = caused_by(message, known)
    homes = {(link.backend.tap, link.backend.session) for link in links(transcript) if nonce_of(link.client) == nonce}
    return any(
        (sent.tap, sent.session) not in homes
        for sent in transcript.backend_messages
        if homes and sent.direction == "down" and sent.method == message.method and caused_by(sent, known) == nonce
    )
