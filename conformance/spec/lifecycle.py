"""The lifecycle of a session on Streamable HTTP, legacy revisions, as tables: states, events, tolerated answers.

Two machines, after the manner of h11: `LIFECYCLE` for the session that a request names (or fails to name) and `STREAMS`
for its standalone GET stream. A row lists every answer that is tolerated in that state and the state it leads to; any
other answer departs from the lifecycle, and says so with the row's level and source. 429 and 503 are tolerated
everywhere: a server that is busy says nothing about its sessions. Where the specification leaves room, or the reference
servers agree on something it does not mention, both are allowed and `note` says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from conformance.spec.catalogue import Level


class State(StrEnum):
    """What the session id of a request stands for, as its client can know it."""

    STRANGER = "stranger"  # the request names no session
    OPENED = "opened"  # initialize was answered, `initialized` has not been said
    READY = "ready"
    ENDED = "ended"  # its DELETE was answered 2xx, or the server said 404
    UNKNOWN = "unknown"  # an id that was issued to nobody
    SESSIONLESS = "sessionless"  # the server issues no ids


class Stream(StrEnum):
    """The standalone GET stream of a session that lives."""

    EARLY = "early"  # none, and the session is not confirmed yet
    NONE = "none"
    OPEN = "open"
    CLOSED = "closed"  # there was one


class Event(StrEnum):
    """What a client does."""

    INITIALIZE = "initialize"
    INITIALIZE_MALFORMED = "malformed initialize"
    INITIALIZED = "initialized"
    PING = "ping"
    REQUEST = "request"
    MALFORMED = "malformed message"
    DELETE = "DELETE"
    GET = "GET"
    CLOSE = "close"


class Answer(StrEnum):
    """What comes back, as far as the lifecycle cares."""

    RESULT = "result"
    ERROR = "JSON-RPC error"  # under a 2xx status
    ACCEPTED = "2xx"  # with no JSON-RPC message
    STREAM = "stream"
    BAD_REQUEST = "400"
    NOT_FOUND = "404"
    NOT_ALLOWED = "405"
    CONFLICT = "409"
    REFUSED = "other 4xx"
    BUSY = "429 or 503"
    SERVER_ERROR = "5xx"
    SILENCE = "no answer"
    OTHER = "something else"


@dataclass(frozen=True, slots=True)
class Row:
    """What may come of one event in one state: each tolerated answer with the state it leads to.

    rows: of the catalogue. source: page and section of the specification (2025-11-25).
    """

    answers: Mapping[Answer, State]
    level: Level
    rows: tuple[str, ...]
    source: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class StreamRow:
    """As Row, of the GET stream's machine."""

    answers: Mapping[Answer, Stream]
    level: Level
    rows: tuple[str, ...]
    source: str
    note: str = ""


_TRANSPORT: Final = "basic/transports § "
_SESSIONS: Final = _TRANSPORT + "Session Management "
_4XX: Final = (Answer.BAD_REQUEST, Answer.NOT_FOUND, Answer.NOT_ALLOWED, Answer.CONFLICT, Answer.REFUSED)
_4XX_ALIVE: Final = tuple(answer for answer in _4XX if answer is not Answer.NOT_FOUND)
"""Refusals of a session that lives: 404 would say that it does not."""


def _stay(state: State, *answers: Answer) -> dict[Answer, State]:
    return dict.fromkeys(answers, state)


_OPENS: Final = {Answer.RESULT: State.OPENED}
_MISSING: Final = _SESSIONS + "2"
_GONE: Final = _SESSIONS + "3"
_LOST: Final = "A server may end a session at any time; a gateway that does so under a client at work is of little use."
_AGAIN: Final = "What a second initialize does is left open: the reference servers refuse it or answer it again."
_TWICE: Final = "Said a second time, it may be refused."
_LENIENT: Final = "A server that is lenient may answer with a result."


def _stranger() -> dict[Event, Row]:
    stay = State.STRANGER
    refused = _stay(stay, Answer.ERROR, *_4XX)
    return {
        Event.INITIALIZE: Row(_OPENS, Level.MUST, ("LIFE-03",), "basic/lifecycle § Initialization"),
        Event.INITIALIZE_MALFORMED: Row(
            {**_OPENS, **refused}, Level.SHOULD, ("LIFE-16",), "basic/lifecycle § Error Handling", _LENIENT
        ),
        Event.INITIALIZED: Row(refused, Level.SHOULD, ("SESSION-05",), _MISSING),
        Event.PING: Row(
            {**refused, Answer.RESULT: stay},
            Level.SHOULD,
            ("SESSION-05",),
            _MISSING,
            "A ping may come before initialize (basic/lifecycle § Initialization).",
        ),
        Event.REQUEST: Row(refused, Level.SHOULD, ("SESSION-05", "LIFE-01"), _MISSING),
        Event.MALFORMED: Row(refused, Level.MUST, ("POST-06",), _TRANSPORT + "Sending Messages 4"),
        Event.DELETE: Row(_stay(stay, *_4XX), Level.SHOULD, ("SESSION-05",), _MISSING),
        Event.GET: Row(_stay(stay, *_4XX), Level.SHOULD, ("SESSION-05",), _MISSING),
    }


