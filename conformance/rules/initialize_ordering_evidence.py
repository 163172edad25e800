"""What the rules of family initialize_ordering read from evidence: initializes, handshakes, and whose fault it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from conformance import timing
from conformance.evidence.events import JSON, Hop
from conformance.evidence.links import links
from conformance.evidence.transcript import BackendSession, Exchange, Message, Transcript
from conformance.rules.base import Inputs, Precondition
from conformance.rules.preconditions import initializes
from conformance.spec.revisions import LEGACY

SUITE: Final = "initialize_ordering"
INITIALIZED: Final = "notifications/initialized"
DISCOVER: Final = "server/discover"
"""Opening probe of a client that speaks both eras; it falls back to initialize when the server is a legacy one
(2026-07-28 basic/versioning)."""

HANDSHAKE_VERSIONS: Final = frozenset((*LEGACY, "2024-10-07"))
"""Versions that initialize can negotiate: the legacy revisions, and the pre-release the TypeScript SDK 1.x accepts."""


def is_handshake_version(version: JSON) -> bool:
    """Whether initialize can negotiate a version."""
    return isinstance(version, str) and version in HANDSHAKE_VERSIONS


def initialize_fault(message: Mapping[str, JSON] | None) -> str | None:
    """Return what an initialize request lacks, None when it has all of it (basic/lifecycle, Initialization)."""
    params = message.get("params") if message else None
    if not isinstance(params, Mapping):
        return "params is missing or no object"
    for name, kind in (("protocolVersion", str), ("capabilities", Mapping), ("clientInfo", Mapping)):
        if not isinstance(params.get(name), kind):
            return f"{name} is missing or malformed"
    if not all(isinstance(params["clientInfo"].get(name), str) for name in ("name", "version")):
        return "clientInfo lacks name or version"
    return None


def result_fault(result: Mapping[str, JSON]) -> str | None:
    """Return what an InitializeResult lacks, None when it is complete (basic/lifecycle, Initialization)."""
    if not isinstance(result.get("protocolVersion"), str):
        return "protocolVersion is missing or malformed"
    if not isinstance(result.get("capabilities"), Mapping):
        return "capabilities is missing or malformed"
    info = result.get("serverInfo")
    if not isinstance(info, Mapping):
        return "serverInfo is missing or malformed"
    if not all(isinstance(info.get(name), str) for name in ("name", "version")):
        return "serverInfo lacks name or version"
    return None


def asked_version(exchange: Exchange) -> str | None:
    """Return the protocolVersion that an initialize asked for."""
    params = exchange.request.get("params") if isinstance(exchange.request, Mapping) else None
    version = params.get("protocolVersion") if isinstance(params, Mapping) else None
    return version if isinstance(version, str) else None


def answered_version(exchange: Exchange) -> JSON:
    """Return the protocolVersion that an initialize was answered with, None when there was no result."""
    answer = exchange.answer()
    return answer.result.get("protocolVersion") if answer is not None and answer.result is not None else None


def posted(transcript: Transcript, method: str, client: str | None = None) -> tuple[Exchange, ...]:
    """Return the clients' POSTs of one JSON-RPC method."""
    return tuple(item for item in transcript.client(client) if item.rpc_method == method)


def sound_initializes(transcript: Transcript) -> tuple[Exchange, ...]:
    """Return the clients' initializes that lack nothing."""
    return tuple(item for item in posted(transcript, "initialize") if initialize_fault(item.request) is None)


def faulty_initializes(transcript: Transcript) -> tuple[Exchange, ...]:
    """Return the clients' initializes that lack something."""
    return tuple(item for item in posted(transcript, "initialize") if initialize_fault(item.request) is not None)


def issues_sessions(transcript: Transcript) -> bool:
    """Whether initialize was answered with a session id."""
    return any("mcp-session-id" in item.response_headers for item in initializes(transcript))


def listed(exchange: Exchange, key: str) -> tuple[str, ...] | None:
    """Return the names in the answer to a list request, None when it had no result."""
    answer = exchange.answer()
    items = answer.result.get(key) if answer is not None and answer.result is not None else None
    if not isinstance(items, list):
        return None
    return tuple(str(item.get("name")) for item in items if isinstance(item, Mapping))


