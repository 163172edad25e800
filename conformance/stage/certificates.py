"""A private certificate authority for one run, and what a server presents: right, for another name, or expired."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme

from conformance.stage.edge_variant import OTHER_NAME, SERVER_NAME, Tls

_EXPIRED_SINCE = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Presented:
    """What an edge, or a server, presents and what its clients trust.

    pem: key and certificate chain in one text. ca: file of the authority's certificate, None for clients who do not
    know it. name: the host name, or the address, in the certificate.
    """

    pem: str
    ca: Path | None
    name: str


def present(tls: Tls, folder: Path, server: str = SERVER_NAME) -> Presented | None:
    """Return a certificate of a new authority for a variant, None where no TLS is spoken.

    folder: gets the authority's certificate as `ca.pem`; it must exist. server: the host name, or the address, by which
    clients know who presents it.
    """
    if tls is Tls.NONE:
        return None
    authority = trustme.CA()
    name = OTHER_NAME if tls is Tls.WRONG_NAME else server
    not_after = datetime.now(UTC) - _EXPIRED_SINCE if tls is Tls.EXPIRED else None
    made = authority.issue_cert(name, not_after=not_after)
    ca = folder / "ca.pem"
    authority.cert_pem.write_to_path(str(ca))
    pem = made.private_key_and_cert_chain_pem.bytes().decode("ascii")
    return Presented(pem, None if tls is Tls.UNTRUSTED else ca, name)
