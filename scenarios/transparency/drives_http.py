"""Drives of suite transparency: lists, bodies and headers of HTTP, and a backend's faults."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping
from typing import Final

from conformance import timing
from conformance.evidence.events import JSON
from conformance.stage.scenario import ScenarioKind, scenario
from conformance.stage.stage import Stage
from conformance.wire.driver import McpClient
from conformance.witness.tools_http import filler

SUITE: Final = "transparency"

OFFERS: Final[Mapping[str, Mapping[str, JSON]]] = {
    "tools/list": {},
    "prompts/list": {},
    "resources/list": {},
    "logging/setLevel": {"level": "info"},
    "completion/complete": {"ref": {"type": "ref/prompt", "name": "none"}, "argument": {"name": "a", "value": "b"}},
}
"""A request for each capability of a server."""

HEADER_FORMS: Final = (
    {"Content-Type": "application/json; charset=utf-8"},
    {"Accept": "application/json;q=0.9, text/event-stream;q=0.8"},
    {"Accept": "text/event-stream,application/json"},
    {"Accept-Encoding": "gzip, deflate"},
)
"""The same media types, as HTTP libraries write them, and the codings that they offer (RFC 9110 sections 8.3.1, 12.5.1
and 12.5.3)."""

FORMS_OF_ANSWERS: Final = ("correct", "json", "json-charset", "stream-charset", "stream-comments")
"""Legal manners of the witness."""

FAULTS: Final = (
    "json-500",
    "html-500",
    "plain-413",
    "html-200",
    "broken-json",
    "empty-stream",
    "reset-at-once",
    "reset-mid-event",
    "half-body",
)
"""Manners of the witness that give no result."""

ANSWERED_OR_HANGING: Final = timing.HANG_OBSERVATION + timing.PAUSE_NOTICED
"""Seconds that an answer is awaited: a little longer than what counts as a hang."""

PAYLOADS: Final = (800_000, 4_000_000, 16_000_000)
"""Characters in a body; a tenth more in bytes. A result carries its text twice, so it is asked for half of them."""

MOST_PAGES: Final = 20
"""Pages after which a list is not followed further: several times what the witness needs."""


@scenario(
    suite=SUITE,
    kind=ScenarioKind.DESTRUCTIVE,
    brings=("list-followed", "backend-list-in-pages", "cursor-never-issued"),
    witness_script="paginated",
)
async def paged_list(stage: Stage) -> None:
    """Follow a list that the backend gives in pages to its end; then ask with a cursor that was never given."""
    client = await stage.connected()
    await _follow(client, "tools/list")
    await client.request("tools/list", {"cursor": f"never-issued-{secrets.token_hex(4)}"})
    await client.delete()


async def _follow(client: McpClient, method: str) -> None:
    """Ask for each page that the one before names; a cursor that comes again is not followed in a circle."""
    cursors: list[str] = []
    for _ in range(MOST_PAGES):
        reply = await client.request(method, {"cursor": cursors[-1]} if cursors else {})
        cursor = (reply.result(client.last_id) or {}).get("nextCursor")
        if not cursor or cursor in cursors:
            return
        cursors.append(cursor)


@scenario(suite=SUITE, kind=ScenarioKind.EXCLUSIVE, brings=("capability-declared",), control=False)
async def declared_offers(stage: Stage) -> None:
    """Ask for everything that a server can declare; what was not declared is not judged."""
    client = await stage.connected()
    for method, params in OFFERS.items():
        await client.request(method, params)
    await client.delete()


@scenario(
    suite=SUITE,
    kind=ScenarioKind.EXCLUSIVE,
    brings=("request-forms", "notification-unacceptable", "batch-posted"),
    control=False,
)
async def message_forms(stage: Stage) -> None:
    """Post requests with unusual header fields, notifications that cannot be accepted, and an array of requests."""
    client = await stage.connected()
    for headers in HEADER_FORMS:
        stage.step("request.form", headers=headers)
        await client.request("tools/list", {}, headers=headers)
    stray = {"jsonrpc": "2.0", "method": "notifications/roots/list_changed"}
    await client.post(stray, headers={"Mcp-Session-Id": secrets.token_hex(16)}, deadline=timing.HANG_OBSERVATION)
    await client.post({"jsonrpc": "2.0", "method": 7}, deadline=timing.HANG_OBSERVATION)
    batch = [{"jsonrpc": "2.0", "id": client.next_id(), "method": "ping"} for _ in range(2)]
    await client.post(batch, deadline=timing.HANG_OBSERVATION)
    await client.request("tools/list", {})
    await client.delete()


@scenario(suite=SUITE, kind=ScenarioKind.EXCLUSIVE, brings=("backend-post",), http_backend=True, control=False)
async def gateway_posts(stage: Stage) -> None:
    """Have the gateway send every kind of message: requests, notifications, and the answer to the backend's request."""
    client = await stage.client()
    client.replies = {"roots/list": {"roots": []}}
    await client.connect(capabilities={"roots": {"listChanged": True}})
    await client.request("tools/list", {})
    await client.notify("notifications/roots/list_changed")
    ask = await stage.tool("ask_client", client)
    await client.call(ask, {"nonce": stage.nonce(), "kind": "roots"})
    await client.delete()


