"""The containers that a gateway started, and when each step from trigger to removal was seen.

Three clocks are at work and all are one here: taps and the driver share the machine's monotonic clock; the engine's
events were put on it by the recording, give or take `SpinUpTimes.uncertainty`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields

from conformance.evidence.events import Event, Kind
from conformance.evidence.links import links
from conformance.evidence.transcript import Exchange, StdioProcess, Transcript
from conformance.rules.answers import without_good_result

GATEWAY = "gateway"
"""The gateway's name in `process.start` and `process.exit`."""


@dataclass(frozen=True, slots=True)
class SpunUp:
    """One container of the backend's image.

    asked: the create request, at the engine tap, that the engine answered with this container's id. asker: the
    container that this request came from, as the kernel told the tap; None when it could not be told. process: the
    backend's process in it.
    """

    id: str
    created: Event
    started: Event | None = None
    died: Event | None = None
    removed: Event | None = None
    asked: Exchange | None = None
    asker: str | None = None
    process: StdioProcess | None = None

    @property
    def since(self) -> float:
        """When it came to be: on the tap's own clock when its request was seen, else by the engine's."""
        return self.asked.t if self.asked is not None else self.created.t


def spun_up(transcript: Transcript) -> tuple[SpunUp, ...]:
    """Return every container of the backend's image, in order of its creation."""
    seen: dict[str, dict[str, Event]] = {}
    for event in transcript.of(Kind.ENGINE_EVENT):
        seen.setdefault(event.data["container"], {}).setdefault(str(event.data["action"]), event)
    requests = {_created_id(item): item for item in engine_requests(transcript, "/containers/create")}
    processes = _processes(transcript, {key: events["start"].t for key, events in seen.items() if "start" in events})
    peers = {
        (event.data["tap"], event.data["conn"]): event.data.get("container") for event in transcript.of(Kind.CONN_OPEN)
    }
    found = []
    for key, events in seen.items():
        if "create" in events:
            asked = requests.get(key)
            asker = peers.get((asked.tap, asked.conn)) if asked else None
            ends = (events.get("start"), events.get("die"), events.get("destroy"))
            found.append(SpunUp(key, events["create"], *ends, asked, asker, processes.get(key)))
    return tuple(sorted(found, key=lambda item: item.created.seq))


def engine_requests(transcript: Transcript, path: str = "") -> Iterator[Exchange]:
    """Yield what was asked of the engine through the gateway's own tap, by the end of its path."""
    yield from (item for item in transcript.engine if item.path.endswith(path))


def _created_id(exchange: Exchange) -> str | None:
    """Return the id in the engine's answer to a create request (Engine API, ContainerCreate)."""
    found = exchange.body.get("Id") if isinstance(exchange.body, Mapping) else None
    return found if isinstance(found, str) else None


def _processes(transcript: Transcript, starts: Mapping[str, float]) -> dict[str, StdioProcess]:
    """Return the stdio process of each started container.

    Its host's name is the beginning of the container's id, unless whoever started that gave it another; then they are
    paired in the order of their starts, none with a process that is older than its container.
    """
    left = sorted(transcript.processes, key=lambda process: process.t)
    margin = clock_uncertainty(transcript)
    found = {key: item for key in starts for item in left if item.host and key.startswith(item.host)}
    left = [item for item in left if item not in found.values()]
    for key in sorted(starts.keys() - found.keys(), key=lambda item: starts[item]):
        process = next((item for item in left if item.t >= starts[key] - margin), None)
        if process is not None:
            left.remove(process)
            found[key] = process
    return found


def clock_uncertainty(transcript: Transcript) -> float:
    """Return by how much the engine's times may be off on our clock, in seconds."""
    return max((float(event.data["uncertainty"]) for event in transcript.of(Kind.CLOCK)), default=0.0)


def gateway_container(transcript: Transcript) -> str | None:
    """Return the id of the container that the gateway itself runs in, None when it runs in none."""
    starts = [event for event in transcript.of(Kind.PROCESS_START) if event.data.get("name") == GATEWAY]
    found = starts[0].data.get("container") if starts else None
    return str(found) if found else None


@dataclass(frozen=True, slots=True)
class SpinUpTimes:
    """When each step was seen, in seconds of the evidence; None for a step that was not.

    trigger: the first client's initialize; with a shared container the gateway's own start. asked: the create request
    at the gateway's engine tap. created, started, died, removed: the engine's events. spoke: the backend's first line.
    backend_initialized: its answer to initialize. initialized, listed, first_result: the client's answers to
    initialize, tools/list and its first call. ended: the client ended its session.

    shared: the container was there before any client came. uncertainty: of the engine's four, in seconds.
    """

    trigger: float | None = None
    asked: float | None = None
    created: float | None = None
    started: float | None = None
    spoke: float | None = None
    backend_initialized: float | None = None
    initialized: float | None = None
    listed: float | None = None
    first_result: float | None = None
    ended: float | None = None
    died: float | None = None
    removed: float | None = None
    shared: bool = False
    uncertainty: float = 0.0

    def steps(self) -> tuple[tuple[str, float], ...]:
        """Return name and time of each step that was seen, in the order of the times."""
        names = [item.name for item in fields(self) if item.name not in {"shared", "uncertainty"}]
        seen = [(name, getattr(self, name)) for name in names]
        return tuple(sorted(((name, t) for name, t in seen if t is not None), key=lambda step: step[1]))

    def sentence(self, *wanted: str) -> str:
        """Return the steps as seconds after the trigger, of all or of those `wanted`."""
        base = self.trigger if self.trigger is not None else 0.0
        words = [
            f"{name.replace('_', ' ')} +{t - base:.3f} s"
            for name, t in self.steps()
            if name != "trigger" and (not wanted or name in wanted)
        ]
        begin = "from the gateway's start" if self.shared else "from initialize"
        return f"{begin}: {', '.join(words)}" if words else f"{begin}: nothing more"


