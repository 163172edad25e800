"""Drives of suite get_sse: streams that end before they should, that are left and resumed, and several at once."""

from __future__ import annotations

import asyncio
import secrets
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
SETTLE: Final = 0.5
"""Seconds in which a gateway that opens a stream of its own, or relays an end, has done so."""
REOPENING: Final = (0.5, 1.0, 2.0)
"""Pauses, in seconds, after which a GET that was refused with 409 is made again: the news of the old stream's end may
take its time, and a gateway may look for it only now and then."""


def _call(client: McpClient, tool: str, nonce: str, **arguments: JSON) -> dict[str, JSON]:
    """Return a tools/call whose progress is wanted; its token is its nonce."""
    params = {"name": tool, "arguments": {"nonce": nonce, **arguments}, "_meta": {"progressToken": nonce}}
    return {"jsonrpc": "2.0", "id": client.next_id(), "method": "tools/call", "params": params}


async def _to_the_answer(client: McpClient, message: dict[str, JSON]) -> Position:
    """Make a call, come back for its answer as often as its stream is closed or cut, and return how far that went."""
    position = await resuming.post(client, message, seconds=timing.RESUMED)
    if not position.answered:
        # Also where there is nothing to come back with: the gateway may come back for its own stream.
        await asyncio.sleep(position.pause + (0 if position.last_event_id else SETTLE))
        await resuming.resume(client, position, seconds=timing.RESUMED)
    return position


@scenario(
    suite=SUITE,
    kind=ScenarioKind.EXCLUSIVE,
    brings=("post-closed-by-backend", "get-closed-by-backend", "reconnected-after-retry"),
    seconds=timing.RETRY + SETTLE,
    revisions=(Revision.V2025_11_25,),
    needs_witness=True,
    http_backend=True,
)
async def backend_closes_early(stage: Stage) -> None:
    """Have the backend close a call's stream, and another session's GET stream, after an event id and a `retry`."""
    caller, listener = await stage.connected("a"), await stage.connected("b")
    tool = await stage.tool("resumable", caller)
    await asyncio.gather(_closed_call(stage, caller, tool), _closed_get(stage, listener))
    for client in (caller, listener):
        await client.delete()


async def _closed_call(stage: Stage, client: McpClient, tool: str) -> None:
    stage.step("call.closed-early", retry=RETRY)
    position = await _to_the_answer(client, _call(client, tool, stage.nonce(), seconds=0.1, leave="close", retry=RETRY))
    stage.step("call.over", answered=position.answered)


async def _closed_get(stage: Stage, client: McpClient) -> None:
    """Listen, have the backend close its side of that, and come back if the gateway passes the end on."""
    tool = await stage.tool("close_get", client)
    position = Position(None)
    async with asyncio.TaskGroup() as group:
        first = group.create_task(resuming.listen(client, position, seconds=timing.RESUMED))
        await stage.wait(SETTLE, "a gateway that opens its own stream to the backend has done so")
        stage.step("get.close-asked", retry=RETRY)
        await client.call(tool, {"nonce": stage.nonce(), "retry": RETRY})
        await asyncio.wait({first}, timeout=timing.RETRY + SETTLE)
        if not first.cancel():
            await asyncio.sleep(position.pause)
            stage.step("get.reopened", status=position.status)
            await resuming.listen(client, position, seconds=SETTLE)


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


@scenario(
    suite=SUITE,
    kind=ScenarioKind.EXCLUSIVE,
    brings=("call-left", "answered-streams"),
    seconds=1.0,
    needs_witness=True,
)
async def calls_left(stage: Stage) -> None:
    """Leave two calls after their first message, wait until both are answered, and resume the later one first."""
    client = await stage.connected()
    tool = await stage.tool("resumable", client)
    async with client.listen() as stream:
        stage.step("get.opened", status=stream.status)
    calls = [_call(client, tool, stage.nonce(), seconds=0.6, steps=3) for _ in range(2)]
    left = await asyncio.gather(
        *(resuming.post(client, call, seconds=timing.RESUMED, leave=lambda at: at.messages > 0) for call in calls)
    )
    stage.step("call.left", calls=len(left))
    await stage.wait(1.0, "the backend answers both calls, to nobody")
    for position in reversed(left):
        stage.step("call.resumed", last_event_id=position.last_event_id)
        await resuming.resume(client, position, seconds=timing.RELAY_PROMPT)
    await client.request("tools/list", {})
    await client.delete()


@scenario(
    suite=SUITE,
    kind=ScenarioKind.EXCLUSIVE,
    brings=("several-streams", "answered-streams"),
    seconds=timing.BESIDE_CALL,
    needs_witness=True,
)
async def several_streams(stage: Stage) -> None:
    """Make three slow calls at once beside an open GET stream and a second one; list the tools meanwhile."""
    client = await stage.connected()
    tool = await stage.tool("resumable", client)
    calls = [_call(client, tool, stage.nonce(), seconds=timing.BESIDE_CALL, steps=4) for _ in range(3)]
    async with client.listen() as first:
        stage.step("get.opened", status=first.status)
        stage.step("calls.at-once", calls=len(calls), seconds=timing.BESIDE_CALL)
        async with asyncio.TaskGroup() as group:
            for call in calls:
                group.create_task(client.post(call))
            async with client.listen() as second:
                stage.step("get.second", status=second.status)
                await client.request("tools/list", {})
    await client.delete()


@scenario(
    suite=SUITE,
    kind=ScenarioKind.EXCLUSIVE,
    brings=("get-reopened", "unknown-event-id"),
    seconds=SETTLE,
    needs_witness=True,
)
async def get_reopened(stage: Stage) -> None:
    """Close the GET stream and open it again; then GET with an event id that was never given."""
    client = await stage.connected()
    tool = await stage.tool("resumable", client)
    await client.post(_call(client, tool, stage.nonce(), seconds=0.05, steps=1))
    async with client.listen() as stream:
        stage.step("get.opened", status=stream.status)
    await stage.wait(SETTLE, "the gateway has noticed that its client closed the stream")
    for pause in (0.0, *REOPENING):
        await asyncio.sleep(pause)
        async with client.listen() as again:
            stage.step("get.reopened", status=again.status)
        if again.status != 409:
            break
    async with client.listen({"Last-Event-ID": f"unknown-{secrets.token_hex(4)}"}, deadline=timing.HEADERS_PROMPT):
        await stage.wait(SETTLE, "whatever is replayed for an unknown event id arrives")
    await client.request("tools/list", {})
    await client.delete()
