"""Facts read behind the gateway: on its backends' side, in the control run, and at the container engine."""

from __future__ import annotations

from collections.abc import Iterator

from conformance.diagnosis.failure import Failure, has_result
from conformance.evidence.events import Event, Kind, Point
from conformance.evidence.transcript import Exchange, Message

_ERROR = 400
_NO_REFUSAL = (404, 409)
"""Statuses by which the engine says that an image or a container is missing or in another state: it can be used."""
_NEWS = ("notifications/progress", "notifications/message")


# the backend's side ---------------------------------------------------------------------------------------------------


def initialize_came_first(failure: Failure) -> bool | None:
    """On the failing backend session an initialize came first."""
    session = failure.behind
    sent = session.up() if session is not None else ()
    return sent[0].method == "initialize" if sent else None


def backend_answered(failure: Failure) -> bool | None:
    """What the gateway asked because of the failing request was answered by the backend."""
    found = _linked(failure)
    if not found:
        return None
    sessions = failure.through.backend_sessions
    return any(s.response_to(message) is not None for message in found for s in sessions if message in s.messages)


def backend_saw_the_call(failure: Failure) -> bool | None:
    """The failing request reached the backend."""
    return bool(_linked(failure)) if failure.through.sees_backend and failure.subject is not None else None


def an_answer_came_of_it(failure: Failure) -> bool | None:
    """The backend answered what the gateway asked because of the failing request, or the client has a result of it."""
    return (failure.subject is not None and has_result(failure.subject)) or backend_answered(failure)


def backend_had_failed(failure: Failure) -> bool | None:
    """Before the failing exchange was over, the backend refused, broke off, sent an error or exited."""
    if not failure.through.sees_backend:
        return None
    broken = (i for i in failure.through.backend if i.method == "POST" and i.t <= failure.until)
    if any((item.status or 0) >= _ERROR or item.how in ("rst", "fin") or _lacks_answer(item) for item in broken):
        return True
    messages = (m for m in failure.through.backend_messages if m.direction == "down" and m.t <= failure.until)
    return any(m.error is not None for m in messages) or bool(something_exited(failure))


def backend_was_ready(failure: Failure) -> bool | None:
    """The backend answered, here before the failure was over or straight in the control run."""
    if failure.inputs.control is not None and any(has_result(item) for item in failure.inputs.control.client()):
        return True
    if not failure.through.sees_backend:
        return None
    return any(m.direction == "down" and m.result is not None for m in failure.through.backend_messages)


def backend_was_still_starting(failure: Failure) -> bool | None:
    """The backend was being started: it had neither answered nor exited."""
    ready = backend_was_ready(failure)
    if ready is None:
        return None
    return not ready and not something_exited(failure) and container_was_started(failure) is not False


def one_of_several_was_silent(failure: Failure) -> bool | None:
    """Of several backends some answered the gateway's initialize, and another never did."""
    through = failure.through
    if not through.sees_backend:
        return None
    asked = [item for item in through.backend if item.rpc_method == "initialize"]
    answered = {item.tap for item in asked if has_result(item)}
    return bool(answered) and bool({item.tap for item in asked} - answered)


def backend_listed_tools(failure: Failure) -> bool | None:
    """The backend answered a tools/list with tools."""
    if not failure.through.sees_backend:
        return None
    results = (m.result for m in failure.through.backend_messages if m.direction == "down" and m.result is not None)
    return any(result.get("tools") for result in results)


def hop_behind_wrote(failure: Failure) -> bool | None:
    """The hop behind the gateway had sent what the client lacked: stream headers, comments or events."""
    subject = failure.subject
    if subject is None or not failure.through.sees_backend:
        return None
    streams = [i for i in failure.through.backend if i.method == subject.method and i.is_stream]
    if not streams:
        return None
    return any(item.beats or subject.status is None for item in streams)


def all_messages_arrived(failure: Failure) -> bool | None:
    """As many messages of the server's own reached clients as the backend sent."""
    sent = sum(_is_servers_own(m) for m in failure.through.backend_messages)
    came = sum(_is_servers_own(m) for m in failure.through.client_messages())
    return came >= sent if sent else None


def server_message_arrived(failure: Failure) -> bool | None:
    """A message of the server's own reached a client."""
    if not any(_is_servers_own(m) for m in failure.through.backend_messages):
        return None
    return any(_is_servers_own(m) for m in failure.through.client_messages())


def other_notifications_arrive(failure: Failure) -> bool | None:
    """Progress or log messages of the backend reached a client."""
    sent = [m for m in failure.through.backend_messages if m.direction == "down" and m.method in _NEWS]
    if not sent:
        return None
    return any(m.direction == "down" and m.method in _NEWS for m in failure.through.client_messages())


