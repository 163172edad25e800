"""One container of the stage: created with the run's label, followed, and captured before it is removed."""

from __future__ import annotations

import asyncio
import io
import tarfile
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from docker.errors import APIError, DockerException, NotFound
from requests.exceptions import RequestException
from testcontainers.core.config import testcontainers_config
from testcontainers.core.container import DockerContainer
from urllib3.exceptions import HTTPError

from conformance.errors import CannotJudgeError
from conformance.evidence.events import Kind
from conformance.stage.engine_events import summary
from conformance.stage.networks import container_address
from conformance.wire.tap_address import TcpAddress

if TYPE_CHECKING:
    from docker.models.containers import Container

    from conformance.stage.runtime import OnEvent

T = TypeVar("T")

STOP_GRACE: Final = 5
"""Seconds between SIGTERM and SIGKILL, as in the process runtime."""

MEMORY: Final = "1g"
"""Most memory a container may use. The largest gateway on record needs 350 MB."""

PROCESSES: Final = 512
"""Most processes and threads in a container."""

LOG_LINES: Final = 2000
"""Lines kept of a container's output; the last ones."""

LOOPBACK: Final = "127.0.0.1"
"""Address of this machine at which ports of containers are published: nobody else reaches them there."""

_UNKNOWN_EXIT: Final = -1
_STREAM_ENDS: Final = (DockerException, RequestException, HTTPError, OSError)
"""What reading a stream raises when the engine closed it."""

_NOT_RUNNING: Final = 409
"""Answer to a signal for a container that has ended (Engine API, POST /containers/{id}/kill)."""

# Its reaper is a container with the raw engine socket, pulled from a public registry; the supervisor does its work.
testcontainers_config.ryuk_disabled = True


@dataclass(frozen=True, slots=True)
class Mount:
    """A folder of this machine at a path in a container."""

    source: str
    target: str
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class ContainerSpec:
    """What is started. name: as in evidence. files: content by path in the container.

    own_entrypoint: argv are the arguments of the image's ENTRYPOINT, as after `docker run IMAGE`; else argv[0] is the
    program. unprivileged: root in it keeps to the permissions of files, as another user would. published: which of its
    ports the engine publishes on this machine, at one that it chooses, None for none; where that is the one that it
    listens on, it is reached there. Needs a network that is not internal.
    """

    name: str
    image: str
    argv: tuple[str, ...]
    network: str
    port: int
    labels: Mapping[str, str]
    env: Mapping[str, str] = field(default_factory=dict)
    files: tuple[tuple[str, str], ...] = ()
    mounts: tuple[Mount, ...] = ()
    own_entrypoint: bool = False
    unprivileged: bool = False
    published: int | None = None


@dataclass(slots=True)
class RunningContainer:
    """A started gateway or backend (see `conformance.stage.runtime.Running`). Create with `start_container`.

    published: where the engine publishes its port on this machine, None where it publishes none.
    """

    spec: ContainerSpec
    address: TcpAddress
    pid: int
    _owner: DockerContainer
    _on_event: OnEvent
    log: deque[str]
    _exited: asyncio.Future[int]
    published: TcpAddress | None = None
    saved: Mapping[str, str] = field(default_factory=dict)
    _stopped: bool = False

    @property
    def id(self) -> str:
        """The engine's id of the container."""
        return str(self._container.id)

    @property
    def returncode(self) -> int | None:
        """Exit status, None while it runs; 128 + number when a signal ended it."""
        return self._exited.result() if self._exited.done() else None

    @property
    def _container(self) -> Container:
        return self._owner.get_wrapped_container()

    def tail(self, lines: int = 12) -> str:
        """Return its last lines of output, indented, or a note that there are none."""
        return "\n".join(f"  {line}" for line in list(self.log)[-lines:]) or "  (it printed nothing)"

    async def wait(self) -> int:
        """Wait until it ends; return its exit status."""
        return await asyncio.shield(self._exited)

    async def kill(self) -> None:
        """SIGKILL it, which ends every process in it and no container that it started."""
        await asyncio.to_thread(self._signal, "SIGKILL")
        await self.wait()

    async def pause(self) -> None:
        """Freeze every process in it."""
        await asyncio.to_thread(self._container.pause)

    async def resume(self) -> None:
        """Let them run again."""
        await asyncio.to_thread(self._container.unpause)

    async def stop(self) -> None:
        """SIGTERM, a grace period, SIGKILL; its inspect data and its whole log are captured before it is removed."""
        if self._stopped:
            return
        self._stopped = True
        await asyncio.to_thread(self._end)
        await self.wait()
        await self.capture()
        await asyncio.to_thread(self._owner.stop)

    async def run(self, argv: Sequence[str]) -> tuple[int, str]:
        """Run a program inside it; return its exit status and output. Raises CannotJudgeError."""
        try:
            code, output = await asyncio.to_thread(self._container.exec_run, list(argv))
        except DockerException as error:
            raise CannotJudgeError(f"{argv[0]} cannot be run in the container of {self.spec.name}: {error}.") from error
        return code or 0, b"".join((output,) if isinstance(output, bytes) else output).decode("utf-8", "replace")

    async def read(self, path: str) -> str:
        """Return the text of a file inside it. Raises CannotJudgeError when there is none."""
        try:
            return await asyncio.to_thread(self._read, path)
        except DockerException as error:
            raise CannotJudgeError(f"{path} in the container of {self.spec.name} cannot be read ({error}).") from error

    def _read(self, path: str) -> str:
        chunks, _ = self._container.get_archive(path)
        with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as archive:
            file = archive.extractfile(archive.getmembers()[0])
            return file.read().decode("utf-8", "replace") if file is not None else ""

    def _signal(self, name: str) -> None:
        try:
            self._container.kill(signal=name)
        except APIError as error:
            if self.returncode is None and not isinstance(error, NotFound) and error.status_code != _NOT_RUNNING:
                raise

    def _end(self) -> None:
        try:
            self._container.stop(timeout=STOP_GRACE)
        except NotFound:
            return  # somebody else removed it; its exit is known, nothing is left to capture

    async def capture(self) -> None:
        """Tell what the engine says of the container now: state, command, mounts, networks."""
        try:
            await asyncio.to_thread(self._container.reload)
        except NotFound:
            return
        self._on_event(Kind.CONTAINER_INSPECT, {"container": self.id, "inspect": summary(self._container.attrs)})


