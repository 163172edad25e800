"""Network probes made by the harness itself, with what a presented certificate says of itself."""

from __future__ import annotations

import base64
from typing import Final

from conformance.evidence.events import JSON
from conformance.wire.certificate_facts import certificate_facts
from conformance.wire.network_probe import Facts, facts_of

CONNECT_SECONDS: Final = 5.0
"""How long a probe waits for TCP to be accepted: two lost SYNs (after 1 s and 3 s) are sent again within it."""

READ_SECONDS: Final = 5.0
"""How long it waits for the first byte of an answer. Healthy: under 0.1 s."""


def reach(
    url: str,
    *,
    authority: str | None = None,
    connect_seconds: float = CONNECT_SECONDS,
    read_seconds: float = READ_SECONDS,
) -> dict[str, JSON]:
    """Try to reach a URL from this machine and return what was seen (see `network_probe.facts_of`). Blocks."""
    return with_certificate(
        facts_of(url, authority=authority, connect_seconds=connect_seconds, read_seconds=read_seconds)
    )


def with_certificate(facts: Facts) -> dict[str, JSON]:
    """Return a probe's facts with the certificate presented as what it says: `certificate`, None where none was."""
    found = {name: value for name, value in facts.items() if name != "der"}
    der = facts.get("der")
    shown = certificate_facts(base64.b64decode(der), str(facts["host"])) if der else None
    return {**found, "certificate": shown}
