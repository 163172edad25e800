"""Drives of suite transparency: calls whose backend reports progress."""

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


def _meta(token: JSON) -> Mapping[str, JSON]:
    return {"progressToken": token}


@scenario(
    suite=SUITE,
    kind=ScenarioKind.EXCLUSIVE,
    brings=("progress-reported", "progress-in-parallel", "progress-unasked"),
    seconds=timing.AFTER_ANSWER_WATCHED,
    needs_witness=True,
)
async def progress_tokens(stage: Stage) -> None:
    """Ask for progress under tokens of many kinds, for none, and under one token from two clients at once."""
    one, other = await stage.connected("a"), await stage.connected("b")
    report, slow = await stage.tool("report", one), await stage.tool("slow", one)
    async with one.listen():
        for token in TOKENS:
            await one.call(report, {"nonce": stage.nonce()}, meta=_meta(token))
        await one.call(report, {"nonce": stage.nonce(), "count": 3})
        both, own = secrets.token_hex(4), secrets.token_hex(4)
        stage.step("progress.parallel")
        await asyncio.gather(
            *(
                client.call(slow, {"nonce": stage.nonce(), "seconds": 0.5, "progress_every": 0.1}, meta=_meta(token))
                for client, token in ((one, both), (other, both), (one, own))
            )
        )
        await stage.wait(timing.AFTER_ANSWER_WATCHED, "progress that comes after its call's answer is seen")
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
