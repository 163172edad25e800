"""What the rules on two backends behind one gateway read off the evidence; each stands in the family of its topic."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from conformance.evidence.events import Event
from conformance.evidence.links import links, nonce_of
from conformance.evidence.transcript import Exchange, Transcript
from conformance.rules.session_reuse_evidence import posted, said
from conformance.rules.transparency_messages_evidence import texts_of

FIRST: Final = "backend:main"
SECOND: Final = "backend:second"
"""The taps before the two backends."""

DIED: Final = "second.stop"
STARTED: Final = "second.start"
READY: Final = "second.ready"
"""Steps of a drive: the second backend is stopped, is being started, answers."""


def second_is(transcript: Transcript, state: str) -> bool:
    """Whether the gateway had two backends, and this was the second one's state when it started."""
    return bool(transcript.header.get("second_backend") == state)


def step_at(transcript: Transcript, step: str) -> float:
    """Return when the drive first took a step of that name, in seconds; the recording's end if it never did."""
    return next((event.t for event in transcript.stimuli(step)), transcript.end)


def expected(transcript: Transcript) -> Mapping[str, str]:
    """Return the names by which the target offers a tool of both backends, by the tap before the backend."""
    told: Mapping[str, str] = next((event.data["names"] for event in transcript.stimuli("two.expected")), {})
    return told


def calls_of(transcript: Transcript, backend: str) -> tuple[Exchange, ...]:
    """Return the clients' calls that the drive made of one backend's tool, in order."""
    nonces = {event.data["nonce"] for event in _called(transcript) if event.data["backend"] == backend}
    return tuple(item for item in posted(transcript, "tools/call") if nonce_of(item) in nonces)


def name_of(transcript: Transcript, call: Exchange) -> str:
    """Return the name of the tool that such a call was made of."""
    nonce = nonce_of(call)
    return next((str(event.data["tool"]) for event in _called(transcript) if event.data["nonce"] == nonce), "")


def _called(transcript: Transcript) -> tuple[Event, ...]:
    return transcript.stimuli("two.called")


def reached(transcript: Transcript, call: Exchange) -> frozenset[str]:
    """Return the taps of the backends at which a call arrived."""
    return frozenset(link.backend.tap for link in links(transcript) if link.client.id == call.id)


def unserved(call: Exchange) -> bool:
    """Whether a call has no result that the backend gave, which would carry the call's nonce."""
    answer = call.answer()
    return answer is None or answer.result is None or str(nonce_of(call)) not in str(answer.result)


def told(exchange: Exchange) -> str:
    """Return in words how a request was answered, with the beginning of a result's text."""
    answer = exchange.answer()
    texts = texts_of(answer) if answer is not None else []
    return f"{said(exchange)}: {str(texts[0])[:100]!r}" if texts else said(exchange)
