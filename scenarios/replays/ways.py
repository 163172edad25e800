"""What replays of a way that does not lead to the server have in common."""

from __future__ import annotations

from conformance import timing
from conformance.stage.scenario import REPLAYS, Drive, NetworkFault, ScenarioKind, scenario
from conformance.stage.stage import Stage
from scenarios.initialize_ordering.drives import names_listed


async def reached(stage: Stage) -> None:
    """Try the way to the server from where the gateway stands, then list the tools through the gateway."""
    await stage.probe_backend()
    await names_listed(await stage.client("a"))


def on_the_way(name: str, network: NetworkFault, drive: Drive, *, published: bool = False) -> None:
    """Register a scenario in which something may be wrong with the gateway's way, which its evidence does not tell.

    drive: tells the gateway its server. published: and starts it, in a container whose port the engine publishes.
    """
    scenario(
        suite=REPLAYS,
        name=name,
        kind=ScenarioKind.DESTRUCTIVE,
        brings=("network-probed",),
        seconds=timing.ANSWER,
        network=network,
        untold=True,
        published=published,
        late_backend=published,
        late_registration=True,
    )(drive)
