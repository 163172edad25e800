"""R1: a server is started and registered while the gateway runs; then clients look for its tools."""

from __future__ import annotations

from typing import Final

from conformance import timing
from conformance.stage.scenario import REPLAYS, NetworkFault, ScenarioKind, scenario
from conformance.stage.stage import Stage
from scenarios.get_sse.drives import get_in_session
from scenarios.initialize_ordering.drives import look_for_tools, names_listed
from scenarios.replays.ways import on_the_way, reached

_HANDSHAKE: Final = ("initialize-sent", "initialize-answered", "backend-handshake", "backend-session-named")


async def before_ready(stage: Stage) -> None:
    """Register a server whose port is open and which does not serve yet; start it; look for its tools."""
    await stage.register_backend()
    await names_listed(await stage.client("early"))
    await stage.start_backend()
    await look_for_tools(stage)


async def after_first_list(stage: Stage) -> None:
    """List the tools of a gateway that knows no server; start and register one; look for its tools."""
    await names_listed(await stage.client("early"))
    await stage.start_backend()
    await stage.register_backend()
    await look_for_tools(stage)


async def published_before_ready(stage: Stage) -> None:
    """Register a server whose container has just been started; once it serves, look for its tools."""
    await stage.publish_backend()
    await stage.register_backend()
    await names_listed(await stage.client("early"))
    await stage.await_backend()
    await look_for_tools(stage)


for _name, _drive, _published in (
    ("registered-before-ready", before_ready, False),
    ("registered-after-first-list", after_first_list, False),
    ("published-before-ready", published_before_ready, True),
    ("published-after-first-list", after_first_list, True),
):
    scenario(
        suite=REPLAYS,
        name=f"r1-{_name}",
        kind=ScenarioKind.DESTRUCTIVE,
        brings=("late-backend", *_HANDSHAKE),
        seconds=timing.RELAY_PROMPT,
        control=False,
        published=_published,
        late_backend=True,
        late_registration=True,
    )(_drive)


@scenario(
    suite=REPLAYS,
    kind=ScenarioKind.DESTRUCTIVE,
    brings=("capabilities-compared", *_HANDSHAKE),
    late_registration=True,
    sentinel=False,
)
async def r1_registered_when_ready(stage: Stage) -> None:
    """Register a server that serves, and list its tools; the control run lists them straight at the server."""
    await stage.register_backend()
    await names_listed(await stage.client("a"))


async def started_and_registered(stage: Stage) -> None:
    """Start a server in a container and register it; try the way from where the gateway stands; list the tools."""
    await stage.start_backend()
    await stage.register_backend()
    await reached(stage)


on_the_way("r1-published-localhost", NetworkFault.LOOPBACK, started_and_registered, published=True)
on_the_way("r1-published-reachable", NetworkFault.NONE, started_and_registered, published=True)

r1_stream_opened = scenario(
    suite=REPLAYS,
    kind=ScenarioKind.DESTRUCTIVE,
    brings=("get-in-session",),
    name="r1-stream-opened",
)(get_in_session)
