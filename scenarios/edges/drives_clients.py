"""Real clients before an edge and two replicas: what one remedy for lost sessions does for them, and another."""

from __future__ import annotations

from typing import Final

from conformance import timing
from conformance.stage.real_client import RealClient
from conformance.stage.stage import Stage

CALLS: Final = 6
"""Calls after the handshake: where each lands in turn on two replicas, three of them land elsewhere."""


async def calls(stage: Stage, name: str) -> None:
    """Have a real client connect, list and call, and close."""
    real = await stage.real_client(name)
    if not (await real.step("connect", deadline=timing.CLIENT_STEP)).ok:
        return
    listed = await real.step("list", deadline=timing.CLIENT_STEP)
    names = [str(name) for name in listed.data.get("tools", ())]
    for _ in range(CALLS):
        await _call(stage, real, names)
    await real.step("close", deadline=timing.CLIENT_STEP)


async def _call(stage: Stage, real: RealClient, names: list[str]) -> None:
    nonce, tool = stage.nonce(), stage.listed_as("echo", names)
    arguments = {"nonce": nonce, "text": "behind an edge"}
    await real.step("call", deadline=timing.CLIENT_STEP, note=nonce, tool=tool, arguments=arguments)
