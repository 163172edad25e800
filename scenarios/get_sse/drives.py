"""Drives of suite get_sse. They only drive; what came of it is judged in `conformance/rules/get_sse.py`."""

from __future__ import annotations

import secrets

from conformance import timing
from conformance.stage.scenario import ScenarioKind, scenario
from conformance.stage.stage import Stage
from scenarios.get_sse import awaiting, drives_http_sse, drives_resumption

__all__ = ["drives_http_sse", "drives_resumption"]

SUITE = "get_sse"


@scenario(
    suite=SUITE,
    kind=ScenarioKind.EXCLUSIVE,
    brings=("get-in-session", "get-beside-requests", "get-closed-by-client", "backend-get"),
    seconds=0.5,
)
async def get_in_session(stage: Stage) -> None:
    """Open the standalone GET stream of an initialized session, use the session beside it, close the stream."""
    client = await stage.connected()
    async with client.listen() as stream:
        stage.step("get.opened", status=stream.status)
        for _ in range(3):
            await client.request("tools/list", {})
        await stage.wait(0.5, "anything sent down the stream because of the requests beside it arrives")
    stage.step("get.closed")
    await client.request("tools/list", {})
    await client.delete()


@scenario(suite=SUITE, kind=ScenarioKind.EXCLUSIVE, brings=("second-get",))
async def second_get(stage: Stage) -> None:
    """Open a second GET stream on a session whose first is open; then use the session."""
    client = await stage.connected()
    async with client.listen() as first:
        stage.step("get.first", status=first.status)
        async with client.listen() as second:
            stage.step("get.second", status=second.status)
            await client.request("tools/list", {})
        await client.request("tools/list", {})
    await client.delete()


@scenario(suite=SUITE, kind=ScenarioKind.EXCLUSIVE, brings=("get-without-session", "get-unknown-session"))
async def get_with_wrong_session(stage: Stage) -> None:
    """GET without a session id and with one that was never issued, each by a client that has a session."""
    client = await stage.connected()
    async with client.listen({"Mcp-Session-Id": None}, deadline=5.0) as stream:
        stage.step("get.without-session", status=stream.status)
    async with client.listen({"Mcp-Session-Id": secrets.token_hex(16)}, deadline=5.0) as stream:
        stage.step("get.unknown-session", status=stream.status)
    await client.delete()


@scenario(
    suite=SUITE,
    kind=ScenarioKind.EXCLUSIVE,
    brings=("server-notification", "tool-added"),
    seconds=timing.RELAY_PROMPT,
    needs_witness=True,
)
async def server_notification(stage: Stage) -> None:
    """Make the backend add a tool and say so while two clients listen; then list the tools again."""
    one, other = await stage.connected("a"), await stage.connected("b")
    added = f"added_{secrets.token_hex(4)}"
    tool = await stage.tool("add_tool", one)
    async with one.listen() as stream, other.listen():
        stage.step("get.opened", status=stream.status)
        await stage.wait(0.5, "a gateway that opens its own stream to the backend has done so")
        stage.step("tool.add", tool=added)
        reply = await one.call(tool, {"nonce": stage.nonce(), "name": added})
        await awaiting.list_changed(stage, stream, reply)
        stage.step("tool.listed-again", tool=added)
        await one.tools()
    for client in (one, other):
        await client.delete()
