"""Family initialize_ordering, protocol versions: proposed, agreed, and repeated in the header, on each leg its own."""

from __future__ import annotations

from conformance.evidence.events import JSON, Hop
from conformance.evidence.transcript import Exchange, Message, Transcript
from conformance.rules.answers import without_result
from conformance.rules.base import Inputs, Level, Precondition, Side, charge, fail, rule
from conformance.rules.initialize_ordering_evidence import (
    BACKEND_HANDSHAKE,
    HANDSHAKE_VERSIONS,
    SUITE,
    Handshake,
    answered_version,
    asked_version,
    clients_message,
    handshakes,
    said,
    stateless_taps,
)
from conformance.rules.preconditions import initializes
from conformance.rules.verdicts import NotApplicable, NotExercised, Pass, Verdict
from conformance.spec.revisions import STREAMABLE_LEGACY, Revision

VERSION_HEADER = "mcp-protocol-version"
_KNOWN = (*HANDSHAKE_VERSIONS, *map(str, Revision))


def _agreed(handshake: Handshake) -> JSON:
    """Return the version that the backend answered with, None where it gave no result."""
    answer = handshake.answer
    return answer.result.get("protocolVersion") if answer is not None and answer.result is not None else None


def misagreed(transcript: Transcript) -> tuple[Handshake, ...]:
    """Return the handshakes that a backend answered with a version that does not exist."""
    return tuple(item for item in handshakes(transcript) if _agreed(item) not in (None, *_KNOWN))


def without_header(transcript: Transcript) -> tuple[Exchange, ...]:
    """Return the requests of clients that had agreed on a version with the header, and left the header out."""
    found = []
    for opened in initializes(transcript):
        version = answered_version(opened)
        if isinstance(version, str) and version >= STREAMABLE_LEGACY[1]:
            found += [
                item
                for item in transcript.client()
                if item.tap == opened.tap and item.t > opened.t and item.rpc_method == "tools/list"
            ]
    return tuple(item for item in found if VERSION_HEADER not in item.headers)


UNKNOWN_AGREED = Precondition(
    "unknown-version-answered",
    "a backend that answered initialize with a version that does not exist",
    lambda transcript: bool(misagreed(transcript)),
)
HEADER_LEFT_OUT = Precondition(
    "version-header-left-out",
    "a request without MCP-Protocol-Version after initialize",
    lambda transcript: bool(without_header(transcript)),
)


@rule(
    id="MGC122",
    title="The gateway proposes a version that exists",
    suite=SUITE,
    level=Level.MUST,
    side=Side.CLIENT,
    requirements=("LIFE-07",),
    when=BACKEND_HANDSHAKE,
    failure_classes=("unsupported-version-used",),
)
def proposed_version_exists(inputs: Inputs) -> Verdict:
    """Judge the protocolVersion of each initialize that the gateway sends.

    What it checks: it is a revision of the specification; what a client itself proposed may be passed on.
    Why it matters: servers answer an unknown version with one of their own, and strict ones refuse the handshake.
    A failing exchange: gateway → backend initialize {"protocolVersion": "1.0", …}
    A conforming exchange: gateway → backend initialize {"protocolVersion": "2025-11-25", …}
    Known gaps: whether the gateway speaks what it proposes is seen only where another rule fails.
    """
    shaken = handshakes(inputs.through)
    for item in shaken:
        proposed = item.request.params.get("protocolVersion")
        client = clients_message(inputs.through, item.request)
        if proposed in _KNOWN or (client is not None and asked_version(client) == proposed):
            continue
        return fail(
            "a protocolVersion that a revision of the specification has",
            f"{proposed!r} was proposed over {item.session.transport}",
            events=(item.request.seq,),
        )
    versions = sorted({str(item.request.params.get("protocolVersion")) for item in shaken})
    return Pass(f"proposed to backends: {', '.join(versions)}", (shaken[0].request.seq,))


@rule(
    id="MGC123",
    title="A backend with an unknown version is not used",
    suite=SUITE,
    level=Level.SHOULD,
    side=Side.CLIENT,
    requirements=("LIFE-10",),
    when=UNKNOWN_AGREED,
    failure_classes=("unsupported-version-used",),
)
def unknown_version_is_not_used(inputs: Inputs) -> Verdict:
    """Judge what the gateway sends after a backend has answered initialize with a version that does not exist.

    What it checks: no confirmation and no request follows in that session; ending it is right.
    Why it matters: who goes on speaks a protocol that neither side has.
    A failing exchange: backend → {"protocolVersion": "1999-01-01"}; gateway → notifications/initialized, tools/list
    A conforming exchange: backend → {"protocolVersion": "1999-01-01"}; gateway → DELETE, or nothing
    Known gaps: how the client is told is not judged.
    """
    judged = misagreed(inputs.through)
    for item in judged:
        assert item.answer is not None
        used = next((message for message in _after(item)), None)
        if used is not None:
            client = clients_message(inputs.through, used)
            return fail(
                f"nothing after the answer with version {_agreed(item)!r}",
                f"the gateway sent {used.method}",
                events=(item.answer.seq, used.seq),
                charged_to=Hop.GATEWAY if client is None else Hop.CLIENT,
            )
    return Pass(f"{len(judged)} sessions were left alone after that answer", (judged[0].request.seq,))


