"""The `process` runtime: gateways, backends and edges, run as child processes on the loopback address.

What it cannot show: networks (everything shares the loopback), image builds, containers that a gateway starts.
"""

from __future__ import annotations

import asyncio
import itertools
import re
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

from conformance import paths
from conformance.errors import CannotJudgeError, NotExercisedError, PreparationError
from conformance.stage.barred_ports import BarredPort, overrun_port
from conformance.stage.before import run_commands
from conformance.stage.child import Child
from conformance.stage.environment import own_environment
from conformance.stage.launch import prepare, stdio_command, write_files
from conformance.stage.packages import Installed, ensure_edge, ensure_installed
from conformance.stage.placeholders import Values, expand, expand_argv
from conformance.stage.preparation import Preparation
from conformance.stage.readiness import Probe, wait_ready
from conformance.stage.runtime import Ready
from conformance.stage.scenario import NEEDS_CONTAINERS, NetworkFault
from conformance.stage.supervisor import RUN_VARIABLE
from conformance.wire.reaching import reach
from conformance.wire.tap_address import TcpAddress

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from conformance.evidence.events import JSON
    from conformance.evidence.network import Standpoint
    from conformance.stage.edge_config import EdgePlan
    from conformance.stage.edge_manifest import EdgeManifest
    from conformance.stage.manifest import BackendManifest, TargetManifest
    from conformance.stage.manifest_tables import ServedFace
    from conformance.stage.plan import Plan
    from conformance.stage.runtime import EngineAccess, OnEvent, Running
    from conformance.stage.scenario import SpinUp

HOST: Final = "127.0.0.1"

VERSION_SECONDS: Final = 30.0
"""Longest that a program may take to say its version: it starts nothing."""

PORT_TRIES: Final = 3
"""Ports tried for one start: between choosing a free one and the program's bind another program can take it."""

CORRECT: Final = "correct"
"""The witness script whose answers mean something; with any other, only the port is waited for."""

