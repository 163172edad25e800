"""A gateway in two replicas behind real edges, as processes on the loopback address."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from conformance.evidence.events import Kind, Point
from conformance.stage.edge_variant import Affinity, EdgeSetup, EdgeVariant, Tls
from conformance.stage.manifest import load_edge
from conformance.stage.packages import machine_program
from conformance.stage.replicas import Replicas
from conformance.stage.stage import Stage
from tests.stage_setup import standing
from tests.tap_setup import asynchronous

FROM_DEBIAN = ("haproxy", "nginx")


@pytest.fixture(params=FROM_DEBIAN)
def edge(request: pytest.FixtureRequest) -> str:
    name = str(request.param)
    if machine_program(load_edge(name).program) is None:
        if os.environ.get("MCP_GATEWAY_CONFORMANCE_REQUIRE_EDGES"):
            pytest.fail(f"{name} is not installed")
        pytest.skip(f"{name} is not installed")
    return name


def behind(setup: EdgeSetup, folder: Path) -> AbstractAsyncContextManager[Stage]:
    """Return a stage with the terminating gateway behind an edge."""
    return standing("terminating", folder, edge=setup)


async def requests_by_replica(stage: Stage) -> Counter[str]:
    seen = await stage.instance.collect(())
    return Counter(
        str(item.data["tap"]) for item in seen if item.point is Point.EDGE_TAP and item.kind is Kind.HTTP_REQUEST
    )


@asynchronous
async def test_requests_go_to_the_replicas_in_turn(edge: str, tmp_path: Path) -> None:
    async with behind(EdgeSetup(edge, replicas=2), tmp_path) as stage:
        client = await stage.client()
        for _ in range(4):
            await client.initialize()
        assert await requests_by_replica(stage) == {"edge:1": 2, "edge:2": 2}


async def taken_back(stage: Stage, replica: int) -> None:
    """Connect anew until the edge gives a client to a replica that failed before: it looks again every 2 s."""
    async with asyncio.timeout(30):
        for number in itertools.count():
            if await stage.replicas.issuer((await stage.connected(f"looks-{number}")).session) == replica:
                return
            await asyncio.sleep(0.2)


@asynchronous
async def test_what_happens_to_a_replica(edge: str, tmp_path: Path) -> None:
    async with behind(EdgeSetup(edge, EdgeVariant(affinity=Affinity.COOKIE), replicas=2), tmp_path) as stage:
        before = await stage.connected("before")
        assert (await before.tools()) != ()
        issuer = await stage.replicas.issuer(before.session)
        await stage.replicas.kill(issuer)
        assert (await before.request("tools/list", {})).status == 404  # the other one does not know the session
        await stage.replicas.restart(issuer)
        await taken_back(stage, issuer)
        assert await stage.replicas.issuer("nobody's") == 1
        await stage.replicas.kill(1)
        for number in range(3):  # the second of two in turn is the one that is gone
            assert (await (await stage.client(f"after-{number}")).initialize()).result(1) is not None
        await stage.replicas.restart(1)
        await stage.replicas.pause(2)
        await stage.replicas.resume(2)
        assert (await (await stage.connected("last")).tools()) != ()
        told = [str(event.data["name"]) for event in stage.recorder.observations if event.kind is Kind.STIMULUS]
        header = stage.instance.edge.header() if stage.instance.edge else {}
    assert [name for name in told if name.startswith("replica.")] == [
        *("replica.kill", "replica.killed", "replica.start", "replica.ready"),
        *("replica.kill", "replica.killed", "replica.start", "replica.ready", "replica.pause", "replica.resumed"),
    ]
    assert [one["tap"] for one in header["running"]] == ["edge:1", "edge:2"]
    assert edge in header["version"].lower()


@pytest.mark.parametrize("how", [Replicas.kill, Replicas.stop], ids=["killed", "stopped"])
@asynchronous
async def test_a_replica_that_ended_refuses_connections_at_once(
    how: Callable[[Replicas, int], Awaitable[None]], edge: str, tmp_path: Path
) -> None:
    async with behind(EdgeSetup(edge, replicas=2), tmp_path) as stage:
        assert stage.instance.edge is not None
        address = stage.instance.edge.replicas[0].address
        await how(stage.replicas, 1)
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(address.host, address.port)
        await stage.replicas.restart(1)
        _, writer = await asyncio.open_connection(address.host, address.port)
        writer.close()
        await writer.wait_closed()


@asynchronous
async def test_clients_speak_tls_to_an_edge_that_does(edge: str, tmp_path: Path) -> None:
    async with behind(EdgeSetup(edge, EdgeVariant(tls=Tls.PRIVATE_CA, path_prefix="/tools")), tmp_path) as stage:
        client = await stage.connected()
        assert client.url.endswith("/tools/mcp")
        assert (await client.tools()) != ()
        seen = await stage.instance.collect(stage.taps)
        targets = {str(item.data["target"]) for item in seen if item.kind is Kind.HTTP_REQUEST}
    assert {"/tools/mcp", "/mcp"} <= targets


@pytest.mark.parametrize(
    ("tls", "said"),
    [
        (Tls.WRONG_NAME, "not valid for 'edge.test'"),
        (Tls.EXPIRED, "certificate has expired"),
        (Tls.UNTRUSTED, "unable to get local issuer certificate"),
    ],
)
@asynchronous
async def test_a_certificate_that_clients_do_not_accept(tls: Tls, said: str, tmp_path: Path) -> None:
    if machine_program("haproxy") is None:
        pytest.skip("haproxy is not installed")
    async with behind(EdgeSetup("haproxy", EdgeVariant(tls=tls)), tmp_path) as stage:
        assert (await (await stage.client()).initialize()).result(1) is None
        seen = await stage.instance.collect(stage.taps)
        failed = [str(item.data["error"]) for item in seen if item.kind is Kind.CONN_FAILED]
    assert failed
    assert all(said in error for error in failed)
