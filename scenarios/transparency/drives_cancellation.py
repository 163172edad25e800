"""Drives of suite transparency: calls that their client cancels, and cancels that name no call."""

from __future__ import annotations

import asyncio
from typing import Final

from conformance import timing
from conformance.evidence.events import JSON
from conformance.stage.scenario import ScenarioKind, scenario
from conformance.stage.stage import Stage
from conformance.wire.driver import McpClient, Reply
from conformance.wire.raw_driver import raw_connection
from conformance.witness.scripts import SCRIPTS

SUITE: Final = "transparency"
CANCELLED: Final = "notifications/cancelled"

SLOW_INITIALIZE: Final = SCRIPTS["slow_initialize"].initialize_delay

TO_CANCEL: Final = ("cancelled-call", 90_210)
"""Ids of calls to be cancelled, one of each JSON type; no gateway that counts its own requests has come so far."""

RACES: Final = 16
"""Calls that are cancelled about when they are answered, at once."""

SPREAD: Final = 0.3
"""Seconds over which those cancels are spread, evenly, around the answers: as many calls at once take 0.1 s."""


POINTLESS: Final[tuple[JSON, ...]] = ("never-asked", 90_211, "answered-call")
"""Ids of no request under way; the last one is that of an answered call."""

MALFORMED: Final[tuple[JSON, ...]] = (None, {}, {"requestId": None}, {"requestId": 1.5}, {"requestId": {"id": 1}})
"""Params without a requestId, and with one that no request can have."""

UNSTOPPABLE: Final = 1.5
"""How long calls go on after they have reached the backend, in seconds; so does one that was cancelled, whose answer is
then late by more than CANCEL_RACE."""


def _call(stage: Stage, tool: str, seconds: float) -> dict[str, JSON]:
    return {"name": tool, "arguments": {"nonce": stage.nonce(), "seconds": seconds}}


async def _slow(stage: Stage, client: McpClient, tool: str, request_id: JSON, seconds: float) -> Reply:
    """Call what lasts so long; on a slow machine that alone can come near to what an answer may take."""
    params, deadline = _call(stage, tool, seconds), timing.ANSWER + seconds
    return await client.request("tools/call", params, request_id=request_id, deadline=deadline)


async def _given_up(stage: Stage, client: McpClient, tool: str, request_id: JSON, reached: float) -> Reply:
    """Call what lasts too long, and stop to wait for it once it could have been cancelled."""
    params = _call(stage, tool, reached + timing.CANCELLED_CALL)
    deadline = reached + timing.CANCEL_PROMPT + 0.5
    return await client.request("tools/call", params, request_id=request_id, deadline=deadline)


async def _reached(stage: Stage, client: McpClient, tool: str) -> float:
    """Return after how long a call should have reached the backend, in seconds, from what a short one takes."""
    begun = asyncio.get_running_loop().time()
    await client.call(tool, {"nonce": stage.nonce(), "seconds": 0})
    return timing.CALL_UNDER_WAY + 2 * (asyncio.get_running_loop().time() - begun)


async def _cancel(client: McpClient, request_id: JSON) -> Reply:
    return await client.notify(CANCELLED, {"requestId": request_id, "reason": "the user changed their mind"})


@scenario(
    suite=SUITE,
    kind=ScenarioKind.EXCLUSIVE,
    brings=("call-cancelled", "cancel-outlived"),
    seconds=timing.CANCEL_PROMPT,
    needs_witness=True,
)
async def cancelled_calls(stage: Stage) -> None:
    """Cancel two of three calls under way; then many just as they are answered; then use the session further."""
    client = await stage.connected()
    slow, echo = await stage.tool("slow", client), await stage.tool("echo", client)
    reached = await _reached(stage, client, slow)
    async with asyncio.TaskGroup() as tasks:
        for request_id in TO_CANCEL:
            tasks.create_task(_given_up(stage, client, slow, request_id, reached))
        tasks.create_task(_slow(stage, client, slow, "spared-call", 2 * reached))
        await stage.wait(reached, "the calls are under way")
        for request_id in TO_CANCEL:
            await _cancel(client, request_id)
            stage.step("call.cancelled", id=request_id)
    await client.call(echo, {"nonce": stage.nonce(), "text": "after the cancels"})
    async with asyncio.TaskGroup() as tasks:
        stage.step("calls.raced", calls=RACES)
        for number in range(RACES):
            tasks.create_task(_raced(stage, client, slow, number))
        await stage.wait(timing.CANCEL_PROMPT, "cancels have had time to reach the backend")
    await client.tools()
    await client.call(echo, {"nonce": stage.nonce(), "text": "after the races"})
    await client.delete()


