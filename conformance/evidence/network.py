"""What network probes show: what keeps one party from another, named from the first step that failed. Pure.

A probe (`Kind.NETWORK_PROBE`) is one try to reach an endpoint, made from where the party stands that connects to it; a
probe of the same leg from elsewhere says where the outcome changes. `conformance/wire/network_probe.py` says what the
facts are.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from conformance.evidence.events import JSON, Event, Hop, Kind
from conformance.evidence.transcript import Exchange, Transcript

Leg: TypeAlias = Literal["client", "backend"]
"""Which connection a probe is about: a client's to the gateway (or its edge), or the gateway's to its backend."""

Standpoint: TypeAlias = Literal["host", "gateway", "client", "beyond"]
"""Where a probe was made: this machine, the gateway's own network namespace, a container such as clients run in;
`beyond`, straight at what should answer, past what stands before it."""

_OWN: Final[Mapping[str, str]] = {"gateway": "the gateway's own container", "client": "the client's own container"}
"""What a loopback address means to a probe that was made in a container."""

Facts: TypeAlias = Mapping[str, JSON]

FRONT_LACKING: Final = "front.lacking"
"""Stimulus that says which fault could not be put on a client's way to the gateway: {way, why}."""

# X509_V_ERR_*, as OpenSSL's x509_vfy.h numbers them.
_NOT_YET_VALID: Final = 9
_EXPIRED: Final = 10
_NAME_MISMATCHES: Final = (62, 64)
"""The certificate lacks the host name, or the address, that was asked for."""

_SIGN_IN: Final = (401, 407)
"""Statuses whose page asks for credentials; whoever gives them says nothing about what stands behind."""

_NOT_REACHED: Final = (502, 503, 504)
"""Statuses by which a proxy says that it does not reach what stands behind it (RFC 9110, section 15.6)."""

_PROXIES: Final = ("squid", "haproxy", "varnish", "envoy", "cloudflare", "cloudfront", "awselb", "akamai", "zscaler")
"""What the Server header of proxies names that serve no pages of their own; nginx and Caddy serve both."""


@dataclass(frozen=True, slots=True)
class Obstacle:
    """What keeps a party from its peer. kind: the failure class. says: one clause. hop: who is usually to blame."""

    kind: str
    hop: Hop
    says: str


def obstacle(facts: Facts, others: Iterable[Facts] = ()) -> Obstacle | None:
    """Return what one probe ran into, None where the endpoint answered HTTP as an MCP server may.

    others: probes of the same leg from elsewhere.
    """
    if facts["name_error"]:
        return _name(facts)
    if not facts["connected"]:
        return _unconnected(facts, tuple(others))
    if facts["secure"] and (tls := facts["tls"]) is not None and not tls["ok"]:
        return _handshake(facts, tls)
    return _answer(facts, tuple(others))


def _name(facts: Facts) -> Obstacle:
    if facts["name_error"] == "EAI_AGAIN":
        says = f"the name {facts['host']} could not be looked up: no name server answers ({facts['name_error']})"
        return Obstacle("name-not-resolved", Hop.NETWORK, says)
    says = f"the name {facts['host']} has no address ({facts['name_error']})"
    return Obstacle("name-not-resolved", Hop.CONFIGURATION, says)


def _unconnected(facts: Facts, others: tuple[Facts, ...]) -> Obstacle:
    where, error = endpoint(facts), facts["connect_error"]
    if error != "ECONNREFUSED":
        how = f"no answer to TCP within {facts['connect_seconds']:.1f} s" if error == "timeout" else error
        says = f"{where} cannot be connected to ({how}): the port is filtered, or there is no route"
        return Obstacle("connect-blocked", Hop.NETWORK, says)
    elsewhere = next((item for item in others if _loopback_answers(item, facts)), None)
    if elsewhere is not None:
        says = f"{where} is refused, and {elsewhere['connected']} on the loopback address {_of(elsewhere)} accepts"
        return Obstacle("container-loopback-unreachable", Hop.CONFIGURATION, says)
    own = _OWN.get(str(facts.get("place")))
    if own is not None and all(map(is_loopback, facts["resolved"])):
        says = f"{where} means {own}, in which nothing listens there"
        return Obstacle("container-loopback-unreachable", Hop.CONFIGURATION, says)
    return Obstacle("port-closed", Hop.CONFIGURATION, f"{where} refuses connections: nothing listens at that port")


def _handshake(facts: Facts, tls: Mapping[str, JSON]) -> Obstacle:
    where = endpoint(facts)
    if tls["error"] == "certificate":
        return _certificate(facts, tls)
    if facts["otherwise"]:
        return Obstacle("tls-to-plain-http", Hop.CONFIGURATION, f"{where} speaks plain HTTP and was spoken TLS to")
    if tls["error"] == "timeout":
        return Obstacle("accepts-but-silent", _peer(facts), f"{where} accepts connections and then says nothing")
    if tls["error"] in {"closed", "reset"}:
        says = f"{where} accepts connections and ends them in the handshake"
        return Obstacle("published-port-dead", Hop.RUNTIME, says)
    return Obstacle("tls-to-plain-http", Hop.CONFIGURATION, f"{where} does not speak TLS ({tls['error']})")


