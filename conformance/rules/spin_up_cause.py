"""Why a container that a gateway was to start does not serve: each cause read off the evidence that tells it apart.

A cause is what stands in the evidence, never what an error text of the gateway says. What is often suspected instead, a
read-only mount of the engine's socket, is answered by `mount_note`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from conformance import timing
from conformance.evidence.events import JSON, Event, Hop, Kind, Point
from conformance.evidence.transcript import Exchange, Transcript
from conformance.rules.spin_up_times import GATEWAY, SpunUp, client_trigger, engine_requests, spun_up

_CREATED: Final = 201
_REFUSED: Final = 400
_NOT_FOUND: Final = 404
_FORBIDDEN: Final = (401, 403)
_NO_PROGRAM: Final = ("executable file not found", "no such file or directory", "exec format error", "exec: ")
"""What the engine's answer to start says where the program is not in the image (runc; any engine that uses it)."""
_NO_PROGRAM_STATUS: Final = (126, 127)
"""Exit statuses of a program that cannot be started (POSIX, exec of a shell's command)."""
_UNREACHABLE: Final = {
    "ENOENT": "there is no socket",
    "EACCES": "permission denied on the socket",
    "EPERM": "permission denied on the socket",
    "ECONNREFUSED": "nobody listens at the socket",
}


@dataclass(frozen=True, slots=True)
class Cause:
    """Why no container serves. hop: whose doing it is. what: the deciding observation, in words; events: its events."""

    failure_class: str
    hop: Hop
    what: str
    events: tuple[int, ...] = ()


_Detector: TypeAlias = Callable[[Transcript], Cause | None]


def why_not_started(transcript: Transcript) -> Cause | None:
    """Return why no container was started; None where the evidence names no cause."""
    return _first(transcript, (astray, unreachable, refused, image_missing, program_missing, not_enabled))


def why_not_served(transcript: Transcript) -> Cause | None:
    """Return why a container that was started answered nobody; None where the evidence names no cause."""
    return _first(transcript, (program_missing, out_of_memory, exited, unpublished, silent))


def cause(transcript: Transcript) -> Cause | None:
    """Return the first cause that the evidence names, on the way from the trigger to the server's first word."""
    return why_not_started(transcript) or why_not_served(transcript)


def _first(transcript: Transcript, detectors: tuple[_Detector, ...]) -> Cause | None:
    return next((found for detector in detectors if (found := detector(transcript)) is not None), None)


def mount_note(transcript: Transcript) -> str:
    """Return what is to be said of a socket that is mounted read-only: it is not the cause, and what shows that."""
    for probe in transcript.stimuli("engine.probe"):
        if probe.data.get("read_only"):
            created = any(item.status == _CREATED for item in engine_requests(transcript, "/containers/create"))
            probed = int(probe.data.get("create") or 0)
            if created or probed not in (0, *_FORBIDDEN):
                how = "created a container" if created else f"answered a probe's create with {probed}"
                return f"; the socket is mounted read-only, which is not the cause: through it the engine {how}"
    return ""


# before a container is started ----------------------------------------------------------------------------------------


def astray(transcript: Transcript) -> Cause | None:
    """Return that the trigger went elsewhere: it was given, and nothing of it arrived at the gateway under test."""
    triggers = transcript.stimuli("trigger")
    # That a client's tap stands there, and how far it lagged, is told of every one.
    arrived = any(event.point is Point.CLIENT_TAP and event.kind is not Kind.LAG for event in transcript.events)
    if not triggers or arrived or not transcript.header.get("client_tapped"):
        return None
    others = [item for item in spun_up(transcript) if item.asked is None]
    also = "; a container was created that it had not asked for" if others else ""
    what = f"the gateway under test got no request after the trigger{also}"
    return Cause("wrong-gateway-instance", Hop.CLIENT, what, (triggers[0].seq, *(i.created.seq for i in others)))


def unreachable(transcript: Transcript) -> Cause | None:
    """Return that the engine cannot be reached from the gateway's place, as a probe from there met."""
    for probe in transcript.stimuli("engine.probe"):
        name = str(probe.data.get("errno") or "")
        if name:
            said = _UNREACHABLE.get(name, "the socket does not answer")
            what = f"{said} {probe.data.get('socket')} ({name})"
            hop = Hop.RUNTIME if name == "ECONNREFUSED" else Hop.CONFIGURATION
            return Cause("docker-socket-unusable", hop, what, (probe.seq,))
    return None


