"""Drives of the old transport, HTTP+SSE of 2024-11-05, on the gateway's side. They only drive."""

from __future__ import annotations

import asyncio

from conformance import timing
from conformance.stage.scenario import ScenarioKind, scenario
from conformance.stage.stage import Stage

SUITE = "get_sse"
OLD = ("2024-11-05",)


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
