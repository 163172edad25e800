"""Drives of suite spin_up. They only drive; what came of it is judged in `conformance/rules/spin_up.py`."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Final

from conformance import timing
from conformance.stage.manifest_tables import Sentinel
from conformance.stage.scenario import ScenarioKind, SpinUp, scenario
from conformance.stage.stage import Stage
from conformance.wire.driver import McpClient

SUITE: Final = "spin_up"
CALLS: Final = 3
"""Calls that one session makes at once: a gateway that starts a container for each then has several."""
CLIENTS: Final = 3
"""Clients that vanish: as many as the like of suite session_reuse has."""
TOGETHER: Final = 4
"""Clients that come at once: enough for two of each to meet in any way, few enough for their servers' memory."""
CALLS_IN_VAIN: Final = 5
"""Calls after which a session whose container died counts as lost."""

_spins_up = partial(scenario, suite=SUITE, kind=ScenarioKind.DESTRUCTIVE, spin_up=SpinUp.WORKS, control=False)
"""Registers a drive before a gateway that starts its backend's container: nothing is wrong with that unless said."""


@_spins_up(brings=("spin-up-triggered", "spin-up-sessions", "spin-up-ended"), seconds=timing.REMOVED_AFTER)
async def spin_up_session(stage: Stage) -> None:
    """Connect, list, call several times at once, list again, end the session; then stop the gateway in order."""
    client = await stage.client()
    shared = stage.containers()
    await stage.probe_engine()
    stage.step("trigger")
    await client.connect()
    sentinel = _sentinel(stage)
    tool = stage.listed_as(sentinel.tool, await client.tools())
    await asyncio.gather(*(client.call(tool, dict(sentinel.arguments)) for _ in range(CALLS)))
    await client.tools()
    stage.step("session.end")
    await client.delete()
    await client.close()
    await stage.removal(timing.REMOVED_AFTER, spared=shared)
    await stage.stop_gateway()
    await stage.removal(timing.REMOVED_AFTER)


@_spins_up(brings=("spin-up-sessions", "spin-up-killed"), seconds=timing.REMOVED_AFTER)
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


@_spins_up(brings=("spin-up-image-missing",), seconds=timing.ANSWER, spin_up=SpinUp.IMAGE_MISSING)
async def spin_up_image_missing(stage: Stage) -> None:
    """Connect to a gateway whose backend's image does not exist."""
    await _connect_in_vain(stage)


@_spins_up(brings=("spin-up-exits-at-once",), seconds=timing.ANSWER, witness_script="exits_at_once")
async def spin_up_exits_at_once(stage: Stage) -> None:
    """Connect to a gateway whose backend's container ends before it has said anything; see that container's end."""
    await _connect_in_vain(stage)
    await stage.removal(timing.REMOVED_AFTER)


@_spins_up(brings=("spin-up-engine-unusable",), seconds=timing.ANSWER, spin_up=SpinUp.ENGINE_DENIED)
async def spin_up_engine_denied(stage: Stage) -> None:
    """Connect to a gateway that the container engine refuses everything that changes anything."""
    await _connect_in_vain(stage)


@_spins_up(brings=("spin-up-engine-unusable",), seconds=timing.ANSWER, spin_up=SpinUp.ENGINE_MISSING)
async def spin_up_engine_missing(stage: Stage) -> None:
    """Connect to a gateway whose container engine's socket is not there."""
    await _connect_in_vain(stage)


@_spins_up(brings=("spin-up-container-died",), seconds=2 * CALLS_IN_VAIN * timing.STARTED_AGAIN)
async def spin_up_container_dies(stage: Stage) -> None:
    """Kill the backend's container in the middle of a session; go on calling, then call in a new session."""
    client, new = await stage.client(), await stage.client("new")
    sentinel = _sentinel(stage)
    stage.step("trigger")
    await client.connect()
    tool = await _first_listed(stage, client)
    await client.call(tool, dict(sentinel.arguments))
    await stage.kill_containers()
    await _call_until_served(stage, client, tool)
    reply = await new.connect()
    if reply.status is not None:
        await _call_until_served(stage, new, tool)


