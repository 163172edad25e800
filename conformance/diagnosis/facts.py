"""Facts about one failure, each read off the evidence: true, false, or None when nothing that could tell was observed.

Diagnosis compares failure classes by such facts only (`separations.py`). A fact is about the failing exchange (the
subject), its session, the other clients, the backend's side, or the container engine.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

from conformance.evidence.events import Event, Kind, Point
from conformance.evidence.links import links
from conformance.evidence.transcript import SENTINEL, Exchange, Message, Transcript
from conformance.rules.base import Inputs
from conformance.rules.verdicts import Fail

_RESTARTS = frozenset({"gateway.stop", "gateway.kill", "gateway.start", "backend.stop", "backend.start"})


@dataclass(frozen=True)
class Failure:
    """A failed verdict with the evidence it was reached on, and what several facts need of both."""

    verdict: Fail
    inputs: Inputs

    @property
    def through(self) -> Transcript:
        """The evidence of the drive through the gateway."""
        return self.inputs.through

    @cached_property
    def events(self) -> tuple[Event, ...]:
        """The decisive events."""
        wanted = frozenset(self.verdict.events)
        return tuple(event for event in self.through.events if event.seq in wanted)

    @cached_property
    def subject(self) -> Exchange | None:
        """The client's exchange that failed: the last one among the decisive events."""
        wanted = frozenset(self.verdict.events)
        return next((item for item in reversed(self.through.client()) if wanted & frozenset(item.events)), None)

    @cached_property
    def opened(self) -> Exchange | None:
        """The initialize that the subject's client had answered before it."""
        if self.subject is None:
            return None
        same = (item for item in self.through.client() if item.tap == self.subject.tap and item.t <= self.subject.t)
        return next((item for item in same if item.rpc_method == "initialize" and _has_result(item)), None)

    @cached_property
    def others(self) -> tuple[Exchange, ...]:
        """What other clients posted after the subject began, the sentinel included; initializes are not counted."""
        if self.subject is None:
            return ()
        subject = self.subject
        return tuple(
            item
            for item in self.through.exchanges
            if item.point is Point.CLIENT_TAP
            and item.tap != subject.tap
            and item.t >= subject.t
            and item.rpc_method not in (None, "initialize", "notifications/initialized")
        )

    @cached_property
    def later_initializes(self) -> tuple[Exchange, ...]:
        """Initializes of clients, the sentinel included, after the subject began."""
        if self.subject is None:
            return ()
        subject = self.subject
        return tuple(
            item
            for item in self.through.exchanges
            if item.point is Point.CLIENT_TAP and item.rpc_method == "initialize" and item.t > subject.t
        )


Fact: TypeAlias = Callable[[Failure], bool | None]


def _has_result(exchange: Exchange) -> bool:
    answer = exchange.answer()
    return answer is not None and answer.result is not None


def _last(exchange: Exchange, transcript: Transcript) -> float:
    return exchange.t_end if exchange.t_end is not None else transcript.end


# the subject ----------------------------------------------------------------------------------------------------------


def initialize_was_answered(failure: Failure) -> bool | None:
    """The subject's client had its initialize answered before."""
    return None if failure.subject is None else failure.opened is not None


def subject_is_initialize(failure: Failure) -> bool | None:
    """What failed is an initialize."""
    return None if failure.subject is None else failure.subject.rpc_method == "initialize"


def subject_is_get(failure: Failure) -> bool | None:
    """What failed is a GET stream."""
    return None if failure.subject is None else failure.subject.method == "GET"


def subject_has_session(failure: Failure) -> bool | None:
    """The failing request carried a session id."""
    return None if failure.subject is None else "mcp-session-id" in failure.subject.headers


def subject_got_status(failure: Failure) -> bool | None:
    """Response headers came."""
    return None if failure.subject is None else failure.subject.status is not None


def subject_refused(failure: Failure) -> bool | None:
    """The failing request was answered with an HTTP error status."""
    if failure.subject is None or failure.subject.status is None:
        return None
    return failure.subject.status >= 400