def said(exchange: Exchange) -> str:
    """Return in words how an exchange was answered."""
    if exchange.status is None:
        return f"not at all ({exchange.how})"
    answer = exchange.answer()
    if answer is None:
        what = "an event stream without an answer" if exchange.is_stream else "no JSON-RPC answer"
    elif answer.result is not None:
        what = "a result"
    else:
        error = answer.error or {}
        what = f"error {error.get('code')} {str(error.get('message'))[:100]!r}"
    return f"{exchange.status} with {what}"


def settled_at(transcript: Transcript, exchange: Exchange) -> float:
    """Return when a request was answered, else when its exchange was over, in seconds.

    The head of an event stream says nothing yet: servers send it as soon as they have the request.
    """
    answer = exchange.answer()
    return answer.t if answer is not None else transcript.end_of(exchange)


# the backend's side --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Handshake:
    """An initialize that the gateway sent to a backend. answer: the backend's response, None while there is none."""

    session: BackendSession
    request: Message
    answer: Message | None


def handshakes(transcript: Transcript) -> tuple[Handshake, ...]:
    """Return every initialize the gateway sent to a backend, in order."""
    found = [
        Handshake(session, request, session.response_to(request))
        for session in transcript.backend_sessions
        for request in session.up("initialize")
    ]
    return tuple(sorted(found, key=lambda item: item.request.seq))


def stateless_taps(transcript: Transcript) -> frozenset[str]:
    """Return the HTTP backends that issue no session id: nothing there ties a request to its handshake.

    An initialize that was refused shows nothing: a session may have been issued to another.
    """
    shown = [
        item
        for item in handshakes(transcript)
        if item.session.transport == "http" and item.answer is not None and item.answer.result is not None
    ]
    return frozenset(item.session.tap for item in shown if item.session.key.startswith("without a session id"))


def asked_of_backends(transcript: Transcript, exchange: Exchange) -> tuple[tuple[Message, Message | None], ...]:
    """Return what the gateway asked of backends because of a client's request, each with the backend's answer."""
    sessions = {item.key: item for item in transcript.backend_sessions}
    return tuple(
        (link.backend, sessions[link.backend.session].response_to(link.backend))
        if link.backend.session in sessions
        else (link.backend, link.exchange.answer() if link.exchange is not None else None)
        for link in links(transcript)
        if link.client.id == exchange.id
    )


def blame(inputs: Inputs, exchange: Exchange, same: Callable[[Message, Message | None], bool]) -> Hop:
    """Return whose fault the answer to a client's request is: the backend's if it answered the linked one alike.

    As `base.charge`, but over stdio too. same: whether a backend's answer (None: it gave none) to what the gateway
    asked of it deviates likewise.
    """
    alike = any(same(request, answer) for request, answer in asked_of_backends(inputs.through, exchange))
    return Hop.BACKEND if alike else Hop.GATEWAY


def refused(_request: Message, answer: Message | None) -> bool:
    """Whether a backend answered with an error, or not at all."""
    return answer is None or answer.result is None


def clients_message(transcript: Transcript, message: Message) -> Exchange | None:
    """Return the client's exchange that made the gateway send `message` to a backend, None where nothing links them."""
    return next((link.client for link in links(transcript) if link.backend.seq == message.seq), None)


def lagged(transcript: Transcript, start: float, end: float) -> bool:
    """Whether a busy machine could have decided that nothing came between two times."""
    return transcript.lag(start, end) > (end - start) * timing.LAG_SHARE


# preconditions -------------------------------------------------------------------------------------------------------

INITIALIZE_SENT = Precondition(
    "initialize-sent", "an initialize that lacks nothing", lambda transcript: bool(sound_initializes(transcript))
)
INITIALIZE_ANSWERED = Precondition(
    "initialize-answered",
    "an initialize that was answered with a result",
    lambda transcript: bool(initializes(transcript)),
)
REVISION_ASKED = Precondition(
    "revision-asked",
    "an initialize for the revision of the cell, answered with a result",
    lambda transcript: any(
        asked_version(item) == transcript.header.get("revision") for item in initializes(transcript)
    ),
)
UNKNOWN_REVISION_ASKED = Precondition(
    "unknown-revision-asked",
    "an initialize for a version that no server negotiates",
    lambda transcript: any(asked_version(item) not in HANDSHAKE_VERSIONS for item in sound_initializes(transcript)),
)
BACKEND_HANDSHAKE = Precondition(
    "backend-handshake",
    "an initialize that the gateway sent to a backend",
    lambda transcript: bool(handshakes(transcript)),
)
