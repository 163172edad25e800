"""Drives of the old transport, HTTP+SSE of 2024-11-05, towards clients and towards backends. They only drive."""

from __future__ import annotations

import asyncio
import secrets

from conformance import timing
from conformance.spec.revisions import STREAMABLE_LEGACY
from conformance.stage.scenario import ScenarioKind, scenario
from conformance.stage.stage import Stage
from conformance.wire.driver import McpClient
from scenarios.get_sse import awaiting

SUITE = "get_sse"
OLD = ("2024-11-05",)
OLD_SIGNS = (400, 404, 405)


@scenario(
    suite=SUITE,
    kind=ScenarioKind.EXCLUSIVE,
    brings=("sse-get", "sse-stream", "sse-endpoint", "sse-post", "sse-request"),
    revisions=OLD,
    http_sse=True,
    needs_witness=True,
    control=False,
)
async def http_sse_session(stage: Stage) -> None:
    """Open the HTTP+SSE stream, initialize, list and call over the URI it names; close it, and open it anew."""
    client = await stage.sse_client()
    for turn in ("first", "again"):
        async with client.open() as stream:
            stage.step(f"sse.{turn}", status=stream.status, endpoint=client.has_endpoint)
            if not client.has_endpoint:
                break
            await client.connect()
            tool = await stage.tool("echo", client)
            await client.call(tool, {"nonce": stage.nonce(), "text": turn})


@scenario(
    suite=SUITE,
    kind=ScenarioKind.EXCLUSIVE,
    brings=("sse-two-clients",),
    revisions=OLD,
    http_sse=True,
    needs_witness=True,
    control=False,
)
async def http_sse_two_clients(stage: Stage) -> None:
    """Two clients of the HTTP+SSE endpoint at once, with equal ids: each calls with nonces of its own."""
    one, other = await stage.sse_client("a"), await stage.sse_client("b")
    async with one.open():
        if not one.has_endpoint:
            return
        await one.connect()
        tool = await stage.tool("echo", one)
        async with other.open():
            await other.connect()
            for number in (100, 101):
                asked = [
                    client.request(
                        "tools/call",
                        {"name": tool, "arguments": {"nonce": stage.nonce(), "text": client.name}},
                        request_id=number,
                        deadline=timing.RELAY_PROMPT,
                    )
                    for client in (one, other)
                ]
                await asyncio.gather(*asked)


@scenario(
    suite=SUITE,
    kind=ScenarioKind.EXCLUSIVE,
    brings=("sse-server-message",),
    seconds=timing.RELAY_PROMPT,
    revisions=OLD,
    http_sse=True,
    needs_witness=True,
    control=False,
)
async def http_sse_server_message(stage: Stage) -> None:
    """Make the backend add a tool and say so while a client of HTTP+SSE listens."""
    client = await stage.sse_client()
    added = f"added_{secrets.token_hex(4)}"
    async with client.open() as stream:
        if not client.has_endpoint:
            return
        await client.connect()
        tool = await stage.tool("add_tool", client)
        stage.step("tool.add", tool=added)
        reply = await client.call(tool, {"nonce": stage.nonce(), "name": added})
        await awaiting.list_changed(stage, stream, reply)


@scenario(
    suite=SUITE,
    kind=ScenarioKind.EXCLUSIVE,
    brings=("sse-beside",),
    revisions=STREAMABLE_LEGACY,
    http_sse=True,
    needs_witness=True,
    control=False,
)
async def http_sse_beside_streamable(stage: Stage) -> None:
    """A client of HTTP+SSE while one of Streamable HTTP has a session; then each lists the tools."""
    new, old = await stage.connected("new"), await stage.sse_client("old")
    async with old.open(deadline=timing.HANG_OBSERVATION):
        await old.connect()
        for client in (old, new):
            await client.tools()
    await new.delete()


@scenario(
    suite=SUITE,
    kind=ScenarioKind.DESTRUCTIVE,
    brings=("sse-backend-posts", "sse-backend-refused"),
    revisions=(*OLD, *STREAMABLE_LEGACY),
    http_sse=True,
    backend_face="sse",
    control=False,
)
async def backend_of_the_old_transport(stage: Stage) -> None:
    """Connect, list and call before a backend that speaks HTTP+SSE only.

    Where the gateway hands the backend's refusal of initialize on, the client falls back as it is told to.
    """
    client = await stage.client()
    reply = await client.initialize()
    if reply.status not in OLD_SIGNS:
        await _use(stage, client)
        return
    old = await stage.sse_client("old", path=stage.instance.path)
    stage.step("client.falls-back", status=reply.status)
    async with old.open():
        if old.has_endpoint:
            await old.initialize()
            await _use(stage, old)


async def _use(stage: Stage, client: McpClient) -> None:
    await client.initialized()
    if stage.instance.backend is not None:
        await stage.ask_backend(client, stage.instance.backend.sentinel)


@scenario(
    suite=SUITE,
    kind=ScenarioKind.DESTRUCTIVE,
    brings=("sse-backend-barred",),
    revisions=STREAMABLE_LEGACY,
    witness_script="old_transport_barred",
    http_sse=True,
    backend_face="sse",
    control=False,
)
async def backend_refuses_for_other_reasons(stage: Stage) -> None:
    """Three clients initialize, one after another, before a backend that refuses it with 401, 500 and 429 in turn."""
    for name in ("a", "b", "c"):
        client = await stage.client(name)
        await client.initialize()
