"""R2: a client comes to a gateway that starts its server as a container, and everybody watches for that container."""

from __future__ import annotations

from typing import Final

from conformance import timing
from conformance.stage.scenario import REPLAYS, ScenarioKind, SpinUp, scenario
from conformance.stage.stage import Stage
from scenarios.spin_up.drives import spin_up_image_missing, spin_up_session

r2_container_appears = scenario(
    suite=REPLAYS,
    kind=ScenarioKind.DESTRUCTIVE,
    brings=("spin-up-triggered", "spin-up-sessions", "spin-up-ended"),
    seconds=timing.REMOVED_AFTER,
    spin_up=SpinUp.WORKS,
    control=False,
    name="r2-container-appears",
)(spin_up_session)

r2_told_of_missing_image = scenario(
    suite=REPLAYS,
    kind=ScenarioKind.DESTRUCTIVE,
    brings=("spin-up-image-missing",),
    seconds=timing.ANSWER,
    spin_up=SpinUp.IMAGE_MISSING,
    control=False,
    name="r2-told-of-missing-image",
)(spin_up_image_missing)


COMMAND_LINE: Final = "mbro"


TYPED: Final = {"r2-typed-own-gateway": "magg serve", "r2-typed-running-gateway": ""}
"""What the command line is told to connect to, by scenario: a command, or nothing for the gateway's URL."""


async def typed(stage: Stage) -> None:
    """Ask for the tools on a command line, which connects to the gateway, or starts one of its own."""
    to = TYPED[stage.cell.scenario]
    real = await stage.real_client(COMMAND_LINE)
    stage.step("trigger", typed=f"{COMMAND_LINE} connect gateway {to or 'URL'}; tools")
    if (await real.step("connect", deadline=timing.CLIENT_STEP, to=to)).ok:
        await real.step("list", deadline=timing.CLIENT_STEP, to=to)


for _name in TYPED:
    scenario(
        suite=REPLAYS,
        kind=ScenarioKind.DESTRUCTIVE,
        brings=("spin-up-triggered",),
        seconds=timing.CLIENT_STEP,
        spin_up=SpinUp.WORKS,
        client=COMMAND_LINE,
        control=False,
        sentinel=False,  # it would have a container started that nobody had asked for before
        name=_name,
    )(typed)