def subject_is_404(failure: Failure) -> bool | None:
    """The failing request was answered 404."""
    return None if failure.subject is None or failure.subject.status is None else failure.subject.status == 404


def stream_ended_empty(failure: Failure) -> bool | None:
    """The failing response was an event stream that ended without an event."""
    subject = failure.subject
    if subject is None or not subject.is_stream:
        return None if subject is None else False
    return subject.how in ("complete", "fin") and not any(beat.what == "event" for beat in subject.beats)


def stream_carried_bytes(failure: Failure) -> bool | None:
    """Comments or events came down the failing stream."""
    subject = failure.subject
    return None if subject is None or not subject.is_stream else bool(subject.beats)


def response_stayed_open(failure: Failure) -> bool | None:
    """The server did not end the failing response."""
    return None if failure.subject is None else failure.subject.how in ("open", "abandoned")


def connection_was_made(failure: Failure) -> bool | None:
    """The client's connection was accepted by the gateway."""
    if failure.subject is None:
        return None
    tap, conn = failure.subject.tap, failure.subject.conn
    for event in failure.through.of(Kind.CONN_CONNECTED, Kind.CONN_FAILED):
        if (event.data["tap"], event.data["conn"]) == (tap, conn):
            return event.kind is Kind.CONN_CONNECTED
    return True if failure.subject.status is not None else None


def session_ids_are_issued(failure: Failure) -> bool | None:
    """Initialize issued a session id to some client."""
    answered = [item for item in failure.through.exchanges if item.rpc_method == "initialize" and _has_result(item)]
    fronts = [item for item in answered if item.point is Point.CLIENT_TAP]
    return any("mcp-session-id" in item.response_headers for item in fronts) if fronts else None


def session_was_served(failure: Failure) -> bool | None:
    """A request in the subject's session was answered before the subject."""
    subject = failure.subject
    if subject is None or "mcp-session-id" not in subject.headers:
        return None
    same = (item for item in failure.through.client() if item.session == subject.session and item.t < subject.t)
    return any(_has_result(item) for item in same)


def session_served_after(failure: Failure) -> bool | None:
    """A later request in the subject's session was answered with a result."""
    subject = failure.subject
    if subject is None:
        return None
    later = [
        item
        for item in failure.through.client()
        if item.tap == subject.tap and item.session == subject.session and item.t > subject.t and item.rpc_method
    ]
    posts = [item for item in later if item.rpc_method and not item.rpc_method.startswith("notifications/")]
    return any(_has_result(item) for item in posts) if posts else None


# around it ------------------------------------------------------------------------------------------------------------


def bystanders_are_served(failure: Failure) -> bool | None:
    """Other clients' requests after the failure were answered with results."""
    return all(_has_result(item) for item in failure.others) if failure.others else None


def new_sessions_work(failure: Failure) -> bool | None:
    """A later initialize was answered with a result."""
    later = failure.later_initializes
    return any(_has_result(item) for item in later) if later else None


def something_was_restarted(failure: Failure) -> bool | None:
    """The scenario restarted or stopped something before the failure; stimuli are always recorded."""
    until = failure.subject.t if failure.subject else failure.through.end
    return any(event.data.get("name") in _RESTARTS and event.t <= until for event in failure.through.of(Kind.STIMULUS))


def something_exited(failure: Failure) -> bool | None:
    """The gateway or a stdio backend's process ended by itself before the failure was over."""
    if not failure.through.sees_backend:
        return None
    until = _last(failure.subject, failure.through) if failure.subject else failure.through.end
    return any(event.t <= until for event in failure.through.of(Kind.STDIO_EXIT, Kind.PROCESS_EXIT))


def second_get_came_before(failure: Failure) -> bool | None:
    """The subject's client had opened a second GET stream before."""
    if failure.subject is None:
        return None
    subject = failure.subject
    gets = [i for i in failure.through.client() if i.tap == subject.tap and i.method == "GET" and i.t <= subject.t]
    return len(gets) > 1


