"""What the rules about resumption read off the evidence, and their preconditions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from conformance.evidence.events import JSON
from conformance.evidence.exchanges import progress_token
from conformance.evidence.transcript import Beat, Exchange, Message, Transcript
from conformance.rules.base import Precondition
from conformance.rules.get_sse_evidence import first_gets, open_streams
from conformance.rules.preconditions import session_gets

LAST_EVENT_ID = "last-event-id"
BROKEN_OFF = ("fin", "rst")
LEFT = "abandoned"


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


def resumes(transcript: Transcript) -> Iterator[tuple[Exchange, Exchange]]:
    """Yield (GET, stream) of each GET of a client that named an event of a stream it had read before.

    The stream is the one where the id was seen first, not a GET that resumed it before.
    """
    for get in transcript.client():
        wanted = get.headers.get(LAST_EVENT_ID)
        if get.method != "GET" or wanted is None:
            continue
        for origin in transcript.client():
            if origin.tap == get.tap and origin.t < get.t and any(beat.id == wanted for beat in numbered(origin)):
                yield get, _first(transcript, origin)
                break


def _first(transcript: Transcript, stream: Exchange) -> Exchange:
    """Return the stream that a GET resumed, or the stream itself."""
    earlier = (origin for get, origin in resumes(transcript) if get.id == stream.id)
    return next(earlier, stream) if LAST_EVENT_ID in stream.headers else stream


def owner(transcript: Transcript, tap: str, message: Message) -> Exchange | None:
    """Return the client's POST that a message belongs to: it answers it, or reports its progress. None: to none."""
    token = message.params.get("progressToken") if message.method == "notifications/progress" else None
    if token is None and not message.is_response:
        return None
    for item in transcript.client():
        if item.tap != tap or not isinstance(item.request, Mapping) or "id" not in item.request:
            continue
        if message.is_response and item.rpc_method and item.request["id"] == message.id:
            return item
        if token is not None and progress_token(item.request) == token:
            return item
    return None


def carries(payload: JSON) -> Callable[[Exchange], bool]:
    """Return whether an exchange brought a message with that payload, as a question to ask of exchanges."""
    return lambda exchange: any(message.payload == payload for message in exchange.messages())


def left_calls(transcript: Transcript) -> tuple[Exchange, ...]:
    """Return the calls whose client went away before their answer."""
    return tuple(
        item
        for item in transcript.client()
        if item.rpc_method == "tools/call" and unfinished(item) and item.how == LEFT
    )


def resumable(transcript: Transcript) -> tuple[Exchange, ...]:
    """Return the calls that were left and whose events carried ids."""
    return tuple(item for item in left_calls(transcript) if numbered(item))


def unknown_ids(transcript: Transcript) -> tuple[Exchange, ...]:
    """Return the GETs of clients with an event id that no stream had carried."""
    known = {beat.id for item in transcript.client() for beat in numbered(item)}
    return tuple(
        item
        for item in transcript.client()
        if item.method == "GET" and item.headers.get(LAST_EVENT_ID, "") and item.headers[LAST_EVENT_ID] not in known
    )


def at_once(transcript: Transcript) -> tuple[Exchange, ...]:
    """Return the calls of each client that began while its first one was under way."""
    found: list[Exchange] = []
    for item in transcript.client():
        if item.rpc_method == "tools/call" and (
            not found or item.tap != found[0].tap or item.t < transcript.end_of(found[0])
        ):
            found.append(item)
    return tuple(item for item in found if sum(other.tap == item.tap for other in found) > 1)


def reopened(transcript: Transcript) -> Iterator[tuple[Exchange, tuple[Exchange, ...]]]:
    """Yield (GET stream, later GETs) of each client that closed its first GET stream and made another GET."""
    for first in open_streams(transcript):
        left = transcript.left_at(first)
        if left is None:
            continue
        again = tuple(
            item
            for item in session_gets(transcript)
            if item.tap == first.tap and item.t >= left and LAST_EVENT_ID not in item.headers
        )
        if again:
            yield first, again


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
GET_CLOSED = Precondition(
    "get-closed-by-backend",
    "a GET stream that the backend closed after it had named a `retry` time",
    lambda transcript: any(
        item.method == "GET" and item.how == "complete" and retry_of(item) is not None for item in transcript.backend
    ),
)
CALL_LEFT = Precondition(
    "call-left",
    "a call whose client went away before the answer",
    lambda transcript: bool(transcript.stimuli("call.left") or left_calls(transcript)),
)
ANSWERED = Precondition(
    "answered-streams",
    "a request answered after initialize",
    lambda transcript: any(
        item.rpc_method != "initialize" and item.answer() is not None for item in transcript.client()
    ),
)
SEVERAL = Precondition(
    "several-streams",
    "two calls of one session under way at once",
    lambda transcript: bool(at_once(transcript)),
)
UNKNOWN_EVENT = Precondition(
    "unknown-event-id",
    "a GET with an event id that was never given",
    lambda transcript: bool(unknown_ids(transcript)),
)
REOPENED = Precondition(
    "get-reopened",
    "a GET after the client had closed its GET stream",
    lambda transcript: (
        any(True for _ in reopened(transcript)) or (bool(first_gets(transcript)) and not open_streams(transcript))
    ),
)
