"""R4: two replicas of a gateway that keeps its sessions in memory, behind an edge. Each pair shares one drive."""

from __future__ import annotations

from typing import Final

from conformance import timing
from conformance.stage.edge_variant import Affinity, Buffering, EdgeSetup, EdgeVariant, Tls
from conformance.stage.manifest import load_client
from conformance.stage.scenario import REPLAYS, Drive, NetworkFault, ScenarioKind, scenario
from conformance.stage.stage import Stage
from scenarios.clients.drives import LASTING, TRIES, call, go_on, lasting, listed
from scenarios.edges import drives_clients, drives_replicas, drives_traffic
from scenarios.replays.ways import on_the_way, reached

CLIENT: Final = "typescript-sdk-1"
BALANCER: Final = "haproxy"
PROXY: Final = "nginx"


def _before(
    name: str,
    drive: Drive,
    edge: str,
    variant: EdgeVariant,
    *,
    brings: tuple[str, ...],
    seconds: float = 0.0,
    replicas: int = 1,
    client: str = "",
) -> None:
    scenario(
        suite=REPLAYS,
        name=name,
        kind=ScenarioKind.DESTRUCTIVE,
        brings=brings,
        seconds=seconds,
        edge=EdgeSetup(edge, variant, replicas),
        sentinel=False,
        client=client,
        needs_witness=bool(client),
    )(drive)


async def calls_of_a_real_client(stage: Stage) -> None:
    """Have the TypeScript SDK's client connect, list and call several times."""
    await drives_clients.calls(stage, CLIENT)


async def restart_under_a_real_client(stage: Stage) -> None:
    """Restart the gateway under the TypeScript SDK's client, which then goes on calling."""
    await lasting(stage, load_client(CLIENT))


async def rolled_under_a_real_client(stage: Stage) -> None:
    """Restart the tasks one after the other under the TypeScript SDK's client, which goes on calling after each."""
    real = await stage.real_client(CLIENT)
    if not (await real.step("connect", deadline=timing.CLIENT_STEP)).ok:
        return
    names = await listed(real)
    await call(stage, real, "call", names)
    for number in stage.replicas.numbers:
        await stage.replicas.restart(number)
        await stage.wait(timing.EDGE_NOTICES, "the balancer finds the task again")
        await go_on(stage, real, names)
    await real.step("close", deadline=timing.CLIENT_STEP)


async def registered(stage: Stage) -> None:
    """Register an address with a gateway that connects to it, try the way there, and list the tools."""
    await stage.register_backend()
    await reached(stage)


on_the_way("r4-port-filtered", NetworkFault.FILTERED, registered)
on_the_way("r4-port-open", NetworkFault.NONE, registered)

for _tls in (Tls.WRONG_NAME, Tls.PRIVATE_CA):
    _before(f"r4-tls-{_tls}", drives_traffic.handshake, BALANCER, EdgeVariant(tls=_tls), brings=("edge-tls",))

for _affinity in (Affinity.NONE, Affinity.SESSION_HASH, Affinity.SESSION_LEARNED):
    _before(
        f"r4-affinity-{_affinity}",
        drives_replicas.routed,
        BALANCER,
        EdgeVariant(affinity=_affinity),
        brings=("edge-posts", "edge-session"),
        replicas=2,
    )

for _affinity in (Affinity.COOKIE, Affinity.SESSION_LEARNED):
    _before(
        f"r4-client-{_affinity}",
        calls_of_a_real_client,
        BALANCER,
        EdgeVariant(affinity=_affinity),
        brings=("edge-session",),
        replicas=2,
        client=CLIENT,
    )

_QUIET: Final = drives_traffic.quiet_stream(timing.EDGE_QUIET + timing.RELAY_PROMPT)
for _name, _variant in (
    ("short", EdgeVariant(idle_seconds=timing.EDGE_CUT)),
    ("held", EdgeVariant(buffering=Buffering.FORCED, upstream_http="1.0")),
    ("long", EdgeVariant()),
):
    _before(
        f"r4-quiet-{_name}",
        _QUIET,
        PROXY,
        _variant,
        brings=("edge-get", "edge-quiet-get"),
        seconds=timing.EDGE_QUIET + timing.RELAY_PROMPT,
    )

for _name, _heeds in (("kept", False), ("dropped", True)):
    _before(
        f"r4-lost-task-{_name}",
        drives_replicas.killed_newcomers,
        BALANCER,
        EdgeVariant(heeds_failures=_heeds),
        brings=("edge-replica-lost",),
        seconds=timing.EDGE_NOTICES,
        replicas=2,
    )

_before(
    "r4-rolling-restart",
    rolled_under_a_real_client,
    BALANCER,
    EdgeVariant(affinity=Affinity.SESSION_LEARNED),
    brings=("client-restart", "edge-lost-session"),
    seconds=2 * (timing.EDGE_NOTICES + TRIES * timing.RECONNECT),
    replicas=2,
    client=CLIENT,
)

r4_restart = scenario(
    suite=REPLAYS,
    name="r4-restart",
    kind=ScenarioKind.DESTRUCTIVE,
    brings=LASTING,
    seconds=timing.SESSION_PAUSE + TRIES * timing.RECONNECT,
    client=CLIENT,
)(restart_under_a_real_client)
