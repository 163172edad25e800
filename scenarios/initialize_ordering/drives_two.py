"""Drives of suite initialize_ordering: a gateway that starts before two backends, one of which is not there."""

from __future__ import annotations

import asyncio
import itertools
from math import inf
from typing import Final

from conformance import timing
from conformance.stage.instance import BACKEND_TAP, SECOND_TAP
from conformance.stage.scenario import ScenarioKind, SecondBackend, scenario
from conformance.stage.stage import Stage
from conformance.wire.driver import McpClient, tool_names

SUITE: Final = "initialize_ordering"

LATE: Final = 5
"""Clients that look for the tools of a backend, one after the other over RELAY_PROMPT."""


async def _used(stage: Stage, first: str) -> None:
    """Let clients list the tools and call one of the backend that is there, until one is served or time is up.

    Some gateways listen before they have reached any of their backends: what they lack then, the other one's absence
    did not take. `first` is the tool's name. No client goes on further than it is answered.
    """
    loop = asyncio.get_running_loop()
    began, until = loop.time(), inf
    for number in itertools.count():
        client = await stage.client(f"a{number}")
        if await _joined(client):
            reply = await client.request("tools/list", {}, deadline=timing.HANG_OBSERVATION)
            offered = stage.instance.meta_tool is not None or first in tool_names(reply.result(client.last_id))
            if await stage.call_of(client, BACKEND_TAP, first) and offered:
                return
        if number == 0:
            until = loop.time() + timing.RELAY_PROMPT
        if loop.time() > min(until, began + timing.HANG_OBSERVATION):  # who is not answered at all need not ask again
            return
        await stage.wait(timing.RELAY_PROMPT / LATE, "a gateway that is still reaching its backends reaches one")


async def _joined(client: McpClient) -> bool:
    reply = await client.initialize(deadline=timing.HANG_OBSERVATION)
    answered = reply.result(client.last_id) is not None
    if answered:
        await client.initialized()
    return answered


@scenario(
    suite=SUITE,
    kind=ScenarioKind.DESTRUCTIVE,
    brings=("second-backend-down", "list-without-second", "second-backend-late"),
    seconds=2 * timing.RELAY_PROMPT,
    second_backend=SecondBackend.DOWN,
)
async def second_backend_down(stage: Stage) -> None:
    """Start the gateway while one of its two backends is down, and use the other; start it, and let clients use it."""
    names = stage.of_two("echo", alone=True)
    await _used(stage, names[BACKEND_TAP])
    await stage.start_second()
    for number in range(LATE + 1):
        late = await stage.client(f"late{number}")
        if await _joined(late):
            await late.request("tools/list", {}, deadline=timing.HANG_OBSERVATION)  # some look at a backend only then
            if await stage.call_of(late, SECOND_TAP, names[SECOND_TAP]):
                return
        if number < LATE:
            await stage.wait(timing.RELAY_PROMPT / LATE, "a gateway that looks for its backend now and then finds it")


@scenario(
    suite=SUITE,
    kind=ScenarioKind.DESTRUCTIVE,
    brings=("second-backend-silent",),
    seconds=timing.RELAY_PROMPT,
    second_backend=SecondBackend.SILENT,
)
async def second_backend_silent(stage: Stage) -> None:
    """Use one of two backends, of which the other takes initialize and never answers it."""
    names = stage.of_two("echo", alone=True)
    await _used(stage, names[BACKEND_TAP])
