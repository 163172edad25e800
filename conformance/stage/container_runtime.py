"""The `containers` runtime: gateways, backends and edges as containers, each side on an internal network of its own.

Everything carries the run's label. No port is published: taps and readiness probes dial the containers' own addresses.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from conformance.errors import CannotJudgeError
from conformance.stage import before, container_network, images
from conformance.stage.base_image import BASE_TAG
from conformance.stage.container_network import WronglyPublished
from conformance.stage.engine import connect
from conformance.stage.engine_side import ENGINE_FOLDER, ENGINE_PATH
from conformance.stage.labels import run_labels
from conformance.stage.launch import prepare, stdio_command
from conformance.stage.networks import RunNetworks, check_routes, create_networks
from conformance.stage.placeholders import Values, expand, expand_argv
from conformance.stage.preparation import Preparation
from conformance.stage.readiness import Probe, wait_ready
from conformance.stage.ready_image import ensure_ready_image
from conformance.stage.running_container import ContainerSpec, Mount, RunningContainer, start_container
from conformance.stage.runtime import EngineAccess, Ready
from conformance.stage.scenario import SpinUp
from conformance.wire.tap_address import TcpAddress

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import docker

    from conformance.evidence.events import JSON
    from conformance.evidence.network import Standpoint
    from conformance.stage.container_network import Filtered, FilteredFront
    from conformance.stage.edge_config import EdgePlan
    from conformance.stage.edge_manifest import EdgeManifest
    from conformance.stage.manifest import BackendManifest, TargetManifest
    from conformance.stage.manifest_tables import ServedFace
    from conformance.stage.networks import Side
    from conformance.stage.plan import Plan
    from conformance.stage.runtime import OnEvent, Running

PORT: Final = 8080
"""Port of every gateway and backend: each container has an address of its own."""

EVERY_ADDRESS: Final = "0.0.0.0"
"""What `{host}` is inside a container, whose only network is the run's."""

CONFIG_DIR: Final = "/etc/mcp-gateway-conformance"
START_SCRIPT: Final = f"{CONFIG_DIR}/start.sh"
"""What a container runs whose manifest has commands to run before the start."""
SAVED: Final = "/run/mcp-gateway-conformance/saved"
"""Folder, inside such a container, of what those commands printed."""

ENGINE_HOST: Final = f"unix://{ENGINE_PATH}"
"""How a gateway that starts containers, and the `docker` that it starts, find the tapped engine socket."""

CORRECT: Final = "correct"
"""The witness script whose answers mean something; with any other, only the port is waited for."""


