"""Hand-written network probes and what a gateway does meanwhile, for the rules of suite network."""

from __future__ import annotations

from typing import Any

from conformance.evidence.events import Kind, Point
from tests.evidence_builder import RESULT, Story, error, request, result

GIVEN = "http://10.1.2.3:8080/mcp"
HEALTHY: dict[str, Any] = {
    "url": GIVEN,
    "host": "10.1.2.3",
    "port": 8080,
    "secure": False,
    "resolved": ["10.1.2.3"],
    "name_error": "",
    "connected": "10.1.2.3",
    "connect_error": "",
    "connect_seconds": 0.0,
    "tls": None,
    "certificate": None,
    "answer": "http",
    "status": 400,
    "content_type": "application/json",
    "server": "",
    "via": "",
    "otherwise": None,
    "local": ["10.1.2.9:5000"],
}
UNCONNECTED: dict[str, Any] = {"connected": "", "answer": "", "local": []}
SECURE: dict[str, Any] = {"secure": True, "url": GIVEN.replace("http:", "https:")}
CERTIFICATE = {"names": ["10.1.2.3"], "for_host": True, "in_date": True, "issuer": "a", "not_after": "2030-01-01"}


def bad_certificate(code: int, **shown: Any) -> dict[str, Any]:
    """A certificate that does not hold, as OpenSSL numbers why."""
    tls = {"ok": False, "version": None, "error": "certificate", "code": code, "why": "it does not hold"}
    return {**SECURE, "answer": "", "tls": tls, "certificate": CERTIFICATE | shown}


SEEN: dict[str, dict[str, Any]] = {
    "name-not-resolved": {**UNCONNECTED, "name_error": "EAI_NONAME", "resolved": []},
    "port-closed": {**UNCONNECTED, "connect_error": "ECONNREFUSED"},
    "connect-blocked": {**UNCONNECTED, "connect_error": "timeout", "connect_seconds": 5.0},
    "container-loopback-unreachable": {
        **UNCONNECTED,
        "connect_error": "ECONNREFUSED",
        "place": "gateway",
        "host": "localhost",
        "resolved": ["127.0.0.1"],
    },
    "published-port-dead": {"answer": "closed", "otherwise": False},
    "accepts-but-silent": {"answer": "timeout"},
    "plain-http-to-tls": {"answer": "reset", "otherwise": True},
    "tls-to-plain-http": {
        **SECURE,
        "answer": "",
        "otherwise": True,
        "tls": {"ok": False, "version": None, "error": "WRONG_VERSION_NUMBER"},
    },
    "tls-name-or-trust": bad_certificate(62, names=["other.test"], for_host=False),
    "tls-certificate-expired": bad_certificate(10, in_date=False, not_after="2020-01-01"),
    "tls-untrusted-issuer": bad_certificate(20),
    "proxy-answers-html": {"content_type": "text/html", "status": 502, "server": "proxy"},
}
"""What a probe sees of each fault, where it differs from HEALTHY."""


def probe(story: Story, leg: str = "backend", t: float | None = None, **seen: Any) -> float:
    """Add a probe from where the party stands that connects."""
    data = {"leg": leg, "way": "none", "place": "host", "party": True, **HEALTHY, **seen}
    return story.add(Point.STAGE, Kind.NETWORK_PROBE, t, **data)


def tried(kind: str, **answer: Any) -> Story:
    """A way with one fault, and a client whose initialize is answered with an error unless `answer` says otherwise."""
    story = Story()
    probe(story, **SEEN.get(kind, {}))
    story.stimulus("trigger")
    story.exchange("a", **({"request": request("initialize", 0), "sse": [error(0)]} | answer))
    return story


def handshake_failed(story: Story, why: str = "TLS handshake with the client: alert", conn: int = 7) -> None:
    """Add a connection of the gateway's whose TLS was not agreed on."""
    story.add(Point.BACKEND_TAP, Kind.CONN_OPEN, tap="backend:main", conn=conn, peer="10.1.2.9:6000")
    story.add(Point.BACKEND_TAP, Kind.CONN_FAILED, tap="backend:main", conn=conn, error=why)


def connected() -> dict[str, Any]:
    """An answer to initialize with a result."""
    return {"sse": [result(0, **RESULT)]}
