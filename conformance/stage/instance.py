"""One started topology: taps, a gateway (or none, for control runs) and its backend.

client tap(s) ─> gateway ─> backend tap ─> backend          (a gateway that fronts HTTP; at most two of the last two)
client tap(s) ─> edge ─> edge tap 1..n ─> gateway 1..n ─> …  (a gateway behind an edge, in replicas)
client tap(s) ─> gateway ─> stdio tap ─> backend process    (a gateway that fronts stdio)
client tap(s) ─> backend                                    (control)
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from conformance.errors import CannotJudgeError, NotExercisedError, PreparationError
from conformance.evidence.events import JSON, Point
from conformance.evidence.log import Observation
from conformance.evidence.meta_tools import MetaTool
from conformance.evidence.redact import Redactor
from conformance.evidence.tool_names import ToolNames
from conformance.stage import processor_wait
from conformance.stage.attached import Attached, attach
from conformance.stage.edge_side import EdgeSide
from conformance.stage.edge_variant import EdgeSetup
from conformance.stage.engine_side import ENGINE_TAP, EngineSide
from conformance.stage.front_ways import FrontWay
from conformance.stage.http_side import HttpSide
from conformance.stage.launch import generate_secrets
from conformance.stage.manifest import BackendManifest, TargetManifest
from conformance.stage.manifest_tables import ServedFace
from conformance.stage.network_side import NetworkSide, open_way
from conformance.stage.plan import UrlTarget
from conformance.stage.preparation import Preparation, known_headers
from conformance.stage.recorder import Recorder
from conformance.stage.runtime import Ready, Running, Runtime
from conformance.stage.scenario import NetworkFault, SecondBackend, SpinUp
from conformance.stage.tap_reading import TapReading, of_stdio
from conformance.wire.assemble import assemble_tap
from conformance.wire.spool import read_spool
from conformance.wire.tap import TapMode, TapProcess, TlsOptions
from conformance.wire.tap_address import TcpAddress
from conformance.witness import parse_listen

BACKEND_TAP = "backend:main"
SECOND_TAP = "backend:second"
STDIO_TAP = "stdio:main"
_numbers = itertools.count(1)


@dataclass(slots=True)
class Instance:
    """A running topology. Create with `Instance.start`, end with `stop`.

    target is None in a control run. `recorder` holds what happened to the instance itself (start-up, exits, logs).
    """

    runtime: Runtime
    taps: TapProcess
    target: TargetManifest | None
    backend: BackendManifest | None
    script: str
    redactor: Redactor
    spin_up: SpinUp | None
    recorder: Recorder
    backend_face: ServedFace = "http"
    http: HttpSide | None = None
    """The backend where it is served over HTTP."""
    second: HttpSide | None = None
    """The other backend, where the gateway has two."""
    engine: EngineSide | None = None
    edge: EdgeSide | None = None
    """What stands between the clients and the gateway, which then is `edge.replicas` and not `gateway`."""
    network: NetworkSide | None = None
    """What is wrong on the way to the backend, where a scenario has something wrong there."""
    name: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    other_headers: dict[str, str] = field(default_factory=dict)
    """Those of a second user, empty where the manifest names none."""
    gateway: Running | None = None
    stdio: TapReading | None = None
    """The collector of the stdio taps, where the backend speaks stdio."""
    attached: Attached | None = None
    late_registration: bool = False
    """Whether the gateway is told its backend by `register`, and not at its start."""
    healthy: bool = False
    """Whether a sentinel exchange succeeded and nothing was driven since."""
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held for a sentinel exchange: cells that are driven together begin one after the other."""
    refused: CannotJudgeError | None = None
    """How the last sentinel exchange before a drive failed that did."""
    client_taps: dict[str, str] = field(default_factory=dict)
    _ended: asyncio.Task[None] | None = None
    _watches: list[asyncio.Task[None]] = field(default_factory=list)
    _secrets: dict[str, str] = field(default_factory=dict)
    _values: dict[str, str | Sequence[str]] = field(default_factory=dict)

    @classmethod
    async def start(
        cls,
        runtime: Runtime,
        taps: TapProcess,
        target: TargetManifest | None,
        backend: BackendManifest | None,
        *,
        url: UrlTarget | None = None,
        script: str,
        recorder: Recorder,
        redactor: Redactor,
        spin_up: SpinUp | None = None,
        late_backend: bool = False,
        late_registration: bool = False,
        any_start: bool = False,
        second_backend: SecondBackend | None = None,
        network: NetworkFault | None = None,
        published: bool = False,
        registering: bool = False,
        backend_face: ServedFace = "http",
        edge: EdgeSetup | None = None,
    ) -> Instance:
        """Start everything and wait until it answers; on failure stop what was started and raise CannotJudgeError.

        recorder: gets what happens to the instance, also when it does not start. registering: nothing is registered,
        and there are two backends that can be.
        """
        if target is not None and registering:
            late_registration, second_backend = True, SecondBackend.WORKS
        elif target is not None and second_backend is not None:
            target = target.before_two()
        self = cls(runtime, taps, target, backend, script, redactor, spin_up, recorder, backend_face)
        self.name = f"i{next(_numbers)}"
        self.late_registration = late_registration
        if backend is not None:
            self.http = self._http_side(backend, BACKEND_TAP, script)
            self.http.published = published
            if second_backend is not None:
                self.second = self._http_side(backend, SECOND_TAP, second_backend.script)
        try:
            if url is not None:
                if self.http is not None:
                    await self.http.start()
                    await self.http.open_tap(f"{self.name}:backend", TcpAddress(*parse_listen(url.witness)))
                self.attached = await attach(url)
                self.headers = dict(self.attached.headers)
            elif backend is not None:
                await self._start(
                    backend,
                    late_backend=late_backend,
                    any_start=any_start,
                    second=second_backend,
                    fault=network,
                    edge=edge,
                )
        except BaseException:
            await self.stop()
            raise
        return self

    def _http_side(self, backend: BackendManifest, label: str, script: str) -> HttpSide:
        return HttpSide(
            self.runtime, self.taps, backend, label, script, self.backend_face, self.recorder, self.redactor
        )

    async def _start(
        self,
        backend: BackendManifest,
        *,
        late_backend: bool,
        any_start: bool,
        second: SecondBackend | None,
        fault: NetworkFault | None,
        edge: EdgeSetup | None,
    ) -> None:
        fronts = self.target.fronts if self.target else ("http",)
        if self.spin_up:
            fronts = ("stdio",)
        if "http" in fronts and "http" in backend.offers and not late_backend:
            await self.start_backend()
        if self.target is None:
            return
        tapped = TcpAddress(self.runtime.backend_tap_host, 0)
        if self.http is not None and "http" in fronts and "http" in backend.offers:
            self._values["backend_url"] = await self._way(self.http, fault, tapped)
        if self.second is not None:
            if second is not SecondBackend.DOWN:
                await self.second.start()
            self._values["second_backend_url"] = await self.second.open_tap(f"{self.name}:second", tapped)
        if "stdio" in fronts and "stdio" in backend.offers:
            self.stdio = of_stdio(self.taps, f"{self.name}:stdio", self.redactor)
            collector = await self.taps.open_collector(self.stdio.tap, tapped)
            command = await self.runtime.stdio_command(
                backend,
                script=self.script,
                collector=collector,
                tap=STDIO_TAP,
                spin_up=self.spin_up,
            )
            if self.spin_up is not None:
                self.engine = await EngineSide.open(self.taps, self.name, self.spin_up, tuple(command))
                command = self.engine.command
                self._values["image"] = self.engine.image
            self._values["backend_command"] = command
        self._secrets = generate_secrets(self.target)
        if edge is not None:
            await self._start_edge(self.target, edge)
            return
        lacking = late_backend or second not in (None, SecondBackend.WORKS)
        await self.start_gateway(ready=self._ready(uncertain=lacking or any_start))

    async def _way(self, side: HttpSide, fault: NetworkFault | None, tapped: TcpAddress) -> str:
        """Return the URL by which the gateway is to reach its backend, with the fault in it."""
        tap = f"{self.name}:backend"
        if fault is None:
            return await side.open_tap(tap, tapped)
        folder = self.taps.spool_dir.parent / "network" / self.name
        self.network = await open_way(fault, side, self.runtime, tap, tapped, folder)
        return self.network.url

    async def start_backend(self) -> None:
        """Start (or start again) the backend's HTTP face and point the backend tap at it."""
        if self.http is None:
            raise RuntimeError("a gateway reached by its URL has no backend of ours to start")
        await self.http.start()

    async def stop_backend(self) -> None:
        """Stop the backend that is served over HTTP."""
        if self.http is not None:
            await self.http.stop()

    def _ready(self, *, uncertain: bool) -> Ready:
        """Return how far the gateway's start is waited for.

        The readiness probe's own initialize would set off what a script counts or times, and a gateway that connects
        to its backend before it listens may rightly never listen when that backend misbehaves. uncertain: the backend
        is not all there, or a gateway that never answers is what the scenario looks for.
        """
        broken = self.spin_up is not None and not self.spin_up.serves
        if broken or self.script != "correct" or self.backend_face == "sse" or uncertain:
            return Ready.TRIED
        # A probe's initialize would start a container of its own; the client's is to be what starts the first.
        return Ready.ANSWERS if self.spin_up is None else Ready.ACCEPTS

    async def _start_edge(self, target: TargetManifest, setup: EdgeSetup) -> None:
        self.edge = await EdgeSide.open(
            self.runtime,
            self.taps,
            setup,
            target,
            name=self.name,
            recorder=self.recorder,
            redactor=self.redactor,
            start_replica=lambda: self._run_gateway(target, Ready.ANSWERS),
        )
        await self.edge.start(target.endpoint.path)
        self._know_headers(target, self.edge.saved)

    async def start_gateway(self, *, ready: Ready = Ready.ANSWERS) -> None:
        """Start (or start again) the gateway and point the client taps at it."""
        if self.target is None:
            raise RuntimeError("a control run has no gateway to start")
        if self._ended is not None:
            await self._ended
        self.gateway = await self._run_gateway(self.target, ready)
        self._know_headers(self.target, self.gateway.saved)
        self._ended = asyncio.create_task(self._let_go(self.gateway))
        for tap in self.client_taps:
            await self.taps.set_upstream(tap, self.gateway.address)

    def _know_headers(self, target: TargetManifest, saved: Mapping[str, str]) -> None:
        known = {**self._secrets, **saved}
        self.headers = known_headers(target.endpoint.headers, known)
        self.other_headers = known_headers(target.endpoint.other_headers, known)

    async def _run_gateway(self, target: TargetManifest, ready: Ready) -> Running:
        running = await self._started_gateway(target, ready)
        self._watches.append(asyncio.create_task(processor_wait.watch(running, self.recorder)))
        return running

    async def _started_gateway(self, target: TargetManifest, ready: Ready) -> Running:
        try:
            return await self.runtime.start_gateway(
                target.unregistered() if self.late_registration else target,
                values=self._values,
                secrets=self._secrets,
                spin_up=self.spin_up,
                engine=self.engine.access if self.engine else None,
                ready=ready,
                on_event=self.recorder.stage,
                authority=self.network.authority if self.network else None,
            )
        except PreparationError as error:
            if ready is Ready.TRIED:
                raise NotExercisedError(f"a gateway that is set up for this backend. {error}") from error
            raise

    async def register(self) -> None:
        """Tell the running gateway its backend, as its manifest says. Raises PreparationError."""
        if self.target is None or self.gateway is None:
            return  # a control run has no gateway to tell
        known = {**self._secrets, **self.gateway.saved}
        preparation = Preparation(self.target, self._values, known)
        await preparation.register(self.gateway.address, self.recorder.stage)

    async def _let_go(self, gateway: Running) -> None:
        """Once the gateway has ended, dial its address no more: the next container to start may be given it."""
        await gateway.wait()
        for tap in tuple(self.client_taps):
            await self.taps.refuse(tap, "the gateway has ended")

    async def revoke(self) -> None:
        """Take the backend away from the running gateway, as its manifest says. Raises PreparationError."""
        if self.target is not None and self.target.spin_up is not None and self.gateway is not None:
            secrets = {**self._secrets, **self.gateway.saved}
            preparation = Preparation(self.target, self._values, secrets)
            await preparation.ask(self.gateway.address, self.target.spin_up.revoke)

    @property
    def front(self) -> TcpAddress:
        """Address the clients' taps dial: the gateway's or its edge's, or the backend's in a control run."""
        if self.attached is not None:
            return self.attached.address
        if self.edge is not None:
            return self.edge.address
        running = self.gateway if self.target is not None else self.server
        if running is None:
            raise RuntimeError("the instance has not been started")
        return running.address

    @property
    def meta_tool(self) -> MetaTool | None:
        """The gateway's own tool through which clients call its backend's tools."""
        return self.target.meta_tool if self.target is not None else None

    @property
    def tool_names(self) -> ToolNames:
        """What clients find in place of the backend's names for tools."""
        return self.target.tool_names if self.target is not None else ToolNames()

    @property
    def told(self) -> dict[str, str | Sequence[str]]:
        """What the placeholders of requests to the gateway stand for: addresses, and secrets made or saved."""
        return {**self._values, **self._secrets, **(self.gateway.saved if self.gateway is not None else {})}

    @property
    def path(self) -> str:
        """Path of the endpoint the clients use."""
        if self.attached is not None:
            return self.attached.path
        if self.target is not None:
            return (self.edge.setup.variant.path_prefix if self.edge else "") + self.target.endpoint.path
        return self.http.path if self.http is not None else "/mcp"

    @property
    def server(self) -> Running | None:
        """The running backend that is served over HTTP."""
        return self.http.server if self.http is not None else None

    @property
    def backend_tap(self) -> str | None:
        """Name of the tap between the gateway and the backend over HTTP."""
        return self.http.tap if self.http is not None else None

    async def open_client_tap(
        self, client: str, cell: str, path: str | None = None, way: FrontWay | None = None
    ) -> str:
        """Open a tap for one client of one cell and return the URL it gives the client: of `path`, or the endpoint.

        way: where the tap dials in place of the gateway's own address, and how.
        """
        tap = f"{self.name}:{cell}:{client}:{next(_numbers)}"
        mode, tls = (way.mode, way.tls) if way else self._towards_front()
        ended = self.gateway is not None and self.gateway.returncode is not None
        address = await self.taps.open_tap(
            tap,
            listen=TcpAddress("127.0.0.1", 0),
            upstream=None if ended else (way.address if way else self.front),
            mode=mode,
            tls=tls,
        )
        self.client_taps[tap] = client
        return f"http://{address}{path or self.path}"

    def _towards_front(self) -> tuple[TapMode, TlsOptions | None]:
        """Return how a client's tap speaks to what it dials."""
        if self.attached is not None:
            return self.attached.mode, self.attached.tls
        return self.edge.client_tls if self.edge is not None else ("tcp", None)

    def tap_of(self, client: str) -> str:
        """Return the name of a client's most recent tap."""
        return [tap for tap, owner in self.client_taps.items() if owner == client][-1]

    async def collect(self, client_taps: Sequence[str], *, behind: bool = True, begin_ns: int = 0) -> list[Observation]:
        """Return what the given client taps and the backend's side saw since the instance started, redacted.

        behind: whether to read the backend's side as well. begin_ns: of that, only what belongs to a cell that began
        then (monotonic).
        """
        found: list[Observation] = list(self.recorder.observations)
        for tap in client_taps:
            found += await self._tap(tap, f"client:{self.client_taps[tap]}", Point.CLIENT_TAP)
        if not behind:
            return found
        found += await self.edge.collect(begin_ns) if self.edge is not None else []
        for side in (self.http, self.second):
            found += await side.collect(begin_ns) if side is not None else []
        if self.stdio is not None:
            found += await self.stdio.collect(begin_ns)
        if self.engine is not None:
            found += await self._tap(self.engine.tap, ENGINE_TAP, Point.ENGINE_TAP)
        return found

    async def _tap(self, tap: str, label: str, point: Point) -> list[Observation]:
        size, path = await self.taps.sync(tap), self.taps.spool_path(tap)
        return await asyncio.to_thread(
            lambda: list(assemble_tap(label, point, read_spool(path, end=size), self.redactor))
        )

    async def close_client_taps(self, taps: Sequence[str]) -> None:
        """Close client taps whose evidence was collected and delete their spools."""
        for tap in taps:
            await self.taps.close_tap(tap)
            self.client_taps.pop(tap, None)
            self.taps.spool_path(tap).unlink(missing_ok=True)

    async def stop(self) -> None:
        """Stop the gateway, with what stands before it, then the backend, then the taps."""
        for watch in self._watches:
            watch.cancel()
        if self.edge is not None:
            await self.edge.stop()
        sides = [side for side in (self.http, self.second) if side is not None]
        for running in (self.gateway, *(side.server for side in sides)):
            if running is not None:
                await running.stop()
        if self._ended is not None:
            await self._ended
        if self.network is not None:
            await self.network.stop()
        own = (
            *(side.tap for side in sides),
            self.stdio.tap if self.stdio else None,
            self.engine.tap if self.engine else None,
        )
        for tap in [*self.client_taps, *(tap for tap in own if tap)]:
            await self.taps.close_tap(tap)


def describe(running: Running | None) -> dict[str, JSON]:
    """Return what the evidence header says of a started program."""
    return {} if running is None else {"pid": running.pid, "address": str(running.address)}
