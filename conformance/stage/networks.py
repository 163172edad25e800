"""The two networks of a run, gateway side and backend side, and whether taps can stand between them on this machine.

Both are internal: no route leads out of them or from one to the other. A tap listens on the bridge's own address (the
network's gateway) and dials the containers' addresses. Published ports are not used: the engine's port proxy accepts
connections even when nothing listens behind it.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from docker.errors import APIError, DockerException

from conformance.errors import CannotJudgeError
from conformance.stage.labels import run_labels

if TYPE_CHECKING:
    import docker
    from docker.models.containers import Container

ROUTE_SECONDS: Final = 10.0
"""Longest the check of a route may take, in seconds; a container starts and answers in 0.5 s."""

_PORT: Final = 8080
_PEER: Final = """\
import socket, sys
server = socket.create_server(("0.0.0.0", int(sys.argv[3])))
outward = socket.create_connection((sys.argv[1], int(sys.argv[2])), 5)
outward.sendall(sys.argv[4].encode())
outward.close()
inward, _ = server.accept()
inward.sendall(sys.argv[4].encode())
inward.close()
"""
"""Runs in a container: dials the address it is given, says its word there, then says it to whoever dials it."""


@dataclass(frozen=True, slots=True)
class Side:
    """One network. host: the bridge's own address on this machine, where taps listen."""

    name: str
    id: str
    subnet: str
    host: str


@dataclass(frozen=True, slots=True)
class RunNetworks:
    """The networks of a run."""

    gateway: Side
    backend: Side


@dataclass(frozen=True, slots=True)
class Routes:
    """Whether containers reach a listener of this machine and this machine reaches containers by their own addresses.

    why: what was seen where one of them does not hold, else empty.
    """

    container_to_host: bool
    host_to_container: bool
    why: str = ""

    @property
    def both(self) -> bool:
        """Whether a tap can stand between two containers."""
        return self.container_to_host and self.host_to_container


def create_networks(client: docker.DockerClient, run_id: str) -> RunNetworks:
    """Create the run's two networks. Blocks. Raises CannotJudgeError when the engine has no free address range."""
    return RunNetworks(_create(client, run_id, "gateway"), _create(client, run_id, "backend"))


def _create(client: docker.DockerClient, run_id: str, side: str) -> Side:
    name = f"mcp-gateway-conformance-{run_id}-{side}"
    try:
        network = client.networks.create(name, driver="bridge", internal=True, labels=run_labels(run_id))
    except APIError as error:
        raise CannotJudgeError(
            f"The engine could not create the network {name} ({error.explanation}); "
            "remove unused ones with `docker network prune`."
        ) from error
    network.reload()
    config = network.attrs["IPAM"]["Config"][0]
    return Side(name, str(network.id), config["Subnet"], config["Gateway"].partition("/")[0])


async def check_routes(client: docker.DockerClient, side: Side, image: str, run_id: str) -> Routes:
    """Return which routes work between this machine and a container of `image` (with python3) on that network.

    Where the engine runs elsewhere or in a virtual machine (Docker Desktop), the bridge's address is not this
    machine's.
    """
    word = secrets.token_hex(8)
    heard: asyncio.Queue[str] = asyncio.Queue()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.put_nowait((await reader.read()).decode("ascii", "replace"))
        writer.close()

    try:
        server = await asyncio.start_server(listen, side.host, 0)
    except OSError as error:
        return _no_route(f"{side.host} is not an address of this machine ({os.strerror(error.errno or 0)})")
    container = None
    async with server:
        port = server.sockets[0].getsockname()[1]
        command = ["-c", _PEER, side.host, str(port), str(_PORT), word]
        try:
            container = await asyncio.to_thread(_run, client, image, command, side, run_id)
            return await _observe(container, side, word, heard)
        except DockerException as error:
            return _no_route(f"the engine could not start a container to try it ({error})")
        finally:
            if container is not None:
                await asyncio.to_thread(container.remove, force=True)


async def _observe(container: Container, side: Side, word: str, heard: asyncio.Queue[str]) -> Routes:
    try:
        async with asyncio.timeout(ROUTE_SECONDS):
            inward = await heard.get() == word
    except TimeoutError:
        return _no_route(f"a container on {side.subnet} could not reach {side.host} of this machine")
    address = await asyncio.to_thread(container_address, container, side.name)
    try:
        async with asyncio.timeout(ROUTE_SECONDS):
            reader, writer = await asyncio.open_connection(address, _PORT)
            outward = (await reader.read()).decode("ascii", "replace") == word
            writer.close()
    except (OSError, TimeoutError) as error:
        why = f"the container's address {address} cannot be reached from here ({error})"
        return Routes(container_to_host=inward, host_to_container=False, why=why)
    why = "" if inward and outward else "something else answered at the addresses tried"
    return Routes(container_to_host=inward, host_to_container=outward, why=why)


def _no_route(why: str) -> Routes:
    return Routes(container_to_host=False, host_to_container=False, why=why)


def _run(client: docker.DockerClient, image: str, command: list[str], side: Side, run_id: str) -> Container:
    return client.containers.run(
        image, command, entrypoint=["python3"], network=side.name, labels=run_labels(run_id), detach=True, init=True
    )


def container_address(container: Container, network: str) -> str:
    """Return the container's address on that network, empty when it has ended. Asks the engine."""
    container.reload()
    return str(container.attrs["NetworkSettings"]["Networks"][network]["IPAddress"])
