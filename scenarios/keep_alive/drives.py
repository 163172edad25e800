"""Drives of suite keep_alive. They only drive; what came of it is judged in `conformance/rules/keep_alive*.py`."""

from __future__ import annotations

import asyncio

from conformance import timing
from conformance.stage.scenario import ScenarioKind, scenario
from conformance.stage.stage import Stage
from conformance.wire.driver import McpClient
from conformance.wire.raw_driver import RawConnection, raw_connection

SUITE = "keep_alive"


@scenario(
    suite=SUITE,
    kind=ScenarioKind.IDLE,
    brings=("idle-get", "stream-held"),
    seconds=timing.IDLE_OBSERVATION,
    control=False,
)
async def idle_get(stage: Stage) -> None:
    """Open a GET stream and leave it and its session alone for four keep-alive periods."""
    await _leave_alone(stage, timing.IDLE_OBSERVATION)


@scenario(
    suite=SUITE,
    kind=ScenarioKind.IDLE,
    brings=("idle-get", "stream-held"),
    seconds=timing.LONG_IDLE,
    control=False,
)
async def idle_get_long(stage: Stage) -> None:
    """Open a GET stream and leave it and its session alone for five minutes."""
    await _leave_alone(stage, timing.LONG_IDLE)


async def _leave_alone(stage: Stage, seconds: float) -> None:
    client = await stage.connected()
    async with client.listen() as stream:
        stage.step("get.opened", status=stream.status)
        if stream.is_stream:
            await stage.wait(seconds, "nothing is said on the stream but what keeps it alive")
    await client.delete()


@scenario(
    suite=SUITE,
    kind=ScenarioKind.IDLE,
    brings=("long-call", "lasting-call", "ping", "stream-held"),
    seconds=timing.LONG_CALL,
    needs_witness=True,
    control=False,
)
async def long_call(stage: Stage) -> None:
    """Call a tool that says nothing for longer than a keep-alive period; ping beside it."""
    await _call_for(stage, timing.LONG_CALL)


@scenario(
    suite=SUITE,
    kind=ScenarioKind.IDLE,
    brings=("long-call", "lasting-call", "ping", "stream-held"),
    seconds=timing.LONG_IDLE,
    needs_witness=True,
    control=False,
)
async def long_call_long(stage: Stage) -> None:
    """Call a tool that says nothing for five minutes; ping beside it."""
    await _call_for(stage, timing.LONG_IDLE)


async def _call_for(stage: Stage, seconds: float) -> None:
    client = await stage.connected()
    tool = await stage.tool("slow", client)
    stage.step("call.long", seconds=seconds)
    arguments = {"nonce": stage.nonce(), "seconds": seconds}
    deadline = seconds + timing.HANG_OBSERVATION
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(client.call(tool, arguments, deadline=deadline))
        await stage.wait(1.0, "the call has reached the backend")
        await client.request("ping")
    await client.delete()


@scenario(
    suite=SUITE,
    kind=ScenarioKind.IDLE,
    brings=("session-pause", "connection-reuse"),
    seconds=timing.SESSION_PAUSE,
    control=False,
)
async def idle_session(stage: Stage) -> None:
    """Leave a session without any stream or request; then use it, on its old TCP connection and on a new one."""
    client = await stage.connected()
    async with raw_connection(client.url, stage.step) as old:
        await _list_tools(old, client)
        await stage.wait(timing.SESSION_PAUSE, "the session has neither a request nor a stream")
        await _reuse(old, client, stage)
    async with raw_connection(client.url, stage.step) as new:
        await _list_tools(new, client)
    await client.delete()


@scenario(
    suite=SUITE,
    kind=ScenarioKind.IDLE,
    brings=("connection-reuse",),
    seconds=sum(timing.SOCKET_PAUSES),
    control=False,
)
async def short_idle_reuse(stage: Stage) -> None:
    """Send a request, pause, send the next on the same TCP connection: once shorter, once longer than 5 s."""
    client = await stage.connected()
    async with raw_connection(client.url, stage.step) as connection:
        await _list_tools(connection, client)
        for pause in timing.SOCKET_PAUSES:
            await stage.wait(pause, "the connection is idle")
            await _reuse(connection, client, stage)
    await client.request("tools/list", {})
    await client.delete()


