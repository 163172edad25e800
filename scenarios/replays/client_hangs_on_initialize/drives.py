"""R3: a real agent is told of a gateway, in different words, and started; one drive for all of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from conformance import timing
from conformance.stage.edge_variant import EdgeSetup, EdgeVariant
from conformance.stage.scenario import REPLAYS, ScenarioKind, SecondBackend, scenario
from conformance.stage.stage import Stage
from conformance.wire.toxics import Latency
from scenarios.clients.drives import other_ways

AGENT: Final = "claude-agent-sdk-0.1.37"
COMMAND_LINE: Final = "claude-code-2.1.49"
NEWEST: Final = "claude-code"
BRIDGE: Final = "mcp-remote"
OWN_HEADER: Final = "x-litellm-api-key"
LISTENS: Final = timing.KEEPALIVE_PERIOD + timing.KEEPALIVE_TOLERANCE
SLOW: Final = 4.0
"""How much later than it is sent a slow backend's answer comes, in seconds: under every limit on the way."""


@dataclass(frozen=True, slots=True)
class Told:
    """What a client is told of the gateway, and what stands about it.

    transport: as the client's configuration calls it. path: of the gateway's, in place of its endpoint's. session: it
    starts as for a prompt, else it only checks its servers. bare: the key is given without its scheme. header: in which
    it is given, empty for the usual one. listens: once it is connected it is left alone for a keep-alive period.
    second: behind the gateway stands another backend. script: what the witness, which is the backend, does. slow: its
    answers come late. dead: there is no backend. edge: what stands before the gateway.
    """

    client: str = COMMAND_LINE
    transport: str = "http"
    path: str | None = None
    session: bool = True
    bare: bool = False
    header: str = ""
    listens: bool = False
    second: SecondBackend | None = None
    script: str = "correct"
    slow: bool = False
    dead: bool = False
    edge: EdgeVariant | None = None


TOLD: Final = {
    "r3-agent": Told(AGENT),
    "r3-agent-sse": Told(AGENT, transport="sse"),
    "r3-agent-own-header": Told(AGENT, bare=True, header=OWN_HEADER),
    "r3-agent-listens": Told(AGENT, listens=True),
    "r3-agent-every-server": Told(AGENT, second=SecondBackend.SILENT),
    "r3-agent-one-server": Told(AGENT, second=SecondBackend.SILENT, path="/backend/mcp"),
    "r3-agent-many-servers": Told(AGENT, second=SecondBackend.WORKS),
    "r3-agent-slow": Told(AGENT, slow=True),
    "r3-agent-silent": Told(AGENT, script="hang_on_initialize"),
    "r3-agent-dead": Told(AGENT, dead=True),
    "r3-agent-get-withheld": Told(AGENT, script="get_headers_withheld"),
    "r3-agent-json": Told(AGENT, script="json_only"),
    "r3-check-silent": Told(session=False, script="hang_on_initialize"),
    "r3-newest-silent": Told(NEWEST, script="hang_on_initialize"),
    "r3-agent-without-slash": Told(AGENT, path="/mcp"),
    "r3-bridge-every-server": Told(BRIDGE, second=SecondBackend.SILENT),
    "r3-http-to-http": Told(),
    "r3-sse-to-http": Told(transport="sse"),
    "r3-http-to-sse": Told(path="/sse"),
    "r3-sse-to-sse": Told(transport="sse", path="/sse"),
    "r3-bridge-to-sse": Told(BRIDGE, path="/sse"),
    "r3-key-bare": Told(bare=True),
    "r3-own-header-bare": Told(bare=True, header=OWN_HEADER),
    "r3-own-header-with-scheme": Told(header=OWN_HEADER),
    "r3-redirected": Told(edge=EdgeVariant(slash_redirect=True)),
    "r3-not-redirected": Told(edge=EdgeVariant()),
}
"""By scenario."""


async def told_of_the_gateway(stage: Stage) -> None:
    """Tell a real client of the gateway and have it connect; if it does not, try what a user tries then."""
    told = TOLD[stage.cell.scenario]
    if told.slow:
        await stage.backend_toxics([Latency(SLOW)])
    client = await stage.real_client(told.client, path=told.path, headers=_headers(told, stage.instance.headers))
    answer = await client.step("connect", deadline=timing.AGENT_START, transport=told.transport, session=told.session)
    if not answer.ok:
        await other_ways(stage, told.path)
    elif told.listens:
        await stage.wait(LISTENS, "the agent is connected and asks nothing; it listens")


def _headers(told: Told, given: Mapping[str, str]) -> Mapping[str, str]:
    return {told.header or name: value.rpartition(" ")[2] if told.bare else value for name, value in given.items()}


def _brings(told: Told) -> tuple[str, ...]:
    also = {"get-in-session": told.listens, "edge-posts": told.edge is not None}
    return ("client-connect", *(name for name, brought in also.items() if brought))


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
        second_backend=_told.second,
        control=_told.second is SecondBackend.SILENT,
        edge=EdgeSetup("nginx", _told.edge) if _told.edge else None,
        sentinel=_told.second is None and _told.edge is None,
    )(told_of_the_gateway)
