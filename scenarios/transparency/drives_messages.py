"""Drives of suite transparency: ids of many kinds, messages of every form, contents that must survive."""

from __future__ import annotations

import asyncio
from typing import Final

from conformance import timing
from conformance.evidence.events import JSON
from conformance.stage.scenario import ScenarioKind, scenario
from conformance.stage.stage import Stage
from conformance.wire.driver import McpClient

SUITE: Final = "transparency"

LEGAL_IDS: Final = (0, 7, "7", "", -1, 2**53 - 1, "0b6d5c1e-6a0f-4d3c-9f6b-8d1e2f3a4b5c", "\N{GRINNING FACE} n°1")
"""Falsy ones, one value in two types, the ends of what doubles hold, and text that is not ASCII."""

LARGE_IDS: Final = (2**53 + 1, 2**63 - 1)

ILLEGAL_IDS: Final[tuple[JSON, ...]] = (None, 1.5, True, {"id": 1})

EQUAL_IDS: Final = (501, "call-501", 502, "call-502")
"""Ids that two clients use at the same time."""


NOTIFICATIONS: Final[tuple[tuple[str, JSON], ...]] = (
    ("notifications/com.example.unknown", {"level": 3}),
    ("notifications/roots/list_changed", None),
    ("notifications/cancelled", {"requestId": "never-asked"}),
    ("notifications/progress", {"progressToken": "never-given", "progress": 1}),
)
"""Notifications that nobody acts on; the first has a method that no server knows."""


@scenario(
    suite=SUITE,
    kind=ScenarioKind.EXCLUSIVE,
    brings=("ids-of-both-types", "ids-beyond-exact-integers", "illegal-ids", "backend-requests"),
    needs_witness=True,
)
async def request_ids(stage: Stage) -> None:
    """Call with ids of every legal kind, with equal ids from two clients at once, and with illegal ones."""
    one, other = await stage.connected("a"), await stage.connected("b")
    echo = await stage.tool("echo", one)
    for request_id in (*LEGAL_IDS, *LARGE_IDS):
        await _echo(stage, one, echo, request_id)
    async with asyncio.TaskGroup() as tasks:
        for request_id in EQUAL_IDS:
            for client in (one, other):
                tasks.create_task(_echo(stage, client, echo, request_id))
    for request_id in ILLEGAL_IDS:
        await _echo(stage, one, echo, request_id)
    for client in (one, other):
        await client.delete()


async def _echo(stage: Stage, client: McpClient, tool: str, request_id: JSON) -> None:
    params = {"name": tool, "arguments": {"nonce": stage.nonce(), "text": f"called with id {request_id!r}"}}
    message = {"jsonrpc": "2.0", "id": request_id, "method": "tools/call", "params": params}
    await client.post(message, deadline=timing.LOST_ANSWER)


@scenario(
    suite=SUITE,
    kind=ScenarioKind.EXCLUSIVE,
    brings=(
        "results-and-errors",
        "error-answered",
        "notification-for-client",
        "notification-to-backend",
        "notifications-of-many-kinds",
        "backend-notified",
    ),
    seconds=0.6,
    needs_witness=True,
)
async def answers_and_notices(stage: Stage) -> None:
    """Have results, errors and notifications of both sides sent, while the client listens."""
    client = await stage.connected()
    echo, notify = await stage.tool("echo", client), await stage.tool("notify", client)
    async with client.listen():
        await stage.wait(0.3, "a gateway that opens its own stream to the backend has done so")
        for method, params in NOTIFICATIONS:
            await client.notify(method, params)
        await client.call(echo, {"nonce": stage.nonce(), "text": "all is well"})
        await client.call(echo, {"nonce": stage.nonce()})
        await client.call(f"{echo}-of-nobody", {"nonce": stage.nonce()})
        await client.request("com.example/unknown", {})
        await client.request("prompts/get", {"name": "of-nobody"})
        for kind, stream in (("log", "post"), ("log", "get"), ("list_changed", "get")):
            await client.call(notify, {"nonce": stage.nonce(), "kind": kind, "stream": stream})
        await stage.wait(0.3, "what was sent unasked arrives")
    await client.delete()
