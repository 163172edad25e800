"""Drives of suite transparency: ids of many kinds, messages of every form, contents that must survive."""

from __future__ import annotations

import asyncio
import json
from typing import Final

from conformance import timing
from conformance.evidence.events import JSON
from conformance.stage.scenario import ScenarioKind, scenario
from conformance.stage.stage import Stage
from conformance.wire.driver import McpClient
from conformance.witness.tools_messages import META, STRANGER

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


TEXTS: Final = (
    "naïve café, Ελλάδα, שלום, 漢字",
    "composed é and combining e\N{COMBINING ACUTE ACCENT}",
    "beyond the BMP: \N{GRINNING FACE} \N{WOMAN}\N{ZERO WIDTH JOINER}\N{MICROSCOPE}",
    "separators: \N{LINE SEPARATOR} \N{PARAGRAPH SEPARATOR} \N{NEXT LINE} \N{NO-BREAK SPACE} end",
    "\N{ZERO WIDTH NO-BREAK SPACE}a mark of byte order at the start",
)
"""Text that UTF-8 keeps; the separators are line ends to some libraries and not to JSON, HTTP or event streams."""

ARGUMENTS: Final[dict[str, JSON]] = {
    "nothing": None,
    "empty": ["", [], {}],
    "numbers": [0, -1, 0.1, 1e-9, 123456789012345],
    "nested": {"list": [{"nothing": None}, True]},
}

FAULTS: Final = ("html-500", "json-500", "empty-stream", "half-body", "reset-mid-event")
"""Manners of answering that give no result, though the tool has run."""


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
                # All at once: a gateway that starts a process for each of them needs its time.
                tasks.create_task(_echo(stage, client, echo, request_id, deadline=timing.ANSWER))
    for request_id in ILLEGAL_IDS:
        await _echo(stage, one, echo, request_id)
    for client in (one, other):
        await client.delete()


async def _echo(
    stage: Stage, client: McpClient, tool: str, request_id: JSON, *, deadline: float = timing.LOST_ANSWER
) -> None:
    params = {"name": tool, "arguments": {"nonce": stage.nonce(), "text": f"called with id {request_id!r}"}}
    message = {"jsonrpc": "2.0", "id": request_id, "method": "tools/call", "params": params}
    await client.post(message, deadline=deadline)


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


@scenario(
    suite=SUITE,
    kind=ScenarioKind.EXCLUSIVE,
    brings=("text-beyond-ascii", "meta-of-strangers", "call-on-both-sides", "call-failed-by-backend"),
    needs_witness=True,
)
async def contents_of_calls(stage: Stage) -> None:
    """Call with unusual text, arguments and members, and have results and errors of the same kind come back."""
    client = await stage.connected()
    echo, rich = await stage.tool("echo", client), await stage.tool("rich", client)
    for text in TEXTS:
        await _as_utf8(client, {"name": echo, "arguments": {"nonce": stage.nonce(), "text": text}})
    await client.call(echo, {"nonce": stage.nonce(), "text": "plain", **ARGUMENTS})
    await client.call(rich, {"nonce": stage.nonce()})
    strange = {"name": rich, "arguments": {"nonce": stage.nonce()}, "_meta": META, STRANGER: {"of": "params"}}
    await client.request("tools/call", strange)
    for tool in ("reject", "fail"):
        await client.call(await stage.tool(tool, client), {"nonce": stage.nonce()})
    await client.delete()


async def _as_utf8(client: McpClient, params: JSON) -> None:
    """Call with the text written as it is, as JavaScript's clients do, and not escaped to ASCII."""
    message = {"jsonrpc": "2.0", "id": client.next_id(), "method": "tools/call", "params": params}
    await client.post(json.dumps(client.outgoing(message), ensure_ascii=False).encode(), deadline=timing.LOST_ANSWER)


@scenario(
    suite=SUITE,
    kind=ScenarioKind.EXCLUSIVE,
    brings=("call-on-both-sides",),
    needs_witness=True,
    http_backend=True,
    control=False,
)
async def calls_that_fail_once_made(stage: Stage) -> None:
    """Make calls that the backend executes and then answers with an HTTP error, half an answer or none."""
    client = await stage.connected()
    for manner in ("correct", *FAULTS):
        await stage.answered(client, manner)
    await client.delete()
