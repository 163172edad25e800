"""R2: a client comes to a gateway that starts its server as a container, and everybody watches for that container."""

from __future__ import annotations

from conformance import timing
from conformance.stage.scenario import REPLAYS, ScenarioKind, SpinUp, scenario
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