@scenario(
    suite=SUITE,
    kind=ScenarioKind.EXCLUSIVE,
    brings=("answers-in-both-forms",),
    needs_witness=True,
    http_backend=True,
    control=False,
)
async def answer_forms(stage: Stage) -> None:
    """Call a tool whose backend answers as JSON and as an event stream, plainly and with what HTTP allows besides."""
    client = await stage.connected()
    for manner in FORMS_OF_ANSWERS:
        await stage.answered(client, manner, deadline=ANSWERED_OR_HANGING)
    await client.delete()


@scenario(
    suite=SUITE,
    kind=ScenarioKind.DESTRUCTIVE,
    brings=("fault-of-backend", "call-after-fault", "backend-fault"),
    needs_witness=True,
    http_backend=True,
    control=False,
    follows=True,
)
async def backend_faults(stage: Stage) -> None:
    """Call a tool whose backend fails in one way after the other, and after each call one that it answers."""
    client = await stage.connected()
    for manner in FAULTS:
        for asked in (manner, "correct"):
            reply = await stage.answered(client, asked, deadline=ANSWERED_OR_HANGING)
            if reply.trouble.startswith("gave up"):
                return  # a call that hangs is what there is to see; the next would only hang as long


@scenario(
    suite=SUITE,
    kind=ScenarioKind.IDLE,
    brings=("call-never-answered",),
    seconds=timing.HANG_OBSERVATION,
    needs_witness=True,
    control=False,
)
async def silent_backend(stage: Stage) -> None:
    """Make a call that is not answered, wait as long as the target claims to, and make another beside it."""
    target = stage.instance.target
    claimed = target.claims.request_timeout if target is not None else None
    watched = timing.HANG_OBSERVATION if claimed is None else min(claimed, timing.CLAIM_OBSERVED)
    client = await stage.connected()
    slow, echo = await stage.tool("slow", client), await stage.tool("echo", client)
    never = {"nonce": stage.nonce(), "seconds": timing.NEVER_ANSWERED}
    stage.step("call.never-answered", claimed=claimed, watched=watched)
    async with asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(client.call(slow, never, deadline=watched + 2 * timing.CLAIM_TOLERANCE))
        await stage.wait(timing.PAUSE_NOTICED, "the call has reached the backend")
        request_id = client.last_id
        await client.call(echo, {"nonce": stage.nonce(), "text": "beside"})
    if waiting.result().trouble:
        await client.notify("notifications/cancelled", {"requestId": request_id})
    else:
        await stage.wait(timing.CANCEL_PROMPT + timing.PAUSE_NOTICED, "the backend hears that the call was given up")
    await client.delete()


@scenario(
    suite=SUITE,
    kind=ScenarioKind.DESTRUCTIVE,
    brings=("large-payload",),
    needs_witness=True,
    control=False,
    follows=True,
)
async def large_payloads(stage: Stage) -> None:
    """Send larger and larger texts up in a call's arguments, and have as large ones sent down in its result."""
    client = await stage.connected()
    tool = await stage.tool("payload", client)
    for size in PAYLOADS:
        for way in ("up", "down"):
            nonce = stage.nonce()
            stage.step("payload", nonce=nonce, size=size, way=way)
            arguments = {"text": filler(size)} if way == "up" else {"size": size // 2}
            reply = await client.call(tool, {"nonce": nonce, **arguments}, deadline=timing.PAYLOAD)
            if reply.trouble.startswith("gave up"):
                return  # what does not pass now does not pass when it is larger
    await client.delete()
