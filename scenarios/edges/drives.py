"""Drives of suite edges: the gateway behind a proxy, in one or more replicas.

Each case below becomes a scenario for each edge, `edge-NAME-CASE`. What a healthy edge must do is driven in its
recommended variant; the other cases each change one thing, as deployments do, and show whether this gateway withstands
it. The rules tell, from the taps before and behind the edge, whose doing a failure was.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from conformance import timing
from conformance.stage.edge_variant import LONG_IDLE, Affinity, Buffering, EdgeSetup, EdgeVariant, Tls
from conformance.stage.manifest import known_clients, known_edges, load_client, load_edge
from conformance.stage.scenario import Drive, ScenarioKind, scenario
from conformance.stage.stage import Stage
from scenarios.edges import drives_clients, drives_replicas, drives_traffic

SUITE: Final = "edges"
PREFIX: Final = "/tools"
TRAFFIC: Final = (
    *("edge-posts", "edge-headers", "edge-answers", "edge-call-events", "edge-get"),
    "edge-host",
)
"""Preconditions that ordinary traffic through an edge brings about."""

ROUTED: Final = ("edge-posts", "edge-session")
LOST: Final = (*ROUTED, "edge-replica-lost", "edge-lost-session")
SILENT: Final = ("edge-replica-silent",)


@dataclass(frozen=True, slots=True)
class Case:
    """What is driven through an edge.

    variant: of that edge, made from its name. alone: on a fresh instance. fault: the variant does harm on purpose.
    """

    name: str
    title: str
    drive: Drive
    brings: tuple[str, ...]
    variant: Callable[[str], EdgeVariant] = lambda _edge: EdgeVariant()
    seconds: float = 0.0
    replicas: int = 1
    alone: bool = False
    sentinel: bool = True
    fault: bool = False


def remedy(edge: str, idle_seconds: float = LONG_IDLE) -> EdgeVariant:
    """Return the variant in which an edge keeps a session on its replica: by what it learned, else by a cookie."""
    learned = EdgeVariant(affinity=Affinity.SESSION_LEARNED, idle_seconds=idle_seconds)
    return replace(learned, affinity=Affinity.COOKIE) if load_edge(edge).lacks(learned) else learned


def _always(variant: EdgeVariant) -> Callable[[str], EdgeVariant]:
    return lambda _edge: variant


def _tls(tls: Tls, title: str) -> Case:
    return Case(
        f"tls-{tls}",
        title,
        drives_traffic.handshake,
        ("edge-tls",),
        _always(EdgeVariant(tls=tls)),
        sentinel=tls is Tls.PRIVATE_CA,
        fault=tls is not Tls.PRIVATE_CA,
    )


CASES: Final = (
    Case("traffic", "passes ordinary traffic", drives_traffic.traffic, TRAFFIC, seconds=2 * timing.SPACED_CALL),
    Case(
        "quiet-stream",
        "meets a stream on which only heartbeats come",
        drives_traffic.quiet_stream(timing.EDGE_QUIET),
        ("edge-get", "edge-quiet-get"),
        seconds=timing.EDGE_QUIET,
    ),
    Case(
        "quiet-call",
        "meets a call that takes long and reports nothing",
        drives_traffic.quiet_call(timing.EDGE_QUIET),
        ("edge-quiet-call",),
        seconds=timing.EDGE_QUIET,
    ),
    Case(
        "buffering",
        "collects responses, unless the gateway asks it not to, and speaks HTTP/1.0 to it",
        drives_traffic.traffic,
        ("edge-call-events", "edge-get"),
        _always(EdgeVariant(buffering=Buffering.ON, upstream_http="1.0")),
        seconds=2 * timing.SPACED_CALL,
        fault=True,
    ),
    Case(
        "forced-buffering",
        "collects responses whatever the gateway asks for",
        drives_traffic.spaced_calls,
        ("edge-call-events",),
        _always(EdgeVariant(buffering=Buffering.FORCED)),
        seconds=2 * timing.SPACED_CALL,
        fault=True,
    ),
    Case(
        "forced-buffering-1.0",
        "collects responses whatever the gateway asks for, and speaks HTTP/1.0 to it, so that they come without chunks",
        drives_traffic.spaced_calls,
        ("edge-call-events",),
        _always(EdgeVariant(buffering=Buffering.FORCED, upstream_http="1.0")),
        seconds=2 * timing.SPACED_CALL,
        fault=True,
    ),
    Case(
        "held-head",
        "collects the head of a stream, too",
        drives_traffic.quiet_stream(timing.EDGE_CUT + timing.HEADERS_PROMPT),
        ("edge-get",),
        _always(EdgeVariant(buffering=Buffering.FORCED)),
        seconds=timing.EDGE_CUT + timing.HEADERS_PROMPT,
        fault=True,
    ),
    Case(
        "held-heartbeats",
        "collects heartbeats, too",
        drives_traffic.quiet_stream(timing.EDGE_QUIET + timing.RELAY_PROMPT),
        ("edge-quiet-get",),
        _always(EdgeVariant(buffering=Buffering.FORCED, upstream_http="1.0")),
        seconds=timing.EDGE_QUIET + timing.RELAY_PROMPT,
        fault=True,
    ),
    Case(
        "gzip",
        "compresses what clients offer to take compressed",
        drives_traffic.spaced_calls,
        ("edge-call-events",),
        _always(EdgeVariant(gzip=True)),
        seconds=2 * timing.SPACED_CALL,
    ),
    Case(
        "gzip-stream",
        "compresses a stream on which only heartbeats come",
        drives_traffic.quiet_stream(timing.EDGE_CUT + timing.HEADERS_PROMPT, coding="gzip"),
        ("edge-get",),
        _always(EdgeVariant(gzip=True)),
        seconds=timing.EDGE_CUT + timing.HEADERS_PROMPT,
        fault=True,
    ),
    Case(
        "idle-limit-stream",
        "cuts a stream that is silent for 5 s",
        drives_traffic.quiet_stream(2 * timing.EDGE_CUT),
        ("edge-quiet-get",),
        _always(EdgeVariant(idle_seconds=timing.EDGE_CUT)),
        seconds=2 * timing.EDGE_CUT,
        fault=True,
    ),
    Case(
        "idle-limit-call",
        "cuts a call that is silent for 5 s",
        drives_traffic.quiet_call(2 * timing.EDGE_CUT),
        ("edge-quiet-call",),
        _always(EdgeVariant(idle_seconds=timing.EDGE_CUT)),
        seconds=2 * timing.EDGE_CUT,
        fault=True,
    ),
    Case(
        "left-stream",
        "meets a client that leaves its stream and comes back",
        drives_traffic.left_stream,
        ("edge-left-stream",),
        seconds=timing.RELAY_PROMPT,
    ),
    Case(
        "leaving-ignored",
        "holds on to a stream that its client has left",
        drives_traffic.left_stream,
        ("edge-left-stream",),
        _always(EdgeVariant(heeds_leaving=False)),
        seconds=timing.RELAY_PROMPT,
        fault=True,
    ),
    Case(
        "http-1.0",
        "speaks HTTP/1.0 to the gateway",
        drives_traffic.traffic,
        TRAFFIC,
        _always(EdgeVariant(upstream_http="1.0")),
        seconds=2 * timing.SPACED_CALL,
    ),
    Case(
        "prefix",
        "serves the endpoint below a path of its own",
        drives_traffic.handshake,
        ("edge-posts",),
        _always(EdgeVariant(path_prefix=PREFIX)),
    ),
    Case(
        "misrouted",
        "is asked for the endpoint without the path that it serves it below",
        drives_traffic.without_prefix,
        ("edge-posts",),
        _always(EdgeVariant(path_prefix=PREFIX)),
        fault=True,
    ),
    Case(
        "slash",
        "redirects to the path with a slash behind it",
        drives_traffic.handshake,
        ("edge-posts",),
        _always(EdgeVariant(slash_redirect=True)),
        sentinel=False,
        fault=True,
    ),
    Case(
        "foreign-host",
        "puts a name of its own into Host",
        drives_traffic.handshake,
        ("edge-host",),
        _always(EdgeVariant(keeps_host=False)),
        sentinel=False,
        fault=True,
    ),
    Case(
        "stripped",
        "drops a header that it does not know",
        drives_traffic.handshake,
        ("edge-headers",),
        _always(EdgeVariant(strips=("MCP-Protocol-Version", "Mcp-Session-Id"))),
        sentinel=False,
        fault=True,
    ),
    Case(
        "error-pages",
        "shows a page of its own where the gateway refuses",
        drives_traffic.unknown_session,
        ("edge-answers",),
        _always(EdgeVariant(replaces_errors=True)),
        fault=True,
    ),
    _tls(Tls.PRIVATE_CA, "presents a certificate of an authority that its clients trust"),
    _tls(Tls.WRONG_NAME, "presents a certificate for another name"),
    _tls(Tls.EXPIRED, "presents a certificate that has expired"),
    _tls(Tls.UNTRUSTED, "presents a certificate of an authority that its clients do not know"),
    Case(
        "spellings",
        "speaks TLS, and is asked for the endpoint with a slash more or less",
        drives_traffic.respelled,
        ("edge-respelled",),
        _always(EdgeVariant(tls=Tls.PRIVATE_CA)),
    ),
    Case(
        "unforwarded",
        "speaks TLS, and does not tell the gateway so",
        drives_traffic.respelled,
        ("edge-respelled",),
        _always(EdgeVariant(tls=Tls.PRIVATE_CA, forwards=False)),
        fault=True,
    ),
    Case("replicas", "keeps sessions on their replicas", drives_replicas.routed, ROUTED, remedy, replicas=2),
    Case(
        "unrouted",
        "takes replicas in turn",
        drives_replicas.routed,
        ROUTED,
        replicas=2,
        sentinel=False,
        fault=True,
    ),
    Case(
        "hashed",
        "chooses the replica by a hash of the session id",
        drives_replicas.routed,
        ROUTED,
        _always(EdgeVariant(affinity=Affinity.SESSION_HASH)),
        replicas=2,
        sentinel=False,
        fault=True,
    ),
    Case(
        "rolling-restart",
        "stands before replicas that are restarted one after the other",
        drives_replicas.rolling_restart,
        LOST,
        remedy,
        seconds=2 * timing.EDGE_NOTICES,
        replicas=2,
        alone=True,
    ),
    Case(
        "killed",
        "stands before replicas one of which is killed",
        drives_replicas.killed,
        LOST,
        remedy,
        seconds=timing.EDGE_NOTICES,
        replicas=2,
        alone=True,
    ),
    Case(
        "failures-ignored",
        "goes on asking a replica that was killed",
        drives_replicas.killed_newcomers,
        ("edge-replica-lost",),
        _always(EdgeVariant(heeds_failures=False)),
        seconds=timing.EDGE_NOTICES,
        replicas=2,
        alone=True,
        sentinel=False,
        fault=True,
    ),
    Case(
        "paused",
        "stands before replicas one of which stops running",
        drives_replicas.paused,
        SILENT,
        lambda edge: remedy(edge, idle_seconds=timing.EDGE_SILENT),
        seconds=timing.EDGE_ANSWERS,
        replicas=2,
        alone=True,
    ),
    Case(
        "cut-off",
        "stands before replicas one of which is cut off the network",
        drives_replicas.cut_off,
        SILENT,
        lambda edge: remedy(edge, idle_seconds=timing.EDGE_SILENT),
        seconds=timing.EDGE_ANSWERS,
        replicas=2,
        alone=True,
    ),
    Case(
        "paused-unlimited",
        "waits an hour for a replica that stops running",
        drives_replicas.paused,
        SILENT,
        remedy,
        seconds=timing.EDGE_ANSWERS,
        replicas=2,
        alone=True,
        fault=True,
    ),
)


def _register(edge: str, case: Case) -> None:
    async def drive(stage: Stage) -> None:
        await case.drive(stage)

    drive.__doc__ = f"{load_edge(edge).title} {case.title}."
    scenario(
        suite=SUITE,
        name=f"edge-{edge}-{case.name}",
        kind=ScenarioKind.DESTRUCTIVE if case.alone else ScenarioKind.EXCLUSIVE,
        brings=case.brings,
        seconds=case.seconds,
        needs_witness=True,
        edge=EdgeSetup(edge, case.variant(edge), case.replicas, case.fault),
        sentinel=case.sentinel,
    )(drive)


def _register_client(edge: str, client: str, affinity: Affinity) -> None:
    async def drive(stage: Stage) -> None:
        await drives_clients.calls(stage, client)

    drive.__doc__ = f"{load_client(client).title} calls through {load_edge(edge).title}, affinity: {affinity}."
    scenario(
        suite=SUITE,
        name=f"edge-{edge}-{affinity}-{client}",
        kind=ScenarioKind.EXCLUSIVE,
        brings=("edge-session",),
        revisions=load_client(client).driver.revisions,
        needs_witness=True,
        edge=EdgeSetup(edge, EdgeVariant(affinity=affinity), replicas=2, fault=affinity is Affinity.SESSION_HASH),
        sentinel=False,
        client=client,
    )(drive)


for _edge in known_edges():
    for _case in CASES:
        _register(_edge, _case)
    for _client in known_clients():
        for _affinity in (Affinity.COOKIE, Affinity.SESSION_HASH, Affinity.SESSION_LEARNED):
            _register_client(_edge, _client, _affinity)
