"""What becomes of sessions when several replicas of the gateway stand behind an edge. They only drive."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Final

from conformance import timing
from conformance.stage.stage import Stage
from conformance.wire.driver import McpClient
from conformance.wire.spool import Direction
from conformance.wire.toxics import Blackhole

SESSIONS: Final = 4
"""Sessions at one time: with two replicas in turn, two on each."""

ROUTED: Final = 8
"""Sessions whose requests are counted: that a hash of each leads where it was issued is a chance of one in 256."""

REQUESTS: Final = 5
"""Requests of each of these, each on a TCP connection of its own: in turn, half of them land elsewhere."""


async def routed(stage: Stage) -> None:
    """Use sessions with many requests, each on a connection of its own."""
    for client in await _sessions(stage, ROUTED):
        for _ in range(REQUESTS):
            await _ask(client)


async def rolling_restart(stage: Stage) -> None:
    """Restart the replicas one by one under open sessions and streams; go on with each, and let others come."""
    clients = await _sessions(stage)
    async with AsyncExitStack() as streams:
        for client in clients:
            await streams.enter_async_context(client.listen())
        for number in stage.replicas.numbers:
            await stage.replicas.restart(number)
            await stage.wait(timing.EDGE_NOTICES, "the edge finds the replica again")
            for client in clients:
                await _go_on(stage, client)
    await _newcomers(stage)


async def killed(stage: Stage) -> None:
    """Kill a replica under open sessions; go on with each, and let others come."""
    clients = await _sessions(stage)
    await _kill(stage, await stage.replicas.issuer(clients[0].session))
    for client in clients:
        await _go_on(stage, client)
    await _newcomers(stage)


async def killed_newcomers(stage: Stage) -> None:
    """Kill a replica, and let clients come."""
    await _kill(stage, stage.replicas.numbers[0])
    await _newcomers(stage)


async def paused(stage: Stage) -> None:
    """Keep a replica from running under open sessions, and go on with all of them at once."""
    clients = await _sessions(stage)
    lost = await stage.replicas.issuer(clients[0].session)
    await stage.replicas.pause(lost)
    await _all_at_once(clients)
    await stage.replicas.resume(lost)


async def cut_off(stage: Stage) -> None:
    """Let everything vanish between the edge and a replica under open sessions; go on with all of them at once."""
    clients = await _sessions(stage)
    lost = await stage.replicas.issuer(clients[0].session)
    await stage.replicas.toxics(lost, [Blackhole(Direction.UP), Blackhole(Direction.DOWN)])
    stage.step("replica.cut-off", replica=lost, tap=f"edge:{lost}")
    await _all_at_once(clients)
    await stage.replicas.toxics(lost, [])
    stage.step("replica.reachable", replica=lost, tap=f"edge:{lost}")


async def _sessions(stage: Stage, count: int = SESSIONS) -> Sequence[McpClient]:
    return [await stage.connected(f"session-{number}") for number in range(1, count + 1)]


async def _ask(client: McpClient, *, deadline: float = timing.ANSWER) -> bool:
    """List the tools on a TCP connection of its own; return whether that was served."""
    reply = await client.request("tools/list", {}, headers={"Connection": "close"}, deadline=deadline)
    return reply.result(client.last_id) is not None


async def _go_on(stage: Stage, client: McpClient) -> None:
    """Use a session, and where it is refused begin another, as a client has to (2025-11-25 transports, Session 4)."""
    if await _ask(client):
        return
    stage.step("session.anew", client=client.name)
    client.session = client.negotiated = None
    await client.connect()
    await _ask(client)


async def _kill(stage: Stage, number: int) -> None:
    await stage.replicas.kill(number)
    await stage.wait(timing.EDGE_NOTICES, "the edge finds out that the replica is gone")


async def _newcomers(stage: Stage) -> None:
    for number in range(1, SESSIONS + 1):
        await _ask(await stage.connected(f"newcomer-{number}"))


async def _all_at_once(clients: Sequence[McpClient]) -> None:
    async with asyncio.TaskGroup() as tasks:
        for client in clients:
            tasks.create_task(_ask(client, deadline=timing.EDGE_ANSWERS))