_PORT_TAKEN = re.compile(r"EADDRINUSE|(address|port \d+) (is )?already in use|errno 98\b|errno 48\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Placed:
    """A start at a port and in a folder of its own. env: what the manifest sets. probe: what shows that it is up."""

    argv: Sequence[str]
    env: Mapping[str, str]
    probe: Probe
    preparation: Preparation | None = None


Place: TypeAlias = "Callable[[int, Path], Placed]"


@dataclass(frozen=True, slots=True)
class RunningProcess:
    """A started gateway, backend or edge."""

    address: TcpAddress
    child: Child
    saved: Mapping[str, str] = field(default_factory=dict)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.child.pid

    @property
    def returncode(self) -> int | None:
        """Its exit status, None while it runs."""
        return self.child.returncode

    async def stop(self) -> None:
        """SIGTERM, a grace period, SIGKILL; also of everything it started."""
        await self.child.stop()

    async def kill(self) -> None:
        """SIGKILL it and nothing that it started."""
        await self.child.kill()

    async def pause(self) -> None:
        """SIGSTOP it and everything it started."""
        self.child.signal(signal.SIGSTOP)

    async def resume(self) -> None:
        """SIGCONT them."""
        self.child.signal(signal.SIGCONT)

    async def wait(self) -> int:
        """Wait until it ends; return its exit status."""
        return await self.child.wait()


@dataclass(slots=True)
class ProcessRuntime:
    """Gateways and backends as child processes (see `conformance.stage.runtime.Runtime`)."""

    plan: Plan
    name: str = "process"
    backend_tap_host: str = HOST
    on_progress: Callable[[str], None] = print
    _installed: dict[str, Installed] = field(default_factory=dict)
    _numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    async def prepare(self, target: TargetManifest | None, backends: Sequence[BackendManifest]) -> None:
        """Install what these need, unless it is cached. Raises CannotJudgeError."""
        for manifest in (*((target,) if target else ()), *backends):
            await self._install(manifest)

    async def start_backend(
        self,
        backend: BackendManifest,
        *,
        script: str,
        face: ServedFace = "http",
        published: bool = False,
        on_event: OnEvent,
    ) -> RunningProcess:
        """Start a face of a backend that is served over HTTP and wait until it is up.

        Raises CannotJudgeError, NotExercisedError where it is to be published.

        Up means that its initialize is answered; under a misbehaving script that its port accepts: the probe would
        set off what the script counts or times, or wait for an answer that never comes. So it is on HTTP+SSE, whose
        answers come elsewhere.
        """
        if published:
            raise NotExercisedError(NEEDS_CONTAINERS[NetworkFault.PORT_UNPUBLISHED])
        served = backend.served(face)
        if served is None:
            raise CannotJudgeError(f"{backend.title} has no HTTP face; choose a gateway that fronts stdio for it.")
        installed = await self._install(backend)

        def place(port: int, folder: Path) -> Placed:
            values = {**_own_values(installed, port, folder), **_folder_of(backend), "script": script}
            env = {name: expand(value, values) for name, value in served.env.items()}
            path = served.path if script == CORRECT and face == "http" else None
            return Placed(expand_argv(served.command, values), env, Probe(TcpAddress(HOST, port), path))

        return await self._start("backend", backend, installed, place, on_event)

    async def stdio_command(
        self, backend: BackendManifest, *, script: str, collector: TcpAddress, tap: str, spin_up: SpinUp | None = None
    ) -> tuple[str, ...]:
        """Return the command a gateway is given for a stdio backend, wrapped in the stdio tap named `tap`.

        It brings its own environment along (`env NAME=VALUE…`): many gateways hand their children next to nothing.
        Raises CannotJudgeError for a backend without that face, and for what only containers can show.
        """
        if spin_up:
            raise CannotJudgeError("The process runtime starts no containers; use --runtime containers for spin_up.")
        face = backend.faces.stdio
        if face is None:
            raise CannotJudgeError(f"{backend.title} has no stdio face; choose a gateway that fronts HTTP for it.")
        installed = await self._install(backend)
        folder = self._folder(backend.name)
        values: Values = {**_own_values(installed, 0, folder), **_folder_of(backend), "script": script}
        command, variables = stdio_command(face, values)
        env = own_environment(installed, folder, self.plan.run_id)
        kept = [f"{name}={value}" for name, value in env.items() if name in {"PYTHONPATH", RUN_VARIABLE}]
        relay = (sys.executable, str(paths.STDIO_TAP), "--name", tap, "--collector", str(collector))
        return ("env", *kept, *variables, *relay, *installed.resolve(command))

    async def start_gateway(
        self,
        target: TargetManifest,
        *,
        values: Mapping[str, str | Sequence[str]],
        secrets: Mapping[str, str],
        spin_up: SpinUp | None,
        engine: EngineAccess | None,  # noqa: ARG002 - this runtime starts no containers
        ready: Ready,
        on_event: OnEvent,
        authority: str | None = None,
    ) -> RunningProcess:
        """Start a gateway with `values` and `secrets` for its placeholders and wait until it is `ready`.

        Raises CannotJudgeError.
        """
        installed = await self._install(target)

        def place(port: int, folder: Path) -> Placed:
            own = _own_values(installed, port, folder) | _folder_of(target)
            launch = prepare(target, {**values, **own}, secrets, spin_up=spin_up, authority=authority)
            write_files(launch, folder)
            preparation = Preparation(target, {**values, **own}, secrets)
            path = target.endpoint.path if ready is Ready.ANSWERS and target.endpoint.streamable else None
            stream = target.endpoint.only_stream if ready is Ready.ANSWERS else None
            address = TcpAddress(HOST, port)
            probe = Probe(address, path, preparation.at(address), stream)
            return Placed(launch.argv, launch.env, probe, preparation)

        return await self._start("gateway", target, installed, place, on_event, tolerant=ready is Ready.TRIED)

    async def prepare_edge(self, edge: EdgeManifest) -> str:
        """Install an edge, or find it on this machine; return what it says of its version.

        Raises NotExercisedError where this machine does not have it, CannotJudgeError.
        """
        installed = await self._install_edge(edge)
        command = installed.resolve(edge.version_command)
        return await asyncio.to_thread(_first_line, command) if command else edge.version

    async def start_edge(self, plan: EdgePlan, *, on_event: OnEvent) -> RunningProcess:
        """Start an edge and wait until its port accepts. Raises CannotJudgeError."""
        installed = await self._install_edge(plan.manifest)

        def place(port: int, folder: Path) -> Placed:
            listen = TcpAddress(HOST, port)
            launch = plan.launch(listen, str(folder))
            write_files(launch, folder)
            return Placed(launch.argv, launch.env, Probe(listen, None))

        return await self._start("edge", plan.manifest, installed, place, on_event)

    async def _install_edge(self, edge: EdgeManifest) -> Installed:
        return await asyncio.to_thread(ensure_edge, edge, self.on_progress)

    async def filtered_port(self, backend: BackendManifest, *, on_event: OnEvent) -> BarredPort:  # noqa: ARG002
        """Return an address at which nothing answers TCP: a listener without room for another connection."""
        return overrun_port(HOST)

    async def dead_port(self, backend: BackendManifest, *, on_event: OnEvent) -> BarredPort:  # noqa: ARG002
        """Raise NotExercisedError: no engine stands before a process."""
        raise NotExercisedError(NEEDS_CONTAINERS[NetworkFault.PORT_UNPUBLISHED])

    async def filtered_front(self, gateway: Running) -> BarredPort:  # noqa: ARG002
        """Return an address at which nothing answers TCP: a listener without room for another connection."""
        return overrun_port(HOST)

    async def dead_front(self, target: TargetManifest, gateway: Running, *, on_event: OnEvent) -> BarredPort:  # noqa: ARG002
        """Raise NotExercisedError: no engine stands before a process."""
        raise NotExercisedError(NEEDS_CONTAINERS[NetworkFault.PORT_UNPUBLISHED])

    async def probe_beside(self, url: str) -> dict[str, JSON]:  # noqa: ARG002
        """Raise NotExercisedError: clients share this machine's loopback address with the gateway."""
        raise NotExercisedError(NEEDS_CONTAINERS[NetworkFault.LOOPBACK])

    async def probe(
        self,
        url: str,
        *,
        gateway: Running | None,  # noqa: ARG002 - processes share this machine's network
        authority: str | None,
    ) -> tuple[Standpoint, dict[str, JSON]]:
        """Try to reach a URL from this machine, where the gateway is too."""
        return "host", await asyncio.to_thread(reach, url, authority=authority)

    async def _start(
        self,
        name: str,
        manifest: TargetManifest | BackendManifest | EdgeManifest,
        installed: Installed,
        place: Place,
        on_event: OnEvent,
        *,
        tolerant: bool = False,
    ) -> RunningProcess:
        """Start the program at a free port, and again at another while the port turns out to be taken.

        tolerant: a program that did not get ready is returned as it is, ended or not.
        """
        for attempt in itertools.count(1):
            port, folder = free_port(), self._folder(manifest.name)
            placed = place(port, folder)
            env = {**own_environment(installed, folder, self.plan.run_id), **placed.env}
            if placed.preparation is not None:
                await run_commands(
                    placed.preparation, resolve=installed.resolve, env=env, cwd=folder, on_event=on_event
                )
            argv = installed.resolve(placed.argv)
            child = await Child.start(name, argv, env=env, cwd=folder, on_event=on_event)
            try:
                why = await wait_ready(
                    name, placed.probe, seconds=manifest.ready.seconds, exited=child.wait(), on_event=on_event
                )
                if placed.preparation is not None and tolerant:
                    placed.preparation.require_done(why)
                taken = _port_was_taken(child, port, ready=why is None)
            except PreparationError:
                elsewhere = _port_was_taken(child, port, ready=True)  # what answered the requests was not ours
                await child.stop()
                if elsewhere and attempt < PORT_TRIES:
                    continue
                raise
            except BaseException:
                await child.stop()
                raise
            if not taken and (why is None or tolerant):
                saved = placed.preparation.saved if placed.preparation is not None else {}
                return RunningProcess(placed.probe.address, child, saved)
            ended = child.returncode
            await child.stop()
            if not taken or attempt == PORT_TRIES:
                raise CannotJudgeError(_not_ready(manifest.title, why, ended, taken=taken) + child.tail())
        raise AssertionError("itertools.count ends")

    async def _install(self, manifest: TargetManifest | BackendManifest) -> Installed:
        key = f"{type(manifest).__name__}:{manifest.name}"
        if key not in self._installed:
            self._installed[key] = await asyncio.to_thread(ensure_installed, manifest, self.on_progress)
        return self._installed[key]

    def _folder(self, name: str) -> Path:
        """Return a new private folder below the run's work folder, which the supervisor deletes."""
        label = re.sub(r"[^A-Za-z0-9._-]", "-", name)
        folder = Path(self.plan.work) / "processes" / f"{label}-{next(self._numbers)}"
        (folder / "tmp").mkdir(parents=True, mode=0o700)
        return folder


def _first_line(command: Sequence[str]) -> str:
    """Return the first line that a program prints, on either stream; empty when it prints none. Blocks.

    Raises CannotJudgeError for one that cannot be run, or does not end.
    """
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=VERSION_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CannotJudgeError(f"{command[0]} does not say its version ({error}); reinstall it.") from error
    return next(iter((done.stdout + done.stderr).splitlines()), "")


def free_port() -> int:
    """Return a TCP port that is free at this moment."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def _own_values(installed: Installed, port: int, folder: Path) -> dict[str, str]:
    """Return the placeholders that the runtime itself fills."""
    values = {"host": HOST, "port": str(port), "config_dir": str(folder), "python": str(installed.python)}
    if installed.node:
        values["node"] = str(installed.node)
    if installed.node_modules:
        values["node_modules"] = str(installed.node_modules)
    return values


def _folder_of(manifest: TargetManifest | BackendManifest) -> dict[str, str]:
    """Return the placeholder of the manifest's own folder, nothing for a manifest made in memory."""
    return {"folder": str(manifest.folder)} if manifest.folder else {}


def _port_was_taken(child: Child, port: int, *, ready: bool) -> bool:
    """Return whether another program holds the port: it says so, or the one that answered is not ours."""
    if ready:
        return child.returncode is not None or not child.listens(port)
    return any(_PORT_TAKEN.search(line.text) for line in child.log)


def _not_ready(title: str, why: str | None, ended: int | None, *, taken: bool) -> str:
    if taken:
        return f"{title} found its port taken {PORT_TRIES} times; see what else takes ports here. Its last lines:\n"
    how = f"it ended with status {ended}" if ended is not None else why
    return f"{title} never got ready: {how}; correct its start command or raise ready.seconds. Its last lines:\n"
