"""What the container engine reports about one run: events, inspect data and logs, on this machine's monotonic clock.

The engine stamps its events with its own wall clock. Offset samples tie that to our monotonic clock: half of the
question's round trip is each sample's uncertainty, and the tightest sample is used.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from docker.errors import APIError, DockerException, NotFound
from docker.types import CancellableStream
from requests.exceptions import RequestException
from urllib3.exceptions import HTTPError

from conformance.errors import CannotJudgeError
from conformance.evidence.events import Kind
from conformance.stage.engine import connect
from conformance.stage.labels import RUN_LABEL

if TYPE_CHECKING:
    import docker

    from conformance.evidence.events import JSON

OnEngine: TypeAlias = Callable[[Kind, "dict[str, JSON]", int], None]
"""Told kind, data and monotonic nanoseconds of each observation, in the event loop's thread."""

CLOCK_SAMPLES: Final = 5
"""Offset samples taken together. One takes about 10 ms; the first also pays for the connection."""

LOG_LIMIT: Final = 1 << 20
"""Bytes of output kept of each container."""

_ATTRIBUTES_OF_EVENT: Final = frozenset({"exitCode", "image", "name", "signal", "execID", "execDuration"})
_ENDED: Final = (DockerException, RequestException, HTTPError, OSError, ValueError)
"""What reading a stream raises when the engine or `stop` closed it."""


@dataclass(frozen=True, slots=True)
class ClockSample:
    """engine wall clock minus our monotonic clock, in nanoseconds, give or take `uncertainty_ns`."""

    offset_ns: int
    uncertainty_ns: int

    def monotonic_ns(self, wall_ns: int) -> int:
        """Return the moment of an engine time on our clock."""
        return wall_ns - self.offset_ns


@dataclass(frozen=True, slots=True)
class EngineEvent:
    """One event of the engine about a container. exit_code: only of `die`. wall_ns: the engine's wall clock."""

    action: str
    container: str
    name: str
    image: str
    labels: dict[str, str]
    wall_ns: int
    exit_code: int | None

    def to_json(self) -> dict[str, JSON]:
        """Return the data of an `engine.event`; `wall` is in seconds since the epoch."""
        return {
            "action": self.action,
            "container": self.container,
            "name": self.name,
            "image": self.image,
            "labels": self.labels,
            "wall": self.wall_ns / 1e9,
            "exit_code": self.exit_code,
        }


def parse_event(raw: dict[str, Any]) -> EngineEvent:
    """Return the event of one object of the engine's stream (Engine API, GET /events)."""
    attributes = dict(raw["Actor"]["Attributes"])
    code = attributes.get("exitCode")
    return EngineEvent(
        action=raw["Action"],
        container=raw["Actor"]["ID"],
        name=attributes.get("name", ""),
        image=attributes.get("image", ""),
        labels={name: value for name, value in attributes.items() if name not in _ATTRIBUTES_OF_EVENT},
        wall_ns=int(raw["timeNano"]),
        exit_code=None if code is None else int(code),
    )


def sample_clock(client: docker.DockerClient) -> ClockSample:
    """Return the tightest of a few offset samples. Blocks, some tens of milliseconds."""
    return min((_one_sample(client) for _ in range(CLOCK_SAMPLES)), key=lambda sample: sample.uncertainty_ns)