def _after(item: Handshake) -> tuple[Message, ...]:
    """Return what was sent in the backend session after the answer to its initialize."""
    answered = item.answer.seq if item.answer is not None else 0
    return tuple(message for message in item.session.up() if message.seq > answered)


@rule(
    id="MGC125",
    title="MCP-Protocol-Version is the leg's own version",
    suite=SUITE,
    level=Level.SHOULD,
    side=Side.CLIENT,
    requirements=("VER-02",),
    when=BACKEND_HANDSHAKE,
    failure_classes=("version-header-wrong-leg",),
    revisions=STREAMABLE_LEGACY[1:],
)
def version_header_is_the_legs_own(inputs: Inputs) -> Verdict:
    """Judge the value of the header on what the gateway sends after a handshake.

    What it checks: wherever the header is there, it names the version that this backend session agreed on.
    Why it matters: a server that reads another version refuses the request, or answers in a form of that version.
    A failing exchange: leg agreed on 2025-11-25; POST tools/list, MCP-Protocol-Version: 2025-06-18 (the client's)
    A conforming exchange: leg agreed on 2025-11-25; POST tools/list, MCP-Protocol-Version: 2025-11-25
    Known gaps: where both legs have agreed on the same version, whose it is cannot be told. Nothing ties a request to
    its handshake where the backend issues no session ids: any version will do that was agreed on at its URL before.
    """
    shaken = [item for item in handshakes(inputs.through) if item.session.transport == "http"]
    if not shaken:
        return NotApplicable("the gateway reaches its backend over stdio, where there are no headers")
    stateless, judged = stateless_taps(inputs.through), 0
    for item in shaken:
        agreed = _agreed(item)
        for exchange in item.session.exchanges:
            value = exchange.headers.get(VERSION_HEADER)
            if agreed is None or value is None or item.answer is None or exchange.seq < item.answer.seq:
                continue
            untied = item.session.tap in stateless and exchange.session is None
            own = _agreed_there(shaken, exchange) if untied else (agreed,)
            if not own:
                continue
            judged += 1
            if value not in own:
                client = next((c for c in inputs.through.client() if c.headers.get(VERSION_HEADER) == value), None)
                whose = ", which is the client's" if client is not None else ""
                return fail(
                    f"MCP-Protocol-Version: {' or '.join(map(str, own))}, as agreed on this leg",
                    f"{exchange.method} {exchange.rpc_method or ''} named {value}{whose}".replace("  ", " "),
                    exchange,
                    events=(item.answer.seq,),
                )
    if not judged:
        return NotExercised("a request with the header after a handshake")
    return Pass(f"{judged} requests to backends named their leg's version")


def _agreed_there(shaken: list[Handshake], exchange: Exchange) -> tuple[JSON, ...]:
    """Return the versions on which handshakes with the server at the URL of a request had agreed before it."""
    found: dict[JSON, None] = {}
    for item in shaken:
        at = next((other.path for other in item.session.exchanges if other.id == item.request.exchange), None)
        before = item.answer is not None and item.answer.seq < exchange.seq
        if before and (item.session.tap, at) == (exchange.tap, exchange.path) and isinstance(_agreed(item), str):
            found[_agreed(item)] = None
    return tuple(found)


@rule(
    id="MGC126",
    title="A request without MCP-Protocol-Version is served",
    suite=SUITE,
    level=Level.SHOULD,
    side=Side.SERVER,
    requirements=("VER-03",),
    when=HEADER_LEFT_OUT,
    failure_classes=("version-header-demanded",),
    revisions=STREAMABLE_LEGACY[1:],
)
def missing_header_is_tolerated(inputs: Inputs) -> Verdict:
    """Judge requests in a session that leave the header out.

    What it checks: they have a result; the session knows its version, and without one 2025-03-26 is to be assumed.
    Why it matters: clients of 2025-03-26 and many bridges send no such header.
    A failing exchange: POST tools/list without the header → 400
    A conforming exchange: POST tools/list without the header → 200
    Known gaps: what a server without sessions makes of it is judged by the same measure.
    """
    asked = without_header(inputs.through)
    for item in asked:
        if without_result(item):
            return fail(
                "a result without the header too",
                f"it was answered {said(item)}",
                item,
                charged_to=charge(inputs, item, without_result),
            )
    return Pass(f"{len(asked)} request(s) without the header had a result", asked[0].events)