def client_trigger(transcript: Transcript) -> Exchange | None:
    """Return the first initialize of any client."""
    return next((item for item in transcript.client() if item.rpc_method == "initialize"), None)


def shared_containers(transcript: Transcript) -> tuple[SpunUp, ...]:
    """Return the containers that were there before any client came and that serve all clients; empty if there are none.

    A gateway that starts one for a client does not share, whatever else it has running.
    """
    trigger = client_trigger(transcript)
    if trigger is None:
        return spun_up(transcript)
    before = tuple(item for item in spun_up(transcript) if item.since < trigger.t)
    return before if len(before) == len(spun_up(transcript)) else ()


def spin_up_times(transcript: Transcript) -> SpinUpTimes:
    """Return the steps of the first client's container, or of the shared one."""
    trigger = client_trigger(transcript)
    shared = shared_containers(transcript)
    own = [item for item in spun_up(transcript) if trigger is not None and item.since >= trigger.t]
    ended = _t(next(iter(transcript.stimuli("session.end")), None))
    return _times(transcript, trigger, shared[-1] if shared else next(iter(own), None), ended, shared=bool(shared))


def client_times(transcript: Transcript) -> tuple[tuple[str, SpinUpTimes], ...]:
    """Return each client's tap and the steps of its container, in the order of their first initialize.

    A container belongs to the client whose requests its server got, as far as they can be followed there; else to the
    first client that came before it and has none. A client for which none was left used one that was there already.
    """
    first: dict[str, Exchange] = {}
    for item in transcript.client():
        if item.rpc_method == "initialize":
            first.setdefault(item.tap, item)
    shared = shared_containers(transcript)
    owned = {} if shared else _owned(transcript, first)
    left = [item for item in spun_up(transcript) if item not in owned.values()]
    found = []
    for tap, trigger in first.items():
        own = shared[-1] if shared else owned.get(tap)
        if own is None and (own := next((item for item in left if item.since >= trigger.t), None)) is not None:
            left.remove(own)
        deletes = (item.t for item in transcript.client() if item.tap == tap and item.method == "DELETE")
        found.append((tap, _times(transcript, trigger, own, next(deletes, None), shared=bool(shared))))
    return tuple(found)


def _owned(transcript: Transcript, clients: Mapping[str, Exchange]) -> dict[str, SpunUp]:
    """Return the first container of each client, started since it came, whose server got a request of it alone."""
    containers = {item.process.process: item for item in spun_up(transcript) if item.process is not None}
    found: dict[str, SpunUp] = {}
    for link in links(transcript):
        item = containers.get(link.backend.session or "")
        trigger = clients.get(link.client.tap)
        if item is not None and trigger is not None and item.since >= trigger.t and item not in found.values():
            found.setdefault(link.client.tap, item)
    return found


def _times(
    transcript: Transcript, trigger: Exchange | None, container: SpunUp | None, ended: float | None, *, shared: bool
) -> SpinUpTimes:
    """Return the steps from a client's initialize on, through one container."""
    answer = trigger.answer() if trigger is not None else None
    tap = trigger.tap if trigger is not None else ""
    return SpinUpTimes(
        trigger=_gateway_start(transcript) if shared else (trigger.t if trigger else None),
        asked=container.asked.t if container and container.asked else None,
        created=_t(container.created if container else None),
        started=_t(container.started if container else None),
        died=_t(container.died if container else None),
        removed=_t(container.removed if container else None),
        initialized=answer.t if answer and answer.result is not None else None,
        listed=_listed(transcript, tap),
        first_result=_first_result(transcript, tap),
        ended=ended,
        shared=shared,
        uncertainty=clock_uncertainty(transcript),
        **_backend_steps(container.process if container else None),
    )


def _t(event: Event | None) -> float | None:
    return event.t if event is not None else None


def _gateway_start(transcript: Transcript) -> float | None:
    return _t(next((e for e in transcript.of(Kind.PROCESS_START) if e.data.get("name") == GATEWAY), None))


def _backend_steps(process: StdioProcess | None) -> dict[str, float]:
    said = [message for message in process.messages if message.direction == "down"] if process else []
    if process is None or not said:
        return {}
    asked = next((message.id for message in process.messages if message.method == "initialize"), None)
    answered = [message.t for message in said if message.is_response and message.id == asked]
    return {"spoke": said[0].t, **({"backend_initialized": answered[0]} if answered else {})}


def _listed(transcript: Transcript, tap: str) -> float | None:
    """Return when a tools/list of the client at `tap` was first answered with a tool."""
    for item in transcript.client():
        answer = item.answer() if item.tap == tap and item.rpc_method == "tools/list" else None
        if answer is not None and answer.result is not None and answer.result.get("tools"):
            return answer.t
    return None


def _first_result(transcript: Transcript, tap: str) -> float | None:
    """Return when a tools/call of the client at `tap` was first answered with a result that is no error."""
    for item in transcript.client():
        if item.tap == tap and item.rpc_method == "tools/call" and not without_good_result(item):
            answer = item.answer()
            return answer.t if answer is not None else None
    return None
