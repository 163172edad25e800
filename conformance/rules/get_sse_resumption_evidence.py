"""What the rules about resumption read off the evidence, and their preconditions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from conformance.evidence.transcript import Beat, Exchange, Transcript
from conformance.rules.base import Precondition

LAST_EVENT_ID = "last-event-id"
BROKEN_OFF = ("fin", "rst")


def numbered(exchange: Exchange) -> tuple[Beat, ...]:
    """Return the events of a stream that carry an id."""
    return tuple(beat for beat in exchange.beats if beat.what == "event" and beat.id)


def last_id(exchange: Exchange) -> str | None:
    """Return the id that a client of this stream has to resume with, None when no event carried one."""
    return next((beat.id for beat in reversed(numbered(exchange))), None)


def retry_of(exchange: Exchange) -> float | None:
    """Return the reconnection time that a stream named last, in seconds."""
    named = [beat.retry for beat in exchange.beats if beat.retry is not None]
    return named[-1] / 1000 if named else None


def asks(exchange: Exchange) -> bool:
    """Whether a JSON-RPC request was posted that was answered with an event stream."""
    request = exchange.request
    posted = exchange.method == "POST" and isinstance(request, Mapping) and "id" in request
    return posted and exchange.status == 200 and exchange.is_stream


def unfinished(exchange: Exchange) -> bool:
    """Whether the stream that was to bring a request's answer ended without it."""
    return asks(exchange) and exchange.t_end is not None and exchange.answer() is None


def closed_early(transcript: Transcript) -> tuple[Exchange, ...]:
    """Return the POST streams that the backend closed in order, after an event id and before the answer."""
    return tuple(item for item in transcript.backend if unfinished(item) and item.how == "complete" and last_id(item))


def broke_off(transcript: Transcript) -> tuple[Exchange, ...]:
    """Return the POST streams of the backend whose connection broke after an event id and before the answer."""
    return tuple(item for item in transcript.backend if unfinished(item) and item.how in BROKEN_OFF and last_id(item))


def returns(transcript: Transcript, left: Exchange) -> tuple[Exchange, ...]:
    """Return the GETs with which the gateway came back for a stream of its backend, by any of its ids."""
    ids = {beat.id for beat in numbered(left)}
    return tuple(
        item
        for item in transcript.backend
        if item.method == "GET" and item.tap == left.tap and item.t >= left.t and item.headers.get(LAST_EVENT_ID) in ids
    )


def waits(transcript: Transcript) -> Iterator[tuple[Exchange, Exchange, float]]:
    """Yield (stream, return to it, seconds asked for) of streams the backend closed after it had named a time."""
    for left in transcript.backend:
        asked = retry_of(left)
        if asked is None or left.t_end is None or left.how != "complete":
            continue
        for back in returns(transcript, left):
            if back.headers.get(LAST_EVENT_ID) == last_id(left) and back.t >= left.t_end:
                yield left, back, asked
                break


CLOSED_EARLY = Precondition(
    "post-closed-by-backend",
    "a POST stream that the backend closed after an event id and before the answer",
    lambda transcript: bool(closed_early(transcript)),
)
BROKEN = Precondition(
    "post-cut-by-backend",
    "a POST stream of the backend that broke off after an event id and before the answer",
    lambda transcript: bool(broke_off(transcript)),
)
RETURNED = Precondition(
    "reconnected-after-retry",
    "a stream that the backend closed after it had named a `retry` time, and to which the gateway came back",
    lambda transcript: any(True for _ in waits(transcript)),
)
