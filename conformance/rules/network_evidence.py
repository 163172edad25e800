"""What the rules of suite network read: the fault that was brought about, what probes show, what the gateway did."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from conformance.evidence.events import Event, Kind, Point
from conformance.evidence.network import Facts, made_by_probes, probes, sent_by_gateway, standpoint
from conformance.evidence.transcript import Exchange, Message, Transcript
from conformance.rules.base import Precondition
from conformance.rules.spin_up_start import said

SUITE: Final = "network"
TRIGGER: Final = "trigger"
SOUND: Final = ("none", "tls")
"""Ways on which nothing is wrong."""
BAD_CERTIFICATES: Final = ("tls-name-or-trust", "tls-certificate-expired", "tls-untrusted-issuer")
UNANSWERED: Final = "connect-blocked"
SILENT: Final = "accepts-but-silent"

_ASKED: Final = ("initialize", "tools/list", "tools/call")
_CLIENT_HELLO: Final = "\x16\x03"
"""How a TLS handshake begins (RFC 8446, section 5.1)."""
_PLAIN_HELLO: Final = "HTTP_REQUEST"
"""OpenSSL's reason for a handshake in whose place an HTTP request came."""


def fault(transcript: Transcript) -> str:
    """Return what the scenario put wrong on the way to the backend, empty where it is not about that."""
    return str(transcript.header.get("network_fault") or "")


def _triggered(transcript: Transcript) -> bool:
    return bool(transcript.stimuli(TRIGGER))


PROBED: Final = Precondition(
    "network-probed",
    "a probe of the gateway's way to its backend, from where the gateway stands",
    lambda transcript: standpoint(probes(transcript, "backend")) is not None,
)
UNREACHABLE: Final = Precondition(
    "network-unreachable",
    "a client of a gateway whose backend cannot be reached",
    lambda t: _triggered(t) and fault(t) not in ("", *SOUND, UNANSWERED, SILENT),
)
FILTERED: Final = Precondition(
    "network-filtered",
    "a client of a gateway whose backend's port does not answer TCP",
    lambda t: _triggered(t) and fault(t) == UNANSWERED,
)
BAD_CERTIFICATE: Final = Precondition(
    "network-bad-certificate",
    "a client of a gateway whose backend presents a certificate that does not hold",
    lambda t: _triggered(t) and fault(t) in BAD_CERTIFICATES,
)
FRONT_PROBED: Final = Precondition(
    "network-front-probed",
    "a probe of a client's way to the gateway",
    lambda transcript: standpoint(probes(transcript, "client")) is not None,
)


@dataclass(frozen=True, slots=True)
class Told:
    """What a client was told. how: `error`, `hang`, `empty` (a response that ended without an answer) or `success`."""

    how: str
    what: str
    exchange: Exchange | None = None
    events: tuple[int, ...] = ()

    @property
    def seen(self) -> tuple[int, ...]:
        """The events that it rests on."""
        return (*(self.exchange.events if self.exchange is not None else ()), *self.events)


def told(transcript: Transcript) -> Told:
    """Return what came of the last of the client's initialize, tools/list and tools/call."""
    ended = [event for event in transcript.of(Kind.PROCESS_EXIT) if event.data.get("name") == "gateway"]
    asked = [item for item in transcript.client() if item.rpc_method in _ASKED]
    if not asked:
        return _unasked(transcript, ended)
    last = asked[-1]
    answer = last.answer()
    if answer is not None and answer.result is not None:
        failed = bool(answer.result.get("isError")) or _in_words(transcript, last, answer)
        how, what = ("error", "a result that tells of an error") if failed else ("success", "a result")
        return Told(how, f"{last.rpc_method} was answered with {what}", last)
    if answer is None and last.how in ("open", "abandoned") and last.status in (None, 200):
        seconds = transcript.end_of(last) - last.t
        return Told("hang", f"{last.rpc_method} had no answer in {seconds:.1f} s", last)
    if answer is None and last.status is not None and last.status < 400:
        return Told("empty", f"{last.rpc_method} was answered with {said(last)}, and the response ended", last)
    took = transcript.end_of(last) - last.t
    return Told("error", f"{last.rpc_method} was answered with {said(last)} after {took:.1f} s", last)


def _in_words(transcript: Transcript, call: Exchange, answer: Message) -> bool:
    """Whether a gateway's own tool, through which a backend's is called, gave a text of its own in place of the result.

    What is in such a text is that tool's business; the backend's result would hold the call's nonce.
    """
    if transcript.meta_tool is None or call.rpc_method != "tools/call":
        return False
    sent = call.request["params"].get("arguments") or {}
    return str(sent.get("nonce")) not in str(answer.result)


def _unasked(transcript: Transcript, ended: list[Event]) -> Told:
    """Return what a client was told that could not even send its request."""
    failed = tuple(event.seq for event in transcript.of(Kind.CONN_FAILED) if event.point is Point.CLIENT_TAP)
    if ended:
        what = f"the gateway had ended with status {ended[0].data.get('code')} and refuses connections"
        return Told("error", what, events=(ended[0].seq, *failed))
    if failed:
        return Told("error", "the gateway does not listen, though it runs", events=failed)
    return Told("hang", "the client's connection was accepted and its request never read")


def served_all_the_same(transcript: Transcript) -> Exchange | None:
    """Return an exchange in which the gateway reached its backend, which the fault should have kept it from."""
    found = (item for item in sent_by_gateway(transcript) if item.status is not None and item.status < 400)
    return next(found, None)


def spoke_otherwise(transcript: Transcript, given: Facts) -> tuple[Event, str] | None:
    """Return where the gateway spoke TLS to an http URL, or plain HTTP to an https one, and the class that this is."""
    probed = made_by_probes(transcript)
    for event in transcript.of(Kind.HTTP_UNPARSED, Kind.CONN_FAILED):
        if event.point is not Point.BACKEND_TAP or (event.data["tap"], event.data["conn"]) in probed:
            continue
        if not given["secure"] and str(event.data.get("head", "")).startswith(_CLIENT_HELLO):
            return event, "tls-to-plain-http"
        if given["secure"] and _PLAIN_HELLO in str(event.data.get("error", "")):
            return event, "plain-http-to-tls"
    return None


def handshakes_failed(transcript: Transcript) -> tuple[Event, ...]:
    """Return the connections on which the gateway and the tap before its backend did not agree on TLS."""
    probed = made_by_probes(transcript)
    return tuple(
        event
        for event in transcript.of(Kind.CONN_FAILED)
        if event.point is Point.BACKEND_TAP and (event.data["tap"], event.data["conn"]) not in probed
    )
