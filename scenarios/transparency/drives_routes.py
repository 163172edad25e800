"""Drives of suite transparency: the endpoint's path."""

from __future__ import annotations

from typing import Final

from conformance.stage.scenario import ScenarioKind, scenario
from conformance.stage.stage import Stage

SUITE: Final = "transparency"


@scenario(suite=SUITE, kind=ScenarioKind.EXCLUSIVE, brings=("endpoint-spellings",), control=False)
async def endpoint_spellings(stage: Stage) -> None:
    """Initialize at the endpoint's path as the target gives it, then with a slash more or less at its end."""
    declared = await stage.client("declared")
    await declared.connect()
    other = await stage.client("other")
    other.url = other.url[:-1] if other.url.endswith("/") else f"{other.url}/"
    stage.step("endpoint.respelled", url=other.url)
    await other.connect()
    for client in (declared, other):
        await client.delete()
