"""What the rules of family keep_alive read from a transcript: silences, held streams, pauses, reused connections."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from math import inf
from typing import Final

from conformance import timing
from conformance.evidence.events import Kind
from conformance.evidence.exchanges import progress_token
from conformance.evidence.links import Link, links, nonce_of
from conformance.evidence.transcript import BackendSession, Exchange, Message, Transcript
from conformance.rules.preconditions import session_gets
from conformance.rules.transparency_cancellation_evidence import call_of, cancels
from conformance.rules.verdicts import Inconclusive

SUITE: Final = "keep_alive"
PROGRESS: Final = "notifications/progress"
LONGEST_SILENCE: Final = timing.KEEPALIVE_PERIOD + timing.KEEPALIVE_TOLERANCE
"""Seconds without a byte after which a stream has missed its beat."""


# streams ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Silence:
    """A time without a byte: from `start` to `end`, in seconds."""

    start: float
    end: float

    @property
    def seconds(self) -> float:
        """How long it lasted."""
        return self.end - self.start


def longest_silence(transcript: Transcript, exchange: Exchange, start: float, until: float = inf) -> Silence:
    """Return the longest time from `start` to `until`, or the exchange's end, in which no byte came down.

    Bytes count, not events: what idle timers of clients and intermediaries see is bytes.
    """
    end = min(until, transcript.over_for_client(exchange))
    times = [
        event.t
        for event in transcript.of(Kind.CHUNK)
        if (event.data["tap"], event.data["conn"], event.data["dir"]) == (exchange.tap, exchange.conn, "down")
        and start <= event.t <= end
    ]
    return max((Silence(*pair) for pair in pairwise([start, *times, end])), key=lambda item: item.seconds)


def first_gets(transcript: Transcript) -> tuple[Exchange, ...]:
    """Return each client's first GET in its session, as far as it was answered."""
    first: dict[str, Exchange] = {}
    for get in session_gets(transcript):
        if get.status is not None:
            first.setdefault(get.tap, get)
    return tuple(first.values())


def get_streams(transcript: Transcript) -> tuple[Exchange, ...]:
    """Return each client's first GET in its session that was answered with an event stream and resumes none."""
    first: dict[str, Exchange] = {}
    for get in session_gets(transcript):
        if get.status == 200 and get.is_stream and "last-event-id" not in get.headers:
            first.setdefault(get.tap, get)
    return tuple(first.values())


def open_for(transcript: Transcript, exchange: Exchange) -> float:
    """Return how long a response was open, in seconds."""
    return transcript.over_for_client(exchange) - exchange.answered_since


def cut_by_server(transcript: Transcript, exchange: Exchange) -> bool:
    """Whether the server's side ended the response, and not its client or the recording."""
    left = transcript.left_at(exchange)
    ended = exchange.how in ("complete", "fin", "rst") and exchange.t_end is not None
    return ended and (left is None or (exchange.t_end or 0.0) <= left)


def primed(exchange: Exchange) -> bool:
    """Whether an event id came: then the server may close the stream and let the client poll (2025-11-25, SSE polling).

    Source: 2025-11-25 basic/transports, Sending Messages to the Server, item 6.
    """
    return any(beat.id is not None for beat in exchange.beats)


def upstream_of(transcript: Transcript, exchange: Exchange) -> Exchange | None:
    """Return the one backend exchange behind a client's, None when there is none or it cannot be told.

    A call is linked by its nonce. A GET stream is linked to the sole GET that the gateway began before it answered.
    """
    if exchange.method == "GET":
        until = exchange.t_response if exchange.t_response is not None else transcript.over_for_client(exchange)
        found = [item for item in transcript.backend if item.method == "GET" and exchange.t <= item.t <= until]
    else:
        found = [link.exchange for link in links_of(transcript, exchange) if link.exchange is not None]
    return found[0] if len(found) == 1 else None


def beats_in(exchange: Exchange, start: float, end: float) -> int:
    """Return how many comments and events that are no answer came down a stream between two times."""
    answers = {message.seq for message in exchange.messages() if message.is_response}
    return sum(start <= beat.t <= end and beat.seq not in answers for beat in exchange.beats)