@dataclass(slots=True)
class ContainerRuntime:
    """Gateways and backends as containers (see `conformance.stage.runtime.Runtime`).

    A gateway that starts containers gets the engine tap's socket; the raw socket is never handed on.
    """

    plan: Plan
    name: str = "containers"
    on_progress: Callable[[str], None] = print
    _client: docker.DockerClient = field(default_factory=connect)
    _networks: RunNetworks | None = None
    _images: dict[str, str] = field(default_factory=dict)
    _backends: list[BackendManifest] = field(default_factory=list)
    _preparing: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def backend_tap_host(self) -> str:
        """The gateway network's bridge on this machine; containers on the engine's default network reach it too."""
        return self._side().gateway.host

    async def prepare(self, target: TargetManifest | None, backends: Sequence[BackendManifest]) -> None:
        """Build the images and create the networks, and see that taps can stand between containers.

        Raises CannotJudgeError.
        """
        async with self._preparing:
            for backend in backends:
                await self._backend_image(backend)
            # Gateways that front stdio bring their backends along; one that cannot be had is left out of every image.
            self._backends = [*self._backends, *(one for one in backends if one not in self._backends)]
            if target is not None:
                await self._gateway_image(target)
            if self._networks is None:
                await self._connect_sides()

    async def start_backend(
        self,
        backend: BackendManifest,
        *,
        script: str,
        face: ServedFace = "http",
        published: bool = False,
        on_event: OnEvent,
    ) -> RunningContainer:
        """Start a face of a backend that is served over HTTP and wait until it is up. Raises CannotJudgeError.

        Up means that its initialize is answered; under a script, and on HTTP+SSE, that it accepts. published: it is
        reached on this machine, at a port of the engine's choice, which accepts before it is up and is not waited for.
        """
        spec = await self._backend_spec(backend, script, face, self._side().backend)
        if published:
            return await start_container(replace(spec, network=container_network.BRIDGE, published=spec.port), on_event)
        served = backend.served(face)
        path = served.path if served is not None and script == CORRECT and face == "http" else None
        return await _start_ready(spec, backend, path, on_event)

    async def filtered_port(self, backend: BackendManifest, *, on_event: OnEvent) -> Filtered:
        """Return a backend beside the gateway, in whose network namespace a rule drops what comes to its port.

        Raises NotExercisedError where no such rule can be set.
        """
        spec = await self._backend_spec(backend, CORRECT, "http", self._side().gateway)
        running = await _start_ready(spec, backend, None, on_event)
        return await container_network.drop_at(self._client, running, self.on_progress)

    async def dead_port(self, backend: BackendManifest, *, on_event: OnEvent) -> WronglyPublished:
        """Return a backend of which the engine publishes a port that it does not listen on. Raises CannotJudgeError."""
        spec = await self._backend_spec(backend, CORRECT, "http", self._side().backend)
        return await _published_wrongly(spec, backend, on_event)

    async def filtered_front(self, gateway: Running) -> FilteredFront:
        """Have a rule in the gateway's network namespace drop what comes to its port. Raises NotExercisedError."""
        return await container_network.drop_for_a_while(self._client, _container(gateway), self.on_progress)

    async def dead_front(self, target: TargetManifest, gateway: Running, *, on_event: OnEvent) -> WronglyPublished:
        """Return another of the gateway, of which the engine publishes a port that it does not listen on.

        A port can be published only of a container that is not there yet. Raises CannotJudgeError.
        """
        return await _published_wrongly(_container(gateway).spec, target, on_event)

    async def probe(
        self, url: str, *, gateway: Running | None, authority: str | None
    ) -> tuple[Standpoint, dict[str, JSON]]:
        """Try to reach a URL from the gateway's network namespace; of one that has ended, from where it stood.

        Raises CannotJudgeError.
        """
        runs = gateway if isinstance(gateway, RunningContainer) and gateway.returncode is None else None
        return "gateway", await self._probe(url, runs, authority)

    async def probe_beside(self, url: str) -> dict[str, JSON]:
        """Try to reach a URL from a new container beside the gateway's. Raises CannotJudgeError."""
        return await self._probe(url, None, None)

    async def _probe(self, url: str, inside: RunningContainer | None, authority: str | None) -> dict[str, JSON]:
        return await asyncio.to_thread(
            container_network.probe_inside,
            self._client,
            url,
            container=inside.id if inside is not None else None,
            network=self._side().gateway.name,
            authority=authority,
            run_id=self.plan.run_id,
        )

    async def _backend_spec(self, backend: BackendManifest, script: str, face: ServedFace, side: Side) -> ContainerSpec:
        served = backend.served(face)
        if served is None:
            raise CannotJudgeError(f"{backend.title} has no HTTP face; choose a gateway that fronts stdio for it.")
        values: Values = {**_own_values(backend), "script": script}
        return ContainerSpec(
            name="backend",
            image=await self._backend_image(backend),
            argv=expand_argv(served.command, values),
            env={name: expand(value, values) for name, value in served.env.items()},
            network=side.name,
            port=PORT,
            labels=run_labels(self.plan.run_id),
        )

    async def stdio_command(
        self, backend: BackendManifest, *, script: str, collector: TcpAddress, tap: str, spin_up: SpinUp | None = None
    ) -> tuple[str, ...]:
        """Return the command a gateway is given for a stdio backend, wrapped in the stdio tap named `tap`.

        spin_up: `env DOCKER_HOST=… docker run -i --rm IMAGE`, where IMAGE is of this run, or lacks the program that it
        is to run. Else the backend's program inside the gateway's own container. It brings its own environment along:
        many gateways hand their children next to nothing. Raises CannotJudgeError.
        """
        face = backend.faces.stdio
        if face is None:
            raise CannotJudgeError(f"{backend.title} has no stdio face; choose a gateway that fronts HTTP for it.")
        command, variables = stdio_command(face, {**_own_values(backend), "script": script})
        if not spin_up:
            relay = (images.BASE_PYTHON, images.STDIO_TAP, "--name", tap, "--collector", str(collector))
            return ("env", f"PYTHONPATH={images.SOURCES}", *variables, *relay, *command)
        image = await self._backend_image(backend)
        derived = await asyncio.to_thread(
            images.derive_backend_image,
            self._client,
            image,
            run_id=self.plan.run_id,
            collector=collector,
            tap=tap,
            command=("env", *variables, *command) if variables else command,
            program_missing=spin_up is SpinUp.COMMAND_MISSING,
        )
        return ("env", f"DOCKER_HOST={ENGINE_HOST}", "docker", "run", "-i", "--rm", derived)

    async def start_gateway(
        self,
        target: TargetManifest,
        *,
        values: Mapping[str, str | Sequence[str]],
        secrets: Mapping[str, str],
        spin_up: SpinUp | None,
        engine: EngineAccess | None,
        ready: Ready,
        on_event: OnEvent,
        authority: str | None = None,
    ) -> RunningContainer:
        """Start a gateway with `values` and `secrets` for its placeholders and wait until it is `ready`.

        Raises CannotJudgeError.
        """
        launch = prepare(target, {**values, **_own_values(target)}, secrets, spin_up=spin_up, authority=authority)
        preparation = Preparation(target, {**values, **_own_values(target)}, secrets)
        argv, files = launch.argv, launch.files
        if target.start.before:
            files = (*files, (START_SCRIPT, before.script(preparation, argv, SAVED)))
            argv = ("/bin/sh", START_SCRIPT)
        spec = ContainerSpec(
            name="gateway",
            image=await self._gateway_image(target),
            argv=argv,
            env={**launch.env, **({"DOCKER_HOST": ENGINE_HOST} if engine else {})},
            files=files,
            # The folder is mounted, not the socket: one that is mounted itself is lost when the tap opens it again.
            mounts=(Mount(str(engine.socket.parent), ENGINE_FOLDER, engine.read_only),) if engine else (),
            unprivileged=engine is not None and engine.unprivileged,
            network=self._side().gateway.name,
            port=PORT,
            labels=run_labels(self.plan.run_id),
            own_entrypoint=target.install.image is not None,
        )
        path = target.endpoint.path if ready is Ready.ANSWERS and target.endpoint.streamable else None
        stream = target.endpoint.only_stream if ready is Ready.ANSWERS else None
        return await _start_ready(spec, target, path, on_event, preparation, stream, tolerant=ready is Ready.TRIED)

    async def prepare_edge(self, edge: EdgeManifest) -> str:
        """Build an edge's image and return what the program in it says of its version. Raises CannotJudgeError."""
        image = await self._edge_image(edge)
        if not edge.version_command:
            return edge.version
        status, said = await asyncio.to_thread(
            container_network.run_to_end,
            self._client,
            image,
            edge.version_command,
            self.plan.run_id,
            network_mode="none",
        )
        if status != 0:
            raise CannotJudgeError(f"{edge.title} does not say its version (status {status}): {said}")
        return next(iter(said.splitlines()), "")

    async def start_edge(self, plan: EdgePlan, *, on_event: OnEvent) -> RunningContainer:
        """Start an edge beside the gateways, which it reaches through taps, and wait until its port accepts.

        Raises CannotJudgeError.
        """
        launch = plan.launch(TcpAddress(EVERY_ADDRESS, PORT), CONFIG_DIR)
        spec = ContainerSpec(
            name="edge",
            image=await self._edge_image(plan.manifest),
            argv=launch.argv,
            env=launch.env,
            files=launch.files,
            network=self._side().gateway.name,
            port=PORT,
            labels=run_labels(self.plan.run_id),
        )
        return await _start_ready(spec, plan.manifest, None, on_event)

    async def _edge_image(self, edge: EdgeManifest) -> str:
        return await self._image(
            f"edge {edge.name}", lambda: images.ensure_edge_image(self._client, edge, self.on_progress)
        )

    def _side(self) -> RunNetworks:
        if self._networks is None:
            raise CannotJudgeError("The containers runtime was not prepared; prepare it before anything is started.")
        return self._networks

    async def _connect_sides(self) -> None:
        networks = await asyncio.to_thread(create_networks, self._client, self.plan.run_id)
        routes = await check_routes(self._client, networks.gateway, BASE_TAG, self.plan.run_id)
        if not routes.both:
            raise CannotJudgeError(
                f"Taps cannot stand between containers here: {routes.why}; use --runtime process, or a local engine."
            )
        self._networks = networks

    async def _gateway_image(self, target: TargetManifest) -> str:
        ready = target.install.image
        if ready is not None:
            return await self._image(ready, lambda: ensure_ready_image(self._client, ready, self.on_progress))
        return await self._image(
            f"gateway {target.name}",
            lambda: images.ensure_gateway_image(self._client, target, self._backends, self.on_progress),
        )

    async def _backend_image(self, backend: BackendManifest) -> str:
        return await self._image(
            f"backend {backend.name}", lambda: images.ensure_backend_image(self._client, backend, self.on_progress)
        )

    async def _image(self, key: str, ensure: Callable[[], str]) -> str:
        if key not in self._images:
            self._images[key] = await asyncio.to_thread(ensure)
        return self._images[key]


