"""Drives of suite session_reuse. They only drive; what came of it is judged in the rules of the same name."""

from __future__ import annotations

import asyncio
import secrets
from contextlib import suppress
from typing import Final

from conformance import timing
from conformance.rules.session_reuse_ids import SAMPLE
from conformance.stage.scenario import ScenarioKind, scenario
from conformance.stage.stage import Stage
from conformance.wire.driver import McpClient
from conformance.witness.scripts import SCRIPTS
from scenarios.session_reuse import drives_two

SUITE = "session_reuse"

CALLS: Final = 3
"""Calls in one session: more than two, so that a session per call is told from one that was replaced once."""

TOGETHER: Final = 6
"""Calls that each of two clients has in flight at once, half with numbers as ids and half with strings."""

TOGETHER_SECONDS: Final = 0.3
"""How long each of them lasts, so that they overlap also where a gateway takes 50 ms for each."""

AFTER_RESTART: Final = 4
"""Requests after a restart of the backend before it is said that nobody is served, over RELAY_PROMPT."""

CLIENTS: Final = 3
"""Clients that come and go: the second meets what the first one's leaving did, the third what the second one's did."""

FORGETS_AFTER: Final = SCRIPTS["forgets_sessions"].forgets_session_after or 0


@scenario(
    suite=SUITE,
    kind=ScenarioKind.EXCLUSIVE,
    brings=(
        "session-issued",
        "calls-in-session",
        "backend-session",
        "session-deleted",
        "session-used-after-end",
        "notification-posted",
        "request-answered",
    ),
)
async def session_lifecycle(stage: Stage) -> None:
    """Use a session for several calls, end it, then use its id again with every method."""
    client = await stage.connected()
    await client.request("tools/list", {})
    for _ in range(CALLS):
        await _call(stage, client)
    await client.notify("notifications/roots/list_changed")
    await client.delete()
    stage.step("session.ended")
    await client.request("tools/list", {}, deadline=timing.HANG_OBSERVATION)
    async with client.listen(deadline=timing.HEADERS_PROMPT) as stream:
        stage.step("get.after-end", status=stream.status)
    await client.delete()


@scenario(suite=SUITE, kind=ScenarioKind.DESTRUCTIVE, brings=("clients-come-and-go",), sentinel=False)
async def clients_come_and_go(stage: Stage) -> None:
    """Let clients connect, list the tools and end their sessions, one after the other."""
    for number in range(CLIENTS):
        client = await stage.client(f"c{number}")
        await client.connect()
        await client.request("tools/list", {})
        await client.delete()


async def _call(stage: Stage, client: McpClient) -> None:
    """Ask what every backend of the stage names for this, mostly a call; nothing where the backend is not ours."""
    if stage.instance.backend is not None:
        await stage.ask_backend(client, stage.instance.backend.sentinel)


@scenario(suite=SUITE, kind=ScenarioKind.EXCLUSIVE, brings=("post-unknown-session", "request-refused"))
async def unknown_session(stage: Stage) -> None:
    """POST and DELETE with a session id that was issued to nobody, beside a session that works."""
    client = await stage.connected()
    unknown = {"Mcp-Session-Id": secrets.token_hex(16)}
    await client.request("tools/list", {}, headers=unknown, deadline=timing.HANG_OBSERVATION)
    await client.send("DELETE", headers=unknown, deadline=timing.HANG_OBSERVATION)
    await client.request("tools/list", {})
    await client.delete()


@scenario(suite=SUITE, kind=ScenarioKind.EXCLUSIVE, brings=("post-without-session", "request-refused"))
async def missing_session(stage: Stage) -> None:
    """POST and DELETE without a session id, by a client that was given one."""
    client = await stage.connected()
    missing = {"Mcp-Session-Id": None}
    await client.request("tools/list", {}, headers=missing, deadline=timing.HANG_OBSERVATION)
    await client.send("DELETE", headers=missing, deadline=timing.HANG_OBSERVATION)
    await client.delete()


@scenario(suite=SUITE, kind=ScenarioKind.EXCLUSIVE, brings=("request-refused",))
async def reject_mints(stage: Stage) -> None:
    """Send what a server refuses, as a client without a session: types not accepted, broken JSON, a stray GET."""
    stranger = await stage.client("stranger")
    async with stranger.listen(deadline=timing.HEADERS_PROMPT) as stream:
        stage.step("get.stranger", status=stream.status)
    await stranger.post(b'{"jsonrpc": "2.0", "id": 1, "method":', deadline=timing.HANG_OBSERVATION)
    for name, value in (("Accept", "text/plain"), ("Content-Type", "text/plain")):
        client = await stage.client(f"wrong-{name.lower()}")
        reply = await client.initialize(headers={name: value}, deadline=timing.HANG_OBSERVATION)
        if reply.result(client.last_id) is not None:  # a lenient server opened a session, which is not to be left
            await client.delete()


@scenario(suite=SUITE, kind=ScenarioKind.EXCLUSIVE, brings=("session-issued", "session-ids-sampled"))
async def many_sessions(stage: Stage) -> None:
    """Open and end as many sessions as it takes to see how their ids are made, or as many as there is time for."""
    with suppress(TimeoutError):
        async with asyncio.timeout(timing.SAMPLING):
            for number in range(SAMPLE):
                client = await stage.connected(f"c{number}")
                await client.delete()


