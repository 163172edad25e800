"""Drives of suite transparency: lists, bodies and headers of HTTP, and a backend's faults."""

from __future__ import annotations

import secrets
from typing import Final

from conformance.stage.scenario import ScenarioKind, scenario
from conformance.stage.stage import Stage
from conformance.wire.driver import McpClient

SUITE: Final = "transparency"

MOST_PAGES: Final = 20
"""Pages after which a list is not followed further: several times what the witness needs."""


@scenario(
    suite=SUITE,
    kind=ScenarioKind.DESTRUCTIVE,
    brings=("list-followed", "backend-list-in-pages", "cursor-never-issued"),
    witness_script="paginated",
)
async def paged_list(stage: Stage) -> None:
    """Follow a list that the backend gives in pages to its end; then ask with a cursor that was never given."""
    client = await stage.connected()
    await _follow(client, "tools/list")
    await client.request("tools/list", {"cursor": f"never-issued-{secrets.token_hex(4)}"})
    await client.delete()


async def _follow(client: McpClient, method: str) -> None:
    """Ask for each page that the one before names; a cursor that comes again is not followed in a circle."""
    cursors: list[str] = []
    for _ in range(MOST_PAGES):
        reply = await client.request(method, {"cursor": cursors[-1]} if cursors else {})
        cursor = (reply.result(client.last_id) or {}).get("nextCursor")
        if not cursor or cursor in cursors:
            return
        cursors.append(cursor)
