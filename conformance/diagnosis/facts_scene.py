"""Facts about the whole cell, the scene of a failure: what was sent, seen and done in it at all."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Final

from conformance import timing
from conformance.diagnosis import facts_behind as behind
from conformance.diagnosis import facts_client as client
from conformance.diagnosis import facts_edge as edge
from conformance.diagnosis.failure import Fact, Failure, answered_at, has_result, listed
from conformance.evidence.events import Kind
from conformance.evidence.transcript import Beat, Exchange
from conformance.spec.revisions import Revision, is_legacy

_ERROR = 400
_NOT_FOUND = 404
_REDIRECTION = 3
_TOGETHER: Final = 0.1
"""Seconds: beats closer than this that were apart by more than timing.PAUSE_NOTICED behind the hop came bunched."""


# requests and refusals ------------------------------------------------------------------------------------------------


def initialize_was_refused(failure: Failure) -> bool | None:
    """An initialize was refused."""
    asked = [i for i in (*failure.fronts, *failure.through.backend) if i.rpc_method == "initialize"]
    return any(_refused(item) for item in asked)


def incomplete_initialize_sent(failure: Failure) -> bool | None:
    """The gateway's initialize to a backend lacked a member that the specification requires."""
    if not failure.through.sees_backend:
        return None
    asked = [m.params for m in failure.through.backend_messages if m.direction == "up" and m.method == "initialize"]
    return any(not {"protocolVersion", "capabilities", "clientInfo"} <= params.keys() for params in asked)


def refused_without_session(failure: Failure) -> bool | None:
    """A request without a session id was refused after initialize."""
    posts = (i for i in failure.through.client() if i.rpc_method != "initialize" and "mcp-session-id" not in i.headers)
    return any(_refused(item) and _opened(failure, item) for item in posts)


def unknown_session_sent(failure: Failure) -> bool | None:
    """A request named a session id that the gateway had not issued."""
    if not failure.fronts:
        return None
    issued = {i.response_headers.get("mcp-session-id") for i in failure.fronts if i.rpc_method == "initialize"}
    return any(i.headers.get("mcp-session-id", None) not in {None, *issued} for i in failure.fronts)


def sessions_never_issued(failure: Failure) -> bool | None:
    """Initialize never issued a session id."""
    opened = [item for item in failure.fronts if item.rpc_method == "initialize" and has_result(item)]
    return not any("mcp-session-id" in item.response_headers for item in opened) if opened else None


def refusal_minted_session(failure: Failure) -> bool | None:
    """A refusal carried a new session id."""
    both = (*failure.fronts, *failure.through.backend)
    return any(
        _refused(i) and "mcp-session-id" in i.response_headers and "mcp-session-id" not in i.headers for i in both
    )


def wrong_version_sent(failure: Failure) -> bool | None:
    """A request named a protocol version that does not exist."""
    named = {item.headers.get("mcp-protocol-version") for item in failure.fronts}
    return bool(named - {None, *(str(item) for item in Revision)})


def cancelled(failure: Failure) -> bool | None:
    """A client sent notifications/cancelled."""
    return any(item.rpc_method == "notifications/cancelled" for item in failure.fronts)


def credentials_used(failure: Failure) -> bool | None:
    """A request carried a credential."""
    return any("authorization" in item.headers or "x-api-key" in item.headers for item in failure.fronts)


def resumed(failure: Failure) -> bool | None:
    """A stream was resumed with Last-Event-ID."""
    return any("last-event-id" in item.headers for item in (*failure.fronts, *failure.through.backend))


def browser_came(failure: Failure) -> bool | None:
    """A request carried an Origin, as a browser's does."""
    return any("origin" in item.headers for item in failure.fronts)


def status(*wanted: int) -> Fact:
    """Return the fact that some request was answered with one of these statuses."""

    def seen(failure: Failure) -> bool | None:
        return any(item.status in wanted for item in (*failure.fronts, *failure.through.backend))

    seen.__doc__ = f"A request was answered {' or '.join(map(str, wanted))}."
    return seen


def another_handler_answered(failure: Failure) -> bool | None:
    """The gateway answered with a web page or a redirect, or initialize with 404."""
    return any(
        i.content_type == "text/html" or _redirected(i) or (i.status == _NOT_FOUND and i.rpc_method == "initialize")
        for i in failure.fronts
    )


def redirected(failure: Failure) -> bool | None:
    """The gateway answered with a redirect."""
    return any(_redirected(item) for item in failure.fronts)


def _redirected(exchange: Exchange) -> bool:
    return "location" in exchange.response_headers and (exchange.status or 0) // 100 == _REDIRECTION


def error_answered(failure: Failure) -> bool | None:
    """A client was answered with an error."""
    messages = [message for item in failure.fronts for message in item.messages()]
    return any(m.error is not None or (m.result is not None and m.result.get("isError")) for m in messages)


def error_under_http_error(failure: Failure) -> bool | None:
    """A JSON-RPC error came with an HTTP error status."""
    return any((i.status or 0) >= _ERROR and any(m.error is not None for m in i.messages()) for i in failure.fronts)


