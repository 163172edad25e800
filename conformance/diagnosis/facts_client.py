"""Facts read on the client's side of the gateway: the failing exchange, its session, other clients."""

from __future__ import annotations

from urllib.parse import urljoin, urlsplit

from conformance.diagnosis import facts_http_sse as http_sse
from conformance.diagnosis.failure import Failure, has_result, listed
from conformance.evidence.events import Kind
from conformance.evidence.links import nonce_of
from conformance.evidence.redact import facts
from conformance.evidence.transcript import Exchange
from conformance.rules import clients_connecting as connecting
from conformance.rules.transparency_calls_evidence import of_clients
from conformance.spec.revisions import Revision

_ERROR = 400
_NOT_FOUND = 404
_RESTARTS = frozenset({"gateway.stop", "gateway.kill", "gateway.start", "backend.stop", "backend.restart"})
_VERSIONS = frozenset(str(item) for item in Revision)


# the failing exchange -------------------------------------------------------------------------------------------------


def initialize_was_answered(failure: Failure) -> bool | None:
    """Initialize had been answered, on that session, before the failing message."""
    if failure.subject is not None:
        return failure.opened is not None
    if failure.behind is None or not failure.decisive:
        return None
    session, first = failure.behind, failure.decisive[0].seq
    answers = (session.response_to(asked) for asked in session.up("initialize"))
    return any(answer is not None and answer.seq < first for answer in answers)


def initialized_was_accepted(failure: Failure) -> bool | None:
    """The client's notifications/initialized had been accepted before the failing request."""
    subject = failure.subject
    if subject is None:
        return None
    told = (i for i in failure.through.client() if i.tap == subject.tap and i.t < subject.t)
    return any(
        i.rpc_method == "notifications/initialized" and _accepted(i) and failure.through.end_of(i) <= subject.t
        for i in told
    )


def client_can_be_asked(failure: Failure) -> bool | None:
    """A client had declared that it takes requests of the server."""
    return bool(of_clients(failure.through)) if any(failure.through.client()) else None


def subject_is_initialize(failure: Failure) -> bool | None:
    """What failed is an initialize."""
    return None if failure.subject is None else failure.subject.rpc_method == "initialize"


def subject_is_get(failure: Failure) -> bool | None:
    """What failed is a GET."""
    return None if failure.subject is None else failure.subject.method == "GET"


def subject_has_session(failure: Failure) -> bool | None:
    """The failing request carried a session id."""
    return None if failure.subject is None else "mcp-session-id" in failure.subject.headers


def subject_got_status(failure: Failure) -> bool | None:
    """Response headers came."""
    return None if failure.subject is None else failure.subject.status is not None


def subject_refused(failure: Failure) -> bool | None:
    """The failing request was answered with an HTTP error status."""
    return None if failure.subject is None else (failure.subject.status or 0) >= _ERROR


def subject_is_404(failure: Failure) -> bool | None:
    """The failing request was answered 404."""
    return None if failure.subject is None or failure.subject.status is None else failure.subject.status == _NOT_FOUND


def subject_answered(failure: Failure) -> bool | None:
    """The failing request was answered with a result."""
    return None if failure.subject is None or failure.subject.rpc_method is None else has_result(failure.subject)


def subject_is_stream(failure: Failure) -> bool | None:
    """The failing response is an event stream."""
    return None if failure.subject is None or failure.subject.status is None else failure.subject.is_stream


def stream_ended_empty(failure: Failure) -> bool | None:
    """The failing response is an event stream that ended without an event."""
    return None if failure.subject is None else is_empty_stream(failure.subject)


def stream_carried_bytes(failure: Failure) -> bool | None:
    """Comments or events came down the failing response."""
    return None if failure.subject is None else bool(failure.subject.beats)


def response_stayed_open(failure: Failure) -> bool | None:
    """The server never ended the failing response."""
    return None if failure.subject is None else failure.subject.how in ("open", "abandoned")


def subject_redirects_to_other_spelling(failure: Failure) -> bool | None:
    """The failing request was redirected to its own path with a slash more or less at the end."""
    location = failure.subject.response_headers.get("location", "") if failure.subject is not None else ""
    if failure.subject is None or facts(location) is not None:
        return None
    path = failure.subject.target
    target = urlsplit(urljoin(path, location)).path
    return target != path and target.rstrip("/") == path.rstrip("/")


