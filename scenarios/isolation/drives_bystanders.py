"""Drives of suite isolation: calls beside a slow one, and bystanders of clients that misbehave or vanish."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from conformance import timing
from conformance.evidence.events import JSON
from conformance.rules.isolation_bystanders import BYSTANDER, HARM, QUICK, SLOW, SOUND
from conformance.stage.scenario import ScenarioKind, scenario
from conformance.stage.stage import Stage
from conformance.wire.driver import McpClient, Reply
from conformance.wire.raw_driver import raw_connection

SUITE: Final = "isolation"

SETTLED: Final = 0.2
"""How long a request that was sent is given to be under way, in seconds; healthy gateways pass it on in 0.02 s."""

BAD_REQUESTS: Final[tuple[JSON, ...]] = (
    {"jsonrpc": "2.0", "id": 901, "method": "tools/call", "params": {"name": 123}},
    {"jsonrpc": "2.0", "id": 902, "method": "tools/call"},
    {"jsonrpc": "2.0", "id": 903, "method": "tools/call", "params": ["echo"]},
    {"jsonrpc": "2.0", "id": 904, "method": "tools/call", "params": {"name": "echo", "_meta": {"progressToken": {}}}},
    {"jsonrpc": "2.0", "id": {}, "method": "tools/list"},
    {"jsonrpc": "2.0", "id": 906, "method": "no/such/method"},
    {"jsonrpc": "2.0", "method": "notifications/cancelled"},
    {"jsonrpc": "2.0", "id": 907, "result": {}},
    b'{"jsonrpc": "2.0", "id": 908, "method": ',
    b"\xff\xfe",
    b"[" * 20_000,
)
"""What no client should send, in a session that is sound: each has taken some server down."""


async def call_under_way(
    stage: Stage,
    tasks: asyncio.TaskGroup,
    client: McpClient,
    tool: str,
    arguments: JSON,
    *,
    deadline: float = timing.ANSWER,
) -> asyncio.Task[Reply]:
    """Begin a call and return it as a task once it is under way: a busy client takes long to write its request."""
    call = await client.begin_call(tasks, tool, arguments, deadline=deadline)
    await stage.wait(SETTLED, "the call is under way")
    return call


@scenario(
    suite=SUITE,
    kind=ScenarioKind.EXCLUSIVE,
    brings=("call-beside-slow-own", "call-beside-slow-other"),
    seconds=timing.SLOW_BESIDE,
    needs_witness=True,
)
async def slow_call_beside_others(stage: Stage) -> None:
    """Let a client make a slow call, and meanwhile quick ones in its session and in another client's."""
    one, other = await stage.connected("a"), await stage.connected("b")
    slow, echo = await stage.tool("slow", one), await stage.tool("echo", one)
    for client in (one, other):
        nonce = stage.nonce()
        stage.step(QUICK, nonce=nonce)
        await client.call(echo, {"nonce": nonce, "text": "alone"})
    async with asyncio.TaskGroup() as tasks:
        nonce = stage.nonce()
        stage.step(SLOW, nonce=nonce)
        await call_under_way(stage, tasks, one, slow, {"nonce": nonce, "seconds": timing.SLOW_BESIDE})
        for client in (one, other):
            tasks.create_task(client.call(echo, {"nonce": stage.nonce(), "text": "beside"}))
    for client in (one, other):
        await client.delete()


@scenario(
    suite=SUITE,
    kind=ScenarioKind.DESTRUCTIVE,
    brings=("bystander-of-bad-request", "bystander-of-abort", "bystander-of-disconnect"),
    seconds=4 * timing.BYSTANDER_CALL,
    needs_witness=True,
    follows=True,
)
async def harm_beside_bystander(stage: Stage) -> None:
    """While a bystander listens and calls, let others do what is sound, send rubbish, abort their calls, and vanish."""
    bystander = await stage.connected(BYSTANDER)
    slow = await stage.tool("slow", bystander)
    for kind, harm in ((SOUND, _sound), ("bad-request", _bad_requests), ("abort", _abort), ("disconnect", _disconnect)):
        await bystander.call(slow, {"nonce": stage.nonce(), "seconds": 0}, deadline=timing.HANG_OBSERVATION)
        client = await stage.connected(kind)
        async with bystander.listen(), asyncio.TaskGroup() as tasks:
            running = {"nonce": stage.nonce(), "seconds": timing.BYSTANDER_CALL}
            await call_under_way(stage, tasks, bystander, slow, running, deadline=timing.HANG_OBSERVATION)
            stage.step(HARM, harm=kind, client=client.name)
            await harm(stage, client, slow)
        await _others(stage, bystander, slow, kind)


Harm = Callable[[Stage, McpClient, str], Awaitable[None]]


async def _others(stage: Stage, bystander: McpClient, slow: str, kind: str) -> None:
    """Call as the bystander, and as a client that was not there before."""
    await bystander.call(slow, {"nonce": stage.nonce(), "seconds": 0}, deadline=timing.HANG_OBSERVATION)
    later = await stage.client(f"later-{kind}")
    reply = await later.initialize(deadline=timing.HANG_OBSERVATION)
    if reply.result(later.last_id) is not None:
        await later.initialized()
        await later.request("tools/list", {}, deadline=timing.HANG_OBSERVATION)
        await later.delete()


async def _sound(stage: Stage, client: McpClient, slow: str) -> None:
    """Do no harm: what the bystander suffers beside this is not the harm's doing."""
    await client.tools()
    await client.call(slow, {"nonce": stage.nonce(), "seconds": 0}, deadline=timing.HANG_OBSERVATION)
    await client.delete()


async def _bad_requests(_stage: Stage, client: McpClient, _slow: str) -> None:
    async with asyncio.TaskGroup() as tasks:
        for body in BAD_REQUESTS:
            tasks.create_task(client.post(body, deadline=timing.BYSTANDER_CALL))


async def _abort(stage: Stage, client: McpClient, slow: str) -> None:
    """Reset one connection in the middle of a call, and one in the middle of a request's body."""
    params = {"name": slow, "arguments": {"nonce": stage.nonce(), "seconds": timing.BYSTANDER_CALL}}
    message = {"jsonrpc": "2.0", "id": client.next_id(), "method": "tools/call", "params": params}
    for whole in (True, False):
        async with raw_connection(client.url, stage.step) as connection:
            await connection.begin_post(client.outgoing(message), client.headers(), whole=whole)
            await stage.wait(SETTLED, "the request is under way")
            connection.reset()


async def _disconnect(stage: Stage, client: McpClient, slow: str) -> None:
    """Close every connection with a GET stream and a call open."""
    async with client.listen(), asyncio.TaskGroup() as tasks:
        arguments = {"nonce": stage.nonce(), "seconds": timing.BYSTANDER_CALL}
        call = await call_under_way(stage, tasks, client, slow, arguments)
        call.cancel()
    await client.close()
