"""Drives of suite network. They only drive; what came of it is judged in `conformance/rules/network.py`."""

from __future__ import annotations

import time
from typing import Final

from conformance import timing
from conformance.stage.scenario import Drive, NetworkFault, ScenarioKind, scenario
from conformance.stage.stage import Stage

SUITE: Final = "network"


async def _use(stage: Stage, patience: float) -> None:
    """Try the way to the backend, then use it through the gateway until something is not answered with a result.

    patience: seconds that one request may take; all of them together may take twice that.
    """
    await stage.probe_backend()
    client = await stage.client()
    stage.step("trigger")
    until = time.monotonic() + 2 * patience
    reply = await client.initialize(deadline=patience)
    if reply.result(client.last_id) is None:
        return
    await client.initialized()
    listed = await client.request("tools/list", {}, deadline=min(patience, until - time.monotonic()))
    if listed.result(client.last_id) is None:
        return
    # By the name that the manifest claims: a gateway with other backends lists only those of them that it reaches.
    tool = stage.instance.target.tool_name("echo") if stage.instance.target else "echo"
    left = min(patience, until - time.monotonic())
    await client.call(tool, {"nonce": stage.nonce(), "text": tool}, deadline=left)


def _register(
    fault: NetworkFault,
    doc: str,
    *,
    brings: tuple[str, ...] = (),
    seconds: float = timing.ANSWER,
    patience: float = timing.ANSWER,
    script: str = "correct",
) -> Drive:
    async def drive(stage: Stage) -> None:
        await _use(stage, patience)

    drive.__doc__ = doc
    return scenario(
        suite=SUITE,
        kind=ScenarioKind.DESTRUCTIVE,
        brings=("network-probed", *brings),
        seconds=seconds,
        network=fault,
        needs_witness=True,
        witness_script=script,
        name=f"network-{fault.name.lower().replace('_', '-')}",
    )(drive)


_TOLD: Final = ("network-unreachable",)
_CERTIFICATE: Final = ("network-unreachable", "network-bad-certificate")

none = _register(NetworkFault.NONE, "Nothing is wrong on the way.", seconds=0.0)
tls = _register(NetworkFault.TLS, "Nothing is wrong on the way, which is TLS.", seconds=0.0)
port_closed = _register(NetworkFault.PORT_CLOSED, "Nothing listens at the backend's port.", brings=_TOLD)
port_unpublished = _register(
    NetworkFault.PORT_UNPUBLISHED, "The engine publishes a port that the server does not listen on.", brings=_TOLD
)
name_missing = _register(NetworkFault.NAME_MISSING, "The backend's host name has no address.", brings=_TOLD)
loopback = _register(
    NetworkFault.LOOPBACK, "The backend is at `localhost`, which is another host inside a container.", brings=_TOLD
)
tls_name = _register(NetworkFault.TLS_NAME, "The backend presents a certificate for another name.", brings=_CERTIFICATE)
tls_expired = _register(NetworkFault.TLS_EXPIRED, "The backend presents an expired certificate.", brings=_CERTIFICATE)
tls_untrusted = _register(
    NetworkFault.TLS_UNTRUSTED,
    "The backend presents a certificate of an authority that the gateway is not given.",
    brings=_CERTIFICATE,
)
plain_to_tls = _register(NetworkFault.PLAIN_TO_TLS, "The backend speaks TLS, and its URL says http.", brings=_TOLD)
tls_to_plain = _register(NetworkFault.TLS_TO_PLAIN, "The backend speaks HTTP, and its URL says https.", brings=_TOLD)
page = _register(
    NetworkFault.PAGE, "A proxy answers in the backend's place, with a web page.", brings=_TOLD, script="proxy_page"
)
filtered = _register(
    NetworkFault.FILTERED,
    "Nothing answers TCP at the backend's port: a connect timeout.",
    brings=("network-filtered",),
    seconds=timing.CLAIM_OBSERVED + timing.CLAIM_TOLERANCE,
    patience=timing.CLAIM_OBSERVED + timing.CLAIM_TOLERANCE,
)
silent = _register(
    NetworkFault.SILENT,
    "The backend's port accepts, and nothing ever answers: a read timeout.",
    seconds=timing.HEADERS_PROMPT,
    patience=timing.HEADERS_PROMPT,
    script="silent",
)

SESSIONS: Final = 3
"""Sessions that are opened and ended before the gateway's address is tried again."""

WAYS: Final = (
    *(NetworkFault.PORT_CLOSED, NetworkFault.PORT_UNPUBLISHED, NetworkFault.FILTERED, NetworkFault.SILENT),
    *(NetworkFault.NAME_MISSING, NetworkFault.LOOPBACK),
    *(NetworkFault.TLS, NetworkFault.TLS_NAME, NetworkFault.TLS_EXPIRED, NetworkFault.TLS_UNTRUSTED),
    *(NetworkFault.PLAIN_TO_TLS, NetworkFault.TLS_TO_PLAIN, NetworkFault.PAGE),
)
"""What is wrong on ways to the gateway, one after the other."""


@scenario(
    suite=SUITE,
    kind=ScenarioKind.DESTRUCTIVE,
    brings=("network-front-probed",),
    seconds=timing.ANSWER,
    network=NetworkFault.NONE,
    needs_witness=True,
)
async def network_front(stage: Stage) -> None:
    """Try the gateway's address, open and end sessions, and try it again; then try ways that are wrong on purpose."""
    await stage.probe_front(NetworkFault.NONE)
    for number in range(SESSIONS):
        client = await stage.client(f"session-{number}")
        await client.connect()
        await client.tools()
        await client.delete()
        await client.close()
    for fault in (NetworkFault.NONE, *WAYS):
        await stage.probe_front(fault)
