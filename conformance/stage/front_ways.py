"""Ways from a client to the gateway with one thing wrong on each, beside the one on which nothing is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from conformance.stage.barred_ports import closed_port, silent_port
from conformance.stage.network_side import LOOPBACK, NO_NAME, PRESENTS, certificate
from conformance.stage.runtime import Barred
from conformance.stage.scenario import NetworkFault
from conformance.wire.reaching import reach
from conformance.wire.tap_address import TapMode, TcpAddress, TlsOptions

if TYPE_CHECKING:
    from conformance.evidence.events import JSON
    from conformance.evidence.network import Standpoint
    from conformance.stage.instance import Instance
    from conformance.stage.runtime import Runtime

_BARRED: Final = (
    NetworkFault.PORT_CLOSED,
    NetworkFault.SILENT,
    NetworkFault.FILTERED,
    NetworkFault.PORT_UNPUBLISHED,
)
PAGE_SCRIPT: Final = "proxy_page"
"""Script of the witness that stands for a proxy in the gateway's place."""


@dataclass(frozen=True, slots=True)
class FrontWay:
    """Where a client's tap dials. secure: whether it speaks TLS there. authority: file of the one that is trusted.

    beyond: where what should answer there does not listen. contained: whether it begins in a client's container; the
    harness's own clients stand on this machine and cannot go it.
    """

    fault: NetworkFault
    address: TcpAddress
    secure: bool = False
    authority: Path | None = None
    beyond: TcpAddress | None = None
    contained: bool = False

    @property
    def mode(self) -> TapMode:
        """What the client's tap does: a client speaks plain HTTP to it."""
        return "tls-originate" if self.secure else "tcp"

    @property
    def tls(self) -> TlsOptions:
        """What that needs."""
        ca = str(self.authority) if self.authority else None
        return TlsOptions(server_name=self.address.host, ca=ca) if self.secure else TlsOptions()

    async def probes(self, path: str, runtime: Runtime) -> list[dict[str, JSON]]:
        """Try this way as a client without a tap would go it, then past what stands on it.

        Return the data of a `network.probe` each. Raises NotExercisedError where clients cannot be in containers.
        """
        url = f"{'https' if self.secure else 'http'}://{self.address}{path}"
        trusted = self.authority.read_text(encoding="ascii") if self.authority else None
        here = await asyncio.to_thread(reach, url, authority=trusted)
        if self.contained:
            inside = await runtime.probe_beside(url)
            return [self._seen("client", inside, party=True), self._seen("host", here, party=False)]
        if self.beyond is None:
            return [self._seen("host", here, party=True)]
        behind = await asyncio.to_thread(reach, f"http://{self.beyond}/")
        return [self._seen("host", here, party=True), self._seen("beyond", behind, party=False)]

    def _seen(self, place: Standpoint, facts: dict[str, JSON], *, party: bool) -> dict[str, JSON]:
        return {"leg": "client", "way": str(self.fault), "place": place, "party": party, **facts}


@asynccontextmanager
async def front_way(instance: Instance, fault: NetworkFault) -> AsyncIterator[FrontWay]:
    """Bring a fault about on a way of its own to the instance's gateway, for as long as the block lasts.

    Raises NotExercisedError for what cannot be had here.
    """
    if fault in PRESENTS:
        async with _edge(instance, fault) as way:
            yield way
    elif fault in _BARRED:
        barred = await _barred(instance, fault)
        try:
            yield FrontWay(fault, barred.address, beyond=barred.beyond)
        finally:
            await barred.stop()
    elif fault is NetworkFault.LOOPBACK:
        async with _tapped(instance, fault) as address:
            yield FrontWay(fault, TcpAddress("localhost", address.port), contained=True)
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


async def _barred(instance: Instance, fault: NetworkFault) -> Barred:
    """Return an address in the gateway's place that cannot be used."""
    if fault is NetworkFault.PORT_CLOSED:
        return closed_port(LOOPBACK)
    if fault is NetworkFault.SILENT:
        return silent_port(LOOPBACK)
    assert instance.target is not None  # a gateway that already runs, or none at all, is not driven on such ways
    assert instance.gateway is not None
    if fault is NetworkFault.FILTERED:
        return await instance.runtime.filtered_front(instance.gateway)
    return await instance.runtime.dead_front(instance.target, instance.gateway, on_event=instance.recorder.stage)


@asynccontextmanager
async def _edge(instance: Instance, fault: NetworkFault) -> AsyncIterator[FrontWay]:
    """Stand an edge that ends TLS before the gateway."""
    folder = instance.taps.spool_dir.parent / "network" / _name(instance, fault).replace(":", "-")
    options, authority = certificate(fault, LOOPBACK, folder)
    async with _tapped(instance, fault, "tls-terminate", options) as address:
        yield FrontWay(fault, address, secure=fault is not NetworkFault.PLAIN_TO_TLS, authority=authority)


@asynccontextmanager
async def _tapped(
    instance: Instance, fault: NetworkFault, mode: TapMode = "tcp", tls: TlsOptions | None = None
) -> AsyncIterator[TcpAddress]:
    """Have a port of this machine's loopback address lead to the gateway, as one that an engine publishes does."""
    name = _name(instance, fault)
    listen = TcpAddress(LOOPBACK, 0)
    address = await instance.taps.open_tap(name, listen=listen, upstream=instance.front, mode=mode, tls=tls)
    assert isinstance(address, TcpAddress)  # it was asked for one
    try:
        yield address
    finally:
        await instance.taps.close_tap(name)


def _name(instance: Instance, fault: NetworkFault) -> str:
    return f"{instance.name}:front:{fault}"
