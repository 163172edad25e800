"""R5: streams through a Python proxy whose middleware stands in their way."""

from __future__ import annotations

import asyncio
from typing import Final

from conformance import timing
from conformance.replays.criteria import ALONE
from conformance.stage.edge_variant import Buffering, EdgeSetup, EdgeVariant
from conformance.stage.scenario import REPLAYS, ScenarioKind, scenario
from conformance.stage.stage import Stage
from conformance.wire.driver import McpClient
from conformance.witness.manners_streams import LATE
from scenarios.edges import drives_traffic
from scenarios.get_sse.drives import get_in_session
from scenarios.initialize_ordering.drives import names_listed
from scenarios.isolation.drives_exposure import page_of_this_machine
from scenarios.streaming.drives import spaced_events

HOLDS: Final = EdgeVariant(buffering=Buffering.FORCED, upstream_http="1.0")
"""nginx with proxy_buffering on, deaf to X-Accel-Buffering."""
HEEDS: Final = EdgeVariant(buffering=Buffering.ON, upstream_http="1.0")
"""nginx as it is by default: proxy_buffering on, unless a response asks for the opposite, and HTTP/1.0 upstream."""
HANDSHAKES: Final = 1000
PARTIES: Final = 8
"""Clients that make the handshakes, each one after the other."""
STREAMS: Final = 100
STREAMS_ALONE: Final = 3
LOAD_CALL: Final = 6.0
"""How long each of the streams lasts by itself, in seconds: long enough that all of them are open before one ends."""
LOAD_EVERY: Final = 0.5
LOAD_SECONDS: Final = 400.0
"""How long all of it may take, in seconds: two proxies side by side on a busy machine of two cores took 250."""
LOAD_PATIENCE: Final = 120.0
"""How long a stream under load is waited for, in seconds."""


@scenario(
    suite=REPLAYS,
    kind=ScenarioKind.EXCLUSIVE,
    brings=("late-first-event", "spaced-events", "answered-stream"),
    seconds=LATE + 2 * timing.SPACED_CALL,
    needs_witness=True,
    http_backend=True,
)
async def r5_streams(stage: Stage) -> None:
    """Call a tool whose only event comes late, and one that reports its progress in evenly spaced events."""
    late = await stage.connected("late")
    await stage.answered(late, "sse-late-event")
    await late.delete()
    await spaced_events(stage)


async def _handshakes(stage: Stage, number: int) -> None:
    client = await stage.client(f"handshakes{number}")
    for _ in range(HANDSHAKES // PARTIES):
        reply = await client.initialize(headers={"Mcp-Session-Id": None, "MCP-Protocol-Version": None})
        if reply.result(client.last_id) is not None:
            await client.delete()


async def _stream(stage: Stage, client: McpClient, tool: str) -> None:
    arguments = {"nonce": stage.nonce(), "seconds": LOAD_CALL, "progress_every": LOAD_EVERY}
    await client.call(tool, arguments, meta={"progressToken": client.name}, deadline=LOAD_PATIENCE)


@scenario(
    suite=REPLAYS,
    kind=ScenarioKind.DESTRUCTIVE,
    brings=("initialize-sent",),
    seconds=LOAD_SECONDS,
    needs_witness=True,
    http_backend=True,
)
async def r5_load(stage: Stage) -> None:
    """Open streams one at a time; make 1,000 handshakes; hold 100 streams open at once; sample the gateway's memory."""
    alone = await stage.connected(ALONE)
    tool = await stage.tool("slow", alone)
    for _ in range(STREAMS_ALONE):
        await _stream(stage, alone, tool)
    await alone.delete()
    await stage.sample_memory()
    async with asyncio.TaskGroup() as tasks:
        for number in range(PARTIES):
            tasks.create_task(_handshakes(stage, number))
    await stage.sample_memory()
    clients = [await stage.connected(f"stream{number}") for number in range(STREAMS)]
    async with asyncio.TaskGroup() as tasks:
        for client in clients:
            tasks.create_task(_stream(stage, client, tool))
    for client in clients:
        await client.delete()
    await stage.sample_memory()


r5_streams_beside = scenario(
    suite=REPLAYS,
    kind=ScenarioKind.EXCLUSIVE,
    brings=("get-in-session", "get-beside-requests"),
    seconds=0.5,
    name="r5-streams-beside",
)(get_in_session)


r5_page = scenario(
    suite=REPLAYS,
    kind=ScenarioKind.EXCLUSIVE,
    brings=("page-asked",),
    name="r5-page",
)(page_of_this_machine)


@scenario(
    suite=REPLAYS,
    kind=ScenarioKind.DESTRUCTIVE,
    brings=("initialize-sent", "initialize-answered"),
    any_start=True,
    sentinel=False,
)
async def r5_first_answers(stage: Stage) -> None:
    """Connect and list the tools."""
    await names_listed(await stage.client())


for _name, _variant, _more in (
    ("held", HOLDS, ()),
    ("passed", EdgeVariant(), ()),
    ("heeding", HEEDS, ("event-stream",)),
):
    scenario(
        suite=REPLAYS,
        name=f"r5-nginx-{_name}",
        kind=ScenarioKind.DESTRUCTIVE,
        brings=("edge-call-events", *_more),
        seconds=2 * timing.SPACED_CALL,
        needs_witness=True,
        edge=EdgeSetup("nginx", _variant),
        sentinel=False,
    )(drives_traffic.spaced_calls)