def connect_failed(failure: Failure) -> bool | None:
    """A TCP connection could not be made."""
    return bool(failure.through.of(Kind.CONN_FAILED))


# overlaps -------------------------------------------------------------------------------------------------------------


def connects_overlapped(failure: Failure) -> bool | None:
    """Two initializes towards one peer were in flight at once."""
    behind_taps = {item.tap for item in failure.through.backend}
    sides = [failure.fronts, *(tuple(i for i in failure.through.backend if i.tap == tap) for tap in behind_taps)]
    return any(_overlap([i for i in side if i.rpc_method == "initialize"], failure) for side in sides)


def posts_overlapped(failure: Failure) -> bool | None:
    """Another request was in flight while the failing one was."""
    subject = failure.subject
    if subject is None:
        return None
    posts = [i for i in failure.through.client() if i.rpc_method and i.id != subject.id]
    return any(_in_flight(subject, other, failure) for other in posts)


def reused_connection_lost(failure: Failure) -> bool | None:
    """A request on a TCP connection that had served one before got no response."""
    served: set[tuple[str, int]] = set()
    for item in (*failure.fronts, *failure.through.backend):
        place = (item.tap, item.conn)
        if item.status is None and item.how in ("fin", "rst") and place in served:
            return True
        served.add(place)
    return False


# streams --------------------------------------------------------------------------------------------------------------


def second_get(failure: Failure) -> bool | None:
    """A session had a second GET."""
    gets = [(item.tap, item.session) for item in failure.through.client() if item.method == "GET"]
    return len(gets) != len(set(gets))


def get_refused(failure: Failure) -> bool | None:
    """A GET was answered with something else than an event stream or 405."""
    gets = [i for i in (*failure.fronts, *failure.through.backend) if i.method == "GET" and i.status is not None]
    return any(not item.is_stream and item.status != 405 for item in gets)


def silent_get(failure: Failure) -> bool | None:
    """A GET that was held open carried no byte."""
    if failure.subject is not None and failure.subject.method != "GET":
        return False
    gets = [i for i in failure.through.client() if i.method == "GET" and (i.is_stream or i.status is None)]
    silent = [failure.through.end_of(item) - item.t for item in gets if not item.beats]
    if any(seconds > timing.HEADERS_PROMPT for seconds in silent):
        return True
    return None if silent else False


def empty_stream(failure: Failure) -> bool | None:
    """An event stream ended without an event."""
    return any(client.is_empty_stream(item) for item in failure.fronts)


def stream_was_cut(failure: Failure) -> bool | None:
    """An open GET stream was ended by a hop, not by the client."""
    return any(i.method == "GET" and i.is_stream and i.how in ("complete", "fin", "rst") for i in failure.fronts)


def stream_encoded_or_cut(failure: Failure) -> bool | None:
    """An event stream was compressed or broken off."""
    streams = [item for item in (*failure.fronts, *failure.through.backend) if item.is_stream]
    return any("content-encoding" in item.response_headers or item.how in ("rst", "fin") for item in streams)


def foreign_event(failure: Failure) -> bool | None:
    """An event that is no JSON-RPC message came down a stream; HTTP+SSE's endpoint event is at home there."""
    beats = (b for item in failure.fronts for b in item.beats if b.what == "event" and b.event != "endpoint")
    return any(beat.message is None and (beat.text or beat.id is None) for beat in beats)


def came_late(failure: Failure) -> bool | None:
    """Headers or events came late, or all at once, that the hop behind had sent spaced in time."""
    subject = failure.subject
    if (at_edge := edge.came_late(failure)) is not None:
        return at_edge
    if subject is None or not failure.through.sees_backend:
        return None
    hop = [i for i in failure.through.backend if i.method == subject.method and i.is_stream and i.t >= subject.t]
    if not hop:
        return False if failure.through.backend else None
    return any(_headers_late(subject, item, failure) or _bunched(subject.beats, item.beats) for item in hop)


def _headers_late(subject: Exchange, source: Exchange, failure: Failure) -> bool:
    came = subject.t_response if subject.t_response is not None else failure.through.end_of(subject)
    return source.t_response is not None and came - source.t_response > timing.PAUSE_NOTICED


def _bunched(came: tuple[Beat, ...], sent: tuple[Beat, ...]) -> bool:
    spaced = any(later.t - earlier.t > timing.PAUSE_NOTICED for earlier, later in pairwise(sent))
    return spaced and len(came) > 1 and came[-1].t - came[0].t < _TOGETHER


def server_ping_unanswered(failure: Failure) -> bool | None:
    """A ping of the server was left unanswered."""
    messages = (*failure.through.client_messages(), *failure.through.backend_messages)
    pings = {(m.tap, m.id) for m in messages if m.direction == "down" and m.method == "ping"}
    pongs = {(m.tap, m.id) for m in messages if m.direction == "up" and m.is_response}
    return bool(pings - pongs)


