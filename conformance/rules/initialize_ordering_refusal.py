"""Family initialize_ordering, the gateway as server: messages out of order or malformed (MGC107-110, MGC116)."""

from __future__ import annotations

from conformance.evidence.events import Hop
from conformance.evidence.transcript import Exchange, Transcript
from conformance.rules.answers import without_result
from conformance.rules.base import Inputs, Level, Precondition, Side, charge, fail, rule
from conformance.rules.initialize_ordering_evidence import (
    INITIALIZED,
    SUITE,
    answered_version,
    blame,
    faulty_initializes,
    initialize_fault,
    issues_sessions,
    lagged,
    posted,
    refused,
    said,
    sound_initializes,
)
from conformance.rules.preconditions import initializes
from conformance.rules.verdicts import Inconclusive, NotApplicable, NotExercised, Pass, Verdict
from conformance.spec.revisions import STREAMABLE_LEGACY, Revision

_REVISIONS = tuple(str(revision) for revision in Revision)


def requests_of_strangers(transcript: Transcript) -> tuple[Exchange, ...]:
    """Return requests posted without a session id by clients that had not sent initialize."""
    known = {item.tap: item.t for item in reversed(posted(transcript, "initialize"))}
    return tuple(
        item
        for item in posted_requests(transcript)
        if "mcp-session-id" not in item.headers and item.t < known.get(item.tap, transcript.end + 1)
    )


def posted_requests(transcript: Transcript) -> tuple[Exchange, ...]:
    """Return the clients' requests other than initialize and ping, which may come at any time."""
    return tuple(
        item
        for item in transcript.client()
        if item.rpc_method not in (None, "initialize", "ping") and "id" in item.request
    )


def early_requests(transcript: Transcript) -> tuple[Exchange, ...]:
    """Return requests sent after initialize was answered and before the same client's notifications/initialized."""
    confirmed = {item.tap: item.t for item in reversed(posted(transcript, INITIALIZED))}
    answered = {item.tap: item.t_response or item.t for item in reversed(initializes(transcript))}
    return tuple(
        item
        for item in posted_requests(transcript)
        if item.tap in confirmed and item.tap in answered and answered[item.tap] < item.t < confirmed[item.tap]
    )


def with_invalid_version(transcript: Transcript) -> tuple[Exchange, ...]:
    """Return requests whose MCP-Protocol-Version names no revision that was ever published."""
    return tuple(filter(_invalid_version, posted_requests(transcript)))


def _invalid_version(item: Exchange) -> bool:
    return item.headers.get("mcp-protocol-version", _REVISIONS[0]) not in _REVISIONS


def _agreed_before_the_header(inputs: Inputs, item: Exchange) -> bool:
    """Whether the client's latest handshake agreed on a revision that does not know the header."""
    versions = [answered_version(opened) for opened in initializes(inputs.through) if opened.tap == item.tap]
    agreed = versions[-1] if versions else None
    return isinstance(agreed, str) and agreed in _REVISIONS and agreed < STREAMABLE_LEGACY[1]


def unharmed_bystanders(transcript: Transcript) -> bool:
    """Whether the bystander was served before a malformed initialize and asked again after it."""
    faulty = faulty_initializes(transcript)
    asked = posted(transcript, "tools/list", "bystander")
    return bool(faulty and asked) and not without_result(asked[0]) and asked[0].t < faulty[0].t < asked[-1].t


WITHOUT_INITIALIZE = Precondition(
    "request-without-initialize",
    "a request by a client that had not initialized, beside one that had",
    lambda transcript: bool(requests_of_strangers(transcript) and initializes(transcript)),
)
BEFORE_INITIALIZED = Precondition(
    "request-before-initialized",
    "a request between the answer to initialize and notifications/initialized",
    lambda transcript: bool(early_requests(transcript)),
)
MALFORMED = Precondition(
    "malformed-initialize",
    "an initialize that lacks something",
    lambda transcript: bool(faulty_initializes(transcript)),
)
BYSTANDER = Precondition(
    "bystander-of-malformed",
    "a client that was served before a malformed initialize and asked again",
    unharmed_bystanders,
)
INVALID_VERSION = Precondition(
    "invalid-version-header",
    "a request whose MCP-Protocol-Version names no revision",
    lambda transcript: bool(with_invalid_version(transcript)),
)


