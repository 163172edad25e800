"""Family initialize_ordering, the gateway as client of its backends (MGC104-106, MGC112, MGC114)."""

from __future__ import annotations

from collections.abc import Mapping

from conformance.evidence.events import Hop
from conformance.evidence.links import links
from conformance.evidence.transcript import BackendSession, Exchange, Message, Transcript
from conformance.rules.base import Inputs, Level, Side, fail, rule
from conformance.rules.initialize_ordering_evidence import (
    BACKEND_HANDSHAKE,
    DISCOVER,
    INITIALIZED,
    SUITE,
    Handshake,
    clients_message,
    handshakes,
    initialize_fault,
    posted,
    settled_at,
    stateless_taps,
)
from conformance.rules.initialize_ordering_refusal import early_requests, posted_requests, requests_of_strangers
from conformance.rules.preconditions import initializes
from conformance.rules.verdicts import Inconclusive, NotApplicable, NotExercised, Pass, Verdict
from conformance.spec.revisions import STREAMABLE_LEGACY

_UNORDERED = ("initialize", "ping", DISCOVER)
"""Requests that may come before the answer to initialize: itself, pings, and the probe for a modern server."""

_A_CLIENTS_DISORDER = (
    "a client itself sent requests before its handshake was complete, and the gateway may only pass them on"
)


def disordered(transcript: Transcript) -> bool:
    """Whether some client asked for something before it had initialized or confirmed that."""
    return bool(early_requests(transcript) or requests_of_strangers(transcript) or _unconfirmed_requests(transcript))


def _unconfirmed_requests(transcript: Transcript) -> tuple[Exchange, ...]:
    """Return requests of clients in sessions that these never confirmed with notifications/initialized."""
    opened = {(item.tap, item.session) for item in initializes(transcript)}
    confirmed = {(item.tap, item.session) for item in posted(transcript, INITIALIZED)}
    return tuple(item for item in posted_requests(transcript) if (item.tap, item.session) in opened - confirmed)


def opening(session: BackendSession) -> Message | None:
    """Return the first thing posted in a backend session that came before its initialize; None if nothing did."""
    for message in session.up():
        if message.method == "initialize":
            break
        if message.method not in _UNORDERED:
            return message
    return None


@rule(
    id="MGC104",
    title="initialize comes first on every backend session",
    suite=SUITE,
    level=Level.MUST,
    side=Side.CLIENT,
    requirements=("LIFE-01",),
    when=BACKEND_HANDSHAKE,
    failure_classes=("request-before-initialize",),
)
def initialize_comes_first(inputs: Inputs) -> Verdict:
    """Judge the first message of each session that the gateway opens.

    What it checks: it is initialize; pings and a probe for a modern server may precede it.
    Why it matters: servers refuse whatever comes earlier, and the backend is then shown as broken.
    A failing exchange: gateway → backend POST tools/list, without a session id, then POST initialize
    A conforming exchange: gateway → backend POST initialize
    Known gaps: backends that issue no session ids are not judged over HTTP; a GET is MGC129's.
    """
    stateless = stateless_taps(inputs.through)
    judged = [item for item in inputs.through.backend_sessions if item.tap not in stateless and item.up()]
    for session in judged:
        early = opening(session)
        if early is None:
            continue
        if disordered(inputs.through):
            return Inconclusive(_A_CLIENTS_DISORDER)
        return fail(
            "the first message of a backend session is initialize",
            f"{early.method} came first over {session.transport}",
            events=(early.seq,),
            symptom="request-before-initialize",
        )
    if not judged:
        return NotApplicable("the backend issues no session ids, so nothing ties a request to its handshake")
    return Pass(
        f"initialize came first on {len(judged)} backend session(s)", (handshakes(inputs.through)[0].request.seq,)
    )


