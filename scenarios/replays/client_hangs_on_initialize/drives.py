"""R3: a real agent is told of a gateway, in different words, and started; one drive for all of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from conformance import timing
from conformance.stage.edge_variant import EdgeSetup, EdgeVariant
from conformance.stage.scenario import REPLAYS, ScenarioKind, SecondBackend, scenario
from conformance.stage.stage import Stage
from scenarios.clients.drives import other_ways

AGENT: Final = "claude-agent-sdk-0.1.37"
COMMAND_LINE: Final = "claude-code-2.1.49"
LISTENS: Final = timing.KEEPALIVE_PERIOD + timing.KEEPALIVE_TOLERANCE


@dataclass(frozen=True, slots=True)
class Told:
    """What a client is told of the gateway, and what stands about it.

    transport: as the client's configuration calls it. path: of the gateway's, in place of its endpoint's. bare: the key
    is given without its scheme. listens: once it is connected it is left alone for a keep-alive period. two: behind the
    gateway stands another backend, which never answers. script: what the witness, which is the backend, does. dead:
    there is no backend. edge: what stands before the gateway.
    """

    client: str = COMMAND_LINE
    transport: str = "http"
    path: str | None = None
    bare: bool = False
    listens: bool = False
    two: bool = False
    script: str = "correct"
    dead: bool = False
    edge: EdgeVariant | None = None


TOLD: Final = {
    "r3-agent-every-server": Told(AGENT, two=True),
    "r3-agent-one-server": Told(AGENT, two=True, path="/backend/mcp"),
    "r3-agent-listens": Told(AGENT, listens=True),
    "r3-agent": Told(AGENT),
    "r3-agent-sse": Told(AGENT, transport="sse"),
    "r3-agent-slow": Told(AGENT, script="slow_initialize"),
    "r3-agent-silent": Told(AGENT, script="hang_on_initialize"),
    "r3-agent-get-withheld": Told(AGENT, script="get_headers_withheld"),
    "r3-agent-dead": Told(AGENT, dead=True),
    "r3-http-to-http": Told(),
    "r3-sse-to-http": Told(transport="sse"),
    "r3-http-to-sse": Told(path="/sse"),
    "r3-sse-to-sse": Told(transport="sse", path="/sse"),
    "r3-key-bare": Told(bare=True),
    "r3-redirected": Told(edge=EdgeVariant(slash_redirect=True)),
    "r3-not-redirected": Told(edge=EdgeVariant()),
}
"""By scenario."""


async def told_of_the_gateway(stage: Stage) -> None:
    """Tell a real client of the gateway and have it connect; if it does not, try what a user tries then."""
    told = TOLD[stage.cell.scenario]
    given = stage.instance.headers
    headers = {name: value.rpartition(" ")[2] for name, value in given.items()} if told.bare else given
    client = await stage.real_client(told.client, path=told.path, headers=headers)
    answer = await client.step("connect", deadline=timing.AGENT_START, transport=told.transport, session=True)
    if not answer.ok:
        await other_ways(stage, told.path)
    elif told.listens:
        await stage.wait(LISTENS, "the agent is connected and asks nothing; it listens")


def _brings(told: Told) -> tuple[str, ...]:
    return ("client-connect", *(("get-in-session",) if told.listens else ()), *(("edge-posts",) if told.edge else ()))


for _name, _told in TOLD.items():
    scenario(
        suite=REPLAYS,
        name=_name,
        kind=ScenarioKind.DESTRUCTIVE,
        brings=_brings(_told),
        seconds=timing.AGENT_START + LISTENS,
        client=_told.client,
        witness_script=_told.script,
        late_backend=_told.dead,
        second_backend=SecondBackend.SILENT if _told.two else None,
        control=_told.two,
        edge=EdgeSetup("nginx", _told.edge) if _told.edge else None,
        sentinel=not _told.two and _told.edge is None,
    )(told_of_the_gateway)
