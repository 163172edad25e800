"""What the rules of family get_sse read off the evidence, and their preconditions."""

from __future__ import annotations

from math import inf

from conformance import timing
from conformance.evidence.transcript import Exchange, Message, Transcript
from conformance.rules.answers import without_good_result
from conformance.rules.base import Precondition
from conformance.rules.preconditions import initializes, session_gets

SUITE = "get_sse"
LIST_CHANGED = "notifications/tools/list_changed"


def first_gets(transcript: Transcript) -> tuple[Exchange, ...]:
    """Return the first GET of each client that made one in its session."""
    seen: dict[str, Exchange] = {}
    for get in session_gets(transcript):
        seen.setdefault(get.tap, get)
    return tuple(seen.values())


def open_streams(transcript: Transcript) -> tuple[Exchange, ...]:
    """Return the first GETs that were answered with an event stream."""
    return tuple(get for get in first_gets(transcript) if get.status == 200 and get.is_stream)


def issued(transcript: Transcript) -> bool:
    """Whether the gateway issued a session id to any client."""
    return any("mcp-session-id" in item.response_headers for item in initializes(transcript))


def gets_with(transcript: Transcript, *, unknown: bool) -> tuple[Exchange, ...]:
    """Return GETs without a session id, or with one that was never issued."""
    ids = {item.response_headers.get("mcp-session-id") for item in initializes(transcript)}
    found = []
    for item in transcript.client():
        sent = item.headers.get("mcp-session-id")
        asked_for = sent is not None and sent not in ids if unknown else sent is None
        if item.method == "GET" and not item.is_metadata and asked_for:
            found.append(item)
    return tuple(found)


def later_answers(transcript: Transcript, after: Exchange, t: float) -> tuple[Exchange, ...]:
    """Return the lists that the client of `after` asked for in its session from time t on, until it ended that."""
    later = [
        item for item in transcript.client() if item.tap == after.tap and item.t >= t and item.session == after.session
    ]
    ended = next((item.t for item in later if item.method == "DELETE"), inf)
    return tuple(item for item in later if item.rpc_method == "tools/list" and item.t < ended)


def _any(found: object) -> bool:
    return bool(found)


GET_IN_SESSION = Precondition(
    "get-in-session",
    "a GET by a client that had initialized, with its session's id, until its response headers came or were overdue",
    lambda transcript: any(
        get.status is not None or headers_waited(transcript, get) > timing.HEADERS_PROMPT
        for get in first_gets(transcript)
    ),
)
BESIDE = Precondition(
    "get-beside-requests",
    "a request answered while a GET stream was open",
    lambda transcript: (
        _any(first_gets(transcript) and not open_streams(transcript))
        or any(
            item.t > stream.t and item.t < transcript.end_of(stream) and item.answer() is not None
            for stream in first_gets(transcript)
            for item in transcript.client()
            if item.tap == stream.tap and item.method == "POST"
        )
    ),
)
CLOSED = Precondition(
    "get-closed-by-client",
    "a GET stream that the client closed, and a request after it",
    lambda transcript: (
        any(
            later_answers(transcript, stream, left)
            for stream in open_streams(transcript)
            if (left := transcript.left_at(stream)) is not None
        )
        or _any(first_gets(transcript) and not open_streams(transcript))
    ),
)
SECOND = Precondition(
    "second-get",
    "a second GET on a session whose first was made before",
    lambda transcript: len(list(session_gets(transcript))) > len(first_gets(transcript)),
)
WITHOUT_SESSION = Precondition(
    "get-without-session", "a GET without a session id", lambda transcript: _any(gets_with(transcript, unknown=False))
)
UNKNOWN_SESSION = Precondition(
    "get-unknown-session",
    "a GET with a session id that was never issued",
    lambda transcript: _any(gets_with(transcript, unknown=True)),
)
NOTIFIED = Precondition(
    "server-notification",
    "a list_changed that the backend sent while a client's GET stream was open",
    lambda transcript: _any(sent_by_backend(transcript)),
)
ADDED = Precondition(
    "tool-added",
    "a tool that the backend added, and a tools/list after it",
    lambda transcript: _any(transcript.stimuli("tool.listed-again")) and not _refused_to_add(transcript),
)
BACKEND_GET = Precondition(
    "backend-get",
    "an initialize that the gateway sent to its backend",
    lambda transcript: any(message.method == "initialize" for message in transcript.backend_messages),
)


def sent_by_backend(transcript: Transcript) -> tuple[Message, ...]:
    """Return the list_changed notifications the backend sent after the scenario had it add a tool."""
    added = transcript.stimuli("tool.add")
    return tuple(
        message
        for message in transcript.backend_messages
        if added and message.direction == "down" and message.method == LIST_CHANGED and message.t >= added[0].t
    )


def _refused_to_add(transcript: Transcript) -> bool:
    """Whether the call that was to add a tool was answered with an error, so that there is none to list."""
    asked, again = (transcript.stimuli(name) for name in ("tool.add", "tool.listed-again"))
    calls = [
        i for i in transcript.client() if i.rpc_method == "tools/call" and asked and asked[0].t <= i.t < again[0].t
    ]
    return any(item.answer() is not None and without_good_result(item) for item in calls)


def received(exchange: Exchange, since: float) -> tuple[Message, ...]:
    """Return the list_changed notifications that came in a response from time `since` on."""
    return tuple(message for message in exchange.messages() if message.method == LIST_CHANGED and message.t >= since)


def neither_stream_nor_405(exchange: Exchange) -> bool:
    """Whether a GET was answered otherwise than the specification allows."""
    return not (exchange.status == 405 or (exchange.status == 200 and exchange.is_stream))


def not_refused(exchange: Exchange) -> bool:
    """Whether a request was answered otherwise than with a 4xx status, or not at all."""
    return exchange.status is None or not 400 <= exchange.status < 500


def headers_waited(transcript: Transcript, get: Exchange) -> float:
    """Return how long a GET waited for its response headers, in seconds; for ones that never came, until it ended."""
    if get.t_response is not None:
        return get.t_response - get.t
    return transcript.end_of(get) - get.t


def said(exchange: Exchange) -> str:
    """Return status and media type of a response in words."""
    if exchange.status is None:
        return "no response headers"
    return f"{exchange.status} {exchange.content_type or 'without a media type'}"
