"""Drives of suite transparency: calls that their client cancels, and cancels that name no call."""

from __future__ import annotations

import asyncio
from typing import Final

from conformance import timing
from conformance.evidence.events import JSON
from conformance.stage.scenario import ScenarioKind, scenario
from conformance.stage.stage import Stage
from conformance.wire.driver import McpClient, Reply

SUITE: Final = "transparency"
CANCELLED: Final = "notifications/cancelled"

TO_CANCEL: Final = ("cancelled-call", 90_210)
"""Ids of calls to be cancelled, one of each JSON type; no gateway that counts its own requests has come so far."""

UNDER_WAY: Final = 0.2
"""How long a call is given to reach the backend, in seconds; healthy gateways take 0.02 s."""

RACES: Final = 24
"""Calls that are cancelled about when they are answered, at once."""

SPREAD: Final = 0.3
"""Seconds over which those cancels are spread, evenly, around the answers: as many calls at once take 0.1 s."""


async def _slow(stage: Stage, client: McpClient, tool: str, request_id: JSON, seconds: float) -> Reply:
    params: JSON = {"name": tool, "arguments": {"nonce": stage.nonce(), "seconds": seconds}}
    deadline = UNDER_WAY + timing.CANCEL_PROMPT + 0.5
    return await client.request("tools/call", params, request_id=request_id, deadline=deadline)


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
    async with asyncio.TaskGroup() as tasks:
        for request_id in TO_CANCEL:
            tasks.create_task(_slow(stage, client, slow, request_id, timing.CANCELLED_CALL))
        tasks.create_task(_slow(stage, client, slow, "spared-call", 2 * UNDER_WAY))
        await stage.wait(UNDER_WAY, "the calls are under way")
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
    call = asyncio.create_task(_slow(stage, client, tool, request_id, timing.RACED_CALL))
    await asyncio.sleep(timing.RACED_CALL + SPREAD * (number / RACES - 0.2))
    await _cancel(client, request_id)
    await call