def refused(transcript: Transcript) -> Cause | None:
    """Return that the engine, or what stands before it, forbids the gateway to change anything."""
    for item in engine_requests(transcript):
        if item.status in _FORBIDDEN:
            what = f"the engine answered {_asked(item)} with {item.status}{_quoted(item)}"
            return Cause("docker-socket-unusable", Hop.RUNTIME, what, item.events)
    return None


def image_missing(transcript: Transcript) -> Cause | None:
    """Return that the engine has no image of the name that it was asked for."""
    creates = list(engine_requests(transcript, "/containers/create"))
    missing = [item for item in creates if item.status == _NOT_FOUND]
    if not missing or any((item.status or _REFUSED) < _REFUSED for item in creates):
        return None
    what = f"the engine has no such image: {_asked(missing[0])} → {_NOT_FOUND}{_quoted(missing[0])}"
    return Cause("image-missing", Hop.CONFIGURATION, what, missing[0].events)


def program_missing(transcript: Transcript) -> Cause | None:
    """Return that the image lacks the program that the container is to run."""
    for item in engine_requests(transcript, "/start"):
        text = _quoted(item)
        if (item.status or 0) >= _REFUSED and any(sign in text.lower() for sign in _NO_PROGRAM):
            what = f"the engine could not run the container's program: start → {item.status}{text}"
            return Cause("container-command-missing", Hop.CONFIGURATION, what, item.events)
    for container, end in _unheard(transcript):
        if end.data.get("exit_code") in _NO_PROGRAM_STATUS:
            what = f"container {container.id[:12]} ended with {end.data['exit_code']}: its program cannot be run"
            return Cause("container-command-missing", Hop.CONFIGURATION, what, (end.seq,))
    return None


def not_enabled(transcript: Transcript) -> Cause | None:
    """Return that the gateway knows the backend and was not told to use it, as its log says."""
    says = str(transcript.header.get("not_enabled_log") or "")
    if not says or list(engine_requests(transcript, "/containers/create")):
        return None
    for event in transcript.of(Kind.LOG):
        if event.data.get("source") == GATEWAY and says in str(event.data.get("line")):
            what = f"the entry is known and not enabled: the gateway logs {says!r} and asked the engine for nothing"
            return Cause("entry-not-enabled", Hop.CONFIGURATION, what, (event.seq,))
    return None


# once a container is started ------------------------------------------------------------------------------------------


def out_of_memory(transcript: Transcript) -> Cause | None:
    """Return that the engine's memory limit ended a container's server."""
    told = transcript.of(Kind.ENGINE_EVENT)
    ends = {event.data["container"]: event for event in told if event.data["action"] == "oom"}
    for event in transcript.of(Kind.CONTAINER_INSPECT):
        if event.data["inspect"].get("state", {}).get("OOMKilled"):
            ends.setdefault(event.data["container"], event)
    for item in spun_up(transcript):
        if item.id in ends:
            limit = int(_inspected(transcript, item.id).get("memory") or 0)
            most = f" at its limit of {limit >> 20} MiB" if limit else ""
            what = f"container {item.id[:12]} ran out of memory{most} and was killed"
            return Cause("container-oom-killed", Hop.CONFIGURATION, what, (ends[item.id].seq,))
    return None


def exited(transcript: Transcript) -> Cause | None:
    """Return that a container ended by itself before its server had said a word."""
    for container, end in _unheard(transcript):
        code = end.data.get("exit_code")
        if code in _NO_PROGRAM_STATUS:
            continue
        what = f"container {container.id[:12]} ended with {code} before its server said anything"
        if _never_fed(transcript, container):
            what += ", its standard input having ended at once (run without -i?)"
            return Cause("container-exits-at-once", Hop.CONFIGURATION, what, (end.seq,))
        return Cause("container-exits-at-once", Hop.BACKEND, what, (end.seq,))
    return None


def unpublished(transcript: Transcript) -> Cause | None:
    """Return that a container that nobody speaks to on stdin listens on a port of its own that is not published."""
    for item in _mute(transcript):
        inspect = _inspected(transcript, item.id)
        if item.process is None and inspect.get("exposed") and not inspect.get("published"):
            ports = ", ".join(inspect["exposed"])
            what = f"container {item.id[:12]} runs, its image exposes {ports}, and no port of it is published"
            return Cause("container-port-unpublished", Hop.CONFIGURATION, what, (item.created.seq,))
    return None


