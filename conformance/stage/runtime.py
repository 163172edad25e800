"""What the stage asks of a runtime. `process` and `containers` both answer to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Protocol, TypeAlias

from conformance.evidence.events import JSON, Kind
from conformance.evidence.network import Standpoint
from conformance.stage.edge_config import EdgePlan
from conformance.stage.edge_manifest import EdgeManifest
from conformance.stage.manifest import BackendManifest, TargetManifest
from conformance.stage.manifest_tables import ServedFace
from conformance.stage.scenario import SpinUp
from conformance.wire.tap_address import TcpAddress

OnEvent: TypeAlias = "Callable[[Kind, dict[str, JSON]], None]"
"""Told of readiness probes, process starts and exits, and log lines, as they happen."""


class Ready(Enum):
    """How far a start is waited for."""

    ANSWERS = "its initialize is answered"
    ACCEPTS = "its port accepts"
    TRIED = "its port accepts, or it ended, or its time was up: whatever comes of it is what the scenario is about"


@dataclass(frozen=True, slots=True)
class EngineAccess:
    """The tapped socket of the container engine, as a gateway that starts containers gets it.

    socket: alone in its folder. read_only: the folder is mounted so. unprivileged: the gateway's processes keep to the
    permissions of files, which those of root in a container else need not.
    """

    socket: Path
    read_only: bool = False
    unprivileged: bool = False


class Running(Protocol):
    """A started gateway, backend or edge.

    address: where it accepts connections. pid: 0 where there is no process to name.
    """

    @property
    def address(self) -> TcpAddress:
        """Where it accepts TCP connections."""

    @property
    def pid(self) -> int:
        """Its process id on this machine."""

    @property
    def saved(self) -> Mapping[str, str]:
        """The secrets that its preparation saved, by name."""

    @property
    def returncode(self) -> int | None:
        """Its exit status, None while it runs."""

    async def wait(self) -> int:
        """Wait until it has ended, whoever ended it; return its exit status."""

    async def stop(self) -> None:
        """End it in order: SIGTERM, a grace period, SIGKILL; logs and inspect data are captured first."""

    async def kill(self) -> None:
        """SIGKILL it (and nothing that it started)."""

    async def pause(self) -> None:
        """Stop it and what it started from running, as SIGSTOP does: its port accepts, and nothing is answered."""

    async def resume(self) -> None:
        """Let it run again."""


class Barred(Protocol):
    """An address that cannot be used as it should."""

    @property
    def address(self) -> TcpAddress:
        """What the gateway is given."""

    @property
    def beyond(self) -> TcpAddress | None:
        """Where what should have answered does not listen."""

    async def stop(self) -> None:
        """Take it away."""


class Runtime(Protocol):
    """One way to run gateways, backends and edges."""

    @property
    def name(self) -> str:
        """`process` or `containers`."""

    @property
    def backend_tap_host(self) -> str:
        """Address on which a tap is reachable for the gateway and no one else listens."""

    async def prepare(self, target: TargetManifest | None, backends: Sequence[BackendManifest]) -> None:
        """Install or build everything these need, before any clock runs. Raises CannotJudgeError."""

    async def start_backend(
        self,
        backend: BackendManifest,
        *,
        script: str,
        face: ServedFace = "http",
        published: bool = False,
        on_event: OnEvent,
    ) -> Running:
        """Start a face of a backend that is served over HTTP and wait until it is up.

        published: it is reached on this machine, at a port of the engine's choice, which accepts before it is up and is
        not waited for. Raises CannotJudgeError, NotExercisedError where no engine publishes ports.
        """

    async def stdio_command(
        self, backend: BackendManifest, *, script: str, collector: TcpAddress, tap: str, spin_up: SpinUp | None
    ) -> Sequence[str]:
        """Return the command a gateway is given for a stdio backend, wrapped in the stdio tap named `tap`.

        spin_up: the command is `env DOCKER_HOST=… docker run -i --rm IMAGE`, IMAGE being derived with the tap inside;
        with what is to be wrong about the container.
        """

    async def start_gateway(
        self,
        target: TargetManifest,
        *,
        values: dict[str, str | Sequence[str]],
        secrets: dict[str, str],
        spin_up: SpinUp | None,
        engine: EngineAccess | None,
        ready: Ready,
        on_event: OnEvent,
        authority: str | None = None,
    ) -> Running:
        """Prepare and start a gateway with `values` for its placeholders and wait until it is `ready`.

        engine: for a gateway that starts containers. authority: PEM text of a certificate authority that it is to trust
        beside, or in place of, the usual ones. Raises CannotJudgeError, PreparationError where the preparation fails.
        """

    async def filtered_port(self, backend: BackendManifest, *, on_event: OnEvent) -> Barred:
        """Return an address for the gateway at which nothing answers TCP. Raises NotExercisedError."""

    async def dead_port(self, backend: BackendManifest, *, on_event: OnEvent) -> Barred:
        """Return an address for the gateway that accepts with nothing behind it. Raises NotExercisedError."""

    async def filtered_front(self, gateway: Running) -> Barred:
        """Return an address of a gateway at which nothing answers TCP for clients. Raises NotExercisedError.

        Once it is taken away the gateway's own address answers as before.
        """

    async def dead_front(self, target: TargetManifest, gateway: Running, *, on_event: OnEvent) -> Barred:
        """Return an address for clients that accepts with nothing behind it, where the gateway should be.

        Raises NotExercisedError.
        """

    async def probe_beside(self, url: str) -> dict[str, JSON]:
        """Try to reach a URL from where a client in a container would stand. Raises NotExercisedError."""

    async def probe(
        self, url: str, *, gateway: Running | None, authority: str | None
    ) -> tuple[Standpoint, dict[str, JSON]]:
        """Try to reach a URL from where a gateway stands; return where that is and what was seen.

        authority: PEM text of the certificate authority that is trusted, None for the machine's own.
        """

    async def prepare_edge(self, edge: EdgeManifest) -> str:
        """Install or build an edge and return what it says of its version.

        Raises NotExercisedError where this machine does not have it, CannotJudgeError.
        """

    async def start_edge(self, plan: EdgePlan, *, on_event: OnEvent) -> Running:
        """Start an edge and wait until its port accepts. Raises CannotJudgeError."""