@rule(
    id="MGC105",
    title="One `initialized` follows each answer to initialize",
    suite=SUITE,
    level=Level.MUST,
    side=Side.CLIENT,
    requirements=("LIFE-04",),
    when=BACKEND_HANDSHAKE,
    failure_classes=("init-race-rejected",),
)
def initialized_follows(inputs: Inputs) -> Verdict:
    """Judge notifications/initialized on each backend session.

    What it checks: exactly one, after the answer to initialize and before the first other request.
    Why it matters: strict servers refuse every request until it has come.
    A failing exchange: gateway → backend initialize, backend → gateway result, gateway → backend tools/list
    A conforming exchange: … result, gateway → backend notifications/initialized, then tools/list
    Known gaps: a session that is never used is not judged; nor are backends without session ids over HTTP.
    """
    stateless = stateless_taps(inputs.through)
    used = 0
    for item in handshakes(inputs.through):
        if item.session.tap in stateless or item.answer is None or item.answer.result is None:
            continue
        fault = _confirmation_fault(item)
        if fault is not None and disordered(inputs.through):
            return Inconclusive(_A_CLIENTS_DISORDER)
        if fault is not None:
            return fail(
                "one notifications/initialized between the answer to initialize and the first other request",
                f"{fault[0]} over {item.session.transport}",
                events=(item.request.seq, item.answer.seq, fault[1]),
                symptom="init-race-rejected",
            )
        used += bool(item.session.up(INITIALIZED))
    if stateless and not used:
        return NotApplicable("the backend issues no session ids, so nothing ties a request to its handshake")
    if not used:
        return NotExercised("a request or notification on a backend session after its handshake")
    return Pass(f"notifications/initialized came once and in time on {used} backend session(s)")


def _confirmation_fault(item: Handshake) -> tuple[str, int] | None:
    """Return what is wrong with the `initialized` of a handshake that was answered, and the event that shows it."""
    assert item.answer is not None
    confirmed = item.session.up(INITIALIZED)
    requests = [m for m in item.session.up() if m.is_request and m.method not in _UNORDERED and m.seq > item.answer.seq]
    if confirmed and confirmed[0].seq < item.answer.seq:
        return "notifications/initialized was sent before initialize was answered", confirmed[0].seq
    if len(confirmed) > len(item.session.up("initialize")):
        return f"notifications/initialized was sent {len(confirmed)} times", confirmed[-1].seq
    if requests and not confirmed:
        return f"{requests[0].method} was sent and notifications/initialized never", requests[0].seq
    if requests and requests[0].seq < confirmed[0].seq:
        return f"{requests[0].method} was sent before notifications/initialized", requests[0].seq
    return None


@rule(
    id="MGC106",
    title="Before initialize is answered, only pings are sent",
    suite=SUITE,
    level=Level.SHOULD,
    side=Side.CLIENT,
    requirements=("LIFE-05",),
    when=BACKEND_HANDSHAKE,
    failure_classes=("request-before-initialize",),
)
def handshake_is_waited_for(inputs: Inputs) -> Verdict:
    """Judge what the gateway sends a backend that has not answered initialize yet.

    What it checks: no request but ping between initialize and its answer, or the end of an exchange without one.
    Why it matters: the backend does not know yet which revision is spoken; slow ones refuse or drop the request.
    A failing exchange: gateway → backend initialize id 1, tools/list id 2; backend → gateway result id 1
    A conforming exchange: gateway → backend initialize id 1; 3 s later result id 1; then initialized and tools/list
    Known gaps: over HTTP a request without a session id is MGC104's.
    """
    shaken = handshakes(inputs.through)
    for item in shaken:
        until = _awaited_until(inputs.through, item)
        for message in item.session.up():
            if message.is_request and message.method not in _UNORDERED and item.request.seq < message.seq < until:
                return fail(
                    "only pings until initialize is answered",
                    f"{message.method} was sent {message.t - item.request.t:.3f} s after initialize, before its answer",
                    events=(item.request.seq, message.seq, until),
                    charged_to=Hop.CLIENT if _from_early_client(inputs.through, message) else Hop.GATEWAY,
                    symptom="request-before-initialize",
                )
    longest = max((item.answer.t - item.request.t for item in shaken if item.answer is not None), default=0.0)
    return Pass(
        f"{len(shaken)} handshake(s), none interrupted; the longest took {longest:.1f} s", (shaken[0].request.seq,)
    )


def _awaited_until(transcript: Transcript, item: Handshake) -> int:
    """Return `seq` of the answer to an initialize; without one, of its exchange's end, or of the evidence's."""
    if item.answer is not None:
        return item.answer.seq
    own = (exchange.seq_end for exchange in item.session.exchanges if exchange.id == item.request.exchange)
    return next(own, None) or transcript.events[-1].seq


def _from_early_client(transcript: Transcript, message: Message) -> bool:
    """Whether a client's own request, sent before its initialize was answered, is what the gateway passed on."""
    client = clients_message(transcript, message)
    opened = [] if client is None else [item for item in transcript.client() if item.tap == client.tap]
    return client is not None and any(
        item.rpc_method == "initialize" and item.t < client.t < settled_at(transcript, item) for item in opened
    )


