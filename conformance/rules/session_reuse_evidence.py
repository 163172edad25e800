"""What the rules of family session_reuse read from evidence: sessions of clients, and the backend sessions they reach.

A client session is named by its id and its client's tap. A backend session is named by its tap and its id, or by its
process on stdio; ids are never compared across the gateway.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import inf
from typing import Final, TypeAlias

from conformance import timing
from conformance.evidence.events import JSON, Hop, Kind
from conformance.evidence.links import Link, links, nonce_of
from conformance.evidence.transcript import Exchange, Message, Transcript
from conformance.rules.base import Inputs, charge
from conformance.rules.preconditions import initializes
from conformance.rules.verdicts import NotApplicable

SUITE: Final = "session_reuse"
SESSION_HEADER: Final = "mcp-session-id"
NO_SESSIONS: Final = NotApplicable("no session id is ever issued")
NOT_ENDED: Final = NotApplicable("no DELETE of a session was answered 2xx, so none is known to have ended")

ClientSession: TypeAlias = tuple[str, str | None]
"""Tap of the client and id of the session, None where none is issued."""

BackendKey: TypeAlias = tuple[str, str]
"""Tap of the backend and session id, or process on stdio."""


# clients -------------------------------------------------------------------------------------------------------------


def issued_ids(transcript: Transcript) -> tuple[str, ...]:
    """Return the session ids that clients were given with the answer to initialize, in order."""
    found = (item.response_headers.get(SESSION_HEADER) for item in initializes(transcript))
    return tuple(value for value in found if value is not None)


def sessionless(transcript: Transcript) -> bool:
    """Whether clients were initialized and none was given a session id."""
    return bool(initializes(transcript)) and not issued_ids(transcript)


def without_id(transcript: Transcript) -> tuple[Exchange, ...]:
    """Return POSTs and DELETEs without a session id by clients that had one, initialize left out."""
    opened = {item.tap: item.t for item in reversed(initializes(transcript)) if SESSION_HEADER in item.response_headers}
    return tuple(
        item
        for item in transcript.client()
        if item.method in ("POST", "DELETE")
        and item.rpc_method != "initialize"
        and SESSION_HEADER not in item.headers
        and item.t > opened.get(item.tap, transcript.end)
    )


def with_unknown_id(transcript: Transcript) -> tuple[Exchange, ...]:
    """Return POSTs and DELETEs with a session id that was issued to nobody; initialize begins a session of its own."""
    known = issued_ids(transcript)
    return tuple(
        item
        for item in transcript.client()
        if item.method in ("POST", "DELETE")
        and item.rpc_method != "initialize"
        and item.headers.get(SESSION_HEADER, known[0] if known else "") not in known
    )


def deletes(transcript: Transcript) -> tuple[Exchange, ...]:
    """Return each client's first DELETE of a session that it was given."""
    known, first = issued_ids(transcript), dict[str, Exchange]()
    for item in transcript.client():
        if item.method == "DELETE" and item.headers.get(SESSION_HEADER) in known:
            first.setdefault(item.headers[SESSION_HEADER], item)
    return tuple(first.values())


def accepted(exchange: Exchange) -> bool:
    """Whether an exchange was answered with a 2xx status."""
    return exchange.status is not None and 200 <= exchange.status < 300


def delete_refused(transcript: Transcript) -> bool:
    """Whether clients asked for the end of their sessions and none was answered 2xx."""
    return bool(deletes(transcript)) and not any(map(accepted, deletes(transcript)))


def after_end(transcript: Transcript) -> tuple[Exchange, ...]:
    """Return what clients sent with the id of a session after their DELETE of it was answered 2xx."""
    ended = {item.headers[SESSION_HEADER]: item for item in deletes(transcript) if accepted(item)}
    return tuple(
        item
        for item in transcript.client()
        if (end := ended.get(item.headers.get(SESSION_HEADER, ""))) is not None and item.seq > max(end.events)
    )


def posted(transcript: Transcript, method: str | None = None) -> tuple[Exchange, ...]:
    """Return the clients' POSTs of a request: of one method, or of any."""
    return tuple(
        item
        for item in transcript.client()
        if item.rpc_method is not None and "id" in item.request and method in (None, item.rpc_method)
    )


def client_session(exchange: Exchange) -> ClientSession:
    """Return the session in which a client sent something."""
    return exchange.tap, exchange.headers.get(SESSION_HEADER)


def lagged(transcript: Transcript, exchange: Exchange) -> bool:
    """Whether a busy machine could be why `exchange` has no response head."""
    return transcript.lag(exchange.t, transcript.end) > (transcript.end - exchange.t) * timing.LAG_SHARE


def said(exchange: Exchange) -> str:
    """Return in words how an exchange was answered."""
    if exchange.status is None:
        return f"not at all ({exchange.how})"
    what = exchange.content_type or "no media type"
    answer = exchange.answer()
    if answer is not None and answer.error is not None:
        return f"{exchange.status} {what}, error {answer.error.get('code')} {str(answer.error.get('message'))[:80]!r}"
    return f"{exchange.status} {what}"


# calls and the backend sessions that they reach ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Call:
    """A client's tools/call and the backend session that its link leads to."""

    link: Link
    session: ClientSession
    backend: BackendKey


def calls(transcript: Transcript) -> tuple[Call, ...]:
    """Return the calls that can be linked to a backend session; those to a backend without sessions are left out."""
    return tuple(
        Call(link, client_session(link.client), (link.backend.tap, link.backend.session))
        for link in links(transcript)
        if link.client.rpc_method == "tools/call" and link.backend.session is not None
    )


