"""Network faults among containers, and probes from inside a container's network namespace, both by helper containers.

A helper shares the namespace of another container (`--network container:ID`), and with it its addresses, routes, filter
rules and name server, whatever that container's own image lacks. It needs no rights on this machine.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from docker.errors import DockerException
from requests.exceptions import RequestException

from conformance.errors import CannotJudgeError, NotExercisedError
from conformance.evidence.network import obstacle
from conformance.stage import images
from conformance.stage.base_image import BASE_TAG
from conformance.stage.engine import connect
from conformance.stage.labels import RUN_LABEL, run_labels
from conformance.stage.running_container import LOOPBACK
from conformance.wire import network_probe
from conformance.wire.reaching import CONNECT_SECONDS, READ_SECONDS, reach, with_certificate
from conformance.wire.tap_address import TcpAddress

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import docker

    from conformance.evidence.events import JSON
    from conformance.stage.running_container import ContainerSpec, RunningContainer

UNUSED_PORT: Final = 9999
"""A container's port on which nothing of ours listens."""

HELPER_SECONDS: Final = 60
"""Longest a helper container may take. It starts in 0.5 s; a probe takes at most three connects and two reads."""

DROP: Final = "iptables --append INPUT --protocol tcp --dport {port} --jump DROP"
UNDROP: Final = DROP.replace("--append", "--delete")
BRIDGE: Final = "bridge"
"""The engine's own network: a port of an internal one cannot be published."""


@dataclass(frozen=True, slots=True)
class Filtered:
    """A backend in whose network namespace a rule drops what is sent to its port."""

    address: TcpAddress
    running: RunningContainer
    beyond: TcpAddress | None = None

    async def stop(self) -> None:
        """Stop the backend, and its namespace with it."""
        await self.running.stop()


@dataclass(frozen=True, slots=True)
class FilteredFront:
    """A gateway that goes on running while a rule in its network namespace drops what is sent to its port.

    tools: the image that sets such rules.
    """

    client: docker.DockerClient
    tools: str
    running: RunningContainer
    beyond: TcpAddress | None = None

    @property
    def address(self) -> TcpAddress:
        """Where it accepted connections, and will again."""
        return self.running.address

    async def stop(self) -> None:
        """Take the rule away; with a gateway that has ended it went by itself. Raises CannotJudgeError."""
        if self.running.returncode is None:
            await asyncio.to_thread(_rule, self.client, self.tools, self.running, UNDROP)


@dataclass(frozen=True, slots=True)
class WronglyPublished:
    """A server of which the engine publishes a port that it does not listen on."""

    running: RunningContainer

    @property
    def address(self) -> TcpAddress:
        """Where the engine's port proxy accepts on this machine."""
        assert self.running.published is not None, "it was started with a port to publish"
        return self.running.published

    @property
    def beyond(self) -> TcpAddress:
        """The port that is published, inside."""
        return TcpAddress(self.running.address.host, UNUSED_PORT)

    async def stop(self) -> None:
        """Stop the server, and its publishing with it."""
        await self.running.stop()


async def drop_at(
    client: docker.DockerClient, running: RunningContainer, on_progress: Callable[[str], None]
) -> Filtered:
    """Set a rule in a backend's network namespace that drops what is sent to its port; return what is left of it.

    Raises NotExercisedError where no such rule can be set; the backend has been stopped then.
    """
    try:
        await _drop(client, running, on_progress)
    except NotExercisedError:
        await running.stop()
        raise
    return Filtered(running.address, running)


async def drop_for_a_while(
    client: docker.DockerClient, running: RunningContainer, on_progress: Callable[[str], None]
) -> FilteredFront:
    """Set such a rule for a gateway that is used again once the rule is gone. Raises NotExercisedError."""
    return FilteredFront(client, await _drop(client, running, on_progress), running)


async def _drop(client: docker.DockerClient, running: RunningContainer, on_progress: Callable[[str], None]) -> str:
    """Set the rule; return the image that did."""
    try:
        tools = await asyncio.to_thread(images.ensure_network_tools, client, on_progress)
        await asyncio.to_thread(_rule, client, tools, running, DROP)
    except CannotJudgeError as error:
        raise NotExercisedError(f"a rule in a container's network namespace: {error}") from error
    return tools


