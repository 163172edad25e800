"""Family initialize_ordering, how a gateway connects to its backends: with whose session id, and how many at a time."""

from __future__ import annotations

from collections.abc import Iterator
from math import inf
from typing import Final

from conformance.evidence.transcript import Exchange, Transcript
from conformance.rules.base import Inputs, Level, Precondition, Side, fail, rule
from conformance.rules.initialize_ordering_evidence import BACKEND_HANDSHAKE, SUITE, posted, said, settled_at
from conformance.rules.verdicts import NotApplicable, Pass, Verdict

SESSION_HEADER: Final = "mcp-session-id"
BAD_REQUEST: Final = 400
NOT_OFFERED: Final = (404, 405)
"""Answers to GET that say that there is no stream to be had."""


def _in_sessions(transcript: Transcript) -> tuple[Exchange, ...]:
    """Return what the gateway sent its HTTP backends in a session, in order: with an id, or a GET, which needs one."""
    return tuple(
        item
        for item in transcript.backend
        if not item.is_metadata
        and item.rpc_method != "initialize"
        and (SESSION_HEADER in item.headers or item.method == "GET")
    )


def _issued(transcript: Transcript, before: Exchange) -> frozenset[str]:
    """Return the session ids that the backend behind a tap had issued when it was sent an exchange."""
    return frozenset(
        item.response_headers[SESSION_HEADER]
        for item in transcript.backend
        if item.tap == before.tap and SESSION_HEADER in item.response_headers and (item.t_response or inf) < before.t
    )


def _clients_ids(transcript: Transcript, method: str | None = None) -> frozenset[str]:
    """Return the session ids that clients sent (method: with that alone) and had not from the gateway's own making.

    What the gateway issued belongs to its clients' side only, unless a backend's id is what it issued.
    """
    sent = {i.headers[SESSION_HEADER] for i in transcript.client() if method in (None, i.rpc_method) and _names(i)}
    given = {i.response_headers.get(SESSION_HEADER) for i in transcript.client()}
    of_backends = {i.response_headers.get(SESSION_HEADER) for i in transcript.backend}
    return frozenset(sent - (given - of_backends))


def _names(exchange: Exchange) -> bool:
    return SESSION_HEADER in exchange.headers


BACKEND_SESSION_NAMED = Precondition(
    "backend-session-named",
    "a request of the gateway that names a session of its backend, or a GET",
    lambda transcript: bool(_in_sessions(transcript)),
)


@rule(
    id="MGC128",
    title="The gateway's initialize carries no session id",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.CLIENT,
    requirements=("INIT-11",),
    when=BACKEND_HANDSHAKE,
    failure_classes=("reinitialize-rejected",),
)
def initialize_names_no_session(inputs: Inputs) -> Verdict:
    """Judge the headers of each initialize that the gateway sends.

    What it checks: it has no Mcp-Session-Id: the session is yet to be made, and its server names it.
    Why it matters: to a server the header says that the session exists; it answers `already initialized` or 404.
    A failing exchange: gateway → backend POST initialize, Mcp-Session-Id: s1; backend → gateway 400 -32600
    A conforming exchange: gateway → backend POST initialize, without the header
    Known gaps: one that a client sent on its own initialize is not the gateway's, unless the gateway had made it.
    """
    sent = [item for item in inputs.through.backend if item.rpc_method == "initialize"]
    if not sent:
        return NotApplicable("the gateway reaches its backend over stdio, where there are no headers")
    theirs = _clients_ids(inputs.through, "initialize")
    for item in sent:
        named = item.headers.get(SESSION_HEADER)
        if named is not None and named not in theirs:
            return fail(
                "an initialize without Mcp-Session-Id",
                f"initialize was sent with one and answered {said(item)}",
                item,
                symptom="reinitialize-rejected",
            )
    return Pass(f"{len(sent)} initialize(s) without a session id", sent[0].events)


