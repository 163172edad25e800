"""Short excerpts of the wire: the bytes that a verdict rests on, as the redacted evidence file holds them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Final

from conformance.evidence.events import JSON, Event, Kind
from conformance.evidence.transcript import Transcript

MOST: Final = 6
"""Pieces of one excerpt; the evidence file has the rest."""
LONGEST: Final = 400
"""Characters of one head or body that an excerpt shows."""

_BODIES: Final = {Kind.HTTP_REQUEST_BODY: Kind.HTTP_REQUEST, Kind.HTTP_RESPONSE_BODY: Kind.HTTP_RESPONSE}
"""Bodies and the heads that they belong to: one is not understood without the other."""


def excerpt(transcript: Transcript, decisive: Iterable[int]) -> list[dict[str, JSON]]:
    """Return the decisive events of a verdict as they stood on the wire, in order: {t, point, text} each.

    Heads bring their bodies along and bodies their heads. Empty where no event is decisive (the verdict then rests on
    what did not come), or none of them was on the wire.
    """
    wanted = frozenset(decisive)
    chosen = [event for event in transcript.events if event.seq in wanted]
    heads = {(event.data.get("exchange"), _BODIES.get(event.kind, event.kind)) for event in chosen}
    around = [
        event
        for event in transcript.events
        if event.seq in wanted
        or ("exchange" in event.data and (event.data["exchange"], _BODIES.get(event.kind, event.kind)) in heads)
    ]
    told = [(event, text) for event in around if (text := _text(event))]
    return [{"t": round(event.t, 3), "point": str(event.point), "text": text} for event, text in told[:MOST]]


def _text(event: Event) -> str:
    """Return what stood on the wire; empty for events that are no bytes."""
    data = event.data
    match event.kind:
        case Kind.HTTP_REQUEST:
            return _cut("\n".join((f"{data['method']} {data['target']}", *_headers(data))))
        case Kind.HTTP_RESPONSE:
            return _cut("\n".join((f"HTTP {data['status']}", *_headers(data))))
        case Kind.HTTP_REQUEST_BODY | Kind.HTTP_RESPONSE_BODY | Kind.STDIO_FRAME:
            return _cut(_body(data))
        case Kind.HTTP_RESPONSE_END:
            return f"(the response ended: {data['how']})"
        case Kind.HTTP_UNPARSED:
            return _cut(str(data.get("head", "")))
        case Kind.SSE_EVENT:
            fields = [f"{name}: {data[name]}" for name in ("id", "event", "retry") if data.get(name) is not None]
            return _cut("\n".join((*fields, f"data: {_body(data)}")))
        case Kind.SSE_COMMENT:
            return _cut(f": {data.get('text', '')}")
        case Kind.STDIO_STDERR | Kind.LOG:
            return _cut(str(data.get("text", data.get("line", ""))))
        case _:
            return ""


def _headers(data: Mapping[str, JSON]) -> list[str]:
    return [f"{name}: {value}" for name, value in data.get("headers", ())]


def _body(data: Mapping[str, JSON]) -> str:
    """Return a body as it was recorded: a JSON message, a text, or the head of one too long to be kept."""
    if data.get("message") is not None:
        return json.dumps(data["message"], ensure_ascii=False)
    return str(data.get("body", data.get("text", data.get("head", data.get("data", "")))))


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}… ({len(text)} characters)"
