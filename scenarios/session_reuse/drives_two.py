"""Drives of suite session_reuse: sessions before two backends, one of which dies and comes back."""

from __future__ import annotations

from typing import Final

from conformance import timing
from conformance.stage.instance import BACKEND_TAP, SECOND_TAP
from conformance.stage.scenario import ScenarioKind, SecondBackend, scenario
from conformance.stage.stage import Stage

SUITE: Final = "session_reuse"

AFTER_RESTART: Final = 4
"""Calls after the restart, over RELAY_PROMPT: two in the old session, the others each in a new one."""

TRIED_AGAIN: Final = "a gateway that tries its backend now and then has done so"


@scenario(
    suite=SUITE,
    kind=ScenarioKind.DESTRUCTIVE,
    brings=("second-backend-died", "second-backend-restarted"),
    second_backend=SecondBackend.WORKS,
)
async def second_backend_dies(stage: Stage) -> None:
    """Use both backends in one session; stop one, go on with the other; start it again and use it again."""
    names = stage.of_two("echo")
    client = await stage.connected()
    for backend, name in names.items():
        await stage.call_of(client, backend, name)
    await stage.stop_second()
    for backend in (BACKEND_TAP, SECOND_TAP, BACKEND_TAP):
        await stage.call_of(client, backend, names[backend])
    await stage.start_second()
    for attempt in range(AFTER_RESTART):
        if await stage.call_of(client, SECOND_TAP, names[SECOND_TAP]):
            break
        await stage.wait(timing.RELAY_PROMPT / (AFTER_RESTART - 1), TRIED_AGAIN)
        if attempt:
            client = await stage.connected(f"fresh{attempt}")
    await client.delete()
