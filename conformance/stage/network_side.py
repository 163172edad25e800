"""What is wrong on the way from a gateway to its backend: the URL that it is given, and what stands there."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from conformance.evidence.events import JSON
from conformance.stage.barred_ports import closed_port
from conformance.stage.certificates import present
from conformance.stage.edge_variant import Tls
from conformance.stage.http_side import HttpSide
from conformance.stage.runtime import Barred, Running, Runtime
from conformance.stage.scenario import NetworkFault
from conformance.wire.reaching import reach
from conformance.wire.tap_address import TcpAddress, TlsOptions

NO_NAME: Final = "no-such-server.invalid"
"""A host name that never has an address (RFC 6761, section 6.4)."""

LOOPBACK: Final = "127.0.0.1"
PRESENTS: Final = {
    NetworkFault.TLS: Tls.PRIVATE_CA,
    NetworkFault.TLS_NAME: Tls.WRONG_NAME,
    NetworkFault.TLS_EXPIRED: Tls.EXPIRED,
    NetworkFault.TLS_UNTRUSTED: Tls.UNTRUSTED,
    NetworkFault.PLAIN_TO_TLS: Tls.PRIVATE_CA,
}
"""What is presented on the ways on which a tap ends TLS."""


@dataclass(frozen=True, slots=True)
class NetworkSide:
    """The way that a gateway is given. url: with the fault in it. authority: PEM text of the one it is told to trust.

    barred: the address that stands in the backend's place, None where the tap before the backend does.
    """

    fault: NetworkFault
    url: str
    runtime: Runtime
    authority: str | None = None
    barred: Barred | None = None

    async def probes(self, gateway: Running | None) -> list[dict[str, JSON]]:
        """Return what tries to reach the URL see: from where the gateway stands, from this machine, past the obstacle.

        Each as the data of a `network.probe`. gateway: the one whose place is meant, None for where it would stand.
        """
        tries = [self._from_gateway(gateway)]
        if self.runtime.name == "containers":
            tries.append(self._from_host("host", self.url))
        if self.barred is not None and self.barred.beyond is not None:
            tries.append(self._from_host("beyond", f"http://{self.barred.beyond}/"))
        return list(await asyncio.gather(*tries))

    async def stop(self) -> None:
        """Take away what stands in the backend's place."""
        if self.barred is not None:
            await self.barred.stop()

    async def _from_gateway(self, gateway: Running | None) -> dict[str, JSON]:
        place, facts = await self.runtime.probe(self.url, gateway=gateway, authority=self.authority)
        return {"leg": "backend", "way": str(self.fault), "place": place, "party": True, **facts}

    async def _from_host(self, place: str, url: str) -> dict[str, JSON]:
        facts = await asyncio.to_thread(reach, url, authority=self.authority)
        return {"leg": "backend", "way": str(self.fault), "place": place, "party": False, **facts}


async def open_way(
    fault: NetworkFault, side: HttpSide, runtime: Runtime, tap: str, listen: TcpAddress, folder: Path
) -> NetworkSide:
    """Bring a fault about before `side`'s backend, which runs, and return the way to it.

    tap: name for the tap before the backend, where one can stand. listen: where the gateway reaches it. folder: a
    private one for keys. Raises NotExercisedError for what cannot be had here.
    """
    match fault:
        case NetworkFault.PORT_CLOSED:
            barred: Barred = closed_port(listen.host)
        case NetworkFault.FILTERED:
            barred = await runtime.filtered_port(side.backend, on_event=side.recorder.stage)
        case NetworkFault.PORT_UNPUBLISHED:
            barred = await runtime.dead_port(side.backend, on_event=side.recorder.stage)
        case _:
            return await _open_tap(fault, side, runtime, tap, listen, folder)
    url = await side.open_tap(tap, listen)  # where the way leads elsewhere, that nothing arrives here is evidence too
    if fault is NetworkFault.PORT_UNPUBLISHED:
        await side.taps.set_upstream(tap, barred.address)
    else:
        url = f"http://{barred.address}{side.path}"
    return NetworkSide(fault, url, runtime, barred=barred)


async def _open_tap(
    fault: NetworkFault, side: HttpSide, runtime: Runtime, tap: str, listen: TcpAddress, folder: Path
) -> NetworkSide:
    """Put the tap before the backend and return a URL that leads to it, or nowhere, as the fault has it."""
    if fault in PRESENTS:
        tls, trusted = certificate(fault, listen.host, folder)
        url = await side.open_tap(tap, listen, tls)
        given = _scheme(url, "http") if fault is NetworkFault.PLAIN_TO_TLS else url
        return NetworkSide(fault, given, runtime, trusted.read_text(encoding="ascii") if trusted else None)
    if fault is NetworkFault.LOOPBACK:
        url = await side.open_tap(tap, TcpAddress(LOOPBACK, 0))
        return NetworkSide(fault, url.replace(LOOPBACK, "localhost", 1), runtime)
    url = await side.open_tap(tap, listen)
    if fault is NetworkFault.NAME_MISSING:
        url = url.replace(listen.host, NO_NAME, 1)
    if fault is NetworkFault.TLS_TO_PLAIN:
        url = _scheme(url, "https")
    return NetworkSide(fault, url, runtime)


def certificate(fault: NetworkFault, host: str, folder: Path) -> tuple[TlsOptions, Path | None]:
    """Return what a tap presents, and the file of the authority that whoever connects is told to trust.

    host: the address that it stands at. folder: a private one, which is made here.
    """
    folder.mkdir(mode=0o700, parents=True)
    presented = present(PRESENTS[fault], folder, host)
    assert presented is not None  # none of these variants goes without TLS
    file = folder / "presented.pem"
    file.touch(mode=0o600)
    file.write_text(presented.pem, encoding="ascii")
    return TlsOptions(certificate=str(file), key=str(file)), presented.ca


def _scheme(url: str, scheme: str) -> str:
    return f"{scheme}://{url.partition('://')[2]}"
