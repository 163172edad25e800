"""Drives of suite isolation: two backends behind one gateway that have tools of the same names."""

from __future__ import annotations

import asyncio
from typing import Final

from conformance import timing
from conformance.rules.isolation_bystanders import QUICK, SLOW
from conformance.stage.instance import BACKEND_TAP, SECOND_TAP
from conformance.stage.scenario import ScenarioKind, SecondBackend, scenario
from conformance.stage.stage import Stage
from scenarios.isolation.drives_bystanders import call_under_way

SUITE: Final = "isolation"


@scenario(
    suite=SUITE,
    kind=ScenarioKind.DESTRUCTIVE,
    brings=("tools-of-two-listed", "tool-of-two-called", "call-beside-slow-backend"),
    seconds=timing.SLOW_BESIDE,
    second_backend=SecondBackend.WORKS,
)
async def tools_of_two_backends(stage: Stage) -> None:
    """List the tools of two backends, call one of one name at each, then at one beside a slow one at the other."""
    names, slow = stage.of_two("echo"), stage.of_two("slow")
    client = await stage.connected()
    await client.tools()
    for backend, name in names.items():
        await stage.call_of(client, backend, name)
    nonce = stage.nonce()
    stage.step(QUICK, nonce=nonce)
    await client.call(names[BACKEND_TAP], {"nonce": nonce, "text": "alone"})
    async with asyncio.TaskGroup() as tasks:
        nonce = stage.nonce()
        stage.step(SLOW, nonce=nonce)
        arguments = {"nonce": nonce, "seconds": timing.SLOW_BESIDE}
        await call_under_way(stage, tasks, client, slow[SECOND_TAP], arguments)
        await client.call(names[BACKEND_TAP], {"nonce": stage.nonce(), "text": "beside"})
    await client.delete()
