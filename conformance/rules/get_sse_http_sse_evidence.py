"""What the rules of HTTP+SSE (2024-11-05 transports, HTTP with SSE) read off the evidence, and their preconditions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

from conformance.evidence.links import nonce_of
from conformance.evidence.transcript import Beat, Exchange, Message, Transcript
from conformance.rules.base import Precondition
from conformance.rules.get_sse_evidence import sent_by_backend
from conformance.rules.preconditions import initializes

OLD = ("2024-11-05",)
"""The one revision of this transport."""


@dataclass(frozen=True, slots=True)
class OldSession:
    """One client's HTTP+SSE session: its stream, and what it posted until the next one."""

    stream: Exchange
    posts: tuple[Exchange, ...]

    @property
    def opened(self) -> bool:
        """Whether the GET was answered with an event stream."""
        return self.stream.status == 200 and self.stream.is_stream

    @property
    def first_event(self) -> Beat | None:
        """The first event of the stream; comments are none."""
        return next((beat for beat in self.stream.beats if beat.what == "event"), None)

    @property
    def uri(self) -> str | None:
        """The URI that the endpoint event named."""
        named = (beat for beat in self.stream.beats if beat.what == "event" and beat.event == "endpoint")
        beat = next(named, None)
        return beat.text if beat is not None else None

    def accepted(self) -> tuple[Exchange, ...]:
        """Return the requests that were posted and answered with a 2xx status."""
        return tuple(
            post
            for post in self.posts
            if post.rpc_method is not None and _id(post) is not None and post.status is not None and is_success(post)
        )

    def answer_to(self, post: Exchange) -> Beat | None:
        """Return the event that carries the response to a posted request, of whatever type it is."""
        for message, beat in self.messages():
            if message.is_response and message.id == _id(post):
                return beat
        return None

    def messages(self) -> Iterator[tuple[Message, Beat]]:
        """Yield the JSON-RPC messages of the stream, each with its event."""
        for beat in self.stream.beats:
            if beat.message is not None:
                yield Message(beat.seq, beat.t, "down", beat.message, "sse", self.stream.tap, None), beat


def old_sessions(transcript: Transcript) -> tuple[OldSession, ...]:
    """Return the HTTP+SSE sessions of every client, in order of their streams."""
    path = transcript.header.get("sse_path")
    exchanges = transcript.client()
    streams = [item for item in exchanges if path and item.method == "GET" and item.target == path]
    found = []
    for stream in streams:
        later = [other.t for other in streams if other.tap == stream.tap and other.t > stream.t]
        until = min(later, default=float("inf"))
        posts = (i for i in exchanges if i.tap == stream.tap and i.method == "POST" and stream.t < i.t < until)
        found.append(OldSession(stream, tuple(posts)))
    return tuple(found)


def _id(post: Exchange) -> object:
    return post.request.get("id") if isinstance(post.request, dict) else None


def is_success(exchange: Exchange) -> bool:
    """Whether a response has a 2xx status."""
    return exchange.status is not None and 200 <= exchange.status < 300


def no_stream(exchange: Exchange) -> bool:
    """Whether a GET was answered with anything but an event stream."""
    return not (exchange.status == 200 and exchange.is_stream)


def leads_through(transcript: Transcript, session: OldSession) -> bool:
    """Whether the URI leads to where the client opened its stream.

    An absolute URI may also name the gateway's own address: a client that reaches it without a tap sees that one.
    """
    host = session.stream.headers.get("host", "")
    meant = urlsplit(urljoin(f"http://{host}{session.stream.target}", session.uri or ""))
    gateway = transcript.header.get("gateway") or {}
    return meant.netloc in {host, str(gateway.get("address"))}


def watched(transcript: Transcript, session: OldSession, t: float) -> float:
    """Return how long a stream was watched from time t on, in seconds."""
    end = transcript.end_of(session.stream)
    return end - t


def declares_list_changed(session: OldSession) -> bool:
    """Whether the answer to initialize, on the stream, declares tools.listChanged."""
    for message, _ in session.messages():
        capabilities = (message.result or {}).get("capabilities")
        if isinstance(capabilities, Mapping):
            tools = capabilities.get("tools")
            return isinstance(tools, Mapping) and tools.get("listChanged") is True
    return False


def pairs(transcript: Transcript) -> tuple[tuple[OldSession, OldSession], ...]:
    """Return every two sessions of different clients that both called with a nonce while both streams were open."""
    calling = [s for s in old_sessions(transcript) if any(nonce_of(post) for post in s.accepted())]
    return tuple(
        (one, other)
        for one in calling
        for other in calling
        if one.stream.tap != other.stream.tap
        and one.stream.t < transcript.end_of(other.stream)
        and other.stream.t < transcript.end_of(one.stream)
    )


SSE_GET = Precondition(
    "sse-get", "a GET of the gateway's HTTP+SSE endpoint", lambda transcript: len(old_sessions(transcript)) > 0
)
SSE_STREAM = Precondition(
    "sse-stream",
    "a GET of the gateway's HTTP+SSE endpoint that opened a stream",
    lambda transcript: any(session.opened for session in old_sessions(transcript)),
)
SSE_ENDPOINT = Precondition(
    "sse-endpoint",
    "an endpoint event on a stream of HTTP+SSE",
    lambda transcript: any(session.uri for session in old_sessions(transcript)),
)
SSE_POST = Precondition(
    "sse-post",
    "a message that was posted to the URI of an endpoint event",
    lambda transcript: any(session.uri and session.posts for session in old_sessions(transcript)),
)
SSE_REQUEST = Precondition(
    "sse-request",
    "a request that was accepted at the URI of an endpoint event",
    lambda transcript: any(session.accepted() for session in old_sessions(transcript)),
)
SSE_TWO_CLIENTS = Precondition(
    "sse-two-clients",
    "calls of two clients whose HTTP+SSE streams were open at the same time",
    lambda transcript: len(pairs(transcript)) > 0,
)
SSE_SERVER_MESSAGE = Precondition(
    "sse-server-message",
    "a list_changed that the backend sent while a client's HTTP+SSE stream was open",
    lambda transcript: any(
        session.stream.t < message.t < session.stream.t + watched(transcript, session, session.stream.t)
        for session in old_sessions(transcript)
        if session.opened
        for message in sent_by_backend(transcript)
    ),
)
SSE_BESIDE = Precondition(
    "sse-beside",
    "a GET of the gateway's HTTP+SSE endpoint while a client of Streamable HTTP had a session",
    lambda transcript: any(
        opened.t < session.stream.t for session in old_sessions(transcript) for opened in initializes(transcript)
    ),
)