def lagged(transcript: Transcript, silence: Silence, limit: float) -> Inconclusive | None:
    """Return Inconclusive when a busy machine could have made the difference between `silence` and `limit`."""
    lag = transcript.lag(silence.start, silence.end)
    if lag <= (silence.seconds - limit) * timing.LAG_SHARE:
        return None
    return Inconclusive(f"{silence.seconds:.1f} s passed, but {lag:.2f} s of them are the busy machine's")


# calls --------------------------------------------------------------------------------------------------------------


def links_of(transcript: Transcript, exchange: Exchange) -> tuple[Link, ...]:
    """Return what the gateway did towards its backends because of one client exchange."""
    return tuple(link for link in links(transcript) if link.client.id == exchange.id)


def calls(transcript: Transcript) -> tuple[Exchange, ...]:
    """Return the clients' tools/call exchanges."""
    return tuple(item for item in transcript.client() if item.rpc_method == "tools/call")


def cancelled_calls(transcript: Transcript) -> frozenset[str]:
    """Return the ids of the requests that their client cancelled while they were under way; no answer is due to them.

    Source: basic/utilities/cancellation, Behavior Requirements.
    """
    named = (call_of(transcript, cancel) for cancel in cancels(transcript))
    return frozenset(call.id for call in named if call is not None)


def answer_or_end(transcript: Transcript, exchange: Exchange) -> float:
    """Return when a request was answered, else when it was over for its client, in seconds."""
    answer = exchange.answer()
    return answer.t if answer is not None else transcript.over_for_client(exchange)


def waited(transcript: Transcript, exchange: Exchange) -> float:
    """Return how long a request was under way: to its end, in seconds."""
    return transcript.over_for_client(exchange) - exchange.asked_at


def succeeded(exchange: Exchange) -> bool:
    """Whether a call was answered with a result that is no tool error."""
    answer = exchange.answer()
    return answer is not None and answer.result is not None and not answer.result.get("isError")


def backend_session(transcript: Transcript, link: Link) -> BackendSession | None:
    """Return the backend session in which the linked request was sent."""
    for session in transcript.backend_sessions:
        if any(message.seq == link.backend.seq for message in session.messages):
            return session
    return None


def backend_answer(transcript: Transcript, link: Link) -> Message | None:
    """Return the backend's response to the linked request, None when it gave none."""
    session = backend_session(transcript, link)
    return session.response_to(link.backend) if session is not None else None


def asked_progress(exchange: Exchange) -> object:
    """Return the progress token that a call carried, None when it asked for no progress."""
    return progress_token(exchange.request)


def backend_progress(transcript: Transcript, link: Link) -> tuple[Message, ...] | None:
    """Return the progress that the backend reported for the linked call; None when the gateway asked it for none."""
    token = progress_token(link.backend.payload)
    session = backend_session(transcript, link)
    if token is None or session is None:
        return None
    return tuple(
        message
        for message in session.messages
        if message.direction == "down" and message.method == PROGRESS and message.params.get("progressToken") == token
    )


def client_progress(transcript: Transcript, exchange: Exchange) -> tuple[Message, ...]:
    """Return the progress of one call that reached its client, on whichever of its streams, in order.

    It bears the call's token, or names the call's nonce: under another token the client cannot use it, but it came.
    """
    token, nonce = asked_progress(exchange), nonce_of(exchange)
    found = [
        message
        for item in transcript.client()
        if item.tap == exchange.tap
        for message in item.messages()
        if message.method == PROGRESS
        and (message.params.get("progressToken") == token or (nonce and message.params.get("message") == nonce))
    ]
    return tuple(sorted(found, key=lambda message: message.t))


# sessions and connections -------------------------------------------------------------------------------------------