async def start_container(spec: ContainerSpec, on_event: OnEvent) -> RunningContainer:
    """Start a container and follow it. Raises CannotJudgeError when the engine refuses."""
    loop = asyncio.get_running_loop()
    try:
        owner = await asyncio.to_thread(_start, spec)
        container = owner.get_wrapped_container()
        address = await asyncio.to_thread(container_address, container, spec.network)
    except DockerException as error:
        raise CannotJudgeError(f"The engine could not start {spec.name} from {spec.image} ({error}).") from error
    pid = int(container.attrs["State"]["Pid"])
    published = _published(container, spec)
    exited: asyncio.Future[int] = loop.create_future()
    running = RunningContainer(
        spec,
        published if published is not None and spec.published == spec.port else TcpAddress(address, spec.port),
        pid,
        owner,
        on_event,
        deque(maxlen=LOG_LINES),
        exited,
        published,
    )
    on_event(Kind.PROCESS_START, {"name": spec.name, "pid": pid, "argv": list(spec.argv), "container": running.id})

    def line(text: str) -> None:
        running.log.append(text)
        on_event(Kind.LOG, {"source": spec.name, "line": text})

    def ended(code: int) -> None:
        on_event(Kind.PROCESS_EXIT, {"name": spec.name, "pid": pid, "code": code, "container": running.id})
        exited.set_result(code)

    def tell(told: Callable[[T], None], what: T) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody is left to be told
            loop.call_soon_threadsafe(told, what)

    def follow() -> None:
        # A thread of its own: it blocks for as long as the container lives, and a pool would run out of threads.
        code = _UNKNOWN_EXIT
        try:
            for text in _lines(container):
                tell(line, text)
            code = int(container.wait()["StatusCode"])
        except _STREAM_ENDS as error:
            tell(line, f"(the engine stopped telling about it: {error})")
        finally:
            tell(ended, code)

    threading.Thread(target=follow, name=f"follow {spec.name}", daemon=True).start()
    return running


def _published(container: Container, spec: ContainerSpec) -> TcpAddress | None:
    """Return where a container's port is published; None also where it has ended already, and its port with it."""
    chosen = (container.attrs["NetworkSettings"]["Ports"] or {}).get(f"{spec.published}/tcp")
    return TcpAddress(LOOPBACK, int(chosen[0]["HostPort"])) if chosen else None


def _lines(container: Container) -> Iterator[str]:
    """Yield the lines of the container's output until it has ended."""
    told, rest = 0, b""
    for chunk in container.logs(stream=True, follow=True):
        *lines, rest = (rest + chunk).split(b"\n")
        told += len(lines)
        yield from (_text(line) for line in lines)
    # Docker 20.10 lets the stream end without what was written last if no newline ended it; the stored log has it.
    yield from (_text(line) for line in container.logs().split(b"\n")[told:] if line)


def _text(line: bytes) -> str:
    return line.decode("utf-8", "replace").rstrip("\r")


def _start(spec: ContainerSpec) -> DockerContainer:
    options: dict[str, Any] = {
        "labels": dict(spec.labels),
        "network": spec.network,
        "init": True,
        "mem_limit": MEMORY,
        "pids_limit": PROCESSES,
    }
    if spec.unprivileged:
        options["cap_drop"] = ["DAC_OVERRIDE"]
    arguments = list(spec.argv)
    if not spec.own_entrypoint:
        options["entrypoint"] = [arguments.pop(0)]
    owner = DockerContainer(spec.image).with_command(arguments).with_envs(**spec.env).with_kwargs(**options)
    if spec.published is not None:
        # Not `with_bind_ports`: it takes no address, and the port would be open on every one of this machine's.
        cast("dict[str, Any]", owner.ports)[f"{spec.published}/tcp"] = (LOOPBACK, 0)
    for path, content in spec.files:
        owner.with_copy_into_container(content.encode(), path, 0o644)
    for mount in spec.mounts:
        owner.with_volume_mapping(mount.source, mount.target, "ro" if mount.read_only else "rw")
    try:
        return owner.start()
    except BaseException:
        owner.stop()  # it may be created and only not have started
        raise