def transports_differ(failure: Failure) -> bool | None:
    """A client speaks one transport of MCP, and the endpoint another."""
    if failure.subject is None:
        return None
    wanted = frozenset(failure.verdict.events)
    taps = {item.tap for item in failure.fronts if wanted & frozenset(item.events)}
    made = ([item for item in failure.fronts if item.tap == tap and not item.is_metadata] for tap in taps)
    return any(connecting.transports_differ(failure.through, asked) for asked in made)


def key_is_taken_otherwise(failure: Failure) -> bool | None:
    """The key of a failing request is taken in another spelling."""
    wanted = frozenset(failure.verdict.events)
    refused = [i for i in failure.fronts if (i.status or 0) >= _ERROR and wanted & frozenset(i.events)]
    return any(connecting.served_otherwise(failure.through, item) is not None for item in refused) if refused else None


def connection_was_made(failure: Failure) -> bool | None:
    """The gateway accepted the client's connection."""
    if failure.subject is None:
        return None
    tap, conn = failure.subject.tap, failure.subject.conn
    for event in failure.through.of(Kind.CONN_CONNECTED, Kind.CONN_FAILED):
        if (event.data["tap"], event.data["conn"]) == (tap, conn):
            return event.kind is Kind.CONN_CONNECTED
    return True if failure.subject.status is not None else None


def accept_was_enough(failure: Failure) -> bool | None:
    """The failing request's Accept named every type that the specification asks for."""
    if failure.subject is None:
        return None
    accept = failure.subject.headers.get("accept", "")
    needed = ("text/event-stream",) if failure.subject.method == "GET" else ("text/event-stream", "application/json")
    return all(name in accept for name in needed)


def version_header_was_wrong(failure: Failure) -> bool | None:
    """The failing request named a protocol version that does not exist."""
    if failure.subject is None:
        return None
    named = failure.subject.headers.get("mcp-protocol-version")
    return named is not None and named not in _VERSIONS


# its session ----------------------------------------------------------------------------------------------------------


def session_was_valid(failure: Failure) -> bool | None:
    """The failing request carried a session id that the gateway had issued and nobody had ended."""
    subject = failure.subject
    if subject is None or "mcp-session-id" not in subject.headers:
        return None
    wanted = subject.headers["mcp-session-id"]
    earlier = [item for item in failure.fronts if item.t < subject.t]
    issued = any(item.response_headers.get("mcp-session-id") == wanted for item in earlier)
    over = any(i.method == "DELETE" and i.headers.get("mcp-session-id") == wanted and _accepted(i) for i in earlier)
    return issued and not over and not something_was_restarted(failure)


def session_was_served(failure: Failure) -> bool | None:
    """A request in the failing request's session had been answered before."""
    subject = failure.subject
    if subject is None or "mcp-session-id" not in subject.headers:
        return None
    return any(has_result(i) for i in failure.through.client() if i.session == subject.session and i.t < subject.t)


def working_session_failed(failure: Failure) -> bool | None:
    """What failed is a request in a session that had been opened and worked, not the opening of a new one."""
    subject = failure.subject
    if subject is None:
        return None
    return failure.opened is not None and subject.rpc_method != "initialize" and not has_result(subject)


def session_served_after(failure: Failure) -> bool | None:
    """A later request in the failing request's session was answered with a result."""
    later = [item for item in _later(failure) if item.rpc_method and not item.rpc_method.startswith("notifications/")]
    return any(has_result(item) for item in later) if later else None


def list_had_tools_before(failure: Failure) -> bool | None:
    """A client's earlier tools/list named tools."""
    if failure.subject is None:
        return None
    return any(bool(listed(item)) for item in failure.fronts if item.t < failure.subject.t)


def client_streams_carry_bytes(failure: Failure) -> bool | None:
    """Comments or events came down a stream of that client."""
    if failure.subject is None:
        return None
    streams = [i for i in failure.through.client() if i.tap == failure.subject.tap and i.is_stream]
    return any(item.beats for item in streams) if streams else None