async def _call_until_served(stage: Stage, client: McpClient, tool: str) -> None:
    """Call until there is a result, or the session is refused, or no answer at all; at most CALLS_IN_VAIN times."""
    for number in range(CALLS_IN_VAIN):
        if number:
            await stage.wait(timing.STARTED_AGAIN, "a container may be started again")
        reply = await client.call(tool, dict(_sentinel(stage).arguments))
        result = reply.result(client.last_id)
        if (result is not None and not result.get("isError")) or reply.trouble or 400 <= (reply.status or 0) < 500:
            return


@_spins_up(brings=("spin-up-clients-vanished",), seconds=timing.REMOVED_AFTER)
async def spin_up_clients_vanish(stage: Stage) -> None:
    """Let clients break off their connections, streams open and none with DELETE; see what is left of them."""
    shared = stage.containers()
    clients = [await stage.client(f"vanishing{number}") for number in range(CLIENTS)]
    stage.step("trigger")
    for client in clients:
        await client.connect()
        await client.tools()
    for client in clients:
        async with client.listen():
            await client.close()
    stage.step("clients.vanished", clients=len(clients))
    claim = stage.instance.target.claims.session_idle_timeout if stage.instance.target else None
    if claim is not None and claim <= timing.LONGEST_CLAIM:
        await stage.wait(claim, "sessions that nobody uses are ended as declared")
        stage.step("clients.expired", seconds=claim)
        await stage.removal(timing.REMOVED_AFTER, spared=shared)
    else:
        await stage.wait(timing.VANISHED_WATCHED, "what is begun for one who is gone is ended")
    stage.step("clients.watched")


@_spins_up(brings=("spin-up-sessions", "spin-up-two-sessions"), needs_witness=True)
async def spin_up_two_sessions(stage: Stage) -> None:
    """Connect two clients one after the other, then call with each in turn, twice."""
    clients = [await stage.client(name) for name in ("a", "b")]
    stage.step("trigger")
    for client in clients:
        await client.connect()
        await client.tools()
    for _ in range(2):
        for client in clients:
            await client.call(await stage.tool("echo", client), {"nonce": stage.nonce(), "text": client.name})


@_spins_up(brings=("spin-up-triggered", "spin-up-together"))
async def spin_up_together(stage: Stage) -> None:
    """Let several clients come at one moment; each lists and calls as soon as it may."""
    clients = [await stage.client(f"at-once{number}") for number in range(TOGETHER)]
    stage.step("trigger")
    stage.step("clients.together", clients=len(clients))
    await asyncio.gather(*(client.connect() for client in clients))
    stage.step("clients.connected")
    await asyncio.gather(*(_call_first(stage, client) for client in clients))


@_spins_up(brings=("spin-up-triggered", "spin-up-again"), seconds=timing.REMOVED_AFTER)
async def spin_up_again(stage: Stage) -> None:
    """Connect, call and end the session; once its container is gone, do the same with another client."""
    cold, warm = await stage.client("cold"), await stage.client("warm")
    shared = stage.containers()
    stage.step("trigger")
    await _use(stage, cold)
    await cold.delete()
    await cold.close()
    await stage.removal(timing.REMOVED_AFTER, spared=shared)
    stage.step("session.again")
    await _use(stage, warm)


@_spins_up(brings=("spin-up-engine-unusable",), seconds=timing.ANSWER, spin_up=SpinUp.ENGINE_FORBIDDEN)
async def spin_up_engine_forbidden(stage: Stage) -> None:
    """Connect to a gateway that the permissions of the engine's socket keep out."""
    await _connect_in_vain(stage)


@_spins_up(brings=("spin-up-read-only",), seconds=timing.ANSWER, spin_up=SpinUp.ENGINE_READ_ONLY)
async def spin_up_read_only_mount(stage: Stage) -> None:
    """Connect, list and call at a gateway to which the engine's socket is mounted read-only."""
    client = await stage.client()
    await stage.probe_engine()
    stage.step("trigger")
    await _use(stage, client)


@_spins_up(brings=("spin-up-program-missing",), seconds=timing.ANSWER, spin_up=SpinUp.COMMAND_MISSING)
async def spin_up_program_missing(stage: Stage) -> None:
    """Connect to a gateway whose backend's image lacks the program that it is to run."""
    await _connect_in_vain(stage)


@_spins_up(brings=("spin-up-silent",), seconds=timing.ANSWER, witness_script="silent")
async def spin_up_silent(stage: Stage) -> None:
    """Connect to a gateway whose backend's container runs and never answers."""
    await _connect_in_vain(stage)


