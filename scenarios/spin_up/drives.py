"""Drives of suite spin_up. They only drive; what came of it is judged in `conformance/rules/spin_up.py`."""

from __future__ import annotations

from conformance import timing
from conformance.stage.scenario import ScenarioKind, SpinUp, scenario
from conformance.stage.stage import Stage

SUITE = "spin_up"


@scenario(
    suite=SUITE,
    kind=ScenarioKind.DESTRUCTIVE,
    brings=("spin-up-triggered", "spin-up-session-ended"),
    seconds=timing.REMOVED_AFTER,
    spin_up=SpinUp.WORKS,
    control=False,
)
async def spin_up_session(stage: Stage) -> None:
    """Connect, list and call, end the session, wait for its container to go."""
    client = await stage.client()
    stage.step("trigger")
    await client.connect()
    await client.tools()
    sentinel = stage.instance.backend.sentinel
    await client.call(await stage.tool(sentinel.tool, client), dict(sentinel.arguments))
    stage.step("session.end")
    await client.delete()
    await client.close()
    await stage.wait(timing.REMOVED_AFTER, "containers of an ended session are removed")