def silent(transcript: Transcript) -> Cause | None:
    """Return that a container runs and its server has not said a word for longer than any start takes."""
    for item in _mute(transcript):
        asked = item.process is not None and any(message.method == "initialize" for message in item.process.messages)
        told = "was asked to initialize and said nothing" if asked else "said nothing"
        what = f"container {item.id[:12]} runs and {told} in {_watched(transcript, item):.1f} s"
        hop = Hop.BACKEND if asked else Hop.CONFIGURATION
        return Cause("container-silent", hop, what, (item.created.seq,))
    return None


# what the detectors read ----------------------------------------------------------------------------------------------


def _heard(item: SpunUp) -> bool:
    return item.process is not None and any(message.direction == "down" for message in item.process.messages)


def _unheard(transcript: Transcript) -> Iterator[tuple[SpunUp, Event]]:
    """Yield the containers that ended before their server had said anything, and not because the gateway let go."""
    for item in spun_up(transcript):
        if item.died is not None and not _heard(item) and not _let_go(transcript, item):
            yield item, item.died


def _let_go(transcript: Transcript, item: SpunUp) -> bool:
    """Whether the gateway closed a container's stdin, or a client had given up on it, before it ended."""
    end = item.died.t if item.died is not None else transcript.end
    if item.process is not None:
        asked = [message for message in item.process.messages if message.direction == "up"]
        closed = [e for e in transcript.of(Kind.STDIO_EOF) if e.data.get("process") == item.process.process]
        if asked and any(e.data.get("dir") == "up" and e.t <= end for e in closed):
            return True
    if any(request.method == "DELETE" and request.t <= end for request in transcript.client()):
        return True
    steps = ("session.end", "gateway.stop", "gateway.kill", "containers.kill")
    return any(step.t <= end for name in steps for step in transcript.stimuli(name))


def _never_fed(transcript: Transcript, item: SpunUp) -> bool:
    """Whether a container's stdin ended before a byte of it had come."""
    if item.process is None or any(message.direction == "up" for message in item.process.messages):
        return False
    ended = (e for e in transcript.of(Kind.STDIO_EOF) if e.data.get("process") == item.process.process)
    return any(e.data.get("dir") == "up" for e in ended)


def _mute(transcript: Transcript) -> Iterator[SpunUp]:
    """Yield the containers that ran for longer than SILENT while a client waited, and whose server said nothing.

    None on a machine that is too busy for that to mean anything.
    """
    if any(_strained(item) for item in spun_up(transcript)):
        return
    for item in spun_up(transcript):
        if item.started is not None and not _heard(item) and _watched(transcript, item) > timing.SILENT:
            yield item


def _strained(item: SpunUp) -> bool:
    """Whether a container's own start tells that the machine was too busy."""
    if item.started is None:
        return False
    begun = item.process.t if item.process is not None else item.started.t
    return max(item.started.t - item.created.t, begun - item.started.t) > timing.STRAINED


def _watched(transcript: Transcript, item: SpunUp) -> float:
    """Return for how many seconds a container ran while its client waited."""
    trigger = client_trigger(transcript)
    waited = [transcript.end_of(i) for i in transcript.client()] if trigger else []
    end = min(max(waited, default=transcript.end), item.died.t if item.died is not None else transcript.end)
    return end - (item.started.t if item.started is not None else end)


def _inspected(transcript: Transcript, container: str) -> Mapping[str, JSON]:
    """Return what the engine first said of a container; empty where it was gone before it could be asked."""
    found = (e.data["inspect"] for e in transcript.of(Kind.CONTAINER_INSPECT) if e.data.get("container") == container)
    return next(found, {})


def _asked(exchange: Exchange) -> str:
    return f"{exchange.method} {exchange.target.partition('?')[0]}"


def _quoted(exchange: Exchange) -> str:
    """Return the engine's own words, shortened (Engine API, ErrorResponse); empty where it gave none."""
    said = exchange.body.get("message") if isinstance(exchange.body, Mapping) else None
    return f" ({str(said).strip()[:160]})" if said else ""