def another_client_received(failure: Failure) -> bool | None:
    """A message of the server's own came down a stream of a client that did not cause it."""
    subject = failure.subject
    others = [i for i in failure.through.client() if subject is not None and i.tap != subject.tap and i.is_stream]
    return any(m.method is not None for item in others for m in item.messages()) if others else None


def backend_has_many_sessions(failure: Failure) -> bool | None:
    """Calls of one client session were made in several backend sessions."""
    if not failure.through.sees_backend:
        return None
    used: dict[str | None, set[str | None]] = {}
    for link in failure.links:
        if link.backend.method == "tools/call":
            used.setdefault(link.client.session, set()).add(link.backend.session)
    return any(len(sessions) > 1 for sessions in used.values()) if used else None


def backend_sessions_are_shared(failure: Failure) -> bool | None:
    """Calls of several client sessions were made in one backend session."""
    if not failure.through.sees_backend:
        return None
    used: dict[str | None, set[str | None]] = {}
    for link in failure.links:
        if link.backend.method == "tools/call" and link.backend.session and link.client.session:
            used.setdefault(link.backend.session, set()).add(link.client.session)
    return any(len(clients) > 1 for clients in used.values()) if used else None


def something_exited(failure: Failure) -> bool | None:
    """A process behind the gateway ended by itself before the failure was over."""
    if not failure.through.sees_backend:
        return None
    closed = {
        event.data.get("process") for event in failure.through.of(Kind.STDIO_EOF) if event.data.get("dir") == "up"
    }
    seen = failure.through.of(Kind.STDIO_EXIT, Kind.PROCESS_EXIT)
    ended = [event for event in seen if event.t <= failure.until and event.data.get("name") != "gateway"]
    died = any(event.data.get("process") is None or event.data["process"] not in closed for event in ended)
    return died or any(e.data.get("action") == "die" and e.t <= failure.until for e in _engine_events(failure))


# the container engine -------------------------------------------------------------------------------------------------


def spun_up(failure: Failure) -> bool | None:
    """The gateway starts its backend as a container."""
    return bool(failure.through.header.get("spin_up"))


def container_was_created(failure: Failure) -> bool | None:
    """The engine created a container."""
    return _happened(failure, "create")


def container_came_of_it(failure: Failure) -> bool | None:
    """The engine created a container after the failing client had come."""
    if not spun_up(failure) or failure.subject is None:
        return container_was_created(failure)
    came = min(item.t for item in failure.fronts if item.tap == failure.subject.tap)
    return any(event.data.get("action") == "create" and event.t >= came for event in _engine_events(failure))


def container_was_started(failure: Failure) -> bool | None:
    """The engine started a container."""
    return _happened(failure, "start")


def containers_remain(failure: Failure) -> bool | None:
    """Containers were left at the end, or there were more at once than client sessions."""
    if not spun_up(failure):
        return None
    alive: set[str] = set()
    most = 0
    for event in _engine_events(failure):
        container = str(event.data.get("container"))
        if event.data.get("action") == "start":
            alive.add(container)
            most = max(most, len(alive))
        elif event.data.get("action") == "destroy":
            alive.discard(container)
    sessions = {item.session or item.tap for item in failure.fronts if item.rpc_method == "initialize"}
    return bool(alive) or most > max(1, len(sessions))


def engine_was_asked(failure: Failure) -> bool | None:
    """The gateway asked the container engine for something."""
    if not spun_up(failure):
        return None
    return bool(failure.through.engine)


def engine_refused(failure: Failure) -> bool | None:
    """The container engine refused the gateway, or could not be reached."""
    if not spun_up(failure):
        return False
    asked = failure.through.engine
    failed = any(event.point is Point.ENGINE_TAP for event in failure.through.of(Kind.CONN_FAILED))
    apart = failure.through.header.get("spin_up") in ("engine-missing", "engine-forbidden")
    apart = apart or any(probe.data.get("errno") for probe in failure.through.stimuli("engine.probe"))
    return failed or apart or any((item.status or 0) >= _ERROR and item.status not in _NO_REFUSAL for item in asked)


def _happened(failure: Failure, action: str) -> bool | None:
    if not spun_up(failure):
        return None
    return any(event.data.get("action") == action for event in _engine_events(failure))


def _engine_events(failure: Failure) -> Iterator[Event]:
    return iter(failure.through.of(Kind.ENGINE_EVENT))


def _linked(failure: Failure) -> list[Message]:
    subject = failure.subject
    return [link.backend for link in failure.links if subject is not None and link.client.id == subject.id]


def _lacks_answer(exchange: Exchange) -> bool:
    """Whether a posted request's response was over without answering it."""
    asked = isinstance(exchange.request, dict) and "id" in exchange.request and "method" in exchange.request
    return asked and exchange.how == "complete" and exchange.answer() is None


def _is_servers_own(message: Message) -> bool:
    return message.direction == "down" and message.method is not None
