"""Ways from a client to the gateway with one thing wrong on each, beside the one on which nothing is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from conformance.stage.barred_ports import closed_port, overrun_port, silent_port
from conformance.stage.network_side import LOOPBACK, NO_NAME, PRESENTS, certificate
from conformance.stage.scenario import NetworkFault
from conformance.wire.reaching import reach
from conformance.wire.tap_address import TapMode, TcpAddress, TlsOptions

if TYPE_CHECKING:
    from conformance.evidence.events import JSON
    from conformance.stage.instance import Instance

_BARRED: Final = {
    NetworkFault.PORT_CLOSED: closed_port,
    NetworkFault.FILTERED: overrun_port,
    NetworkFault.SILENT: silent_port,
}
PAGE_SCRIPT: Final = "proxy_page"
"""Script of the witness that stands for a proxy in the gateway's place."""


@dataclass(frozen=True, slots=True)
class FrontWay:
    """Where a client's tap dials. secure: whether it speaks TLS there. authority: file of the one that is trusted."""

    fault: NetworkFault
    address: TcpAddress
    secure: bool = False
    authority: Path | None = None

    @property
    def mode(self) -> TapMode:
        """What the client's tap does: a client speaks plain HTTP to it."""
        return "tls-originate" if self.secure else "tcp"

    @property
    def tls(self) -> TlsOptions:
        """What that needs."""
        ca = str(self.authority) if self.authority else None
        return TlsOptions(server_name=self.address.host, ca=ca) if self.secure else TlsOptions()

    async def probe(self, path: str) -> dict[str, JSON]:
        """Try this way as a client without a tap would go it; return the data of a `network.probe`."""
        url = f"{'https' if self.secure else 'http'}://{self.address}{path}"
        trusted = self.authority.read_text(encoding="ascii") if self.authority else None
        facts = await asyncio.to_thread(reach, url, authority=trusted)
        return {"leg": "client", "way": str(self.fault), "place": "host", "party": True, **facts}


@asynccontextmanager
async def front_way(instance: Instance, fault: NetworkFault) -> AsyncIterator[FrontWay]:
    """Bring a fault about on a way of its own to the instance's gateway, for as long as the block lasts.

    Raises NotExercisedError for what cannot be had here.
    """
    if fault in PRESENTS:
        async with _edge(instance, fault) as way:
            yield way
    elif fault in _BARRED:
        barred = _BARRED[fault](LOOPBACK)
        try:
            yield FrontWay(fault, barred.address)
        finally:
            await barred.stop()
    elif fault is NetworkFault.PAGE:
        assert instance.http is not None  # a gateway that already runs is not driven on such ways
        proxy = await instance.runtime.start_backend(
            instance.http.backend, script=PAGE_SCRIPT, face="http", on_event=instance.recorder.stage
        )
        try:
            yield FrontWay(fault, proxy.address)
        finally:
            await proxy.stop()
    elif fault is NetworkFault.NAME_MISSING:
        yield FrontWay(fault, TcpAddress(NO_NAME, instance.front.port))
    else:
        yield FrontWay(fault, instance.front, secure=fault is NetworkFault.TLS_TO_PLAIN)


@asynccontextmanager
async def _edge(instance: Instance, fault: NetworkFault) -> AsyncIterator[FrontWay]:
    """Stand an edge that ends TLS before the gateway."""
    name = f"{instance.name}:front:{fault}"
    folder = instance.taps.spool_dir.parent / "network" / name.replace(":", "-")
    options, authority = certificate(fault, LOOPBACK, folder)
    address = await instance.taps.open_tap(
        name, listen=TcpAddress(LOOPBACK, 0), upstream=instance.front, mode="tls-terminate", tls=options
    )
    assert isinstance(address, TcpAddress)  # it was asked for one
    try:
        yield FrontWay(fault, address, secure=fault is not NetworkFault.PLAIN_TO_TLS, authority=authority)
    finally:
        await instance.taps.close_tap(name)