def _certificate(facts: Facts, tls: Mapping[str, JSON]) -> Obstacle:
    where, shown = endpoint(facts), facts.get("certificate") or {}
    if tls["code"] in _NAME_MISMATCHES:
        names = ", ".join(shown.get("names") or ()) or "nobody"
        says = f"the certificate of {where} is for {names}, not for {facts['host']}"
        return Obstacle("tls-name-or-trust", Hop.CONFIGURATION, says)
    if tls["code"] == _EXPIRED:
        says = f"the certificate of {where} expired on {shown.get('not_after', 'an unknown day')}"
        return Obstacle("tls-certificate-expired", Hop.CONFIGURATION, says)
    if tls["code"] == _NOT_YET_VALID:
        says = f"the certificate of {where} is valid only from {shown.get('not_before', 'an unknown day')} on"
        return Obstacle("tls-certificate-expired", Hop.CONFIGURATION, says)
    issuer = shown.get("issuer") or "an unknown authority"
    says = f"the certificate of {where} was issued by {issuer}, whom this side does not trust ({tls['why']})"
    return Obstacle("tls-untrusted-issuer", Hop.CONFIGURATION, says)


def _answer(facts: Facts, others: tuple[Facts, ...]) -> Obstacle | None:
    where, answer = endpoint(facts), facts["answer"]
    if not facts["secure"] and facts["otherwise"]:
        return Obstacle("plain-http-to-tls", Hop.CONFIGURATION, f"{where} speaks TLS and was spoken plain HTTP to")
    if answer in {"closed", "reset"}:
        dead = any(item.get("place") == "beyond" and item["connect_error"] == "ECONNREFUSED" for item in others)
        behind = ", and nothing listens behind it" if dead else ""
        says = f"{where} accepts connections and ends them without a byte{behind}"
        return Obstacle("published-port-dead", Hop.CONFIGURATION if dead else Hop.RUNTIME, says)
    if answer == "timeout":
        return Obstacle("accepts-but-silent", _peer(facts), f"{where} accepts connections and then says nothing")
    if answer != "http":
        says = f"{where} answers with something that is not HTTP: it is another service"
        return Obstacle("proxy-answers-html", Hop.CONFIGURATION, says)
    if is_page(facts):
        by = f" from {facts['server']}" if facts["server"] else ""
        says = f"{where} answers with a web page (status {facts['status']}{by}) in place of an MCP server"
        return Obstacle("proxy-answers-html", Hop.EDGE, says)
    return None


def _peer(facts: Facts) -> Hop:
    """Return who listens at the far end of the probe's leg."""
    return Hop.BACKEND if facts.get("leg") == "backend" else Hop.GATEWAY


def is_page(facts: Facts) -> bool:
    """Whether a probe was answered with HTML that asks for no credentials."""
    return str(facts.get("content_type", "")).startswith("text/html") and facts.get("status") not in _SIGN_IN


def shows_proxy(facts: Facts) -> bool:
    """Whether what answered a probe over HTTP says itself that it stands in front of the server that was meant."""
    server = str(facts.get("server", "")).lower()
    return bool(facts.get("via")) or facts.get("status") in _NOT_REACHED or any(name in server for name in _PROXIES)


def is_loopback(address: str) -> bool:
    """Whether an IP address means the machine, or the container, itself."""
    return ipaddress.ip_address(address).is_loopback


def endpoint(facts: Facts) -> str:
    """Return host and port as people write them."""
    host = f"[{facts['host']}]" if ":" in facts["host"] else facts["host"]
    return f"{host}:{facts['port']}"


def _loopback_answers(other: Facts, facts: Facts) -> bool:
    connected = other["connected"]
    return bool(connected) and is_loopback(connected) and other.get("place") != facts.get("place")


def _of(facts: Facts) -> str:
    return "inside the gateway's container" if facts.get("place") == "gateway" else "of this machine"


def probes(transcript: Transcript, leg: Leg) -> tuple[Event, ...]:
    """Return the probes of one leg, in order."""
    return tuple(event for event in transcript.of(Kind.NETWORK_PROBE) if event.data.get("leg") == leg)


def standpoint(found: tuple[Event, ...]) -> Event | None:
    """Return the latest probe made from where the party stands that connects; others only say where it changes."""
    own = [event for event in found if event.data.get("party")]
    return own[-1] if own else None


def seen_at(found: tuple[Event, ...]) -> Obstacle | None:
    """Return what the party of a leg runs into by these probes, None where nothing."""
    own = standpoint(found)
    if own is None:
        return None
    return obstacle(own.data, [event.data for event in found if event.seq != own.seq])


def made_by_probes(transcript: Transcript) -> frozenset[tuple[str, int]]:
    """Return tap and number of the connections that probes made: they are none of the party's own."""
    own = {address for event in transcript.of(Kind.NETWORK_PROBE) for address in event.data.get("local", ())}
    opened = transcript.of(Kind.CONN_OPEN)
    return frozenset((event.data["tap"], event.data["conn"]) for event in opened if event.data.get("peer") in own)


def sent_by_gateway(transcript: Transcript) -> tuple[Exchange, ...]:
    """Return what the gateway itself asked its backend over HTTP."""
    probed = made_by_probes(transcript)
    return tuple(item for item in transcript.backend if (item.tap, item.conn) not in probed)