def server_spoke(failure: Failure) -> bool | None:
    """The backend sent messages of its own."""
    if not failure.through.sees_backend:
        return None
    return any(m.direction == "down" and m.method is not None for m in failure.through.backend_messages)


# lists and backends ---------------------------------------------------------------------------------------------------


def list_was_empty(failure: Failure) -> bool | None:
    """A tools/list was answered with an empty list."""
    return any(listed(item) == [] for item in failure.fronts)


def list_changed(failure: Failure) -> bool | None:
    """The backend's list of tools changed."""
    if failure.through.stimuli("tool.add"):
        return True
    if not failure.through.sees_backend:
        return None
    return any(str(m.method).endswith("/list_changed") for m in failure.through.backend_messages)


def several_backends(failure: Failure) -> bool | None:
    """The gateway had several backends."""
    if failure.through.header.get("second_backend"):
        return True
    if not failure.through.sees_backend:
        return None
    return len({session.tap for session in failure.through.backend_sessions}) > 1


def paginated(failure: Failure) -> bool | None:
    """The backend gave its list in pages."""
    if not failure.through.sees_backend:
        return None
    return any(m.result is not None and "nextCursor" in m.result for m in failure.through.backend_messages)


def backend_came_late(failure: Failure) -> bool | None:
    """The backend was started after the gateway, or by it."""
    return bool(behind.spun_up(failure) or failure.through.stimuli("backend.start"))


def backend_silent(failure: Failure) -> bool | None:
    """No HTTP and no message went between the gateway and its backend."""
    return not failure.through.backend_messages if failure.through.sees_backend else None


def modern_peer(failure: Failure) -> bool | None:
    """One of the peers speaks a stateless revision."""
    named = (str(failure.through.header.get(name)) for name in ("revision", "backend_revision"))
    if any(item in list(Revision) and not is_legacy(Revision(item)) for item in named):
        return True
    sent = (*failure.through.client_messages(), *failure.through.backend_messages)
    metas = (m.params.get("_meta") for m in sent if m.direction == "up")
    return any(isinstance(meta, dict) and any("protocolVersion" in key for key in meta) for meta in metas)


def version_missing(failure: Failure) -> bool | None:
    """A request of the gateway after initialize lacked MCP-Protocol-Version."""
    if not failure.through.sees_backend:
        return None
    after = [i for i in failure.through.backend if i.rpc_method not in (None, "initialize")]
    return any("mcp-protocol-version" not in item.headers for item in after)


def several_replicas(failure: Failure) -> bool | None:
    """Several replicas of the gateway stood behind one address."""
    if (stood := failure.through.edge) is not None:
        return bool(stood["replicas"] > 1)
    return None if failure.through.header.get("redaction") == "foreign" else False


def call_doubled(failure: Failure) -> bool | None:
    """One call of a client reached the backend more than once."""
    if not failure.through.sees_backend:
        return None
    seen = [m.nonce for m in failure.through.backend_messages if m.direction == "up" and m.nonce is not None]
    return len(seen) != len(set(seen))


def answers_swapped(failure: Failure) -> bool | None:
    """A call was answered with another call's nonce."""
    right = client.nonces_are_right(failure)
    return None if right is None else not right


def calls_met_several_processes(failure: Failure) -> bool | None:
    """Calls of clients were made in several processes of a backend."""
    if not failure.through.sees_backend:
        return None
    return sum(any(m.method == "tools/call" for m in item.messages) for item in failure.through.processes) > 1


def stdout_contaminated(failure: Failure) -> bool | None:
    """A backend wrote lines to standard output that are no JSON-RPC messages."""
    if not failure.through.sees_backend:
        return None
    return any(process.stray_lines for process in failure.through.processes)


def nothing_was_started(failure: Failure) -> bool | None:
    """The gateway was to start a container, and the engine started none."""
    if not behind.spun_up(failure):
        return False
    return not behind.container_was_started(failure)


def another_asked_the_engine(failure: Failure) -> bool | None:
    """A container was created that the gateway under test had not asked for."""
    if not behind.spun_up(failure):
        return False
    asked = any("/create" in item.target for item in failure.through.engine)
    return bool(behind.container_was_created(failure)) and not asked


# small helpers --------------------------------------------------------------------------------------------------------


def _opened(failure: Failure, item: Exchange) -> bool:
    """Return whether the client of `item` had initialize answered before it."""
    same: Iterator[Exchange] = (i for i in failure.fronts if i.tap == item.tap and i.rpc_method == "initialize")
    return any(answered_at(i) <= item.t for i in same)


def _refused(item: Exchange) -> bool:
    answer = item.answer()
    return (item.status or 0) >= _ERROR or (answer is not None and answer.error is not None)


def _in_flight(one: Exchange, other: Exchange, failure: Failure) -> bool:
    return other.t < failure.through.end_of(one) and one.t < failure.through.end_of(other)


def _overlap(items: list[Exchange], failure: Failure) -> bool:
    return any(_in_flight(one, other, failure) for one, other in pairwise(items))