async def _start_ready(
    spec: ContainerSpec,
    manifest: TargetManifest | BackendManifest | EdgeManifest,
    path: str | None,
    on_event: OnEvent,
    preparation: Preparation | None = None,
    stream: str | None = None,
    *,
    tolerant: bool = False,
) -> RunningContainer:
    """Start a container and wait until it is up; tolerant: return it however far it came."""
    container = await start_container(spec, on_event)

    async def prepared(told: OnEvent) -> Mapping[str, str]:
        if preparation is None:
            return {}
        for command in preparation.commands():
            if command.save is not None:
                preparation.keep(command.save, await container.read(before.saved_file(SAVED, command.save)))
        container.saved = preparation.saved
        return await preparation.requests(container.address, told)

    probe = Probe(container.address, path, prepared, stream)
    try:
        why = await wait_ready(
            spec.name, probe, seconds=manifest.ready.seconds, exited=container.wait(), on_event=on_event
        )
        if preparation is not None and tolerant:
            preparation.require_done(why)
    except BaseException:
        await container.stop()
        raise
    if why is None or tolerant:
        await container.capture()
        return container
    ended = container.returncode
    inside = await container_network.listens_inside(container) if ended is None else None
    await container.stop()
    if preparation is not None and ended == before.FAILED:
        raise preparation.failed(preparation.shown(container.tail()), "start.before")
    how = f"it ended with status {ended}" if ended is not None else (inside or why)
    remedy = "have it listen on {host}" if inside else "correct its start command or raise ready.seconds"
    raise CannotJudgeError(f"{manifest.title} never got ready: {how}; {remedy}. Its last lines:\n{container.tail()}")


async def _published_wrongly(
    spec: ContainerSpec, manifest: TargetManifest | BackendManifest, on_event: OnEvent
) -> WronglyPublished:
    return WronglyPublished(await _start_ready(container_network.wrongly_published(spec), manifest, None, on_event))


def _container(running: Running) -> RunningContainer:
    assert isinstance(running, RunningContainer), "what this runtime starts are containers"
    return running


def _own_values(manifest: TargetManifest | BackendManifest) -> dict[str, str]:
    """Return the placeholders that the runtime itself fills; of a ready image it is not known what else is in it."""
    own = {"host": EVERY_ADDRESS, "port": str(PORT), "config_dir": CONFIG_DIR}
    if manifest.install.image is not None:
        return own
    own |= {"python": images.python_of(manifest), "node": images.NODE}
    own |= {"folder": folder} if (folder := images.folder_of(manifest)) else {}
    return own | ({"node_modules": modules} if (modules := images.node_modules_of(manifest)) else {})
