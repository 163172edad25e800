"""The stage as a scenario sees it: clients, steps, toxics, restarts. It drives and records; it never judges."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext

from conformance import timing
from conformance.errors import CannotJudgeError, NotExercisedError
from conformance.evidence.events import JSON, Kind, Point
from conformance.evidence.network import FRONT_LACKING
from conformance.evidence.transcript import SENTINEL
from conformance.stage import process_memory, sockets
from conformance.stage.backend_seen import Asked, how_far
from conformance.stage.engine_log import EngineLog
from conformance.stage.engine_reach import reach
from conformance.stage.engine_side import ENGINE_PATH
from conformance.stage.front_ways import FrontWay, front_way
from conformance.stage.instance import BACKEND_TAP, SECOND_TAP, Instance
from conformance.stage.manifest import load_client
from conformance.stage.manifest_tables import Sentinel
from conformance.stage.plan import Cell
from conformance.stage.real_client import ClientHost, RealClient
from conformance.stage.recorder import Recorder
from conformance.stage.replicas import Replicas
from conformance.stage.scenario import NetworkFault
from conformance.wire.driver import McpClient, Reply
from conformance.wire.refused import met_with
from conformance.wire.sse_driver import SseClient
from conformance.wire.toxics import Toxic


class Stage:
    """One cell's view of an instance."""

    def __init__(
        self,
        cell: Cell,
        instance: Instance,
        recorder: Recorder,
        engine_log: EngineLog | None = None,
        host: ClientHost | None = None,
    ) -> None:
        self.cell = cell
        self.instance = instance
        self.recorder = recorder
        self.engine_log = engine_log
        self.taps: list[str] = []
        self._clients: list[McpClient] = []
        self._host = host
        self._real: list[RealClient] = []
        self._tools: dict[str, str] = {}
        self._asked = Asked("initialize")

    # clients --------------------------------------------------------------------------------------------------------

    async def client(
        self,
        name: str = "a",
        *,
        revision: str | None = None,
        headers: Mapping[str, str] | None = None,
        way: FrontWay | None = None,
        path: str | None = None,
    ) -> McpClient:
        """Return a new client with a tap of its own; `headers` are sent beside those the target needs.

        way: where the tap dials in place of the gateway's own address. path: in place of the endpoint's.
        """
        url = await self.instance.open_client_tap(name, self.cell.slug, path, way)
        self.taps.append(self.instance.tap_of(name))
        client = McpClient(
            name,
            url,
            revision=revision or self.cell.revision,
            record=self.step,
            headers={**self.instance.headers, **(headers or {})},
            meta_tool=self.instance.meta_tool,
        )
        self._clients.append(client)
        return client

    async def sse_client(self, name: str = "a", *, path: str | None = None) -> SseClient:
        """Return a new client of the old transport with a tap of its own, at the gateway's HTTP+SSE endpoint or `path`.

        An absolute URI is followed when it names the tap or the gateway's own address.
        """
        target = self.instance.target
        found = path or (target.endpoint.sse_path if target else None)
        url = await self.instance.open_client_tap(name, self.cell.slug, found)
        self.taps.append(self.instance.tap_of(name))
        client = SseClient(
            name,
            url,
            revision=self.cell.revision,
            record=self.step,
            headers=self.instance.headers,
            meta_tool=self.instance.meta_tool,
            authorities=(str(self.instance.front),),
        )
        self._clients.append(client)
        return client

    async def connected(self, name: str = "a", *, revision: str | None = None) -> McpClient:
        """Return a new client that has initialized and said so."""
        client = await self.client(name, revision=revision)
        await client.connect()
        return client

    async def real_client(
        self,
        name: str,
        label: str = "real",
        *,
        path: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> RealClient:
        """Return a started real client with a tap of its own; `name` is its manifest's. Raises CannotJudgeError.

        path: of the gateway's that it is told, in place of the endpoint's; straight at a backend there is but one.
        headers: in place of those that the target needs.
        """
        if self._host is None:
            raise RuntimeError("this stage was given no place to run real clients in")
        told = path if self.instance.target is not None else None
        url = await self.instance.open_client_tap(label, self.cell.slug, told)
        self.taps.append(self.instance.tap_of(label))
        client = await self._host.start(
            load_client(name),
            label,
            url=url,
            headers=self.instance.headers if headers is None else headers,
            revision=self.cell.revision,
            recorder=self.recorder,
        )
        self._real.append(client)
        return client

    def listed_as(self, backend_tool: str, names: Iterable[str]) -> str:
        """Return the name by which the backend's tool is called at the gateway, which lists `names`.

        Gateways prefix names; the shortest that may stand for the backend's is taken. Falls back to the name that the
        manifest claims, so that a gateway that lists nothing is still called and seen to fail; so it is where the
        manifest says that the backend's tools are called through one of the gateway's own. Raises CannotJudgeError when
        that is not so: what would go unjudged because of it could well be judged.
        """
        ending = self.instance.tool_names.standing_for(backend_tool, names)
        if ending and self.instance.meta_tool is not None:
            raise CannotJudgeError(
                f"the gateway lists {min(ending, key=len)} itself; take tools.via out of its manifest."
            )
        claimed = self.instance.target.tool_name(backend_tool) if self.instance.target else backend_tool
        return min(ending, key=len, default=claimed)

    async def tool(self, backend_tool: str, client: McpClient) -> str:
        """Return the name by which the backend's tool is called at the gateway. Raises CannotJudgeError."""
        if backend_tool not in self._tools:
            self._tools[backend_tool] = self.listed_as(backend_tool, await client.tools())
        return self._tools[backend_tool]

    async def answered(self, client: McpClient, manner: str, *, deadline: float = timing.LOST_ANSWER) -> Reply:
        """Call the witness's tool `answer`, which has that call answered in a manner; return the reply.

        A call that has no answer after `deadline` seconds is given up, and its reply says so.
        """
        tool = await self.tool("answer", client)
        self.step("answer.manner", manner=manner)
        return await client.call(tool, {"nonce": self.nonce(), "manner": manner}, deadline=deadline)

    def of_two(self, backend_tool: str, *, alone: bool = False) -> dict[str, str]:
        """Return the names by which a tool of both backends is called, by the tap before the backend; and say them.

        alone: the gateway cannot know yet that the second backend has such a tool.
        """
        target = self.instance.target
        if target is None or target.two_backends is None:
            raise RuntimeError("the gateway has one backend; the scenario lacks second_backend")
        two = target.two_backends
        first = (two.alone_pattern if alone else "") or two.pattern
        patterns = {BACKEND_TAP: first, SECOND_TAP: two.second_pattern}
        names = {tap: target.tool_name(backend_tool, pattern) for tap, pattern in patterns.items()}
        self.step("two.expected", tool=backend_tool, names=names)
        return names

    async def call_of(self, client: McpClient, backend: str, name: str) -> bool:
        """Call the witness's tool `echo` at one of two backends, by its name there, and say so.

        Returns whether it was served: a result carries the call's nonce, as an error that looks like one does not.
        """
        nonce = self.nonce()
        self.step("two.called", backend=backend, tool=name, nonce=nonce)
        reply = await client.call(name, {"nonce": nonce, "text": name}, deadline=timing.HANG_OBSERVATION)
        return nonce in str(reply.result(client.last_id))

    def nonce(self) -> str:
        """Return a fresh nonce; in the arguments of a call it links the two sides."""
        return f"n-{secrets.token_hex(8)}"

    # what the scenario does -----------------------------------------------------------------------------------------

    def step(self, name: str, **detail: JSON) -> None:
        """Record a stimulus."""
        self.recorder.stimulus(name, **detail)

    async def wait(self, seconds: float, why: str) -> None:
        """Let time pass on purpose: the wait itself is the stimulus (idle time, an observation window)."""
        self.step("wait", seconds=seconds, why=why)
        await asyncio.sleep(seconds)

    async def backend_toxics(self, toxics: Sequence[Toxic]) -> None:
        """Set the toxics between gateway and backend; an empty sequence removes them."""
        if self.instance.backend_tap is not None:
            await self.instance.taps.set_toxics(self.instance.backend_tap, toxics)

    async def client_toxics(self, client: str, toxics: Sequence[Toxic]) -> None:
        """Set the toxics between a client and the gateway; an empty sequence removes them."""
        await self.instance.taps.set_toxics(self.instance.tap_of(client), toxics)

    async def start_backend(self) -> None:
        """Start the backend now: the scenario asked for a late one, or stopped it."""
        self.step("backend.start")
        await self.instance.start_backend()
        self.step("backend.ready", **self._published())

    async def publish_backend(self) -> None:
        """Start a published backend's container, and have the tap lead to it, without waiting for what runs in it."""
        assert self.instance.http is not None, "a control run has its backend from the start"
        self.step("backend.start")
        await self.instance.http.begin()
        self.step("backend.published", **self._published())

    async def await_backend(self) -> None:
        """Wait until a published backend serves."""
        assert self.instance.http is not None, "a control run has its backend from the start"
        await self.instance.http.until_ready()
        self.step("backend.ready")

    def _published(self) -> dict[str, JSON]:
        side = self.instance.http
        return {"published": str(side.server.address)} if side and side.published and side.server else {}

    async def stop_backend(self) -> None:
        """Stop the backend; the tap before it then refuses connections."""
        self.step("backend.stop")
        await self.instance.stop_backend()

    async def register_backend(self) -> None:
        """Tell the gateway its backend now: the scenario asked for a late registration."""
        self.step("backend.register")
        await self.instance.register()
        self.step("backend.registered")

    async def start_second(self) -> None:
        """Start the second backend now: it was down, or the scenario stopped it."""
        if self.instance.second is not None:
            self.step("second.start")
            await self.instance.second.start()
            self.step("second.ready")

    async def stop_second(self) -> None:
        """Stop the second backend; the tap before it then refuses connections."""
        if self.instance.second is not None:
            self.step("second.stop")
            await self.instance.second.stop()

    async def restart_gateway(self) -> None:
        """Stop the gateway in order and start it again with the same configuration.

        What it keeps beside that is gone in a new container; credentials that it gave out are then made anew.
        """
        if self.instance.gateway is not None:
            before = (self.instance.headers, self.instance.other_headers)
            self.step("gateway.stop")
            await self.instance.gateway.stop()
            self.step("gateway.start")
            await self.instance.start_gateway()
            after = (self.instance.headers, self.instance.other_headers)
            self.step("gateway.restarted", same_credentials=after == before)

    async def kill_gateway(self) -> None:
        """SIGKILL the gateway."""
        if self.instance.gateway is not None:
            self.step("gateway.kill", pid=self.instance.gateway.pid)
            await self.instance.gateway.kill()

    async def stop_gateway(self) -> None:
        """Stop the gateway in order; it is not started again."""
        if self.instance.gateway is not None:
            self.step("gateway.stop")
            await self.instance.gateway.stop()
            self.step("gateway.stopped")

    async def listening(self) -> tuple[str, ...] | None:
        """Return the addresses on which a gateway that is a child process listens on its port; None for another."""
        gateway = self.instance.gateway
        if gateway is None or self.cell.runtime != "process":
            return None
        return await asyncio.to_thread(sockets.listening, gateway.pid, gateway.address.port)

    @property
    def replicas(self) -> Replicas:
        """The replicas behind the edge that the scenario asked for. Raises RuntimeError where it asked for none."""
        if self.instance.edge is None:
            raise RuntimeError("no edge stands before the gateway; the scenario lacks edge")
        return Replicas(self.instance.edge, self.recorder)

    async def sample_memory(self) -> None:
        """Record how much memory a gateway that is a child process holds, all it started included."""
        gateway = self.instance.gateway
        if gateway is not None and self.cell.runtime == "process":
            self.step("memory.sampled", bytes=await asyncio.to_thread(process_memory.resident, gateway.pid))

    # the network ----------------------------------------------------------------------------------------------------

    async def probe_backend(self) -> None:
        """Try to reach the gateway's backend by the URL that the gateway was given, from where it stands; record it."""
        if self.instance.network is not None:
            for seen in await self.instance.network.probes(self.instance.gateway):
                self.recorder.stage(Kind.NETWORK_PROBE, seen)

    async def probe_front(self, fault: NetworkFault) -> None:
        """Try a client's way to the gateway that has that fault, then have a client go it; record both.

        A fault that cannot be had here is recorded as that.
        """
        try:
            async with front_way(self.instance, fault) as way:
                for seen in await way.probes(self.instance.path, self.instance.runtime):
                    self.recorder.stage(Kind.NETWORK_PROBE, seen)
                if way.contained:
                    return
                client = await self.client(f"by-{fault}", way=way)
                await client.initialize(deadline=timing.HEADERS_PROMPT)
                await client.close()
        except NotExercisedError as error:
            self.step(FRONT_LACKING, way=str(fault), why=str(error))

    # the containers that the gateway starts -------------------------------------------------------------------------

    def containers(self) -> frozenset[str]:
        """Return the ids of the containers of the backend's image that exist now, as far as the engine has said."""
        if self.engine_log is None or self.instance.engine is None:
            return frozenset()
        return self.engine_log.existing(self.instance.engine.image)

    async def probe_engine(self) -> None:
        """Record whether the engine can be reached from the gateway's place, and how its socket is mounted there."""
        engine, gateway = self.instance.engine, self.instance.gateway
        found = await reach(gateway, ENGINE_PATH) if engine is not None and gateway is not None else None
        if engine is not None and found is not None:
            self.step("engine.probe", socket=ENGINE_PATH, read_only=engine.access.read_only, **found)

    async def lose_engine(self) -> None:
        """Cut the gateway off its engine: connections are reset, new ones too, as when the engine is restarted."""
        if self.instance.engine is not None:
            self.step("engine.lost")
            await self.instance.engine.lose()

    async def return_engine(self) -> None:
        """Let the gateway reach its engine again."""
        if self.instance.engine is not None:
            await self.instance.engine.come_back()
            self.step("engine.back")

    async def revoke(self) -> None:
        """Take the backend away from the running gateway, through whatever API the gateway has for that."""
        self.step("backend.revoke")
        await self.instance.revoke()
        self.step("backend.revoked")

    async def kill_containers(self) -> None:
        """SIGKILL the containers of the backend's image, as the engine does when memory runs out; see them end."""
        found = self.containers()
        self.step("containers.kill", containers=sorted(found))
        if self.engine_log is not None:
            await self.engine_log.kill(found, timing.REMOVED_AFTER)
        self.step("containers.killed")

    async def removal(self, seconds: float, *, spared: frozenset[str] = frozenset()) -> None:
        """Wait until the engine has removed the containers that exist, `spared` aside; at most `seconds`."""
        awaited = self.containers() - spared
        self.step("removal.awaited", containers=sorted(awaited), seconds=seconds)
        if self.engine_log is not None:
            await self.engine_log.removal(awaited, seconds)
        self.step("removal.watched", left=sorted(self.containers() - spared))

    # sentinel and end -----------------------------------------------------------------------------------------------

    async def sentinel(self, when: str) -> None:
        """Make the exchange that shows gateway and backend are up: initialize, initialized, tools/list, one call.

        Raises CannotJudgeError when it fails.
        """
        target = self.instance.target
        old = target is not None and not target.endpoint.streamable
        client = await self.sse_client(SENTINEL) if old else await self.client(SENTINEL)
        begun_ns = time.monotonic_ns()
        try:
            async with asyncio.timeout(self._patience), _in_session(client):
                trouble = await self._sentinel(client, patience=self._patience * 0.8 if when == "before" else 0.0)
        except TimeoutError:
            trouble = f"{self._asked.what} was not answered within {self._patience:g} s"
        finally:
            await client.close()
        self.step("sentinel", when=when, ok=not trouble, detail=trouble)
        if trouble:
            if when == "before":  # evidence begins with its first stimulus: so this exchange is in it, as what failed
                self.recorder.add(Point.DRIVER, Kind.STIMULUS, {"name": "sentinel.begin", "when": when}, begun_ns)
            trouble += await how_far(self.instance, self._asked, begun_ns)
            who = "the backend" if target is None and self.instance.attached is None else "the gateway"
            raise CannotJudgeError(f"{who} did not pass the sentinel exchange {when} the scenario: {trouble}")

    @property
    def _patience(self) -> float:
        """How long the sentinel exchange may take, in seconds: a backend that the gateway starts has yet to start."""
        backend = self.instance.backend
        return timing.SENTINEL + (backend.ready.seconds if backend and self.instance.stdio else 0.0)

    async def _sentinel(self, client: McpClient, *, patience: float) -> str:
        """Return what is wrong with the exchange. patience: how long the call is made again until it works, in seconds.

        A gateway may answer with an error until its backends stand behind it; that is readiness, and all that is asked
        again.
        """
        give_up = asyncio.get_running_loop().time() + patience
        self._asked = Asked("initialize")
        reply = await client.initialize()
        if reply.result(client.last_id) is None:
            return f"initialize {met_with(reply)}"
        self._asked = Asked("notifications/initialized")
        await client.initialized()
        if self.instance.backend is None:
            self._asked = Asked("tools/list")
            listed = await client.request("tools/list", {})
            if listed.answer(client.last_id) is None:
                return f"tools/list {met_with(listed)}"
            await client.delete()
            return ""
        while trouble := await self.ask_backend(client, self.instance.backend.sentinel):
            if asyncio.get_running_loop().time() >= give_up:
                return trouble
            await asyncio.sleep(timing.STARTING)
        if patience:
            await self._second_reached(client, min(give_up, asyncio.get_running_loop().time() + timing.RELAY_PROMPT))
        await client.delete()
        return ""

    async def _second_reached(self, client: McpClient, give_up: float) -> None:
        """Return once the second of two backends serves too, or it is time to give up: that it does not is judged."""
        target = self.instance.target
        if self.instance.second is None or target is None or target.two_backends is None:
            return
        name = target.tool_name("echo", target.two_backends.second_pattern)
        while (left := give_up - asyncio.get_running_loop().time()) > 0:
            nonce = self.nonce()
            reply = await client.call(name, {"nonce": nonce, "text": name}, deadline=left)
            if nonce in str(reply.result(client.last_id)):
                return
            await asyncio.sleep(timing.STARTING)

    async def ask_backend(self, client: McpClient, sentinel: Sentinel) -> str:
        """Ask what the backend's manifest says it always answers; return what is wrong with that, empty if nothing is.

        A call carries a nonce where the tool returns one.
        """
        self._asked = Asked("tools/list")
        if sentinel.method == "tools/list":
            listed = await client.tools()
            wanted = "" if self.instance.meta_tool else sentinel.tool  # such a gateway lists its own tools only
            found = self.instance.tool_names.standing_for(wanted, listed)
            return "" if found else f"tools/list lacks {sentinel.tool}"
        tool = await self.tool(sentinel.tool, client)
        arguments = dict(sentinel.arguments)
        nonce = self.nonce() if sentinel.nonce_argument is not None else ""
        if sentinel.nonce_argument is not None:
            arguments[sentinel.nonce_argument] = nonce
        self._asked = Asked(f"tools/call {tool}", nonce)
        called = await client.call(tool, arguments)
        result = called.result(client.last_id)
        if result is None or result.get("isError"):
            return f"tools/call {tool} {met_with(called)}"
        return ""

    async def close(self) -> None:
        """Close every client of the cell."""
        for real in self._real:
            await real.end()
        for client in self._clients:
            await client.close()


def _in_session(client: McpClient) -> AbstractAsyncContextManager[object]:
    """Return what a client needs around its session: one of the old transport an open stream."""
    return client.open() if isinstance(client, SseClient) else nullcontext()
