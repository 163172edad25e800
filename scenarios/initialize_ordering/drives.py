"""Drives of suite initialize_ordering. They only drive; what came of it is judged in the rules of the same name."""

from __future__ import annotations

import asyncio
from typing import Final
from uuid import uuid4

from conformance import timing
from conformance.evidence.events import JSON
from conformance.spec.revisions import LEGACY, STREAMABLE_LEGACY
from conformance.stage.scenario import ScenarioKind, scenario
from conformance.stage.stage import Stage
from conformance.wire.driver import McpClient
from conformance.witness.scripts import SCRIPTS
from scenarios.initialize_ordering import drives_two

__all__ = ["drives_two"]

SUITE = "initialize_ordering"

UNKNOWN_VERSIONS: Final = ("1.0.0", "2099-01-01", "2026-07-28")
"""Versions that no handshake negotiates: not a date, a future one, and the first revision without a handshake."""

INVALID_HEADERS: Final = ("1999-01-01", "not-a-version")

SLOW_INITIALIZE: Final = SCRIPTS["slow_initialize"].initialize_delay

CROWD: Final = 6
"""Clients that initialize at the same time."""

RACES: Final = 5
"""Fresh sessions that send a request before `initialized`; one refused at random must show in so few."""

LATE_CLIENTS: Final = 5
"""New clients that look for a late backend's tools before the last one, which is due to find them."""

MALFORMED_PARAMS: Final[tuple[JSON, ...]] = (
    None,
    {"protocolVersion": 20251125, "capabilities": {}, "clientInfo": {"name": "malformed", "version": "1"}},
    {"protocolVersion": "2025-11-25", "capabilities": {}},
    ["2025-11-25"],
)
"""Each lacks something else: all of it, the version's type, clientInfo, an object."""


@scenario(
    suite=SUITE,
    kind=ScenarioKind.EXCLUSIVE,
    brings=("initialize-sent", "initialize-answered", "revision-asked", "unknown-revision-asked"),
)
async def initialize_versions(stage: Stage) -> None:
    """Initialize with each legacy revision and with versions that no handshake knows, a fresh client each."""
    for number, version in enumerate((*LEGACY, *UNKNOWN_VERSIONS)):
        client = await stage.client(f"v{number}")
        reply = await client.initialize(version=version)
        if reply.result(client.last_id) is not None:
            await client.initialized()
            await client.delete()


@scenario(
    suite=SUITE,
    kind=ScenarioKind.EXCLUSIVE,
    brings=("second-initialize", "initialize-sent", "backend-handshake", "backend-session-named"),
)
async def two_clients_initialize(stage: Stage) -> None:
    """Let two clients initialize beside a first, one of them in another revision; then all use their sessions."""
    other = next(revision for revision in reversed(STREAMABLE_LEGACY) if revision != stage.cell.revision)
    first = await stage.connected("a")
    await first.tools()
    clients = (await stage.connected("b"), await stage.connected("c", revision=other), first)
    for client in clients:
        await client.tools()
    for client in clients:
        await client.delete()


@scenario(suite=SUITE, kind=ScenarioKind.EXCLUSIVE, brings=("request-without-initialize",))
async def request_without_initialize(stage: Stage) -> None:
    """Send a request as a client that never initialized, while another has."""
    connected, stranger = await stage.connected("a"), await stage.client("stranger")
    await stranger.request("tools/list", {}, deadline=timing.HANG_OBSERVATION)
    await connected.delete()


@scenario(suite=SUITE, kind=ScenarioKind.EXCLUSIVE, brings=("request-before-initialized",))
async def request_before_initialized(stage: Stage) -> None:
    """On several fresh sessions, list the tools before notifications/initialized and again after it."""
    for number in range(RACES):
        client = await stage.client(f"r{number}")
        await client.initialize()
        await client.request("tools/list", {}, deadline=timing.HANG_OBSERVATION)
        await client.initialized()
        await client.request("tools/list", {})
        await client.delete()


@scenario(
    suite=SUITE, kind=ScenarioKind.DESTRUCTIVE, brings=("malformed-initialize", "bystander-of-malformed"), follows=True
)
async def malformed_initialize(stage: Stage) -> None:
    """Send malformed initializes while a bystander uses its session; then a new client connects."""
    bystander = await stage.connected("bystander")
    await bystander.request("tools/list", {})
    for number, params in enumerate(MALFORMED_PARAMS):
        client = await stage.client(f"m{number}")
        message = {"jsonrpc": "2.0", "id": client.next_id(), "method": "initialize"}
        body = message if params is None else {**message, "params": params}
        await client.post(body, deadline=timing.HANG_OBSERVATION)
        await bystander.request("tools/list", {})
    await bystander.delete()
    later = await stage.connected("later")
    await later.request("tools/list", {})
    await later.delete()


@scenario(
    suite=SUITE,
    kind=ScenarioKind.DESTRUCTIVE,
    brings=("initialize-sent", "backend-handshake"),
    seconds=SLOW_INITIALIZE,
    witness_script="slow_initialize",
)
async def slow_backend_initialize(stage: Stage) -> None:
    """Connect and list tools while the backend takes its time to answer initialize."""
    client = await stage.client()
    reply = await client.initialize()
    if reply.result(client.last_id) is None:
        await stage.wait(SLOW_INITIALIZE, "the backend's own answer comes, too late for the gateway")
        return
    await client.initialized()
    await client.request("tools/list", {})
    await client.delete()