@scenario(
    suite=SUITE,
    kind=ScenarioKind.EXCLUSIVE,
    brings=("calls-in-session", "calls-of-two-clients", "equal-ids-in-flight"),
    seconds=TOGETHER_SECONDS,
    needs_witness=True,
)
async def two_clients_calls(stage: Stage) -> None:
    """Let two clients count in their sessions, then call at the same time with the same JSON-RPC ids."""
    clients = (await stage.connected("a"), await stage.connected("b"))
    counter, slow = await stage.tool("counter", clients[0]), await stage.tool("slow", clients[0])
    for client in (*clients, *clients):
        await client.call(counter, {"nonce": stage.nonce()})
    stage.step("calls.together", each=TOGETHER)
    ids = [number if number % 2 else f"call-{number}" for number in range(1001, 1001 + TOGETHER)]
    async with asyncio.TaskGroup() as tasks:
        for request_id in ids:
            for client in clients:
                arguments = {"nonce": stage.nonce(), "seconds": TOGETHER_SECONDS}
                params = {"name": slow, "arguments": arguments}
                tasks.create_task(client.request("tools/call", params, request_id=request_id))
    for client in clients:
        await client.delete()


@scenario(
    suite=SUITE,
    kind=ScenarioKind.IDLE,
    brings=("session-ended-and-watched",),
    seconds=timing.SESSION_END,
    needs_witness=True,
)
async def session_end(stage: Stage) -> None:
    """End one client's session beside another's, and watch what the gateway ends at the backend."""
    leaving, staying = await stage.connected("leaving"), await stage.connected("staying")
    whoami = await stage.tool("whoami", leaving)
    for client in (leaving, staying):
        await client.call(whoami, {"nonce": stage.nonce()})
    await leaving.delete()
    await stage.wait(timing.SESSION_END + 0.5, "the backend's session ends with the client's")
    await staying.call(whoami, {"nonce": stage.nonce()})
    await staying.delete()


@scenario(
    suite=SUITE,
    kind=ScenarioKind.DESTRUCTIVE,
    brings=("backend-forgot-session",),
    witness_script="forgets_sessions",
)
async def backend_forgets_session(stage: Stage) -> None:
    """Go on asking in a session that the backend forgets, as one does that was restarted."""
    client = await stage.connected()
    for _ in range(2 * FORGETS_AFTER + 1):
        reply = await client.request("tools/list", {}, deadline=timing.HANG_OBSERVATION)
        if reply.status == 404:
            break
    if any("result" in message for message in reply.messages):  # perhaps of a list that the gateway keeps
        echo = await stage.tool("echo", client)
        unserved = 0
        for _ in range(FORGETS_AFTER + 2):  # until it is forgotten, for the call that meets 404, and for one after it
            arguments = {"nonce": stage.nonce(), "text": "again"}
            called = await client.call(echo, arguments, deadline=timing.HANG_OBSERVATION)
            unserved += called.result(client.last_id) is None
            if unserved == 2:
                break
    await client.delete()


@scenario(suite=SUITE, kind=ScenarioKind.DESTRUCTIVE, brings=("gateway-restarted",), control=False, renews=True)
async def gateway_restarts(stage: Stage) -> None:
    """Restart the gateway under an open session; go on with its id, then connect anew."""
    client = await stage.connected()
    await client.request("tools/list", {})
    await stage.restart_gateway()
    await client.request("tools/list", {})
    fresh = await stage.connected("fresh")
    await fresh.request("tools/list", {})
    await fresh.delete()


@scenario(
    suite=SUITE,
    kind=ScenarioKind.DESTRUCTIVE,
    brings=("backend-restarted", "backend-down"),
    http_backend=True,
    control=False,
    follows=True,
)
async def backend_restarts(stage: Stage) -> None:
    """Restart the backend under an open session; go on in it, and connect anew where it is gone."""
    client = await stage.connected()
    await client.request("tools/list", {})
    await stage.stop_backend()
    await client.request("tools/list", {}, deadline=timing.HANG_OBSERVATION)
    await stage.start_backend()
    for attempt in range(AFTER_RESTART):
        if attempt:
            await stage.wait(timing.RELAY_PROMPT / (AFTER_RESTART - 1), drives_two.TRIED_AGAIN)
        reply = await client.request("tools/list", {}, deadline=timing.HANG_OBSERVATION)
        if reply.result(client.last_id) is not None:
            break
        if reply.status == 404 or attempt:
            client = await stage.connected(f"fresh{attempt}")
    await client.delete()


@scenario(
    suite=SUITE,
    kind=ScenarioKind.DESTRUCTIVE,
    brings=("clients-vanished",),
    seconds=timing.VANISHED_WATCHED,
    control=False,
)
async def clients_vanish(stage: Stage) -> None:
    """Let clients close their connections without DELETE; later ask with their ids."""
    clients = [await stage.connected(f"vanishing{number}") for number in range(CLIENTS)]
    for client in clients:
        await client.request("tools/list", {})
        await client.close()
    stage.step("clients.vanished", clients=len(clients))
    claim = stage.instance.target.claims.session_idle_timeout if stage.instance.target else None
    longest = claim if claim is not None and claim <= timing.LONGEST_CLAIM else 0.0
    await stage.wait(longest + timing.VANISHED_WATCHED, "sessions that nobody uses are ended as declared")
    stage.step("clients.watched")
    for number, client in enumerate(clients):
        finder = await stage.client(f"finder{number}")
        finder.session, finder.negotiated = client.session, client.negotiated
        await finder.request("tools/list", {})


@scenario(
    suite=SUITE,
    kind=ScenarioKind.IDLE,
    brings=("stdio-child-ended",),
    seconds=timing.SESSION_END,
    stdio_backend=True,
    control=False,
)
async def stdio_child_ends(stage: Stage) -> None:
    """End a session whose backend is a child on stdio, and watch how the child is ended."""
    client = await stage.connected()
    await client.request("tools/list", {})
    await client.delete()
    await stage.wait(timing.SESSION_END, "the child ends with the session it was started for")
