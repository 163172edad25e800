"""What a scenario wants to stand before the gateway: which edge, in which variant, before how many replicas.

The defaults of `EdgeVariant` are what is recommended for MCP; each departure from them is one fault or one need of a
deployment. A scenario says `edge=EdgeSetup("nginx", EdgeVariant(affinity=Affinity.COOKIE), replicas=2)`; the stage then
stands as

    client ─> [client tap] ─> edge ─> [edge tap 1..n] ─> gateway replica 1..n ─> [backend tap] ─> backend

and its drive has `stage.replicas`, with stop, restart, kill, pause, resume and toxics of each, by number from 1. In the
evidence the header's `edge` tells of it (None where there is none), the taps before the replicas are `edge:1`, `edge:2`
and so on, and `Transcript.behind_edge` holds what they saw. A client's tap speaks TLS to an edge that does. Where the
edge lacks what the variant asks for, or this machine lacks the edge, the cell is not exercised, with why.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Final, Literal

from conformance.evidence.events import JSON

SERVER_NAME: Final = "edge.test"
"""Host name by which clients know an edge that speaks TLS (RFC 6761 keeps .test free for this)."""

OTHER_NAME: Final = "other.test"
"""Host name in a certificate that is for somebody else."""

LONG_IDLE: Final = 3600.0
"""Idle limit recommended before event streams, in seconds: longer than any heartbeat."""

COOKIE: Final = "edge_route"
"""Name of the cookie by which an edge knows a client again."""


class Affinity(StrEnum):
    """How an edge chooses the replica of a request.

    SESSION_HASH hashes Mcp-Session-Id: the same id always gets the same replica, which need not be the one that issued
    it. SESSION_LEARNED remembers which replica answered with which Mcp-Session-Id.
    """

    NONE = "none"
    COOKIE = "cookie"
    SESSION_HASH = "session-hash"
    SESSION_LEARNED = "session-learned"


class Buffering(StrEnum):
    """Whether responses are collected before they are passed on.

    FORCED: also where the gateway asks for the opposite (X-Accel-Buffering: no).
    """

    OFF = "off"
    ON = "on"
    FORCED = "forced"


class Tls(StrEnum):
    """What the edge speaks to its clients, who trust our private authority (UNTRUSTED: who do not)."""

    NONE = "none"
    PRIVATE_CA = "private-ca"
    WRONG_NAME = "wrong-name"
    EXPIRED = "expired"
    UNTRUSTED = "untrusted"


@dataclass(frozen=True, slots=True)
class EdgeVariant:
    """How an edge is configured.

    idle_seconds: how long a connection may be silent in either direction. upstream_http: what the edge speaks to the
    gateway. path_prefix: where clients find the gateway's paths, taken off before it. slash_redirect: the endpoint's
    path is redirected to the one with a slash behind it. keeps_host: Host goes on as the client sent it, else as the
    name of the group of replicas. forwards: whether X-Forwarded-For, -Proto and -Host are set. strips: request headers
    that are not passed on. replaces_errors: a page of the edge's own stands for what the gateway says with 400 or 404.
    heeds_failures: a replica that cannot be reached gets no requests for a while, and another one this request.
    heeds_leaving: what a client has left is ended towards its replica, too.
    """

    affinity: Affinity = Affinity.NONE
    buffering: Buffering = Buffering.OFF
    gzip: bool = False
    idle_seconds: float = LONG_IDLE
    upstream_http: Literal["1.0", "1.1"] = "1.1"
    tls: Tls = Tls.NONE
    path_prefix: str = ""
    slash_redirect: bool = False
    keeps_host: bool = True
    forwards: bool = True
    strips: tuple[str, ...] = ()
    replaces_errors: bool = False
    heeds_failures: bool = True
    heeds_leaving: bool = True

    def features(self) -> Iterator[str]:
        """Return what the variant asks of an edge, in the words that manifests use under `[cannot]`."""
        asked = {
            f"affinity {self.affinity}": self.affinity is not Affinity.NONE,
            f"buffering {self.buffering}": self.buffering is not Buffering.OFF,
            "gzip": self.gzip,
            "idle limit": self.idle_seconds != LONG_IDLE,
            f"upstream HTTP/{self.upstream_http}": self.upstream_http != "1.1",
            "TLS": self.tls is not Tls.NONE,
            "path prefix": bool(self.path_prefix),
            "slash redirect": self.slash_redirect,
            "Host rewritten": not self.keeps_host,
            "no forwarded headers": not self.forwards,
            "headers stripped": bool(self.strips),
            "errors replaced": self.replaces_errors,
            "failures ignored": not self.heeds_failures,
            "leaving ignored": not self.heeds_leaving,
        }
        return (feature for feature, wanted in asked.items() if wanted)


@dataclass(frozen=True, slots=True)
class EdgeSetup:
    """An edge by its manifest's name, its variant, and how many replicas of the gateway stand behind it.

    fault: the variant does harm on purpose, so that what comes of it is no news about the gateway.
    """

    name: str
    variant: EdgeVariant = EdgeVariant()
    replicas: int = 1
    fault: bool = False

    def to_json(self) -> dict[str, JSON]:
        """Return what the evidence's header says of it."""
        return {
            "name": self.name,
            "replicas": self.replicas,
            "fault": self.fault,
            "features": list(self.variant.features()),
            "variant": asdict(self.variant),
        }


FEATURES: Final = frozenset(
    feature
    for variant in (
        *(EdgeVariant(affinity=affinity) for affinity in Affinity),
        *(EdgeVariant(buffering=buffering) for buffering in Buffering),
        EdgeVariant(gzip=True, idle_seconds=1.0, upstream_http="1.0", tls=Tls.PRIVATE_CA, path_prefix="/p"),
        EdgeVariant(slash_redirect=True, keeps_host=False, forwards=False, strips=("x",)),
        EdgeVariant(replaces_errors=True, heeds_failures=False, heeds_leaving=False),
    )
    for feature in variant.features()
)
"""Everything that a variant can ask for."""
