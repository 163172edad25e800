"""Drives of suite get_sse. They only drive; what came of it is judged in `conformance/rules/get_sse.py`."""

from __future__ import annotations

from conformance.stage.scenario import ScenarioKind, scenario
from conformance.stage.stage import Stage

SUITE = "get_sse"


@scenario(suite=SUITE, kind=ScenarioKind.EXCLUSIVE, brings=("get-in-session",), seconds=0.3)
async def get_in_session(stage: Stage) -> None:
    """Open the standalone GET stream of an initialized session, use the session beside it, close the stream."""
    client = await stage.connected()
    async with client.listen() as stream:
        stage.step("get.opened", status=stream.status)
        await client.request("tools/list", {})
        await stage.wait(0.3, "anything sent down the stream because of the request beside it arrives")
    await client.request("tools/list", {})
