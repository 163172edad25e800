"""Drives of suite spin_up. They only drive; what came of it is judged in `conformance/rules/spin_up.py`."""

from __future__ import annotations

import asyncio

from conformance import timing
from conformance.stage.scenario import ScenarioKind, SpinUp, scenario
from conformance.stage.stage import Stage

SUITE = "spin_up"
CALLS = 3
"""Calls that one session makes at once: a gateway that starts a container for each then has several."""


@scenario(
    suite=SUITE,
    kind=ScenarioKind.DESTRUCTIVE,
    brings=("spin-up-triggered", "spin-up-sessions", "spin-up-ended"),
    seconds=timing.REMOVED_AFTER,
    spin_up=SpinUp.WORKS,
    control=False,
)
async def spin_up_session(stage: Stage) -> None:
    """Connect, list, call several times at once, list again, end the session; then stop the gateway in order."""
    client = await stage.client()
    shared = stage.containers()
    stage.step("trigger")
    await client.connect()
    tool = _sentinel(stage, await client.tools())
    arguments = dict(stage.instance.backend.sentinel.arguments)
    await asyncio.gather(*(client.call(tool, arguments) for _ in range(CALLS)))
    await client.tools()
    stage.step("session.end")
    await client.delete()
    await client.close()
    await stage.removal(timing.REMOVED_AFTER, spared=shared)
    await stage.stop_gateway()
    await stage.removal(timing.REMOVED_AFTER)


@scenario(
    suite=SUITE,
    kind=ScenarioKind.DESTRUCTIVE,
    brings=("spin-up-sessions", "spin-up-killed"),
    seconds=timing.REMOVED_AFTER,
    spin_up=SpinUp.WORKS,
    control=False,
)
async def spin_up_gateway_killed(stage: Stage) -> None:
    """Connect two clients, list with both, SIGKILL the gateway in the middle of their sessions."""
    clients = [await stage.client(name) for name in ("a", "b")]
    stage.step("trigger")
    for client in clients:
        await client.connect()
        await client.tools()
    await stage.kill_gateway()
    stage.step("gateway.killed")
    await stage.removal(timing.REMOVED_AFTER)


@scenario(
    suite=SUITE,
    kind=ScenarioKind.DESTRUCTIVE,
    brings=("spin-up-image-missing",),
    seconds=timing.HANG_OBSERVATION,
    spin_up=SpinUp.IMAGE_MISSING,
    control=False,
)
async def spin_up_image_missing(stage: Stage) -> None:
    """Connect to a gateway whose backend's image does not exist."""
    await _connect_in_vain(stage)


@scenario(
    suite=SUITE,
    kind=ScenarioKind.DESTRUCTIVE,
    brings=("spin-up-exits-at-once",),
    seconds=timing.HANG_OBSERVATION,
    spin_up=SpinUp.WORKS,
    witness_script="exits_at_once",
    control=False,
)
async def spin_up_exits_at_once(stage: Stage) -> None:
    """Connect to a gateway whose backend's container ends before it has said anything."""
    await _connect_in_vain(stage)


@scenario(
    suite=SUITE,
    kind=ScenarioKind.DESTRUCTIVE,
    brings=("spin-up-engine-unusable",),
    seconds=timing.HANG_OBSERVATION,
    spin_up=SpinUp.ENGINE_DENIED,
    control=False,
)
async def spin_up_engine_denied(stage: Stage) -> None:
    """Connect to a gateway that the container engine refuses everything that changes anything."""
    await _connect_in_vain(stage)


@scenario(
    suite=SUITE,
    kind=ScenarioKind.DESTRUCTIVE,
    brings=("spin-up-engine-unusable",),
    seconds=timing.HANG_OBSERVATION,
    spin_up=SpinUp.ENGINE_MISSING,
    control=False,
)
async def spin_up_engine_missing(stage: Stage) -> None:
    """Connect to a gateway whose container engine's socket is not there."""
    await _connect_in_vain(stage)


async def _connect_in_vain(stage: Stage) -> None:
    """Initialize, and list the tools where that succeeded, waiting no longer than a hang is watched."""
    client = await stage.client()
    stage.step("trigger")
    reply = await client.initialize(deadline=timing.HANG_OBSERVATION)
    if reply.result(client.last_id) is None:
        return
    await client.initialized()
    await client.request("tools/list", {}, deadline=timing.HANG_OBSERVATION)


def _sentinel(stage: Stage, listed: tuple[str, ...]) -> str:
    """Return the listed name of the backend's sentinel tool, its own name when it is not listed."""
    name = stage.instance.backend.sentinel.tool
    return min((each for each in listed if each.endswith(name)), key=len, default=name)
