"""Drives of suite isolation: two users, each with a credential, and requests without, with a wrong one, another's."""

from __future__ import annotations

import secrets
from typing import Final

from conformance import timing
from conformance.rules.isolation_credentials import CREDENTIALS
from conformance.stage.scenario import ScenarioKind, scenario
from conformance.stage.stage import Stage
from conformance.wire.driver import McpClient

SUITE: Final = "isolation"


@scenario(
    suite=SUITE,
    kind=ScenarioKind.EXCLUSIVE,
    brings=(
        "credential-missing",
        "credential-invalid",
        "credential-of-another",
        "credential-used",
    ),
    credentials=True,
    needs_witness=True,
    control=False,
)
async def credentials(stage: Stage) -> None:
    """Use a session with its own credential, without any, with an invalid one and with another user's."""
    mine = stage.instance.headers
    stage.step(CREDENTIALS, headers=sorted(mine), users=["alice", "bob"])
    alice, bob = await stage.connected("alice"), await stage.client("bob", headers=stage.instance.other_headers)
    await bob.connect()
    echo = await stage.tool("echo", alice)
    for client in (alice, bob):
        await client.call(echo, {"nonce": stage.nonce(), "text": "mine"})
    await _tried(alice, dict.fromkeys(mine))
    await _tried(alice, {name: _wrong(value) for name, value in mine.items()})
    stranger = await stage.client("stranger", headers={name: _wrong(value) for name, value in mine.items()})
    await stranger.initialize(deadline=timing.HANG_OBSERVATION)
    if alice.session is not None:
        await _tried(bob, {"Mcp-Session-Id": alice.session})
        await bob.send("DELETE", headers={"Mcp-Session-Id": alice.session}, deadline=timing.HANG_OBSERVATION)
    async with alice.listen():
        await alice.call(echo, {"nonce": stage.nonce(), "text": "still mine"})
    for client in (alice, bob):
        await client.delete()


async def _tried(client: McpClient, changes: dict[str, str | None]) -> None:
    """Ask for the tools and for the GET stream with other headers than the client's own."""
    await client.request("tools/list", {}, headers=changes, deadline=timing.HANG_OBSERVATION)
    async with client.listen(changes, deadline=timing.HEADERS_PROMPT):
        pass


def _wrong(value: str) -> str:
    """Return a credential of the same form that was given to nobody."""
    scheme, space, token = value.rpartition(" ")
    return f"{scheme}{space}{secrets.token_hex(max(8, len(token) // 2))}"