@rule(
    id="MGC129",
    title="The gateway uses no session that its backend did not issue",
    suite=SUITE,
    level=Level.MUST,
    side=Side.CLIENT,
    requirements=("SESSION-04", "LIFE-01"),
    when=BACKEND_SESSION_NAMED,
    failure_classes=("request-before-initialize",),
)
def used_session_was_issued(inputs: Inputs) -> Verdict:
    """Judge the session ids that the gateway sends its backend, and GETs before there is one.

    What it checks: the backend had issued each id, with an answer at the same place, before it was used; no GET is
    refused that came before any initialize. An id that the gateway made for its client is not the backend's.
    Why it matters: an id that is set by hand makes client SDKs take themselves for connected and skip initialize.
    A failing exchange: gateway → backend POST tools/list, Mcp-Session-Id: my-session, as the first message
    A conforming exchange: backend → gateway 200, Mcp-Session-Id: s1; gateway → backend POST tools/list with s1
    Known gaps: an id that a client made up is not the gateway's; a GET that is served, or answered 405, is no harm, nor
    one at another path than that of initialize, or at a server of the old transport.
    """
    used, theirs = _in_sessions(inputs.through), _clients_ids(inputs.through)
    for item in used:
        session = item.headers.get(SESSION_HEADER)
        if session is None:
            early = _is_too_early(inputs.through, item)
            what = f"GET came before any initialize, and was answered {said(item)}"
        else:
            early = session not in theirs and session not in _issued(inputs.through, item)
            what = f"{item.rpc_method or item.method} named a session that it had not, and was answered {said(item)}"
        if early:
            return fail("a session that the backend issued", what, item, symptom="request-before-initialize")
    return Pass(f"{len(used)} request(s) in sessions that the backend issued", used[0].events)


def _is_too_early(transcript: Transcript, get: Exchange) -> bool:
    """Whether a GET without a session id was refused, no initialize came before it, and no client sent one like it."""
    greetings = [i for i in transcript.backend if i.rpc_method == "initialize" and i.tap == get.tap]
    greeted = any(i.t < get.t for i in greetings)
    elsewhere = bool(greetings) and get.path not in (greeting.path for greeting in greetings)
    passed_on = any(i.method == "GET" and SESSION_HEADER not in i.headers for i in transcript.client())
    refused = get.status is not None and get.status >= BAD_REQUEST and get.status not in NOT_OFFERED
    return refused and not (greeted or elsewhere or passed_on) and transcript.header.get("backend_face") != "sse"


@rule(
    id="MGC130",
    title="The gateway does not race itself to its backend",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.CLIENT,
    requirements=("INIT-12",),
    when=BACKEND_HANDSHAKE,
    failure_classes=("connect-refresh-collision",),
)
def connects_are_single(inputs: Inputs) -> Verdict:
    """Judge initializes towards one backend that are under way at once.

    What it checks: of more than clients ask for at that time, the backend refuses none.
    Why it matters: a refresh or a health check that connects while a first connect is under way spoils both where the
    backend takes one at a time, and the server counts as broken.
    A failing exchange: gateway → backend initialize, initialize; backend → gateway 200, 400 `already initialized`
    A conforming exchange: gateway → backend initialize; 200; then what else needs the session uses it
    Known gaps: where the backend serves both the race does no harm and is not seen.
    """
    sent = [item for item in inputs.through.backend if item.rpc_method == "initialize"]
    if not sent:
        return NotApplicable("the gateway reaches its backend over stdio, one process a connection")
    for item in sent:
        rivals = [other for other in sent if other.tap == item.tap and _at_once(item, other, inputs.through)]
        refused = [other for other in rivals if _was_refused(other)]
        wanted = sum(1 for _ in _asking(inputs.through, item))
        if refused and len(rivals) > max(1, wanted):
            return fail(
                "one connect to a backend at a time",
                f"{len(rivals)} initializes were under way at once; one was answered {said(refused[0])}",
                *rivals,
                symptom="connect-refresh-collision",
            )
    return Pass(f"{len(sent)} initialize(s), none spoiled by another that was under way", sent[0].events)


def _at_once(one: Exchange, other: Exchange, transcript: Transcript) -> bool:
    """Whether two exchanges (or one and itself) were under way at one time."""
    return other.t < settled_at(transcript, one) and one.t < settled_at(transcript, other)


def _was_refused(exchange: Exchange) -> bool:
    """Whether the backend answered, and not with a result."""
    answer = exchange.answer()
    return exchange.status is not None and (answer is None or answer.result is None)


def _asking(transcript: Transcript, backends: Exchange) -> Iterator[Exchange]:
    """Yield the clients' initializes that were under way when the gateway sent one to its backend."""
    for item in posted(transcript, "initialize"):
        if item.t <= backends.t <= settled_at(transcript, item):
            yield item