def server_ping_unanswered(failure: Failure) -> bool | None:
    """The server sent a ping that the client did not answer."""
    if failure.subject is None:
        return None
    messages = failure.through.client_messages()
    pings = {m.id for m in messages if m.direction == "down" and m.method == "ping"}
    pongs = {m.id for m in messages if m.direction == "up" and m.is_response}
    return bool(pings - pongs)


def requests_overlapped(failure: Failure) -> bool | None:
    """Other requests of clients were in flight while the subject was."""
    subject = failure.subject
    if subject is None:
        return None
    end = _last(subject, failure.through)
    return any(
        item.id != subject.id and item.method == "POST" and item.t < end and _last(item, failure.through) > subject.t
        for item in failure.through.client()
    )


def modern_metadata_was_sent(failure: Failure) -> bool | None:
    """Requests carried the per-request `_meta` of the modern revisions."""
    sent = [m for m in (*failure.through.client_messages(), *failure.through.backend_messages) if m.direction == "up"]
    return any("protocolVersion" in (m.params.get("_meta") or {}) for m in sent if _mapping_meta(m)) if sent else None


def _mapping_meta(message: Message) -> bool:
    return isinstance(message.params.get("_meta"), dict)


def accept_lists_both(failure: Failure) -> bool | None:
    """The failing request's Accept named what the specification asks for."""
    if failure.subject is None:
        return None
    accept = failure.subject.headers.get("accept", "")
    return "text/event-stream" in accept


def post_is_served(failure: Failure) -> bool | None:
    """POST on the same path was served to the same client."""
    if failure.subject is None:
        return None
    posts = [i for i in failure.through.client() if i.tap == failure.subject.tap and i.method == "POST"]
    return any(item.status is not None and item.status < 300 for item in posts) if posts else None


# the backend's side ---------------------------------------------------------------------------------------------------


def backend_was_asked(failure: Failure) -> bool | None:
    """The gateway did something towards its backend because of the subject."""
    if failure.subject is None or not failure.through.sees_backend:
        return None
    end = _last(failure.subject, failure.through)
    return any(failure.subject.t <= m.t <= end for m in failure.through.backend_messages if m.direction == "up")


def backend_answered(failure: Failure) -> bool | None:
    """What the gateway asked because of the subject was answered by the backend."""
    if failure.subject is None or not failure.through.sees_backend:
        return None
    found = [link for link in links(failure.through) if link.client.id == failure.subject.id]
    if not found:
        return None
    sessions = failure.through.backend_sessions
    return any(
        s.response_to(link.backend) is not None for link in found for s in sessions if link.backend in s.messages
    )


def backend_is_up(failure: Failure) -> bool | None:
    """The backend answered an initialize in this cell, or in the control run."""
    if not failure.through.sees_backend:
        return None
    for session in failure.through.backend_sessions:
        if any(session.response_to(request) is not None for request in session.up("initialize")):
            return True
    return control_is_served(failure)


def backend_listed_tools(failure: Failure) -> bool | None:
    """The backend answered some tools/list with tools."""
    if not failure.through.sees_backend:
        return None
    results = (m.result for m in failure.through.backend_messages if m.direction == "down" and m.result is not None)
    return any(result.get("tools") for result in results)


def backend_exchanged_http(failure: Failure) -> bool | None:
    """Bytes of HTTP or frames went between gateway and backend."""
    return bool(failure.through.backend_messages) if failure.through.sees_backend else None


def backend_sent_beats(failure: Failure) -> bool | None:
    """Comments or events came from the backend on streams that the gateway held open."""
    if not failure.through.sees_backend or not failure.through.backend:
        return None
    subject = failure.subject
    streams = [
        item
        for item in failure.through.backend
        if item.is_stream and (subject is None or item.method == subject.method)
    ]
    return any(item.beats for item in streams) if streams else None


def backend_has_many_sessions(failure: Failure) -> bool | None:
    """The gateway opened more backend sessions than there were client sessions."""
    if not failure.through.sees_backend:
        return None
    clients = {item.session for item in failure.through.client() if item.rpc_method == "tools/call"}
    used = {link.backend.session for link in links(failure.through) if link.backend.method == "tools/call"}
    return len(used) > max(1, len(clients)) if used else None


