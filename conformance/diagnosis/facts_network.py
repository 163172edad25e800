"""Facts read off network probes: how far a try to reach an endpoint came, made from where its party stands."""

from __future__ import annotations

from typing import Final

from conformance.diagnosis.facts_edge import tls_handshake_failed
from conformance.diagnosis.failure import Fact, Failure
from conformance.evidence.events import Event, Kind
from conformance.evidence.network import Facts, Leg, is_page, probes, seen_at, sent_by_gateway, standpoint

_UNTRUSTED: Final = (18, 19, 20, 21)
"""X509_V_ERR_*: self-signed, self-signed in the chain, no issuer's certificate, no way to verify the first."""


def _leg(failure: Failure) -> tuple[Event, ...]:
    """Return the probes of the leg that the failure is about: that of a decisive probe, else the backend's."""
    decisive = [event for event in failure.decisive if event.kind is Kind.NETWORK_PROBE]
    leg: Leg = decisive[0].data["leg"] if decisive else "backend"
    return probes(failure.through, leg)


def _own(failure: Failure) -> Facts | None:
    own = standpoint(_leg(failure))
    return own.data if own is not None else None


def name_has_address(failure: Failure) -> bool | None:
    """The name of the endpoint has an address."""
    facts = _own(failure)
    return None if facts is None else not facts["name_error"]


def tcp_was_accepted(failure: Failure) -> bool | None:
    """The endpoint accepted a TCP connection of a probe."""
    facts = _own(failure)
    if facts is None and tls_handshake_failed(failure):
        return True
    return None if facts is None or facts["name_error"] else bool(facts["connected"])


def tcp_was_refused(failure: Failure) -> bool | None:
    """The endpoint refused a TCP connection of a probe, by RST."""
    facts = _own(failure)
    return None if facts is None or facts["name_error"] else facts["connect_error"] == "ECONNREFUSED"


def loopback_means_another(failure: Failure) -> bool | None:
    """The endpoint was refused on a loopback address, or accepts on one elsewhere only."""
    found = _leg(failure)
    if standpoint(found) is None:
        return None
    seen = seen_at(found)
    return seen is not None and seen.kind == "container-loopback-unreachable"


def stayed_silent(failure: Failure) -> bool | None:
    """The endpoint accepted a probe and neither sent a byte nor ended the connection before the deadline."""
    facts = _own(failure)
    if facts is None or not facts["connected"]:
        return None
    return facts["answer"] == "timeout" or (facts["tls"] is not None and facts["tls"].get("error") == "timeout")


def speaks_tls(failure: Failure) -> bool | None:
    """The endpoint shakes hands in TLS, whatever its certificate is worth."""
    facts = _own(failure)
    if facts is None or not facts["connected"]:
        return None
    if not facts["secure"]:
        return bool(facts["otherwise"])
    tls = facts["tls"]
    return tls is not None and (tls["ok"] or tls["error"] == "certificate")


def speaks_plain_http(failure: Failure) -> bool | None:
    """The endpoint answers plain HTTP."""
    facts = _own(failure)
    if facts is None or not facts["connected"]:
        return None
    return bool(facts["otherwise"]) if facts["secure"] else facts["answer"] == "http" and not facts["otherwise"]


def certificate_is_for_the_name(failure: Failure) -> bool | None:
    """The certificate presented is for the name asked for."""
    facts = _own(failure)
    shown = facts.get("certificate") if facts is not None else None
    return bool(shown["for_host"]) if shown else None


def issuer_is_trusted(failure: Failure) -> bool | None:
    """The certificate presented leads to an authority that the party trusts."""
    facts = _own(failure)
    tls = facts["tls"] if facts is not None else None
    if tls is None or (not tls["ok"] and tls["error"] != "certificate"):
        return None
    return bool(tls["ok"]) or tls["code"] not in _UNTRUSTED


def requests_followed_a_bad_certificate(failure: Failure) -> bool | None:
    """The gateway sent requests over a connection whose certificate does not hold."""
    facts = _own(failure)
    tls = facts["tls"] if facts is not None else None
    if tls is None or not failure.through.sees_backend:
        return None
    return not tls["ok"] and bool(sent_by_gateway(failure.through))


def page_came(failure: Failure) -> bool | None:
    """The endpoint answered a JSON-RPC request with a web page."""
    facts = _own(failure)
    return None if facts is None or facts["answer"] != "http" else is_page(facts)


def ran_into(kind: str) -> Fact:
    """Return the fact that a network probe ran into an obstacle of that kind."""
    legs: tuple[Leg, ...] = ("client", "backend")

    def seen(failure: Failure) -> bool | None:
        found = (seen_at(probes(failure.through, leg)) for leg in legs)
        return any(item is not None and item.kind == kind for item in found)

    seen.__doc__ = f"A network probe ran into {kind}."
    return seen