async def _list_tools(connection: RawConnection, client: McpClient) -> None:
    message = {"jsonrpc": "2.0", "id": client.next_id(), "method": "tools/list", "params": {}}
    await connection.post(message, client.headers())


async def _reuse(connection: RawConnection, client: McpClient, stage: Stage) -> None:
    """Send the next request as a careful client does: not on a connection whose end has already come."""
    if connection.closed_by_peer:
        stage.step("connection.closed-while-idle")
    else:
        await _list_tools(connection, client)


@scenario(
    suite=SUITE,
    kind=ScenarioKind.EXCLUSIVE,
    brings=("ping", "event-stream"),
    control=False,
)
async def ping(stage: Stage) -> None:
    """Ping a session with nothing else in flight, without params and with; then open a GET stream for a moment."""
    client = await stage.connected()
    await client.request("ping")
    await client.request("ping", {})
    async with client.listen() as stream:
        stage.step("get.opened", status=stream.status)
    await client.delete()


@scenario(
    suite=SUITE,
    kind=ScenarioKind.IDLE,
    brings=("progress",),
    seconds=timing.PROGRESS_CALL,
    needs_witness=True,
    control=False,
)
async def progress(stage: Stage) -> None:
    """Call a tool that reports its progress while a GET stream is open; the reports may come on either."""
    client = await stage.connected()
    tool = await stage.tool("slow", client)
    arguments = {
        "nonce": stage.nonce(),
        "seconds": timing.PROGRESS_CALL,
        "progress_every": timing.PROGRESS_EVERY,
    }
    async with client.listen():
        await client.call(tool, arguments, meta={"progressToken": "keep-alive-1"})
    await client.delete()


async def _call_once(stage: Stage, manner: str) -> None:
    """Make one call that is answered in a manner, and watch it a little longer than it takes to say that it hangs."""
    client = await stage.connected()
    await stage.answered(client, manner, deadline=timing.HANG_OBSERVATION + timing.PAUSE_NOTICED)


@scenario(
    suite=SUITE,
    kind=ScenarioKind.DESTRUCTIVE,
    brings=("backend-fault",),
    needs_witness=True,
    http_backend=True,
    control=False,
    follows=True,
)
async def backend_500_json(stage: Stage) -> None:
    """Call a tool whose backend answers 500 with a JSON-RPC error."""
    await _call_once(stage, "json-500")


@scenario(
    suite=SUITE,
    kind=ScenarioKind.DESTRUCTIVE,
    brings=("backend-fault",),
    needs_witness=True,
    http_backend=True,
    control=False,
    follows=True,
)
async def backend_500_html(stage: Stage) -> None:
    """Call a tool whose backend answers 500 with an HTML page."""
    await _call_once(stage, "html-500")


@scenario(
    suite=SUITE,
    kind=ScenarioKind.DESTRUCTIVE,
    brings=("backend-fault",),
    needs_witness=True,
    http_backend=True,
    control=False,
    follows=True,
)
async def backend_reset(stage: Stage) -> None:
    """Call a tool whose backend resets the connection in the middle of its answer."""
    await _call_once(stage, "reset-mid-event")


@scenario(
    suite=SUITE,
    kind=ScenarioKind.DESTRUCTIVE,
    brings=("backend-fault",),
    needs_witness=True,
    http_backend=True,
    control=False,
    follows=True,
)
async def backend_empty_stream(stage: Stage) -> None:
    """Call a tool whose backend answers 200 with an event stream that ends without an event."""
    await _call_once(stage, "empty-stream")


@scenario(
    suite=SUITE,
    kind=ScenarioKind.IDLE,
    brings=("ping",),
    seconds=timing.HANG_OBSERVATION,
    needs_witness=True,
    control=False,
)
async def backend_silent(stage: Stage) -> None:
    """Call a tool that its backend never answers, and ping while the call waits."""
    client = await stage.connected()
    tool = await stage.tool("slow", client)
    never = {"nonce": stage.nonce(), "seconds": timing.NEVER_ANSWERED}
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(client.call(tool, never, deadline=timing.HANG_OBSERVATION))
        await stage.wait(1.0, "the call has reached the backend")
        await client.request("ping")
    await client.delete()
