"""Drives of suite transparency: calls whose backend reports progress or asks the client, and what was negotiated."""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING, Final

from conformance import timing
from conformance.stage.scenario import ScenarioKind, scenario
from conformance.stage.stage import Stage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from conformance.evidence.events import JSON

SUITE: Final = "transparency"

TOKENS: Final = (1, "1", 0, "", 2**53 + 1)
"""Progress tokens that are alike, falsy or large: strings and integers are different values, and both are allowed."""

KINDS: Final = ("sampling", "roots", "elicitation")
"""What a client can be asked, by the capability it declares for it."""

OFFERS: Final[tuple[tuple[tuple[str, ...], str, Mapping[str, JSON]], ...]] = (
    (("prompts",), "prompts/list", {}),
    (("resources",), "resources/list", {}),
    (("resources", "subscribe"), "resources/subscribe", {"uri": "witness://about"}),
    (("logging",), "logging/setLevel", {"level": "info"}),
    (
        ("completions",),
        "completion/complete",
        {"ref": {"type": "ref/prompt", "name": "greeting"}, "argument": {"name": "name", "value": "a"}},
    ),
)
"""What a server can declare, and a request that it then must know."""


def _meta(token: JSON) -> Mapping[str, JSON]:
    return {"progressToken": token}


def _slow(stage: Stage) -> Mapping[str, JSON]:
    """Return arguments of a call that reports four times on its way."""
    return {"nonce": stage.nonce(), "seconds": 0.5, "progress_every": 0.1}


@scenario(
    suite=SUITE,
    kind=ScenarioKind.EXCLUSIVE,
    brings=("progress-reported", "progress-unasked"),
    seconds=timing.AFTER_ANSWER_WATCHED,
    needs_witness=True,
)
async def progress_tokens(stage: Stage) -> None:
    """Ask for progress of many numbers, for none, and under tokens of many kinds at once."""
    client = await stage.connected()
    report, slow = await stage.tool("report", client), await stage.tool("slow", client)
    async with client.listen():
        await client.call(report, {"nonce": stage.nonce()}, meta=_meta("numbers"))
        await client.call(report, {"nonce": stage.nonce(), "count": 3})
        # what is reported together with the answer can be lost whatever its token is, so each token has time
        await asyncio.gather(*(client.call(slow, _slow(stage), meta=_meta(token)) for token in TOKENS))
        await stage.wait(timing.AFTER_ANSWER_WATCHED, "progress that comes after its call's answer is seen")
    await client.delete()


@scenario(suite=SUITE, kind=ScenarioKind.EXCLUSIVE, brings=("progress-in-parallel",), needs_witness=True)
async def progress_in_parallel(stage: Stage) -> None:
    """Ask for progress under one token from two clients at once, and under another beside it."""
    one, other = await stage.connected("a"), await stage.connected("b")
    slow = await stage.tool("slow", one)
    both, own = secrets.token_hex(4), secrets.token_hex(4)
    begun = ((one, both), (other, both), (one, own))
    await asyncio.gather(*(client.call(slow, _slow(stage), meta=_meta(token)) for client, token in begun))
    for client in (one, other):
        await client.delete()


@scenario(suite=SUITE, kind=ScenarioKind.EXCLUSIVE, brings=("progress-flood",), needs_witness=True)
async def progress_flood(stage: Stage) -> None:
    """Make the backend report progress a thousand times at once; list the tools beside it and after it."""
    client, bystander = await stage.connected("a"), await stage.connected("bystander")
    report = await stage.tool("report", client)
    nonce = stage.nonce()
    stage.step("progress.flood", nonce=nonce)
    flood = client.call(report, {"nonce": nonce, "count": 1000}, meta=_meta("flood"))
    await asyncio.gather(flood, bystander.tools())
    await client.tools()
    for each in (client, bystander):
        await each.delete()


@scenario(
    suite=SUITE,
    kind=ScenarioKind.EXCLUSIVE,
    brings=("client-asked", "client-answered", "messages-in-parallel", "get-beside-calls"),
    seconds=0.5,
    needs_witness=True,
)
async def client_is_asked(stage: Stage) -> None:
    """Have the backend ask a client that takes such: on the call's stream, on the session's, and several at once."""
    client = await stage.client("a")
    mark = secrets.token_hex(8)
    client.replies = {
        "sampling/createMessage": {
            "role": "assistant",
            "content": {"type": "text", "text": mark},
            "model": "harness",
            "stopReason": "endTurn",
        },
        "roots/list": {"roots": [{"uri": f"file:///{mark}", "name": mark}]},
        "elicitation/create": {"action": "accept", "content": {"word": mark}},
    }
    kinds = KINDS if stage.cell.revision >= "2025-06-18" else KINDS[:2]
    await client.connect(capabilities={kind: {} for kind in kinds})
    ask, slow = await stage.tool("ask_client", client), await stage.tool("slow", client)
    stage.step("client.answers", mark=mark)
    async with client.listen():
        await stage.wait(0.5, "a gateway that opens its own stream to the backend has done so")
        for kind in kinds:
            await client.call(ask, {"nonce": stage.nonce(), "kind": kind})
        await client.call(ask, {"nonce": stage.nonce(), "kind": "roots", "stream": "get"})
        async with asyncio.TaskGroup() as tasks:
            for token in ("one", "two"):
                tasks.create_task(client.call(slow, _slow(stage), meta=_meta(token)))
            await stage.wait(timing.CALL_UNDER_WAY, "calls are under way on whose streams questions could come")
            for _ in range(2):
                tasks.create_task(client.call(ask, {"nonce": stage.nonce(), "kind": "sampling"}))
    await client.delete()


@scenario(
    suite=SUITE,
    kind=ScenarioKind.EXCLUSIVE,
    brings=("initialized-held-back",),
    seconds=1.0,
    needs_witness=True,
)
async def initialized_held_back(stage: Stage) -> None:
    """Let a client listen that has not said it is initialized, while the backend has news for everybody."""
    eager, late = await stage.connected("a"), await stage.client("b")
    add = await stage.tool("add_tool", eager)
    await late.initialize()
    async with late.listen() as stream:
        stage.step("initialized.held-back", client="b", status=stream.status)
        await stage.wait(0.5, "a gateway that opens its own stream to the backend has done so")
        await eager.call(add, {"nonce": stage.nonce(), "name": f"added_{secrets.token_hex(4)}"})
        await stage.wait(1.0, "what the gateway passes on too early arrives")
        await late.initialized()
    for client in (eager, late):
        await client.delete()


@scenario(
    suite=SUITE,
    kind=ScenarioKind.DESTRUCTIVE,
    brings=("bare-client", "bare-backend"),
    needs_witness=True,
    witness_script="tools_only",
)
async def bare_capabilities(stage: Stage) -> None:
    """Stand a client that declares nothing before a backend that has tools alone; use what each was told of."""
    client = await stage.client("a")
    reply = await client.connect()
    declared = (reply.result(client.last_id) or {}).get("capabilities")
    ask = await stage.tool("ask_client", client)
    for kind in KINDS:
        await client.call(ask, {"nonce": stage.nonce(), "kind": kind})
    for path, method, params in OFFERS:
        if _declares(declared, path):
            stage.step("offer.used", capability=".".join(path), method=method)
            await client.request(method, params)
    await client.delete()


def _declares(capabilities: JSON, path: tuple[str, ...]) -> bool:
    """Whether a declaration has the capability; only `false` and absence deny it."""
    for name in path:
        capabilities = capabilities.get(name) if isinstance(capabilities, dict) else None
    return capabilities is not None and capabilities is not False