def by_session(transcript: Transcript) -> Mapping[ClientSession, tuple[Call, ...]]:
    """Return the linked calls of each client session, in order."""
    groups: dict[ClientSession, list[Call]] = defaultdict(list)
    for call in calls(transcript):
        groups[call.session].append(call)
    return {session: tuple(found) for session, found in groups.items()}


def sessionless_backend(transcript: Transcript) -> bool:
    """Whether the backend is known to issue no sessions: it speaks HTTP and answered initialize without an id."""
    opened = backend_initializes(transcript)
    return bool(opened) and not any(SESSION_HEADER in item.response_headers for item in opened)


def backend_initializes(transcript: Transcript) -> tuple[Exchange, ...]:
    """Return the gateway's initializes over HTTP that its backends answered with a result."""
    return tuple(
        item
        for item in transcript.backend
        if item.rpc_method == "initialize" and (answer := item.answer()) is not None and answer.result is not None
    )


def backend_knows(transcript: Transcript, exchange: Exchange) -> bool:
    """Whether a request to a backend carries the id of a session that it issued and was not told to end before."""
    session = exchange.headers.get(SESSION_HEADER)
    same = [item for item in transcript.backend if item.tap == exchange.tap and item.seq < exchange.seq]
    issued = any(item.response_headers.get(SESSION_HEADER) == session for item in same)
    ended = any(
        item.method == "DELETE" and accepted(item) and item.headers.get(SESSION_HEADER) == session for item in same
    )
    return session is not None and issued and not ended


def forgotten(transcript: Transcript) -> tuple[Exchange, ...]:
    """Return the requests that a backend answered 404 though it had issued their session id and was not told to end it.

    What a gateway sends after its own DELETE of the session is left out: there 404 is its own doing.
    """
    issued = {(item.tap, item.response_headers.get(SESSION_HEADER)) for item in backend_initializes(transcript)}
    ended: set[tuple[str, str]] = set()
    found = []
    for item in transcript.backend:
        key = (item.tap, item.headers.get(SESSION_HEADER, ""))
        if item.method == "DELETE":
            ended.add(key)
        elif item.status == 404 and key in issued and key not in ended:
            found.append(item)
    return tuple(found)


def lost_sessions(transcript: Transcript) -> frozenset[BackendKey]:
    """Return the backend sessions that ended without the gateway's doing, so that it may put others in their place.

    The backend answered 404, or 400 to a POST and served nothing there any more, as reference servers do; or its child
    ended by itself.
    """
    gone = {(item.tap, item.headers[SESSION_HEADER]) for item in forgotten(transcript)}
    for item in transcript.backend:
        if item.method == "POST" and item.status == 400 and backend_knows(transcript, item):
            session = item.tap, item.headers[SESSION_HEADER]
            later = (i for i in transcript.backend if i.method == "POST" and (i.tap, i.session) == session)
            if not any(i.seq > item.seq and accepted(i) for i in later):
                gone.add(session)
    ended = {e.data["process"]: e.t for e in reversed(transcript.of(Kind.STDIO_EOF)) if e.data.get("dir") == "up"}
    ended |= {e.data["process"]: e.t for e in transcript.of(Kind.STDIO_SIGNAL)}
    crashed = (p for p in transcript.processes if p.t_exit is not None and p.t_exit < ended.get(p.process, inf))
    return frozenset(gone | {(process.tap, process.process) for process in crashed})


def ended_at(transcript: Transcript, backend: BackendKey) -> float | None:
    """Return when the gateway ended a backend session by DELETE or its child exited, in seconds; else None."""
    for process in transcript.processes:
        if (process.tap, process.process) == backend:
            return process.t_exit
    for item in transcript.backend:
        if item.method == "DELETE" and (item.tap, item.headers.get(SESSION_HEADER)) == backend:
            return item.t
    return None


# nonces in answers ---------------------------------------------------------------------------------------------------


def answered_nonces(message: Message) -> Iterator[str]:
    """Yield the nonces that the result of a call carries, in its structured content and in its text."""
    result = message.result or {}
    contents = result.get("content")
    texts = [item.get("text") for item in contents if isinstance(item, Mapping)] if isinstance(contents, list) else []
    for value in (result.get("structuredContent"), *map(_parsed, texts)):
        if isinstance(value, Mapping) and isinstance(value.get("nonce"), str):
            yield value["nonce"]


def _parsed(text: JSON) -> JSON:
    try:
        return json.loads(text) if isinstance(text, str) else None
    except ValueError:
        return None  # a tool's text is whatever the tool says


def overlapping(transcript: Transcript) -> tuple[tuple[Exchange, Exchange], ...]:
    """Return pairs of calls of two clients that had the same JSON-RPC id and were in flight at the same time."""
    asked = [item for item in posted(transcript, "tools/call") if nonce_of(item) is not None]
    return tuple(
        (one, other)
        for number, one in enumerate(asked)
        for other in asked[number + 1 :]
        if one.tap != other.tap and _same(one.request["id"], other.request["id"]) and _in_flight(transcript, one, other)
    )


def _same(one: JSON, other: JSON) -> bool:
    return type(one) is type(other) and bool(one == other)


def _in_flight(transcript: Transcript, one: Exchange, other: Exchange) -> bool:
    ends = [transcript.end_of(item) for item in (one, other)]
    return max(one.t, other.t) < min(ends)


def charge_outside_sessions(inputs: Inputs, item: Exchange, right: Callable[[Exchange], bool]) -> Hop:
    """Charge the backend when the linked request had no live session there either, and was not answered `right`.

    A gateway that serves a client without a session in a live session of the backend has itself to blame.
    """
    return charge(inputs, item, lambda other: not backend_knows(inputs.through, other) and not right(other))
