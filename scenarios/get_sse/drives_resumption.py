"""Drives of suite get_sse: streams that end before they should, that are left and resumed, and several at once."""

from __future__ import annotations

import asyncio
from typing import Final

from conformance import timing
from conformance.evidence.events import JSON
from conformance.spec.revisions import Revision
from conformance.stage.scenario import ScenarioKind, scenario
from conformance.stage.stage import Stage
from conformance.wire import resuming
from conformance.wire.driver import McpClient
from conformance.wire.resuming import Position

SUITE: Final = "get_sse"
RETRY: Final = round(timing.RETRY * 1000)


def _call(client: McpClient, tool: str, nonce: str, **arguments: JSON) -> dict[str, JSON]:
    """Return a tools/call whose progress is wanted; its token is its nonce."""
    params = {"name": tool, "arguments": {"nonce": nonce, **arguments}, "_meta": {"progressToken": nonce}}
    return {"jsonrpc": "2.0", "id": client.next_id(), "method": "tools/call", "params": params}


async def _to_the_answer(client: McpClient, message: dict[str, JSON]) -> Position:
    """Make a call, come back for its answer as often as its stream is closed or cut, and return how far that went."""
    position = await resuming.post(client, message, seconds=timing.RESUMED)
    if not position.answered and position.last_event_id is not None:
        await asyncio.sleep(position.pause)
        await resuming.resume(client, position, seconds=timing.RESUMED)
    return position


@scenario(
    suite=SUITE,
    kind=ScenarioKind.EXCLUSIVE,
    brings=("post-closed-by-backend", "reconnected-after-retry"),
    seconds=timing.RETRY,
    revisions=(Revision.V2025_11_25,),
    needs_witness=True,
    http_backend=True,
)
async def backend_closes_early(stage: Stage) -> None:
    """Have the backend close a call's stream after an event id and a `retry`; wait for the answer."""
    client = await stage.connected()
    tool = await stage.tool("resumable", client)
    stage.step("call.closed-early", retry=RETRY)
    position = await _to_the_answer(client, _call(client, tool, stage.nonce(), seconds=0.1, leave="close", retry=RETRY))
    stage.step("call.over", answered=position.answered)
    await client.delete()


@scenario(
    suite=SUITE,
    kind=ScenarioKind.EXCLUSIVE,
    brings=("post-cut-by-backend",),
    seconds=timing.RECONNECT,
    needs_witness=True,
    http_backend=True,
)
async def backend_breaks_off(stage: Stage) -> None:
    """Have the backend's connection break in the middle of a call's stream, after an event id; wait for the answer."""
    client = await stage.connected()
    tool = await stage.tool("resumable", client)
    stage.step("call.cut")
    position = await _to_the_answer(client, _call(client, tool, stage.nonce(), seconds=0.2, steps=2, leave="cut"))
    stage.step("call.over", answered=position.answered)
    await client.delete()