@rule(
    id="MGC112",
    title="The gateway's initialize lacks nothing",
    suite=SUITE,
    level=Level.MUST,
    side=Side.CLIENT,
    requirements=("LIFE-02",),
    when=BACKEND_HANDSHAKE,
    failure_classes=("initialize-request-incomplete",),
)
def own_initialize_is_complete(inputs: Inputs) -> Verdict:
    """Judge the parameters of each initialize that the gateway sends.

    What it checks: protocolVersion, capabilities and clientInfo with name and version are there and of their types.
    Why it matters: servers validate them; a backend that refuses the handshake looks dead to every client.
    A failing exchange: gateway → backend initialize {"protocolVersion": "2025-11-25", "capabilities": {}}
    A conforming exchange: the same with "clientInfo": {"name": "gateway", "version": "1"}
    Known gaps: whether the capabilities are true to what the client can do is not judged here.
    """
    shaken = handshakes(inputs.through)
    for item in shaken:
        payload = item.request.payload
        fault = initialize_fault(payload if isinstance(payload, Mapping) else None)
        if fault is not None:
            client = clients_message(inputs.through, item.request)
            theirs = client is not None and initialize_fault(client.request) is not None
            return fail(
                "an initialize with protocolVersion, capabilities and clientInfo",
                f"{fault} in the initialize sent over {item.session.transport}",
                events=(item.request.seq,),
                charged_to=Hop.CLIENT if theirs else Hop.GATEWAY,
            )
    return Pass(f"{len(shaken)} complete initialize(s) sent to backends", (shaken[0].request.seq,))


@rule(
    id="MGC114",
    title="Requests to the backend carry MCP-Protocol-Version",
    suite=SUITE,
    level=Level.MUST,
    side=Side.CLIENT,
    requirements=("VER-01",),
    when=BACKEND_HANDSHAKE,
    failure_classes=("version-header-dropped",),
    revisions=STREAMABLE_LEGACY[1:],
)
def version_header_is_sent(inputs: Inputs) -> Verdict:
    """Judge the headers of what follows initialize on the backend's leg.

    What it checks: each request after a handshake that agreed on 2025-06-18 or later carries the header.
    Why it matters: without it a server must assume 2025-03-26, or refuses the request.
    A failing exchange: gateway → backend POST tools/list, Mcp-Session-Id: s1
    A conforming exchange: gateway → backend POST tools/list, Mcp-Session-Id: s1, MCP-Protocol-Version: 2025-11-25
    Known gaps: that its value is the agreed one is not judged here. At a backend without session ids a request is
    judged at the path of initialize, if all handshakes before it agreed on such a version.
    """
    shaken = [item for item in handshakes(inputs.through) if item.session.transport == "http"]
    if not shaken:
        return NotApplicable("the gateway reaches its backend over stdio, where there are no headers")
    due = [item for item in inputs.through.backend if _owes_version(inputs.through, item)]
    if not due:
        return NotExercised("a request after a handshake that agreed on 2025-06-18 or later")
    for exchange in due:
        if "mcp-protocol-version" not in exchange.headers:
            lacking = [
                link.client for link in links(inputs.through) if link.exchange and link.exchange.id == exchange.id
            ]
            theirs = any("mcp-protocol-version" not in item.headers for item in lacking)
            return fail(
                "MCP-Protocol-Version on every request after initialize",
                f"{exchange.method} {exchange.rpc_method or ''} went to the backend without it".replace("  ", " "),
                exchange,
                charged_to=Hop.CLIENT if theirs else Hop.GATEWAY,
                symptom="version-header-dropped",
            )
    return Pass(f"MCP-Protocol-Version on all {len(due)} request(s) after the handshake", due[0].events)


def _owes_version(transcript: Transcript, exchange: Exchange) -> bool:
    """Whether a request of the gateway comes after a handshake that agreed on a version with the header.

    Without session ids it may belong to any handshake before it at the same path, and all must have agreed so.
    """
    if exchange.is_metadata or exchange.rpc_method in ("initialize", DISCOVER):
        return False
    agreed = [
        answer.result.get("protocolVersion")
        for item in transcript.backend
        if item.rpc_method == "initialize" and item.tap == exchange.tap and item.session == exchange.session
        if exchange.session is not None or item.path == exchange.path
        if (answer := item.answer()) is not None and answer.result is not None and answer.seq < exchange.seq
    ]
    return bool(agreed) and all(str(version) >= STREAMABLE_LEGACY[1] for version in agreed)
