"""Drives of suite isolation: pages of hostile origins, and where the gateway listens."""

from __future__ import annotations

from typing import Final

from conformance import timing
from conformance.rules.isolation_exposure import ORIGIN, SOCKETS
from conformance.rules.isolation_pages import NEEDED, PAGE
from conformance.stage.scenario import ScenarioKind, scenario
from conformance.stage.stage import Stage

SUITE: Final = "isolation"

HOSTILE: Final = (
    "http://attacker.example",
    "https://attacker.example:8443",
    "http://localhost.attacker.example",
    "http://127.0.0.1.attacker.example",
)
"""Origins of no deployment: the last two are let in by who compares beginnings (the name is reserved, RFC 2606)."""


LOCAL_PAGE: Final = "http://localhost:6274"
"""Origin of a page of this machine, where MCP's own Inspector has its own: who lets any page in lets this one in."""


@scenario(suite=SUITE, kind=ScenarioKind.EXCLUSIVE, brings=("page-asked",))
async def page_of_this_machine(stage: Stage) -> None:
    """Do what a browser does for a page: ask for leave with OPTIONS, then initialize."""
    stage.step(PAGE, origin=LOCAL_PAGE)
    page = {"Origin": LOCAL_PAGE}
    client = await stage.client("page")
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": ", ".join(NEEDED)}
    await client.send("OPTIONS", headers={**page, **asked}, deadline=timing.HANG_OBSERVATION)
    reply = await client.initialize(headers=page, deadline=timing.HANG_OBSERVATION)
    if reply.result(client.last_id) is not None:
        await client.delete()


@scenario(suite=SUITE, kind=ScenarioKind.EXCLUSIVE, brings=("hostile-origin", "listening-sockets"))
async def hostile_origin(stage: Stage) -> None:
    """Send what a hostile page would: initialize, a request, GET and DELETE in a session; look where it listens."""
    stage.step(
        ORIGIN, origins=list(HOSTILE), guarded=bool(stage.instance.headers) or stage.instance.attached is not None
    )
    sockets = await stage.listening()
    if sockets is not None:
        stage.step(SOCKETS, listening=list(sockets))
    client = await stage.connected()
    for number, origin in enumerate(HOSTILE):
        page = {"Origin": origin}
        await client.request("tools/list", {}, headers=page, deadline=timing.HANG_OBSERVATION)
        stranger = await stage.client(f"page{number}")
        reply = await stranger.initialize(headers=page, deadline=timing.HANG_OBSERVATION)
        if reply.result(stranger.last_id) is not None:
            await stranger.delete()
    async with client.listen({"Origin": HOSTILE[0]}, deadline=timing.HEADERS_PROMPT):
        stage.step("get.hostile-origin")
    await client.send("DELETE", headers={"Origin": HOSTILE[0]}, deadline=timing.HANG_OBSERVATION)
    await client.delete()


@scenario(
    suite=SUITE,
    kind=ScenarioKind.EXCLUSIVE,
    brings=("backend-session-behind-errors",),
    needs_witness=True,
    http_backend=True,
    control=False,
)
async def errors_behind_sessions(stage: Stage) -> None:
    """Make calls that fail in several ways at the backend and at the gateway, each of which says why."""
    client = await stage.connected()
    for manner in ("html-500", "json-500"):
        await stage.answered(client, manner)
    answer = await stage.tool("answer", client)
    await client.call(f"{answer}-unknown", {"nonce": stage.nonce()}, deadline=timing.LOST_ANSWER)
    await client.call(answer, "no object", deadline=timing.LOST_ANSWER)
    await client.request("no/such/method", {}, deadline=timing.LOST_ANSWER)
    await client.delete()
