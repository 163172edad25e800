"""What clients ask through an edge before one replica. They only drive; `conformance/rules/edges*.py` judges."""

from __future__ import annotations

from typing import Final

from conformance import timing
from conformance.stage.scenario import Drive
from conformance.stage.stage import Stage
from conformance.wire.driver import McpClient

UNKNOWN: Final = "0000-no-such-session"
"""A session id that nobody issued."""


async def handshake(stage: Stage) -> None:
    """Connect and list the tools."""
    client = await stage.connected()
    await client.tools()
    if client.session is not None:
        await client.delete()


async def traffic(stage: Stage) -> None:
    """Connect, list, call, listen, be refused, and end the session."""
    client = await stage.connected()
    await _spaced_calls(stage, client)
    async with client.listen() as stream:
        stage.step("get.opened", status=stream.status)
    await _refused(client)
    await client.delete()


async def spaced_calls(stage: Stage) -> None:
    """Call a tool that reports its progress in small events, evenly spaced; once more, and offer to take them coded."""
    client = await stage.connected()
    await _spaced_calls(stage, client)
    await client.delete()


async def _spaced_calls(stage: Stage, client: McpClient) -> None:
    tool = await stage.tool("slow", client)
    for number, coding in enumerate(("identity", "gzip"), 1):
        arguments = {"nonce": stage.nonce(), "seconds": timing.SPACED_CALL, "progress_every": timing.SPACED_EVERY}
        params = {"name": tool, "arguments": arguments, "_meta": {"progressToken": f"edge-{number}"}}
        await client.request("tools/call", params, headers={"Accept-Encoding": coding})


async def unknown_session(stage: Stage) -> None:
    """Connect, and ask with the id of a session that nobody issued, as a client does after a restart."""
    client = await stage.connected()
    await _refused(client)
    await client.delete()


async def _refused(client: McpClient) -> None:
    if client.session is not None:
        await client.request("tools/list", {}, headers={"Mcp-Session-Id": UNKNOWN})


async def respelled(stage: Stage) -> None:
    """Connect at the endpoint's path, and ask at that with a slash more or less, following no redirect."""
    await (await stage.connected()).tools()
    other = await stage.client("other")
    other.url = other.url[:-1] if other.url.endswith("/") else f"{other.url}/"
    stage.step("endpoint.respelled", url=other.url)
    await other.initialize()


async def without_prefix(stage: Stage) -> None:
    """Connect at the gateway's own path, which the edge serves below another."""
    client = await stage.client()
    edge = stage.instance.edge
    assert edge is not None
    client.url = client.url.replace(edge.setup.variant.path_prefix, "", 1)
    stage.step("endpoint.respelled", url=client.url)
    await client.connect()


def quiet_stream(seconds: float, *, coding: str = "identity") -> Drive:
    """Return the drive that opens a GET stream and leaves it alone for `seconds`. coding: what the client takes."""

    async def drive(stage: Stage) -> None:
        client = await stage.connected()
        async with client.listen({"Accept-Encoding": coding}, deadline=seconds) as stream:
            stage.step("get.opened", status=stream.status)
            if stream.status is None or stream.is_stream:
                await stage.wait(seconds, "nothing is said on the stream but what keeps it alive")
        await client.tools()  # whether the session has survived its stream
        await client.delete()

    return drive


async def left_stream(stage: Stage) -> None:
    """Open a GET stream, leave it, and after a while open it again, as a client does whose network was away."""
    client = await stage.connected()
    async with client.listen() as stream:
        stage.step("get.opened", status=stream.status)
        await stage.wait(timing.PAUSE_NOTICED, "the stream is open")
    stage.step("get.left")
    await stage.wait(timing.RELAY_PROMPT, "the edge tells the replica that the client has left")
    async with client.listen() as again:
        stage.step("get.opened", status=again.status)
    await client.delete()


def quiet_call(seconds: float) -> Drive:
    """Return the drive that calls a tool which says nothing for `seconds` and then answers."""

    async def drive(stage: Stage) -> None:
        client = await stage.connected()
        tool = await stage.tool("slow", client)
        stage.step("call.long", seconds=seconds)
        await client.call(tool, {"nonce": stage.nonce(), "seconds": seconds}, deadline=seconds + timing.ANSWER)
        await client.delete()

    return drive