def connection_served_before(failure: Failure) -> bool | None:
    """An earlier request on the same TCP connection was served."""
    subject = failure.subject
    if subject is None:
        return None
    same = [i for i in failure.through.client() if (i.tap, i.conn) == (subject.tap, subject.conn) and i.t < subject.t]
    return any(_accepted(item) for item in same)


def fresh_connection_served(failure: Failure) -> bool | None:
    """A later request on another TCP connection was served."""
    subject = failure.subject
    if subject is None:
        return None
    later = [i for i in failure.fronts if i.t > subject.t and (i.tap, i.conn) != (subject.tap, subject.conn)]
    posts = [item for item in later if item.rpc_method]
    return any(_accepted(item) for item in posts) if posts else None


def post_is_served(failure: Failure) -> bool | None:
    """POST on the same path was served to the same client."""
    if failure.subject is None:
        return None
    posts = [i for i in failure.through.client() if i.tap == failure.subject.tap and i.method == "POST"]
    return any(_accepted(item) for item in posts) if posts else None


def session_id_sent_or_not_needed(failure: Failure) -> bool | None:
    """The failing request carried a session id, or the same client's POST without one was served."""
    if failure.subject is None:
        return None
    posts = (i for i in failure.through.client() if i.tap == failure.subject.tap and i.method == "POST")
    without = (i for i in posts if i.rpc_method != "initialize" and "mcp-session-id" not in i.headers)
    return "mcp-session-id" in failure.subject.headers or any(_accepted(item) for item in without)


def only_the_connection_was_lost(failure: Failure) -> bool | None:
    """No response came, and a retry on another connection was served in the same session."""
    if failure.subject is None or failure.subject.status is not None:
        return None if failure.subject is None else False
    return session_served_after(failure)


# around it ------------------------------------------------------------------------------------------------------------


def bystanders_are_served(failure: Failure) -> bool | None:
    """Other clients' requests after the failure were answered with results."""
    return all(has_result(item) for item in failure.others) if failure.others else None


def initialize_is_still_answered(failure: Failure) -> bool | None:
    """A later initialize was answered with a result."""
    later = failure.later_initializes
    return any(has_result(item) for item in later) if later else None


def new_sessions_work(failure: Failure) -> bool | None:
    """A session opened later was served."""
    later = failure.later_initializes
    if not later:
        return None
    served = [i for o in later for i in failure.fronts if i.tap == o.tap and i.t > o.t and i.rpc_method != "initialize"]
    return any(_served(item) for item in served)


def _served(exchange: Exchange) -> bool:
    """Whether a request was answered with a result that is not itself an error, as of a tool that failed."""
    answer = exchange.answer()
    return answer is not None and answer.result is not None and not answer.result.get("isError")


def something_was_restarted(failure: Failure) -> bool | None:
    """A hop was stopped or restarted on purpose before the failure."""
    until = failure.subject.t if failure.subject else failure.through.end
    return any(event.data.get("name") in _RESTARTS and event.t <= until for event in failure.through.of(Kind.STIMULUS))


def nonces_are_right(failure: Failure) -> bool | None:
    """Every answered call carries its own nonce."""
    if (astray := http_sse.another_stream_answered(failure)) is not None:
        return not astray
    calls = [item for item in failure.through.client() if item.rpc_method == "tools/call" and has_result(item)]
    pairs = [(nonce_of(item), item) for item in calls]
    known = [(nonce, item) for nonce, item in pairs if nonce is not None]
    return all(nonce in str(item.answer()) for nonce, item in known) if known else None


def gateway_saw_the_trigger(failure: Failure) -> bool | None:
    """The gateway under test saw a request."""
    return bool(failure.through.client())


def is_empty_stream(exchange: Exchange) -> bool:
    """Return whether a response is an event stream that ended without an event."""
    silent = not any(beat.what == "event" for beat in exchange.beats)
    return exchange.is_stream and exchange.how in ("complete", "fin") and silent


def _accepted(exchange: Exchange) -> bool:
    return exchange.status is not None and exchange.status < 300


def _later(failure: Failure) -> list[Exchange]:
    subject = failure.subject
    if subject is None:
        return []
    same = (item for item in failure.through.client() if item.tap == subject.tap and item.t > subject.t)
    return [item for item in same if item.session == subject.session]