def _alive(stay: State) -> dict[Event, Row]:
    """Return the rows that hold for a session from its initialize to its end; `stay` is OPENED or READY."""
    refused = _stay(stay, Answer.ERROR, *_4XX_ALIVE)
    again = {**_OPENS, **refused}
    ending = {Answer.ACCEPTED: State.ENDED, Answer.NOT_FOUND: State.ENDED, Answer.NOT_ALLOWED: stay}
    confirmed = {Answer.ACCEPTED: State.READY, **(refused if stay is State.READY else {})}
    served = Row({Answer.RESULT: stay}, Level.PRACTICE, ("SESS-03",), "basic/lifecycle § Operation", _LOST)
    early = Row({Answer.RESULT: stay, **refused}, Level.PRACTICE, ("INIT-01",), "basic/lifecycle § Initialization")
    return {
        Event.INITIALIZE: Row(again, Level.PRACTICE, ("SESS-03",), "basic/lifecycle § Initialization", _AGAIN),
        Event.INITIALIZE_MALFORMED: Row(
            again, Level.PRACTICE, ("SESS-03", "LIFE-16"), "basic/lifecycle § Error Handling", _AGAIN
        ),
        Event.INITIALIZED: Row(
            confirmed, Level.MUST, ("LIFE-04", "POST-05"), _TRANSPORT + "Sending Messages 4", _TWICE
        ),
        Event.PING: served,
        Event.REQUEST: served if stay is State.READY else early,
        Event.MALFORMED: Row(refused, Level.MUST, ("POST-06",), _TRANSPORT + "Sending Messages 4"),
        Event.DELETE: Row(
            ending, Level.MAY, ("SESSION-09",), _SESSIONS + "5", "No status is named for success: any 2xx will do."
        ),
    }


def _gone(stay: State) -> dict[Event, Row]:
    """Return the rows of an id that names no session; `stay` is ENDED or UNKNOWN."""
    rows, absent = ("SESSION-06",), _stay(stay, Answer.NOT_FOUND)
    off = _stay(stay, Answer.NOT_FOUND, Answer.NOT_ALLOWED)
    anew = Row(
        _stay(stay, Answer.RESULT, Answer.ERROR, *_4XX),
        Level.MUST,
        rows,
        _GONE,
        "An initialize may open another session, under an id of its own; servers refuse it with 400 or 404.",
    )
    return {
        Event.INITIALIZE: anew,
        Event.INITIALIZE_MALFORMED: anew,
        Event.INITIALIZED: Row(absent, Level.MUST, rows, _GONE),
        Event.PING: Row(absent, Level.MUST, rows, _GONE),
        Event.REQUEST: Row(absent, Level.MUST, rows, _GONE),
        Event.MALFORMED: Row(
            _stay(stay, Answer.ERROR, *_4XX), Level.MUST, rows, _GONE, "Which fault is told first is left open."
        ),
        Event.DELETE: Row(off, Level.MUST, rows, _GONE, "405 where DELETE is not offered at all."),
        Event.GET: Row(off, Level.MUST, rows, _GONE, "405 where GET is not offered at all."),
    }


def _sessionless() -> dict[Event, Row]:
    settled = (Answer.RESULT, Answer.ERROR, Answer.ACCEPTED, Answer.STREAM, *_4XX)
    row = Row(
        _stay(State.SESSIONLESS, *settled),
        Level.MUST,
        ("POST-08",),
        _TRANSPORT + "Sending Messages 5",
        "Without ids there are no sessions: whatever settles the request will do.",
    )
    return {event: row for event in Event if event is not Event.CLOSE}


LIFECYCLE: Final[Mapping[State, Mapping[Event, Row]]] = {
    State.STRANGER: _stranger(),
    State.OPENED: _alive(State.OPENED),
    State.READY: _alive(State.READY),
    State.ENDED: _gone(State.ENDED),
    State.UNKNOWN: _gone(State.UNKNOWN),
    State.SESSIONLESS: _sessionless(),
}
"""The session. OPENED and READY have no row for GET: STREAMS judges it there."""

_LISTENING: Final = _TRANSPORT + "Listening for Messages from the Server 3"
_SECOND: Final = "The specification knows a stream or 405 only; the reference servers refuse a second GET with 409."
_UNNOTICED: Final = "The server may not have noticed yet that the first stream is closed."

STREAMS: Final[Mapping[Stream, Mapping[Event, StreamRow]]] = {
    Stream.EARLY: {
        Event.GET: StreamRow(
            {Answer.STREAM: Stream.OPEN, **dict.fromkeys(_4XX_ALIVE, Stream.EARLY)},
            Level.PRACTICE,
            ("SESS-03",),
            _LISTENING,
            "Whether a client may listen before it has said `initialized` is left open.",
        )
    },
    Stream.NONE: {
        Event.GET: StreamRow(
            {Answer.STREAM: Stream.OPEN, Answer.NOT_ALLOWED: Stream.NONE}, Level.MUST, ("GET-03",), _LISTENING
        )
    },
    Stream.OPEN: {
        Event.GET: StreamRow(
            {Answer.STREAM: Stream.OPEN, **dict.fromkeys(_4XX_ALIVE, Stream.OPEN)},
            Level.PRACTICE,
            ("FLOW-07",),
            _LISTENING,
            _SECOND,
        ),
        Event.CLOSE: StreamRow(
            {Answer.ACCEPTED: Stream.CLOSED},
            Level.MAY,
            ("GET-06",),
            _TRANSPORT + "Listening for Messages from the Server 4",
            "Either side may close it; there is nothing to answer.",
        ),
    },
    Stream.CLOSED: {
        Event.GET: StreamRow(
            {Answer.STREAM: Stream.OPEN, Answer.NOT_ALLOWED: Stream.CLOSED, Answer.CONFLICT: Stream.CLOSED},
            Level.MUST,
            ("GET-03",),
            _LISTENING,
            _UNNOTICED,
        )
    },
}
"""The GET stream of a session in state OPENED or READY."""
