"""Drives of suite clients: real clients, each taken through the steps of one contract.

Two scenarios for each client manifest: `client-NAME`, whose evidence the other suites' rules may judge as well, and
`client-NAME-lasting`, with a long silence and a restart of the gateway, for clients that keep a session over both.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Final

from conformance import timing
from conformance.stage.manifest import known_clients, load_client
from conformance.stage.real_client import Answer
from conformance.stage.scenario import Drive, ScenarioKind, scenario
from conformance.stage.stage import Stage

if TYPE_CHECKING:
    from conformance.evidence.events import JSON
    from conformance.stage.client_manifest import ClientManifest, Step
    from conformance.stage.manifest_tables import Sentinel
    from conformance.stage.real_client import RealClient
    from conformance.wire.driver import McpClient

SUITE = "clients"

TRIES: Final = 3
"""Calls after a restart of the gateway before it is said that the client does not go on: its user would try again."""

ELSEWHERE: Final = "some-client/1"
"""A name that no gateway knows, as it may know the harness's."""

BRIEF: Final = ("client-connect", "client-list", "client-call", "client-stream", "client-close")
LASTING: Final = ("client-idle", "client-restart")
"""Preconditions of the rules on the contract's steps, by the scenario that brings them about."""

OF_THE_CLIENT: Final = ("backend-handshake", "backend-session", "backend-requests", "backend-post", "backend-get")
"""Preconditions of rules on who speaks to a server; here it is the client that they judge (evidence/client_view.py)."""

OF_THE_GATEWAY: Final = (
    "initialize-answered",
    "revision-asked",
    "session-issued",
    "get-in-session",
    "notification-posted",
    "request-answered",
    "call-on-both-sides",
)
"""Preconditions of the other suites' rules that every client brings about by itself."""


async def contract(stage: Stage, client: ClientManifest) -> None:
    """Have a real client connect, list, call, watch a call's progress, and close."""
    real = await stage.real_client(client.name)
    if not (await real.step("connect", deadline=timing.CLIENT_STEP)).ok:
        await other_ways(stage)
        return
    names = await listed(real)
    await call(stage, real, "call", names)
    await call(stage, real, "stream", names)
    await real.step("close", deadline=timing.CLIENT_STEP)


async def other_ways(stage: Stage, path: str | None = None) -> None:
    """Try what a user tries whose client does not connect: both transports, and the key in another spelling.

    path: of the gateway's that the client was told, in place of the endpoint's.
    """
    await _tried(await stage.client("other-client", path=path))
    asking = await stage.sse_client("other-transport", path=path or stage.instance.path)
    async with asking.open(deadline=timing.HEADERS_PROMPT):
        stage.step("http-sse.tried")
    for header, value in stage.instance.headers.items():
        scheme, _, key = value.rpartition(" ")
        spelled = {"User-Agent": ELSEWHERE, header: key if scheme else f"Bearer {key}"}
        await _tried(await stage.client("other-spelling", path=path, headers=spelled))


async def _tried(client: McpClient) -> None:
    if (await client.initialize(deadline=timing.ANSWER)).result(client.last_id) is not None:
        await client.delete()


async def lasting(stage: Stage, client: ClientManifest) -> None:
    """Leave a real client alone for a while, then restart the gateway under it, and go on calling."""
    real = await stage.real_client(client.name)
    if not (await real.step("connect", deadline=timing.CLIENT_STEP)).ok:
        await other_ways(stage)
        return
    names = await listed(real)
    if not (await call(stage, real, "call", names)).done:
        return
    if client.can("idle"):
        await stage.wait(timing.SESSION_PAUSE, "the client is connected and asks nothing")
    await call(stage, real, "idle", names)
    if client.can("restart") and stage.instance.gateway is not None:
        await stage.restart_gateway()
        await go_on(stage, real, names)
    await real.step("close", deadline=timing.CLIENT_STEP)


async def go_on(stage: Stage, real: RealClient, names: list[str]) -> None:
    """Have a real client call after a restart, a few times until one call is served. names: those of the tools."""
    for _ in range(TRIES):
        if (await call(stage, real, "restart", names)).done:
            return
        await stage.wait(timing.RECONNECT, "the client may connect anew")


async def listed(real: RealClient) -> list[str]:
    """Have a real client list the tools; return their names, none where that failed."""
    answer = await real.step("list", deadline=timing.CLIENT_STEP)
    return [str(name) for name in answer.data.get("tools", ())]


async def call(stage: Stage, real: RealClient, step: Step, names: list[str]) -> Answer:
    """Have the client call the tool that the backend names for this step. names: those that the gateway lists."""
    spec = _spec(stage, step)
    if spec is None:
        stage.step("client.cannot", client=real.label, step=step, why="the backend names no tool for it")
        return Answer(ok=False, detail="the backend names no tool for it")
    arguments, nonce = dict(spec.arguments), ""
    if spec.nonce_argument is not None:
        arguments[spec.nonce_argument] = nonce = stage.nonce()
    return await real.step(
        step,
        ask="stream" if step == "stream" else "call",
        deadline=timing.CLIENT_STEP,
        note=nonce if spec.nonce_returned is not None else "",
        **_called(stage, stage.listed_as(spec.tool, names), arguments),
    )


def _called(stage: Stage, tool: str, arguments: Mapping[str, JSON]) -> dict[str, JSON]:
    """Return what the client is to call: the backend's tool, or the gateway's own through which that is called."""
    asked: JSON = {"method": "tools/call", "params": {"name": tool, "arguments": arguments}}
    if (own := stage.instance.meta_tool) is not None:
        asked = own.wrapped(asked)
    return {"tool": asked["params"]["name"], "arguments": asked["params"]["arguments"]}


def _spec(stage: Stage, step: Step) -> Sentinel | None:
    backend = stage.instance.backend
    if backend is None:
        return None
    spec = backend.progress if step == "stream" else backend.sentinel
    return spec if spec is not None and spec.method == "tools/call" else None


def _register(client: ClientManifest) -> None:
    """Register the scenarios of one client. A step that it has not is promised all the same, and not exercised."""
    lasts = client.can("idle") or client.can("restart")
    scenario(
        suite=SUITE,
        name=f"client-{client.name}",
        client=client.name,
        kind=ScenarioKind.EXCLUSIVE,
        brings=(*BRIEF, *(() if lasts else LASTING), *OF_THE_CLIENT, *OF_THE_GATEWAY),
        seconds=timing.PROGRESS_CALL,
        revisions=client.driver.revisions,
    )(_drive(contract, client, "connects, lists, calls, watches progress, closes"))
    if lasts:
        scenario(
            suite=SUITE,
            name=f"client-{client.name}-lasting",
            client=client.name,
            kind=ScenarioKind.DESTRUCTIVE,
            renews=True,
            brings=(*LASTING, *OF_THE_CLIENT),
            seconds=timing.SESSION_PAUSE + TRIES * timing.RECONNECT,
            revisions=client.driver.revisions,
        )(_drive(lasting, client, "stays silent for a while, then meets a restart of the gateway"))


def _drive(steps: Callable[[Stage, ClientManifest], Awaitable[None]], client: ClientManifest, what: str) -> Drive:
    async def drive(stage: Stage) -> None:
        await steps(stage, client)

    drive.__doc__ = f"{client.title} {client.version} {what}."
    return drive


for _name in known_clients():
    _register(load_client(_name))
