"""What the rules of suite network read: the fault that was brought about, what probes show, what the gateway did."""

from __future__ import annotations

from typing import Final

from conformance.evidence.events import Event, Kind, Point
from conformance.evidence.network import Facts, made_by_probes, probes, sent_by_gateway, standpoint
from conformance.evidence.transcript import Exchange, Transcript
from conformance.rules.base import Precondition
from conformance.rules.faults_told import Told, told_of

SUITE: Final = "network"
TRIGGER: Final = "trigger"
SOUND: Final = ("none", "tls")
"""Ways on which nothing is wrong."""
BAD_CERTIFICATES: Final = ("tls-name-or-trust", "tls-certificate-expired", "tls-untrusted-issuer")
UNANSWERED: Final = "connect-blocked"
SILENT: Final = "accepts-but-silent"

_ASKED: Final = ("initialize", "tools/list", "tools/call")
_CLIENT_HELLO: Final = "\x16\x03"
"""How a TLS handshake begins (RFC 8446, section 5.1)."""
_PLAIN_HELLO: Final = "HTTP_REQUEST"
"""OpenSSL's reason for a handshake in whose place an HTTP request came."""


def fault(transcript: Transcript) -> str:
    """Return what the scenario put wrong on the way to the backend, empty where it is not about that."""
    return str(transcript.header.get("network_fault") or "")


def _triggered(transcript: Transcript) -> bool:
    return bool(transcript.stimuli(TRIGGER))


PROBED: Final = Precondition(
    "network-probed",
    "a probe of the gateway's way to its backend, from where the gateway stands",
    lambda transcript: standpoint(probes(transcript, "backend")) is not None,
)
UNREACHABLE: Final = Precondition(
    "network-unreachable",
    "a client of a gateway whose backend cannot be reached",
    lambda t: _triggered(t) and fault(t) not in ("", *SOUND, UNANSWERED, SILENT),
)
FILTERED: Final = Precondition(
    "network-filtered",
    "a client of a gateway whose backend's port does not answer TCP",
    lambda t: _triggered(t) and fault(t) == UNANSWERED,
)
BAD_CERTIFICATE: Final = Precondition(
    "network-bad-certificate",
    "a client of a gateway whose backend presents a certificate that does not hold",
    lambda t: _triggered(t) and fault(t) in BAD_CERTIFICATES,
)
FRONT_PROBED: Final = Precondition(
    "network-front-probed",
    "a probe of a client's way to the gateway",
    lambda transcript: standpoint(probes(transcript, "client")) is not None,
)


def told(transcript: Transcript) -> Told:
    """Return what came of the last of the client's initialize, tools/list and tools/call."""
    return told_of(transcript, _ASKED)


def served_all_the_same(transcript: Transcript) -> Exchange | None:
    """Return an exchange in which the gateway reached its backend, which the fault should have kept it from."""
    found = (item for item in sent_by_gateway(transcript) if item.status is not None and item.status < 400)
    return next(found, None)


def spoke_otherwise(transcript: Transcript, given: Facts) -> tuple[Event, str] | None:
    """Return where the gateway spoke TLS to an http URL, or plain HTTP to an https one, and the class that this is."""
    probed = made_by_probes(transcript)
    for event in transcript.of(Kind.HTTP_UNPARSED, Kind.CONN_FAILED):
        if event.point is not Point.BACKEND_TAP or (event.data["tap"], event.data["conn"]) in probed:
            continue
        if not given["secure"] and str(event.data.get("head", "")).startswith(_CLIENT_HELLO):
            return event, "tls-to-plain-http"
        if given["secure"] and _PLAIN_HELLO in str(event.data.get("error", "")):
            return event, "plain-http-to-tls"
    return None


def handshakes_failed(transcript: Transcript) -> tuple[Event, ...]:
    """Return the connections on which the gateway and the tap before its backend did not agree on TLS."""
    probed = made_by_probes(transcript)
    return tuple(
        event
        for event in transcript.of(Kind.CONN_FAILED)
        if event.point is Point.BACKEND_TAP and (event.data["tap"], event.data["conn"]) not in probed
    )
