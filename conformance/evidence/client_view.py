"""A real client's conversation, seen as that of a gateway with its backend.

Rules of side C judge who speaks to a server, by what the backend tap saw. In a cell that a real client drove it is the
client that speaks to a server, at the client tap; this view puts the one tap's conversation in the other's place.
"""

from __future__ import annotations

from dataclasses import replace

from conformance.evidence.events import Event, Point
from conformance.evidence.transcript import Transcript

_BEHIND = (Point.BACKEND_TAP, Point.STDIO_TAP)


def real_client(transcript: Transcript) -> str:
    """Return the name of the real client that drove the cell, empty where the harness itself was the client."""
    return str(transcript.header.get("client") or "")


def as_seen_by_client(transcript: Transcript) -> Transcript:
    """Return the evidence with the real clients' conversation on the backend's side, and nothing on the clients'.

    What the harness asked beside them is left out: it is not theirs. Events keep their numbers and times, so that what
    a verdict names is found in the file.
    """
    header, *others = transcript.events
    theirs = {f"client:{step.data['client']}" for step in transcript.stimuli("client.step")}
    kept = [_moved(event) for event in others if event.point not in _BEHIND and not _of_others(event, theirs)]
    return Transcript((replace(header, data={**header.data, "backend_tapped": True}), *kept))


def _of_others(event: Event, clients: set[str]) -> bool:
    return event.point is Point.CLIENT_TAP and event.data.get("tap") not in clients


def _moved(event: Event) -> Event:
    return replace(event, point=Point.BACKEND_TAP) if event.point is Point.CLIENT_TAP else event