def after_pause(transcript: Transcript, least: float) -> Iterator[tuple[Exchange, float]]:
    """Yield (request, pause in seconds) for requests in a session that had nothing in flight for `least` seconds.

    Every request from the pause on is yielded until one had a response head: one that met a dead connection says
    nothing about the session. Nor does a notification, which has no answer to be judged by.
    """
    sessions: dict[tuple[str, str | None], list[Exchange]] = {}
    for item in transcript.client():
        sessions.setdefault((item.tap, item.session), []).append(item)
    for items in sessions.values():
        busy_until, pause = items[0].t, 0.0
        for item in items:
            pause = max(pause, item.t - busy_until)
            busy_until = max(busy_until, transcript.over_for_client(item))
            if pause >= least and item.rpc_method is not None and "id" in item.request:
                yield item, pause
                if item.status is not None:
                    pause = 0.0


@dataclass(frozen=True, slots=True)
class Reuse:
    """What came of a connection after `pause` idle seconds following the exchange `before`.

    after: the request sent on it; None when the server closed it instead. closed_at: when its end came, if it did
    before the request. crossed: its end and the request were under way at once.
    """

    before: Exchange
    pause: float
    after: Exchange | None = None
    closed_at: float | None = None
    crossed: bool = False


def reuses(transcript: Transcript) -> tuple[Reuse, ...]:
    """Return what came of each client connection that was left idle for at least PAUSE_NOTICED, by the pause's end."""
    connections: dict[tuple[str, int], list[Exchange]] = {}
    for item in transcript.client():
        connections.setdefault((item.tap, item.conn), []).append(item)
    found = [reuse for items in connections.values() for reuse in _reuses_of(transcript, items)]
    return tuple(sorted(found, key=lambda reuse: (reuse.before.t_end or 0.0) + reuse.pause))


def lost_with_connection(transcript: Transcript) -> frozenset[str]:
    """Return the ids of requests that met the end of a connection that had been idle: whose fault, MGC406 judges."""
    met = (reuse.after for reuse in reuses(transcript) if reuse.after is not None)
    return frozenset(item.id for item in met if item.status is None and item.how in ("fin", "rst"))


def _reuses_of(transcript: Transcript, items: list[Exchange]) -> Iterator[Reuse]:
    closed = _closed_by_server(transcript, items[0])
    for before, after in pairwise(items):
        if before.t_end is not None and after.t - before.t_end >= timing.PAUSE_NOTICED:
            came = closed if closed is not None and closed <= after.t else None
            crossed = after.status is None and (came is not None or _closed_before(transcript, after))
            yield Reuse(before, after.t - before.t_end, after, came, crossed)
    last = items[-1]
    if last.how == "complete" and last.t_end is not None and closed is not None:
        left = transcript.left_at(last)
        if closed - last.t_end >= timing.PAUSE_NOTICED and (left is None or closed <= left):
            yield Reuse(last, closed - last.t_end, None, closed)


def _closed_by_server(transcript: Transcript, exchange: Exchange) -> float | None:
    for event in transcript.of(Kind.CONN_FIN, Kind.CONN_RST):
        if (event.data["tap"], event.data["conn"], event.data["dir"]) == (exchange.tap, exchange.conn, "down"):
            return event.t
    return None


def _closed_before(transcript: Transcript, after: Exchange) -> bool:
    """Whether the server had closed its socket before the request reached it, though its end came after that.

    Whoever closes a socket sends FIN, and RST when data comes after that (RFC 9293 section 3.6.1). Whoever closes it
    with a request unread sends RST alone, and with the request read FIN alone.
    """
    ends = [
        event.kind
        for event in transcript.of(Kind.CONN_FIN, Kind.CONN_RST)
        if (event.data["tap"], event.data["conn"], event.data["dir"]) == (after.tap, after.conn, "down")
    ]
    return Kind.CONN_FIN in ends and (after.how == "rst" or Kind.CONN_RST in ends)


def announced(before: Exchange, pause: float) -> bool:
    """Whether the response before a pause said that the connection would not outlive it.

    Source: RFC 9112 section 9.6 (Connection: close); RFC 2068 section 19.7.1 (Keep-Alive: timeout).
    """
    if "close" in before.response_headers.get("connection", "").lower():
        return True
    for part in before.response_headers.get("keep-alive", "").split(","):
        name, _, value = part.strip().partition("=")
        if name.lower() == "timeout" and value.isdigit() and int(value) <= pause:
            return True
    return False