@scenario(
    suite=SUITE,
    kind=ScenarioKind.DESTRUCTIVE,
    brings=("initialize-sent", "backend-handshake"),
    witness_script="strict_single_session",
)
async def single_session_backend(stage: Stage) -> None:
    """Connect and list tools before a backend that keeps one session, one client after another."""
    for number in range(2):
        await names_listed(await stage.client(f"s{number}"))


@scenario(
    suite=SUITE,
    kind=ScenarioKind.DESTRUCTIVE,
    brings=("late-backend",),
    seconds=timing.RELAY_PROMPT,
    control=False,
    late_backend=True,
)
async def late_backend(stage: Stage) -> None:
    """List the tools before the backend runs; start it; list them as one new client after another."""
    await names_listed(await stage.client("early"))
    await stage.start_backend()
    await look_for_tools(stage)


async def look_for_tools(stage: Stage) -> None:
    """List the tools as one new client after another, until a late backend's is among them or is due."""
    assert stage.instance.backend is not None
    tool = stage.instance.backend.sentinel.tool
    expected = stage.instance.target.tool_name(tool) if stage.instance.target else tool
    stage.step("late.expected", tool=expected)
    for number in range(LATE_CLIENTS):
        if expected in await names_listed(await stage.client(f"late{number}")):
            return
        await stage.wait(
            timing.RELAY_PROMPT / LATE_CLIENTS, "a gateway that looks for its backend now and then finds it"
        )
    stage.step("late.due")
    await names_listed(await stage.client("due"))


async def names_listed(client: McpClient) -> tuple[str, ...]:
    """Connect, list and leave; return the tools' names, none where that does not succeed."""
    reply = await client.initialize(deadline=timing.HANG_OBSERVATION)
    if reply.result(client.last_id) is None:
        return ()
    await client.initialized()
    names = await client.tools()
    await client.delete()
    return names


@scenario(
    suite=SUITE,
    kind=ScenarioKind.EXCLUSIVE,
    brings=("invalid-version-header", "version-header-left-out"),
    revisions=STREAMABLE_LEGACY[1:],
)
async def version_header(stage: Stage) -> None:
    """List the tools with MCP-Protocol-Version headers that name no revision, and without one."""
    client = await stage.connected()
    for value in INVALID_HEADERS:
        await client.request("tools/list", {}, headers={"MCP-Protocol-Version": value})
    await client.request("tools/list", {}, headers={"MCP-Protocol-Version": None})
    await client.request("tools/list", {})
    await client.delete()


@scenario(suite=SUITE, kind=ScenarioKind.EXCLUSIVE, brings=("capabilities-compared",))
async def capabilities(stage: Stage) -> None:
    """Initialize and list everything that a server can offer."""
    client = await stage.connected()
    for method in ("tools/list", "prompts/list", "resources/list"):
        await client.request(method, {})
    await client.delete()


@scenario(
    suite=SUITE,
    kind=ScenarioKind.DESTRUCTIVE,
    brings=("initialize-repeated", "initialize-with-foreign-id", "initializes-at-once"),
    follows=True,
)
async def repeated_initialize(stage: Stage) -> None:
    """Initialize again in a session, with an id that nobody issued, and with several clients at once."""
    client = await stage.connected()
    await client.initialize()
    await client.request("tools/list", {})
    stranger = await stage.client("stranger")
    await stranger.initialize(headers={"Mcp-Session-Id": str(uuid4())})
    crowd = [await stage.client(f"crowd{number}") for number in range(CROWD)]
    async with asyncio.TaskGroup() as tasks:
        for member in crowd:
            tasks.create_task(member.connect())
    for one in (client, *crowd):
        await one.delete()


@scenario(suite=SUITE, kind=ScenarioKind.DESTRUCTIVE, brings=("initialize-in-batch",), revisions=("2025-03-26",))
async def batched_initialize(stage: Stage) -> None:
    """Send an initialize in a batch, alone and beside another request."""
    client = await stage.client()
    params = {"protocolVersion": "2025-03-26", "capabilities": {}, "clientInfo": {"name": "batch", "version": "1"}}
    first = {"jsonrpc": "2.0", "id": client.next_id(), "method": "initialize", "params": params}
    await client.post([first])
    await client.post([first, {"jsonrpc": "2.0", "id": client.next_id(), "method": "tools/list", "params": {}}])


@scenario(
    suite=SUITE,
    kind=ScenarioKind.DESTRUCTIVE,
    brings=("unknown-version-answered",),
    witness_script="unknown_version",
    control=False,
)
async def unknown_version_answered(stage: Stage) -> None:
    """Connect to a backend that answers initialize with a version that does not exist; stop where that is told."""
    client = await stage.client()
    await client.initialize()
    if client.negotiated in LEGACY:
        await client.initialized()
        await client.request("tools/list", {})
        await client.delete()


@scenario(
    suite=SUITE,
    kind=ScenarioKind.DESTRUCTIVE,
    brings=("backend-never-initialized",),
    seconds=timing.HANG_OBSERVATION,
    witness_script="hang_on_initialize",
    control=False,
)
async def silent_backend_initialize(stage: Stage) -> None:
    """Connect while the backend never answers initialize, for as long as the target claims to wait."""
    claimed = stage.instance.target.claims.request_timeout if stage.instance.target else None
    watched = timing.HANG_OBSERVATION if claimed is None else min(claimed, timing.CLAIM_OBSERVED)
    client = await stage.client()
    await client.initialize(deadline=watched + 2 * timing.CLAIM_TOLERANCE)
