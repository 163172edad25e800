"""Drives of suite streaming. They only drive; `conformance/rules/streaming_*.py` judges."""

from __future__ import annotations

import asyncio
from typing import Final

from conformance import timing
from conformance.stage.scenario import ScenarioKind, scenario
from conformance.stage.stage import Stage
from conformance.wire.driver import ANSWERING
from conformance.wire.toxics import SlowRead
from conformance.witness.manners_streams import LATE

SUITE: Final = "streaming"

SPELLINGS: Final = (
    "sse-crlf", "sse-cr", "sse-split", "sse-bom", "sse-data-lines", "sse-other-fields", "sse-comments",
)  # fmt: skip
"""Manners of the witness that spell one answer on an event stream in different legal ways."""


@scenario(
    suite=SUITE,
    kind=ScenarioKind.EXCLUSIVE,
    brings=("spelled-streams", "answered-stream"),
    needs_witness=True,
    http_backend=True,
    control=False,
)
async def event_spellings(stage: Stage) -> None:
    """Call a tool that is answered on an event stream, once in each legal spelling."""
    client = await stage.connected()
    for manner in SPELLINGS:
        await stage.answered(client, manner)
    await client.delete()


@scenario(
    suite=SUITE,
    kind=ScenarioKind.EXCLUSIVE,
    brings=("unended-event",),
    needs_witness=True,
    http_backend=True,
    control=False,
)
async def unended_event(stage: Stage) -> None:
    """Call a tool whose backend ends the stream before the blank line that would have ended the answer's event."""
    client = await stage.connected()
    await stage.answered(client, "sse-unended")
    await client.delete()


@scenario(
    suite=SUITE,
    kind=ScenarioKind.IDLE,
    brings=("late-first-event",),
    seconds=LATE,
    needs_witness=True,
    http_backend=True,
    control=False,
)
async def late_first_event(stage: Stage) -> None:
    """Call a tool whose backend sends the head of its response at once and the only event late."""
    client = await stage.connected()
    await stage.answered(client, "sse-late-event")
    await client.delete()


@scenario(
    suite=SUITE,
    kind=ScenarioKind.EXCLUSIVE,
    brings=("spaced-events", "answered-stream"),
    seconds=2 * timing.SPACED_CALL,
    needs_witness=True,
)
async def spaced_events(stage: Stage) -> None:
    """Call a tool that reports its progress in small events, evenly spaced; once more, and offer to take them coded."""
    client = await stage.connected()
    tool = await stage.tool("slow", client)
    for number, coding in enumerate(("identity", "gzip, deflate"), 1):
        arguments = {"nonce": stage.nonce(), "seconds": timing.SPACED_CALL, "progress_every": timing.SPACED_EVERY}
        params = {"name": tool, "arguments": arguments, "_meta": {"progressToken": f"streaming-{number}"}}
        await client.request("tools/call", params, headers={"Accept-Encoding": coding})
    await client.delete()


@scenario(
    suite=SUITE,
    kind=ScenarioKind.EXCLUSIVE,
    brings=("unread-stream",),
    seconds=timing.LOST_ANSWER,
    needs_witness=True,
    http_backend=True,
    control=False,
)
async def unread_stream(stage: Stage) -> None:
    """Let one client leave a large answer unread while another calls; then let the first go on."""
    slow, other = await stage.connected("unread"), await stage.connected("reader")
    echo = await stage.tool("echo", other)
    answer = await stage.tool("answer", slow)
    await stage.client_toxics("unread", [SlowRead(bytes_per_second=1024)])
    async with asyncio.TaskGroup() as tasks:
        stage.step("answer.manner", manner="sse-flood")
        await slow.begin_call(tasks, answer, {"nonce": stage.nonce(), "manner": "sse-flood"}, until=ANSWERING)
        await stage.wait(timing.PAUSE_NOTICED, "what no one reads fills the buffers on its way")
        for number in range(3):
            # Waited for long enough to tell one that is merely busy: what is served meanwhile was not held up.
            arguments = {"nonce": stage.nonce(), "text": f"beside {number}"}
            reply = await other.call(echo, arguments, deadline=timing.HANG_OBSERVATION)
            if reply.result(other.last_id) is None:
                break
        stage.step("reads-again", client="unread")
        await stage.client_toxics("unread", [])
    for client in (slow, other):
        await client.delete()