def _rule(client: docker.DockerClient, tools: str, running: RunningContainer, rule: str) -> None:
    """Have iptables change the rules in a container's network namespace. Raises CannotJudgeError."""
    command = rule.format(port=running.address.port).split()
    run_id = running.spec.labels[RUN_LABEL]
    place = {"network_mode": f"container:{running.id}", "cap_add": ["NET_ADMIN"]}
    status, said = run_to_end(client, tools, command, run_id, **place)
    if status != 0:
        raise CannotJudgeError(f"iptables ended with {status} ({said})")


def wrongly_published(spec: ContainerSpec) -> ContainerSpec:
    """Return what to start so that the engine publishes, on this machine, a port that the server does not listen on.

    Only what comes from this machine's loopback address goes through the engine's port proxy; a tap carries the gateway
    there. What comes from another network of the engine is filtered.
    """
    return replace(spec, name="published", network=BRIDGE, published=UNUSED_PORT)


def filter_trouble(client: docker.DockerClient, run_id: str) -> str | None:
    """Try a filter's rule in a namespace of its own; return what keeps it from being set, empty when nothing does.

    None where the image that sets it was not built yet; nothing is built here. Blocks.
    """
    built = client.images.list(name=images.NETWORK_TOOLS)
    if not built:
        return None
    command = DROP.format(port=UNUSED_PORT).split()
    try:
        status, said = run_to_end(client, str(built[0].id), command, run_id, network_mode="none", cap_add=["NET_ADMIN"])
    except CannotJudgeError as error:
        return str(error)
    return f"iptables ended with {status} ({said})" if status else ""


def probe_inside(
    client: docker.DockerClient, url: str, *, container: str | None, network: str, authority: str | None, run_id: str
) -> dict[str, JSON]:
    """Try to reach a URL from inside a container's network namespace; where there is none, from a new one on `network`.

    Blocks. Raises CannotJudgeError.
    """
    asked = {"url": url, "authority": authority, "connect_seconds": CONNECT_SECONDS, "read_seconds": READ_SECONDS}
    command = ["python3", "-c", inspect.getsource(network_probe), json.dumps(asked)]
    place = {"network_mode": f"container:{container}"} if container else {"network": network}
    status, said = run_to_end(client, BASE_TAG, command, run_id, **place)
    if status != 0:
        raise CannotJudgeError(f"A network probe in a container failed (status {status}): {said}")
    return with_certificate(json.loads(said))


async def listens_inside(running: RunningContainer) -> str | None:
    """Return one clause on what listens in a container at its port and is not reached from outside; None for nothing.

    A program that listens on the loopback address alone is up in its own namespace and refuses everywhere else.
    """
    outside = await asyncio.to_thread(reach, f"http://{running.address}/")
    try:
        within = await asyncio.to_thread(_reach_within, running)
    except CannotJudgeError:
        return None  # what was seen from outside stands without it
    found = obstacle(outside | {"place": "host"}, [within | {"place": "gateway"}])
    return found.says if found is not None and found.kind == "container-loopback-unreachable" else None


def _reach_within(running: RunningContainer) -> dict[str, JSON]:
    """Try to reach a container's port from inside it, on the loopback address. Blocks. Raises CannotJudgeError."""
    url, run_id = f"http://{LOOPBACK}:{running.address.port}/", running.spec.labels[RUN_LABEL]
    with contextlib.closing(connect()) as client:
        return probe_inside(client, url, container=running.id, network="", authority=None, run_id=run_id)


def run_to_end(
    client: docker.DockerClient, image: str, argv: Sequence[str], run_id: str, **options: Any
) -> tuple[int, str]:
    """Run a container to its end; return its exit status and what it printed. Blocks. Raises CannotJudgeError."""
    try:
        container = client.containers.run(
            image, list(argv[1:]), entrypoint=[argv[0]], labels=run_labels(run_id), detach=True, **options
        )
        try:
            status = int(container.wait(timeout=HELPER_SECONDS)["StatusCode"])
            return status, container.logs().decode("utf-8", "replace").strip()
        finally:
            container.remove(force=True)
    except (DockerException, RequestException) as error:
        raise CannotJudgeError(f"The engine could not run a helper container of {image} ({error}).") from error