def backend_processes_grew(failure: Failure) -> bool | None:
    """More stdio backend processes were started than there were clients."""
    if not failure.through.sees_backend or not failure.through.processes:
        return None if not failure.through.sees_backend else False
    clients = {item.tap for item in failure.through.exchanges if item.point is Point.CLIENT_TAP}
    return len(failure.through.processes) > len(clients) + 1


def nonces_are_right(failure: Failure) -> bool | None:
    """Every answered call carries its own nonce."""
    calls = [item for item in failure.through.client() if item.rpc_method == "tools/call" and _has_result(item)]
    pairs = [(_nonce(item), item) for item in calls]
    known = [(nonce, item) for nonce, item in pairs if nonce is not None]
    return all(nonce in str(item.answer()) for nonce, item in known) if known else None


def nonce_arrived_twice(failure: Failure) -> bool | None:
    """One call of a client reached the backend more than once."""
    if not failure.through.sees_backend:
        return None
    seen = [m.nonce for m in failure.through.backend_messages if m.direction == "up" and m.nonce is not None]
    return len(seen) != len(set(seen)) if seen else None


def _nonce(exchange: Exchange) -> str | None:
    return Message(exchange.seq, exchange.t, "up", exchange.request, "post", exchange.tap, None).nonce


def stdout_was_contaminated(failure: Failure) -> bool | None:
    """A stdio backend wrote lines that are no JSON-RPC messages."""
    if not failure.through.sees_backend:
        return None
    return any(process.stray_lines for process in failure.through.processes)


def other_notifications_arrive(failure: Failure) -> bool | None:
    """Progress or log messages of the backend reached a client."""
    sent = [m for m in failure.through.backend_messages if m.direction == "down" and _side_message(m)]
    if not sent:
        return None
    return any(m.direction == "down" and _side_message(m) for m in failure.through.client_messages())


def _side_message(message: Message) -> bool:
    return message.method in ("notifications/progress", "notifications/message")


def control_is_served(failure: Failure) -> bool | None:
    """Straight at the backend the same scenario's requests were answered."""
    if failure.inputs.control is None:
        return None
    asked = [item for item in failure.inputs.control.client() if item.rpc_method in ("initialize", "tools/list")]
    return any(_has_result(item) for item in asked) if asked else None


def another_client_received(failure: Failure) -> bool | None:
    """A server message came down a stream of a client that did not cause it."""
    others = failure.through.client("b")
    if not others:
        return None
    return any(m.method is not None for item in others for m in item.messages())


# the container engine -------------------------------------------------------------------------------------------------


def container_was_started(failure: Failure) -> bool | None:
    """The engine started a container of the backend's image."""
    return _engine(failure, "start")


def container_was_created(failure: Failure) -> bool | None:
    """The engine created a container of the backend's image."""
    return _engine(failure, "create")


def _engine(failure: Failure, action: str) -> bool | None:
    if not failure.through.header.get("spin_up"):
        return None
    return any(event.data.get("action") == action for event in failure.through.of(Kind.ENGINE_EVENT))


def engine_was_asked(failure: Failure) -> bool | None:
    """The gateway asked the engine for something."""
    if not failure.through.header.get("spin_up"):
        return None
    return any(item.point is Point.ENGINE_TAP for item in failure.through.exchanges)


def engine_refused(failure: Failure) -> bool | None:
    """The engine answered the gateway with an error, or could not be reached."""
    if not failure.through.header.get("spin_up"):
        return None
    asked = [item for item in failure.through.exchanges if item.point is Point.ENGINE_TAP]
    refused = [item for item in asked if item.status is not None and item.status >= 400]
    return bool(refused) or failure.through.header.get("spin_up") == "engine-missing"


def gateway_saw_the_trigger(failure: Failure) -> bool | None:
    """The gateway under test saw a request."""
    return any(item.tap != f"client:{SENTINEL}" for item in failure.through.client())


def spun_up(failure: Failure) -> bool | None:
    """The backend is a container that the gateway starts itself."""
    return bool(failure.through.header.get("spin_up"))
