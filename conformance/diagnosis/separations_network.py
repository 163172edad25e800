"""What separates failures of the network, and of an edge, from their neighbours."""

from __future__ import annotations

from typing import Final

from conformance.diagnosis import facts_client as client
from conformance.diagnosis import facts_edge as edge
from conformance.diagnosis import facts_network as network
from conformance.diagnosis import facts_scene as scene
from conformance.diagnosis.failure import Separations

NETWORK: Final[Separations] = {
    "name-not-resolved": {
        "port-closed": (network.name_has_address, False),
        "connect-blocked": (network.name_has_address, False),
    },
    "port-closed": {
        "name-not-resolved": (network.name_has_address, True),
        "connect-blocked": (network.tcp_was_refused, True),
        "container-loopback-unreachable": (network.loopback_means_another, False),
        "published-port-dead": (network.tcp_was_accepted, False),
    },
    "connect-blocked": {
        "name-not-resolved": (network.name_has_address, True),
        "port-closed": (network.tcp_was_refused, False),
        "container-loopback-unreachable": (network.tcp_was_refused, False),
        "accepts-but-silent": (network.tcp_was_accepted, False),
        "tls-name-or-trust": (network.tcp_was_accepted, False),
        "initialize-hang": (network.tcp_was_accepted, False),
    },
    "container-loopback-unreachable": {
        "port-closed": (network.loopback_means_another, True),
        "connect-blocked": (network.loopback_means_another, True),
        "host-header-421": (scene.status(421), False),
    },
    "published-port-dead": {
        "port-closed": (network.tcp_was_accepted, True),
        "accepts-but-silent": (network.stayed_silent, False),
        "plain-http-to-tls": (network.speaks_tls, False),
    },
    "accepts-but-silent": {
        "connect-blocked": (network.tcp_was_accepted, True),
        "published-port-dead": (network.stayed_silent, True),
    },
    "plain-http-to-tls": {
        "tls-to-plain-http": (network.speaks_tls, True),
        "published-port-dead": (network.speaks_tls, True),
        "proxy-answers-html": (network.speaks_tls, True),
    },
    "tls-to-plain-http": {
        "plain-http-to-tls": (network.speaks_plain_http, True),
        "tls-name-or-trust": (network.speaks_tls, False),
    },
    "tls-name-or-trust": {
        "connect-blocked": (network.tcp_was_accepted, True),
        "host-header-421": (scene.status(421), False),
        "empty-tools-startup-race": (scene.backend_silent, True),
        "tls-to-plain-http": (network.speaks_tls, True),
        "tls-certificate-expired": (network.certificate_is_for_the_name, False),
        "tls-untrusted-issuer": (network.issuer_is_trusted, True),
    },
    "tls-certificate-expired": {
        "tls-name-or-trust": (network.certificate_is_for_the_name, True),
        "tls-untrusted-issuer": (network.issuer_is_trusted, True),
    },
    "tls-untrusted-issuer": {
        "tls-name-or-trust": (network.issuer_is_trusted, False),
        "tls-certificate-expired": (network.issuer_is_trusted, False),
        "certificate-not-checked": (network.requests_followed_a_bad_certificate, False),
    },
    "certificate-not-checked": {"tls-untrusted-issuer": (network.requests_followed_a_bad_certificate, True)},
    "proxy-answers-html": {
        "plain-http-to-tls": (network.speaks_tls, False),
        "wrong-route-html": (network.page_came, True),
    },
}

EDGE: Final[Separations] = {
    "replica-affinity-missing": {
        "dead-replica-in-rotation": (edge.edge_answered_itself, False),
        "session-id-changed": (edge.session_met_several_replicas, True),
        "stale-session-after-restart": (edge.session_met_several_replicas, True),
        "upstream-session-per-call": (edge.session_met_several_replicas, True),
        "unknown-session-wrong-status": (edge.session_met_several_replicas, True),
    },
    "header-lost-at-edge": {
        "session-id-demanded": (edge.header_was_lost, True),
        "version-header-dropped": (edge.header_was_lost, True),
        "accept-406": (scene.status(406), False),
        "host-header-421": (scene.status(421), False),
    },
    "dead-replica-in-rotation": {
        "replica-affinity-missing": (edge.edge_answered_itself, True),
        "silent-replica-awaited": (edge.edge_answered_itself, True),
        "stale-session-after-restart": (edge.edge_answered_itself, True),
        "connect-blocked": (client.connection_was_made, True),
        "container-not-ready": (edge.replica_had_ended, True),
    },
    "silent-replica-awaited": {
        "dead-replica-in-rotation": (edge.edge_answered_itself, False),
        "initialize-hang": (edge.other_replicas_served, True),
        "hang-on-upstream-error": (edge.replica_was_silent, True),
    },
}