async def _raced(stage: Stage, client: McpClient, tool: str, number: int) -> None:
    """Call, and cancel the call a little before or after its answer is due."""
    request_id = f"raced-{number}"
    params = _call(stage, tool, timing.RACED_CALL)
    racing = client.request("tools/call", params, request_id=request_id, deadline=timing.LOST_ANSWER)
    call = asyncio.create_task(racing)
    await asyncio.sleep(timing.RACED_CALL + SPREAD * (number / RACES - 0.2))
    await _cancel(client, request_id)
    await call


@scenario(
    suite=SUITE,
    kind=ScenarioKind.EXCLUSIVE,
    brings=("cancel-of-nothing", "cancel-malformed", "answered-after-cancel", "call-cut-off"),
    seconds=UNSTOPPABLE,
    needs_witness=True,
)
async def stray_cancels(stage: Stage) -> None:
    """Beside calls under way, send cancels that name none and malformed ones; cancel what goes on; lose connections."""
    names = ("pointless", "malformed", "late", "leaving")
    pointless, malformed, late, leaving = [await stage.connected(name) for name in names]
    slow = await stage.tool("slow", pointless)
    await asyncio.gather(
        _pointless(stage, pointless, slow),
        _malformed(stage, malformed, slow),
        _late(stage, late, await stage.tool("unstoppable", pointless)),
        _leaving(stage, leaving, slow),
    )
    for client in (pointless, malformed, leaving):
        await client.tools()
        await client.delete()


async def _pointless(stage: Stage, client: McpClient, slow: str) -> None:
    await _slow(stage, client, slow, POINTLESS[-1], 0)
    reached = await _reached(stage, client, slow)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_slow(stage, client, slow, "call-beside", reached + UNSTOPPABLE))
        await stage.wait(reached, "the call is under way")
        for request_id in POINTLESS:
            await _cancel(client, request_id)


async def _malformed(stage: Stage, client: McpClient, slow: str) -> None:
    reached = await _reached(stage, client, slow)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_slow(stage, client, slow, "call-beside", reached + UNSTOPPABLE))
        await stage.wait(reached, "the call is under way")
        for params in MALFORMED:
            await client.notify(CANCELLED, params)


async def _late(stage: Stage, client: McpClient, unstoppable: str) -> None:
    """Cancel what goes on. The session ends before its GET stream, so that the stream's end can do it no harm."""
    reached = await _reached(stage, client, unstoppable)
    async with client.listen():
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_slow(stage, client, unstoppable, "late-call", reached + UNSTOPPABLE))
            await stage.wait(reached, "the call is under way")
            await _cancel(client, "late-call")
            await client.tools()
            await stage.wait(UNSTOPPABLE, "the backend answers all the same")
        await client.tools()
        await client.delete()


async def _leaving(stage: Stage, client: McpClient, slow: str) -> None:
    """Close one connection and reset another, each with a call under way."""
    reached = await _reached(stage, client, slow)
    for reset in (False, True):
        params = _call(stage, slow, reached + UNSTOPPABLE)
        message = {"jsonrpc": "2.0", "id": client.next_id(), "method": "tools/call", "params": params}
        async with raw_connection(client.url, stage.step) as connection:
            await connection.begin_post(client.outgoing(message), client.headers())
            await stage.wait(reached, "the call is under way")
            stage.step("call.cut-off", reset=reset)
            if reset:
                connection.reset()
    await stage.wait(UNSTOPPABLE, "the backend ends the calls")


@scenario(
    suite=SUITE,
    kind=ScenarioKind.DESTRUCTIVE,
    brings=("initialize-cut-off",),
    seconds=SLOW_INITIALIZE,
    witness_script="slow_initialize",
    control=False,
)
async def initialize_cut_off(stage: Stage) -> None:
    """Close a connection while initialize waits for a slow backend, until that would have answered."""
    client = await stage.client()
    info = {"name": "mcp-gateway-conformance", "version": "1"}
    params = {"protocolVersion": client.revision, "capabilities": {}, "clientInfo": info}
    message = {"jsonrpc": "2.0", "id": "initialize", "method": "initialize", "params": params}
    async with raw_connection(client.url, stage.step) as connection:
        await connection.begin_post(message, client.headers())
        await stage.wait(SLOW_INITIALIZE / 2, "the backend has initialize")
    stage.step("initialize.cut-off")
    await stage.wait(SLOW_INITIALIZE, "the backend answers initialize")