@rule(
    id="MGC107",
    title="A request without initialize is refused",
    suite=SUITE,
    level=Level.MUST,
    side=Side.SERVER,
    requirements=("LIFE-01",),
    when=WITHOUT_INITIALIZE,
    failure_classes=("jsonrpc-error-as-http-error", "error-misclassified", "request-before-initialize"),
)
def request_without_initialize_is_refused(inputs: Inputs) -> Verdict:
    """Judge what a client gets that asks before it initializes.

    What it checks: a 4xx status or a JSON-RPC error; a result too where the gateway issues no session ids.
    Why it matters: clients learn from the refusal to initialize again; a hang or a 5xx tells them nothing.
    A failing exchange: POST tools/list without a session id → 500
    A conforming exchange: POST tools/list without a session id → 400
    Known gaps: a missing session id is all that shows it on the wire, so suite session_reuse judges the status again.
    """
    stateful = (
        issues_sessions(inputs.through) and inputs.through.header.get("claims", {}).get("sessions") != "stateless"
    )
    for item in requests_of_strangers(inputs.through):
        served = not without_result(item)
        if not _not_refused(item) and not (served and stateful):
            continue
        if item.status is None and lagged(inputs.through, item.t, inputs.through.end):
            return Inconclusive("the machine was too busy while the refusal was awaited")
        return fail(
            "a request without initialize is refused",
            f"{item.rpc_method} of a client that never initialized was answered {said(item)}",
            item,
            charged_to=charge(inputs, item, _serves_strangers if served else _not_refused),
            symptom="request-before-initialize" if served else _http_error(item),
        )
    first = requests_of_strangers(inputs.through)[0]
    return Pass(f"{first.rpc_method} without initialize was answered {said(first)}", first.events)


def _serves_strangers(item: Exchange) -> bool:
    return "mcp-session-id" not in item.headers and not without_result(item)


def _not_refused(item: Exchange) -> bool:
    return item.status is None or item.status >= 500 or not _settled(item)


def _settled(item: Exchange) -> bool:
    """Whether a request was answered, or refused by its status."""
    return item.answer() is not None or (item.status or 0) >= 400


def _http_error(item: Exchange) -> str:
    """Return the symptom of a 5xx: which class it is depends on whether it carries a JSON-RPC error."""
    if item.status is None or item.status < 500:
        return ""
    return "jsonrpc-error-as-http-error" if item.answer() is not None else "error-misclassified"


@rule(
    id="MGC108",
    title="A request right after initialize is not rejected for want of `initialized`",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.SERVER,
    requirements=("INIT-01",),
    when=BEFORE_INITIALIZED,
    failure_classes=("init-race-rejected",),
)
def early_request_is_served(inputs: Inputs) -> Verdict:
    """Judge requests between the answer to initialize and notifications/initialized.

    What it checks: they have results wherever the same request has one straight at the backend.
    Why it matters: clients post both at once on two connections, and which comes first is chance.
    A failing exchange: initialize → 200, tools/list → -32602, notifications/initialized → 202, tools/list → 200
    A conforming exchange: initialize → 200, tools/list → 200 (at once, or once `initialized` has come)
    Known gaps: a rejection rarer than the number of sessions driven goes unseen.
    """
    early = early_requests(inputs.through)
    rejected = [item for item in early if without_result(item)]
    if not rejected:
        return Pass(f"{len(early)} request(s) before notifications/initialized, all served", early[0].events)
    if inputs.control is not None and any(map(without_result, early_requests(inputs.control))):
        return NotApplicable("the backend itself rejects requests before notifications/initialized")
    return fail(
        "a request between the answer to initialize and notifications/initialized is served",
        f"{len(rejected)} of {len(early)} were not: {rejected[0].rpc_method} was answered {said(rejected[0])}",
        rejected[0],
        charged_to=blame(inputs, rejected[0], refused),
        symptom="init-race-rejected",
    )