@_spins_up(
    brings=("spin-up-memory-short",),
    seconds=timing.ANSWER,
    spin_up=SpinUp.MEMORY_SHORT,
    witness_script="takes_memory",
)
async def spin_up_memory_short(stage: Stage) -> None:
    """Connect to a gateway whose backend takes more memory than its container may."""
    await _connect_in_vain(stage)
    await stage.removal(timing.REMOVED_AFTER)


@_spins_up(brings=("spin-up-not-enabled",), seconds=timing.ANSWER, spin_up=SpinUp.NOT_ENABLED)
async def spin_up_not_enabled(stage: Stage) -> None:
    """Connect to a gateway that knows its backend and was not told to use it; list, and call it all the same."""
    client = await stage.client()
    await stage.probe_engine()
    stage.step("trigger")
    if (await client.connect()).status is None:
        return
    sentinel = _sentinel(stage)
    tool = stage.listed_as(sentinel.tool, await client.tools())
    await client.call(tool, dict(sentinel.arguments), deadline=timing.HANG_OBSERVATION)


@_spins_up(brings=("spin-up-engine-restarted",), seconds=timing.ANSWER + CALLS_IN_VAIN * timing.STARTED_AGAIN)
async def spin_up_engine_restarted(stage: Stage) -> None:
    """Take the engine away under a session; connect meanwhile; give it back, and call in a new session."""
    client, between, after = [await stage.client(name) for name in ("a", "between", "after")]
    stage.step("trigger")
    await _use(stage, client)
    await stage.lose_engine()
    reply = await between.initialize()
    if reply.result(between.last_id) is not None:
        await between.initialized()
        await between.request("tools/list", {})
    await stage.return_engine()
    if (await after.connect()).status is not None:
        await _call_until_served(stage, after, await _first_listed(stage, after))


@_spins_up(brings=("spin-up-revoked",), seconds=timing.REMOVED_AFTER, revokes=True)
async def spin_up_revoked(stage: Stage) -> None:
    """Revoke the backend under a session; list and call there again, and in a new session."""
    client, new = await stage.client(), await stage.client("new")
    stage.step("trigger")
    await client.connect()
    sentinel = _sentinel(stage)
    tool = await _first_listed(stage, client)
    await client.call(tool, dict(sentinel.arguments))
    await stage.revoke()
    await client.tools()
    await client.call(tool, dict(sentinel.arguments), deadline=timing.HANG_OBSERVATION)
    if (await new.connect()).status is not None:
        await new.tools()
        await new.call(tool, dict(sentinel.arguments), deadline=timing.HANG_OBSERVATION)
    await stage.removal(timing.REMOVED_AFTER)


async def _use(stage: Stage, client: McpClient) -> None:
    """Connect, list, and call; where initialize was answered at all."""
    if (await client.connect()).status is not None:
        await _call_first(stage, client)


async def _call_first(stage: Stage, client: McpClient) -> None:
    """List until something is listed, at most CALLS_IN_VAIN times, and call."""
    sentinel = _sentinel(stage)
    await client.call(await _first_listed(stage, client), dict(sentinel.arguments))


async def _first_listed(stage: Stage, client: McpClient) -> str:
    """Return the name under which the sentinel's tool is listed, the one claimed if nothing is by then."""
    listed: tuple[str, ...] = ()
    for number in range(CALLS_IN_VAIN):
        if number:
            await stage.wait(timing.STARTED_AGAIN, "the container is still starting")
        if listed := await client.tools():
            break
    return stage.listed_as(_sentinel(stage).tool, listed)


async def _connect_in_vain(stage: Stage) -> None:
    """Initialize, and list the tools where that succeeded; each is given up after timing.ANSWER seconds."""
    client = await stage.client()
    await stage.probe_engine()
    stage.step("trigger")
    reply = await client.initialize()
    if reply.result(client.last_id) is None:
        return
    await client.initialized()
    await client.request("tools/list", {})


def _sentinel(stage: Stage) -> Sentinel:
    """Return the call that any build of the backend answers."""
    backend = stage.instance.backend
    assert backend is not None  # only before a gateway that already runs is it unknown, and this suite is not for those
    return backend.sentinel
