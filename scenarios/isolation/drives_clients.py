"""Drives of suite isolation: two clients that use the same names for different things at the same time."""

from __future__ import annotations

import asyncio
import secrets
from typing import Final

from conformance import timing
from conformance.evidence.events import JSON
from conformance.rules.isolation_caches import OWN_TOOL
from conformance.stage.scenario import ScenarioKind, scenario
from conformance.stage.stage import Stage
from conformance.wire.driver import McpClient, Reply

SUITE: Final = "isolation"

SHORT: Final = timing.CROSSED_CALL / 3
"""How long the shorter of two calls lasts, in seconds."""

APART: Final = timing.CROSSED_CALL / 6
"""How much later the second of two calls begins, in seconds."""

SAMPLED: Final[JSON] = {"role": "assistant", "content": {"type": "text", "text": "an answer"}, "model": "harness"}
"""What the clients answer where the backend asks for sampling."""


@scenario(
    suite=SUITE,
    kind=ScenarioKind.EXCLUSIVE,
    brings=("equal-ids-in-flight", "progress-of-two-clients", "logs-of-two-clients", "cancel-beside-equal-id"),
    seconds=0.5,
    needs_witness=True,
)
async def equal_ids_and_tokens(stage: Stage) -> None:
    """Let two clients that listen call with equal ids and progress tokens, log, be asked, and cancel, side by side."""
    one, other = await stage.client("a"), await stage.client("b")
    for client in (one, other):
        client.replies = {"sampling/createMessage": SAMPLED}
        await client.connect(capabilities={"sampling": {}})
    slow, notify, ask = [await stage.tool(name, one) for name in ("slow", "notify", "ask_client")]
    for client in (one, other):
        await client.call(slow, {"nonce": stage.nonce(), "seconds": 0})
    async with one.listen(), other.listen():
        await stage.wait(0.3, "a gateway that opens its own streams to the backend has done so")
        await _together(stage, slow, 7001, (one, timing.CROSSED_CALL), (other, SHORT))
        await _together(stage, slow, "call-7002", (one, SHORT), (other, timing.CROSSED_CALL))
        for client in (one, other):
            for stream in ("post", "get"):
                await client.call(notify, {"nonce": stage.nonce(), "kind": "log", "stream": stream})
                await client.call(ask, {"nonce": stage.nonce(), "kind": "sampling", "stream": stream})
        await _cancelled(stage, slow, one, other)
        await stage.wait(0.3, "what was sent unasked arrives")
    for client in (one, other):
        await client.delete()


async def _together(
    stage: Stage, tool: str, request_id: int | str, first: tuple[McpClient, float], then: tuple[McpClient, float]
) -> None:
    """Make two calls with the same id and progress token, the second APART seconds after the first."""
    stage.step("calls.equal-ids", id=request_id)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_slow(stage, tool, request_id, *first))
        await stage.wait(APART, "the first call is under way")
        tasks.create_task(_slow(stage, tool, request_id, *then))


async def _slow(stage: Stage, tool: str, request_id: int | str, client: McpClient, seconds: float) -> Reply:
    arguments = {"nonce": stage.nonce(), "seconds": seconds, "progress_every": APART}
    params: JSON = {"name": tool, "arguments": arguments, "_meta": {"progressToken": request_id}}
    return await client.request("tools/call", params, request_id=request_id, deadline=timing.LOST_ANSWER + 1.0)


async def _cancelled(stage: Stage, tool: str, one: McpClient, other: McpClient) -> None:
    """Let two clients call with the same id, and the first cancel its own."""
    request_id = "call-7003"
    async with asyncio.TaskGroup() as tasks:
        cancelled = tasks.create_task(_slow(stage, tool, request_id, one, timing.CROSSED_CALL))
        await stage.wait(APART, "the first call is under way")
        tasks.create_task(_slow(stage, tool, request_id, other, timing.CROSSED_CALL))
        await stage.wait(APART, "both calls are under way")
        await one.notify("notifications/cancelled", {"requestId": request_id})
        stage.step("call.cancelled", client=one.name)
        await stage.wait(timing.CROSSED_CALL, "the other call ends")
        cancelled.cancel()


@scenario(
    suite=SUITE,
    kind=ScenarioKind.EXCLUSIVE,
    brings=("own-tool-listed", "equal-calls"),
    seconds=0.5,
    needs_witness=True,
)
async def lists_and_results_of_two(stage: Stage) -> None:
    """Let the backend give one client's session a tool of its own; list the tools, then make equal calls, as two."""
    one, other = await stage.connected("a"), await stage.client("b", headers=stage.instance.other_headers)
    await other.connect()
    echo, add = await stage.tool("echo", one), await stage.tool("add_own_tool", one)
    name = f"own_{secrets.token_hex(4)}"
    async with one.listen(), other.listen():
        await stage.wait(0.3, "a gateway that opens its own streams to the backend has done so")
        await one.call(add, {"nonce": stage.nonce(), "name": name})
        stage.step(OWN_TOOL, tool=name, client=one.name)
        await stage.wait(0.2, "the news that the list has changed arrives")
        for client in (one, other):
            await client.tools()
    arguments = {"nonce": stage.nonce(), "text": "equal"}
    for client in (one, other):
        await client.call(echo, {"nonce": stage.nonce(), "text": "own"})
        await client.call(echo, arguments)
    for client in (one, other):
        await client.delete()
