"""An edge, the replicas of the gateway behind it, and a tap before each of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from conformance.errors import NotExercisedError
from conformance.evidence.events import JSON, Point
from conformance.evidence.log import Observation
from conformance.evidence.redact import Redactor
from conformance.stage.certificates import Presented, present
from conformance.stage.edge_config import EdgePlan
from conformance.stage.edge_manifest import EdgeManifest
from conformance.stage.edge_variant import SERVER_NAME, EdgeSetup, Tls
from conformance.stage.manifest import TargetManifest, load_edge
from conformance.stage.recorder import Recorder
from conformance.stage.runtime import Running, Runtime
from conformance.stage.tap_reading import TapReading, of_tap
from conformance.wire.tap import TapMode, TapProcess, TcpAddress, TlsOptions

EDGE_MB: Final = 30
"""Memory counted for an edge, in MB; Caddy, the largest, takes 40 with its configuration read, nginx 4."""

StartReplica: TypeAlias = Callable[[], Awaitable[Running]]


@dataclass(slots=True)
class Replica:
    """One replica of the gateway. number: from 1. address: of the tap before it, which the edge dials.

    closing: done once `running` has ended and the tap before it refuses connections.
    """

    number: int
    tap: str
    address: TcpAddress
    reading: TapReading
    running: Running | None = None
    closing: asyncio.Task[None] | None = None
    paused: bool = False

    async def closed(self) -> None:
        """Wait until connections to a replica that has ended, or never started, are refused."""
        if self.closing is not None:
            await self.closing

    def describe(self) -> dict[str, JSON]:
        """Return what the evidence's header says of it; `tap` is the label of its tap."""
        running = self.running
        started = {} if running is None else {"pid": running.pid, "address": str(running.address)}
        return {"tap": self.reading.label, **started}


@dataclass(slots=True)
class EdgeSide:
    """What stands between clients and the gateway. Create with `open`, then `start`; end with `stop`.

    version: what the edge's program says of itself.
    """

    runtime: Runtime
    taps: TapProcess
    setup: EdgeSetup
    manifest: EdgeManifest
    recorder: Recorder
    version: str
    presented: Presented | None
    start_replica: StartReplica
    replicas: list[Replica] = field(default_factory=list)
    running: Running | None = None

    @classmethod
    async def open(
        cls,
        runtime: Runtime,
        taps: TapProcess,
        setup: EdgeSetup,
        target: TargetManifest,
        *,
        name: str,
        recorder: Recorder,
        redactor: Redactor,
        start_replica: StartReplica,
    ) -> EdgeSide:
        """Put up the taps. name: of the instance.

        Raises NotExercisedError for what the edge or the target cannot do, CannotJudgeError.
        """
        manifest = load_edge(setup.name)
        if lacking := manifest.lacks(setup.variant):
            raise NotExercisedError(lacking)
        if setup.replicas > 1 and any(target.start.saved()):
            raise NotExercisedError(
                f"replicas of {target.title}: each would save credentials of its own when it is prepared, and the "
                "clients of all of them have one"
            )
        version = await runtime.prepare_edge(manifest)
        folder = taps.spool_dir / f"{name}-edge"
        folder.mkdir(mode=0o700)
        presented = present(setup.variant.tls, folder)
        self = cls(runtime, taps, setup, manifest, recorder, version, presented, start_replica)
        for number in range(1, setup.replicas + 1):
            tap = f"{name}:edge:{number}"
            listen = await taps.open_tap(tap, listen=TcpAddress(runtime.backend_tap_host, 0), upstream=None)
            assert isinstance(listen, TcpAddress)
            reading = of_tap(taps, tap, f"edge:{number}", Point.EDGE_TAP, redactor)
            self.replicas.append(Replica(number, tap, listen, reading))
        return self

    async def start(self, path: str) -> None:
        """Start the replicas, then the edge before them. path: of the gateway's endpoint."""
        for replica in self.replicas:
            await self.start_again(replica)
        plan = EdgePlan(self.manifest, self.setup.variant, [one.address for one in self.replicas], path, self.presented)
        self.running = await self.runtime.start_edge(plan, on_event=self.recorder.stage)

    async def start_again(self, replica: Replica) -> None:
        """Start a replica that does not run and point its tap at it; until then it refuses connections."""
        await replica.closed()
        replica.running = await self.start_replica()
        await self.taps.set_upstream(replica.tap, replica.running.address)
        replica.closing = asyncio.create_task(self._closed_when_ended(replica.tap, replica.running))

    async def _closed_when_ended(self, tap: str, running: Running) -> None:
        """Close the port before a replica that has ended: its own is closed too, and a proxy acts on that."""
        await running.wait()
        await self.taps.close_port(tap)

    @property
    def address(self) -> TcpAddress:
        """Where clients' taps dial."""
        if self.running is None:
            raise RuntimeError("the edge has not been started")
        return self.running.address

    @property
    def client_tls(self) -> tuple[TapMode, TlsOptions | None]:
        """How a client's tap speaks to the edge for it."""
        if self.setup.variant.tls is Tls.NONE:
            return "tcp", None
        ca = self.presented.ca if self.presented else None
        return "tls-originate", TlsOptions(server_name=SERVER_NAME, ca=str(ca) if ca else None)

    def header(self) -> dict[str, JSON]:
        """Return what the evidence's header says: edge, version, variant, and each replica's tap and process."""
        running = [replica.describe() for replica in self.replicas]
        return {**self.setup.to_json(), "title": self.manifest.title, "version": self.version, "running": running}

    @property
    def saved(self) -> Mapping[str, str]:
        """The secrets that the first replica's preparation saved, by name."""
        first = self.replicas[0].running
        return first.saved if first is not None else {}

    async def collect(self, begin_ns: int = 0) -> list[Observation]:
        """Return what the taps before the replicas have seen that belongs to a cell which began then."""
        found: list[Observation] = []
        for replica in self.replicas:
            found += await replica.reading.collect(begin_ns)
        return found

    async def stop(self) -> None:
        """Stop the edge, then the replicas, paused ones too, then the taps."""
        if self.running is not None:
            await self.running.stop()
        for replica in self.replicas:
            if replica.running is not None and replica.running.returncode is None:
                if replica.paused:
                    await replica.running.resume()
                await replica.running.stop()
        for replica in self.replicas:
            await replica.closed()
            await self.taps.close_tap(replica.tap)