@rule(
    id="MGC109",
    title="A malformed initialize is answered",
    suite=SUITE,
    level=Level.SHOULD,
    side=Side.SERVER,
    requirements=("LIFE-16",),
    when=MALFORMED,
    failure_classes=("empty-200-stream", "initialize-hang", "jsonrpc-error-as-http-error", "error-misclassified"),
)
def malformed_initialize_is_answered(inputs: Inputs) -> Verdict:
    """Judge the answers to initializes that lack something.

    What it checks: each has a JSON-RPC answer or a 4xx status: no silence, no empty stream, no 5xx, no cut connection.
    Why it matters: a client with a defect must see that it has one; silence looks like a dead server.
    A failing exchange: initialize without params → 200 text/event-stream, end of stream without an event
    A conforming exchange: initialize without params → 200 or 400 with error -32602
    Known gaps: a server that is lenient and answers with a result passes.
    """
    faulty = faulty_initializes(inputs.through)
    for item in faulty:
        if _settled(item) and (item.status or 0) < 500:
            continue
        until = inputs.through.end_of(item)
        if item.status is None and item.how in ("abandoned", "open") and lagged(inputs.through, item.t, until):
            return Inconclusive("the machine was too busy while the answer was awaited")
        ended = item.is_stream and item.how == "complete"
        hung = item.how in ("abandoned", "open")
        alike = charge(inputs, item, lambda theirs: not _settled(theirs) or (theirs.status or 0) >= 500)
        silent = blame(inputs, item, lambda _, theirs: theirs is None)
        return fail(
            "a malformed initialize has a JSON-RPC error or a 4xx status",
            f"initialize whose {initialize_fault(item.request)} was answered {said(item)} in {until - item.t:.1f} s",
            item,
            charged_to=Hop.BACKEND if Hop.BACKEND in (alike, silent) else Hop.GATEWAY,
            symptom="empty-200-stream" if ended else "initialize-hang" if hung else _http_error(item),
        )
    return Pass(f"{len(faulty)} malformed initialize(s) answered, the first {said(faulty[0])}", faulty[0].events)


@rule(
    id="MGC110",
    title="A malformed initialize harms nobody else",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.SERVER,
    requirements=("INIT-03",),
    when=BYSTANDER,
    failure_classes=("one-client-kills-all",),
)
def malformed_initialize_harms_nobody(inputs: Inputs) -> Verdict:
    """Judge how a bystander and a later client fare after malformed initializes.

    What it checks: the bystander's requests go on having results, and a new client can initialize and list tools.
    Why it matters: one broken client must not be able to take the gateway from all others.
    A failing exchange: initialize without params (A) → 500, tools/list (B) → connection refused
    A conforming exchange: initialize without params (A) → 400, tools/list (B) → 200, initialize (C) → 200
    Known gaps: damage that shows only later is not seen.
    """
    faulty = faulty_initializes(inputs.through)
    later = {item.tap for item in sound_initializes(inputs.through) if item.t > faulty[-1].t}
    after = [
        item
        for item in (*inputs.bystander, *(item for item in inputs.through.client() if item.tap in later))
        if item.rpc_method in ("initialize", "tools/list") and item.t > faulty[0].t
    ]
    for item in after:
        if without_result(item):
            who = "a later client" if item.tap in later else "the bystander"
            return fail(
                "others are served after a malformed initialize",
                f"{item.rpc_method} of {who} was then answered {said(item)}",
                faulty[0],
                item,
                charged_to=charge(inputs, item, without_result),
                symptom="one-client-kills-all",
            )
    if not later:
        return NotExercised("a new client's initialize after the malformed ones")
    return Pass(
        f"{len(after)} request(s) of others served after {len(faulty)} malformed initialize(s)", after[0].events
    )


@rule(
    id="MGC116",
    title="An invalid MCP-Protocol-Version header is answered 400",
    suite=SUITE,
    level=Level.MUST,
    side=Side.SERVER,
    requirements=("VER-04",),
    when=INVALID_VERSION,
    failure_classes=("version-header-unchecked",),
    revisions=STREAMABLE_LEGACY[1:],
)
def invalid_version_is_refused(inputs: Inputs) -> Verdict:
    """Judge requests whose version header names no revision.

    What it checks: each is answered 400 (2025-06-18 and later, basic/transports, Protocol Version Header).
    Why it matters: a server that ignores the header serves a peer whose messages mean something else.
    A failing exchange: POST tools/list, MCP-Protocol-Version: 1999-01-01 → 200
    A conforming exchange: POST tools/list, MCP-Protocol-Version: 1999-01-01 → 400
    Known gaps: existing revisions that the gateway does not support are not tried, nobody knows which those are. A
    gateway that agreed on 2025-03-26 or earlier owes the header nothing.
    """
    asked = [item for item in with_invalid_version(inputs.through) if not _agreed_before_the_header(inputs, item)]
    if not asked:
        return NotApplicable("the handshake agreed on a version that has no such header")
    for item in asked:
        if item.status is None:
            return Inconclusive("a request with an invalid version header was never answered")
        if item.status != 400:
            return fail(
                "400 to an MCP-Protocol-Version that does not exist",
                f"{item.headers['mcp-protocol-version']!r} was answered {said(item)}",
                item,
                charged_to=charge(inputs, item, lambda theirs: _invalid_version(theirs) and theirs.status != 400),
                symptom="version-header-unchecked",
            )
    return Pass(f"{len(asked)} request(s) with an invalid version header answered 400", asked[0].events)