def _one_sample(client: docker.DockerClient) -> ClockSample:
    before = time.monotonic_ns()
    told = client.info()["SystemTime"]
    after = time.monotonic_ns()
    return ClockSample(wall_nanoseconds(told) - (before + after) // 2, (after - before + 1) // 2)


def wall_nanoseconds(text: str) -> int:
    """Return the nanoseconds since the epoch of an RFC 3339 time with up to nine digits of fraction."""
    whole, dot, rest = text.partition(".")
    if not dot:
        return int(datetime.fromisoformat(text).timestamp()) * 1_000_000_000
    digits = len(rest) - len(rest.lstrip("0123456789"))
    seconds = int(datetime.fromisoformat(whole + rest[digits:]).timestamp())
    return seconds * 1_000_000_000 + int(rest[:digits].ljust(9, "0"))


def frames(raw: Any) -> Iterator[tuple[bytes | None, bytes | None]]:
    """Yield what a container without a terminal writes, as (stdout, stderr), one of them None. raw: read with `read`.

    Source: Engine API, ContainerAttach, Stream format: a byte that names the stream, three zeros, the length, the text.
    """
    while len(head := raw.read(8)) == 8:
        chunk = raw.read(int.from_bytes(head[4:], "big"))
        yield (None, chunk) if head[0] == 2 else (chunk, None)


class EngineWatch:
    """Watches the containers of one run, also those that a gateway starts from a derived image.

    Create with `EngineWatch.start`. Its own attachments are among the events (`attach`). Blocking reads of the engine's
    streams happen in threads of their own, so that a container that lives for a moment is attached to at once.
    """

    def __init__(self, run_id: str, on_engine: OnEngine, client: docker.DockerClient, clock: ClockSample) -> None:
        self._run_id = run_id
        self._on_engine = on_engine
        self._client = client
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._streams: set[Any] = set()
        self._closing = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._stopping = False
        self._seen: list[EngineEvent] = []
        self._waiters: list[asyncio.Event] = []

    @classmethod
    async def start(cls, run_id: str, on_engine: OnEngine) -> EngineWatch:
        """Begin to watch; every event from now on is told. Raises CannotJudgeError when no engine answers."""
        client = await asyncio.to_thread(connect)
        clock = await asyncio.to_thread(sample_clock, client)
        self = cls(run_id, on_engine, client, clock)
        # `since`, in whole seconds, makes the stream begin before now, however late the engine takes up the request.
        since = (time.monotonic_ns() + clock.offset_ns - clock.uncertainty_ns) // 1_000_000_000
        filters = {"type": "container", "label": f"{RUN_LABEL}={run_id}"}
        stream = await asyncio.to_thread(lambda: client.api.events(since=since, filters=filters, decode=True))
        self._tell_clock()
        self._follow(stream, self._events)
        return self

    @property
    def events(self) -> tuple[EngineEvent, ...]:
        """What was seen so far, in the engine's order."""
        return tuple(self._seen)

    async def wait_for(self, wanted: Callable[[EngineEvent], bool], seconds: float) -> EngineEvent | None:
        """Return the first event so far or within `seconds` that is wanted; None if there is none."""
        changed = asyncio.Event()
        self._waiters.append(changed)
        try:
            async with asyncio.timeout(seconds):
                while (found := next(filter(wanted, self._seen), None)) is None:
                    await changed.wait()
                    changed.clear()
        except TimeoutError:
            return None
        finally:
            self._waiters.remove(changed)
        return found

    async def kill(self, container: str) -> None:
        """SIGKILL a container's process; one that has ended meanwhile is left alone. Raises CannotJudgeError."""
        try:
            await asyncio.to_thread(self._client.api.kill, container)
        except APIError as error:
            if error.status_code not in (HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT):
                raise CannotJudgeError(f"The engine did not kill container {container[:12]}: {error}.") from error

    async def stop(self) -> None:
        """Take a last clock sample, stop watching and close the connections."""
        self._clock = await asyncio.to_thread(sample_clock, self._client)
        self._tell_clock()
        self._stopping = True
        with self._closing:
            for stream in self._streams:
                stream.close()
        for thread in tuple(self._threads):
            await asyncio.to_thread(thread.join)
        await asyncio.to_thread(self._client.close)

    # in the threads -------------------------------------------------------------------------------------------------

    def _follow(self, stream: Any, read: Callable[[Any], None]) -> None:
        self._streams.add(stream)
        thread = threading.Thread(target=self._reading, args=(stream, read), daemon=True)
        self._threads.append(thread)
        thread.start()

    def _reading(self, stream: Any, read: Callable[[Any], None]) -> None:
        try:
            read(stream)
        except _ENDED as error:
            if not self._stopping:
                self._tell(Kind.LOG, {"source": "engine", "line": f"a stream of the engine broke off: {error!r}"})
        finally:
            with self._closing:
                self._streams.discard(stream)
                # Neither its end nor its own `close` closes the connection of an attachment, which the pool has let go.
                stream._response.close()  # noqa: SLF001

    def _events(self, stream: Any) -> None:
        for raw in stream:
            event = parse_event(raw)
            if event.image.startswith("sha256:"):
                continue  # the engine's own: a step of building a derived image, whose labels it has
            if event.action == "create":
                self._attach(event.container)
            self._loop.call_soon_threadsafe(self._take, event)
            if event.action in {"start", "die"}:
                self._inspect(event)

    def _attach(self, container: str) -> None:
        """Follow the container's output from its first byte: `--rm` leaves nothing to read afterwards.

        The engine answers only once a start that is under way is over, so its log is asked for too. What is written at
        that moment it may tell twice, and the first half of a line not at all (moby, daemon/attach.go). The library's
        own `attach` reads past the buffer that the response's head came in, and so loses what came with the head.
        """
        api = self._client.api
        url = f"{api.base_url}/v{api.api_version}/containers/{container}/attach"
        asked = {"stdout": 1, "stderr": 1, "stream": 1, "logs": 1}
        output = api.post(url, params=asked, stream=True, timeout=None)
        if output.status_code != HTTPStatus.OK:
            output.close()
            gone = output.status_code == HTTPStatus.NOT_FOUND
            why = "was gone before its logs" if gone else f"keeps its output back (status {output.status_code})"
            self._tell(Kind.LOG, {"source": "engine", "line": f"container {container[:12]} {why}"})
            return
        stream = CancellableStream(frames(output.raw), output)
        self._follow(stream, lambda stream: self._output(container, stream))

    def _output(self, container: str, stream: Any) -> None:
        """Tell what a container writes by whole lines: a secret that a chunk cuts in two would not be known for one."""
        kept = 0
        rests = {"stdout": b"", "stderr": b""}

        def tell(name: str, line: bytes) -> None:
            text = line.decode("utf-8", "replace").removesuffix("\r")
            self._tell(Kind.CONTAINER_LOG, {"container": container, "stream": name, "line": text})

        try:
            for pair in stream:
                for name, chunk in zip(rests, pair, strict=True):
                    if chunk and kept < LOG_LIMIT:
                        kept += len(chunk)
                        *lines, rests[name] = (rests[name] + chunk).split(b"\n")
                        for line in lines:
                            tell(name, line)
        finally:
            for name, rest in rests.items():
                if rest:
                    tell(name, rest if kept < LOG_LIMIT else b"(what it wrote from here on is not kept)")

    def _inspect(self, event: EngineEvent) -> None:
        try:
            told = self._client.api.inspect_container(event.container)
        except NotFound:
            return  # removed meanwhile; its events say so
        self._tell(Kind.CONTAINER_INSPECT, {"container": event.container, "inspect": summary(told)})

    def _tell(self, kind: Kind, data: dict[str, JSON]) -> None:
        self._loop.call_soon_threadsafe(self._on_engine, kind, data, time.monotonic_ns())

    # in the event loop ----------------------------------------------------------------------------------------------

    def _take(self, event: EngineEvent) -> None:
        self._seen.append(event)
        self._on_engine(Kind.ENGINE_EVENT, event.to_json(), self._clock.monotonic_ns(event.wall_ns))
        for waiter in self._waiters:
            waiter.set()

    def _tell_clock(self) -> None:
        clock = self._clock
        offset, uncertainty = clock.offset_ns / 1e9, clock.uncertainty_ns / 1e9
        data = {"domain": "engine", "offset": offset, "uncertainty": uncertainty}
        self._on_engine(Kind.CLOCK, data, time.monotonic_ns())


def summary(inspect: dict[str, Any]) -> dict[str, JSON]:
    """Return what evidence keeps of `docker inspect`: state, command, mounts and networks, no environment."""
    config, host, state = inspect["Config"], inspect["HostConfig"], inspect["State"]
    return {
        "id": inspect["Id"],
        "name": inspect["Name"].removeprefix("/"),
        "image": config["Image"],
        "labels": config["Labels"],
        "command": [inspect["Path"], *inspect["Args"]],
        "created": inspect["Created"],
        "state": {
            name: state.get(name)
            for name in ("Status", "Running", "Pid", "ExitCode", "OOMKilled", "Error", "StartedAt", "FinishedAt")
        },
        "restarts": inspect["RestartCount"],
        "auto_remove": host["AutoRemove"],
        "network_mode": host["NetworkMode"],
        "memory": host["Memory"],
        "mounts": [
            {"source": one["Source"], "target": one["Destination"], "writable": one["RW"]} for one in inspect["Mounts"]
        ],
        "exposed": sorted(config.get("ExposedPorts") or {}),
        "published": sorted(host.get("PortBindings") or {}),
        "addresses": {name: network["IPAddress"] for name, network in inspect["NetworkSettings"]["Networks"].items()},
    }
