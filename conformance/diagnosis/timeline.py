"""The decisive events of both sides in time order, one readable line each. Everything a peer sent is made printable."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from conformance.evidence.events import JSON, Event, Kind, Point
from conformance.evidence.network import obstacle
from conformance.evidence.transcript import SENTINEL, Transcript

MOST: Final = 24
"""Lines of one timeline; what lies between the kept ones is left out."""
_WIDTH: Final = 160

_WHO: Final = {
    Point.APPLICATION_TAP: ("application", "client"),
    Point.CLIENT_TAP: ("client", "gateway"),
    Point.BACKEND_TAP: ("gateway", "backend"),
    Point.STDIO_TAP: ("gateway", "backend"),
    Point.ENGINE_TAP: ("gateway", "engine"),
}

_PLACES: Final = {
    "host": "this machine",
    "gateway": "the gateway's network namespace",
    "client": "a client's container",
    "beyond": "past what stands before it",
}


@dataclass(frozen=True, slots=True)
class Moment:
    """One line of a timeline. t: seconds since the cell's first event. decisive: whether the verdict rests on it."""

    t: float
    point: str
    text: str
    decisive: bool = False

    def to_json(self) -> dict[str, JSON]:
        """Return its record in report.jsonl."""
        return {"t": round(self.t, 4), "point": self.point, "text": self.text, "decisive": self.decisive}


@dataclass(frozen=True, slots=True)
class Sent:
    """A message between two participants, read off a line. outward: from the near one to the far one."""

    near: str
    far: str
    outward: bool
    what: str


_SENT: Final = re.compile(
    r"(application|client|edge|gateway) ([→←]) (client|edge|gateway|backend|engine)(?: \(stdio\))?: (.*)", re.DOTALL
)


def sent(text: str) -> Sent | None:
    """Return what a line of a timeline says was sent, None for one that tells of something else."""
    found = _SENT.fullmatch(text)
    return Sent(found[1], found[3], found[2] == "→", found[4]) if found else None


def printable(text: str) -> str:
    """Return `text` with control, format and other unprintable characters as escapes, cut to one line's width."""
    shown = "".join(c if unicodedata.category(c)[0] not in "CZ" or c == " " else f"\\u{ord(c):04x}" for c in text)
    return shown if len(shown) <= _WIDTH else shown[: _WIDTH - 1] + "…"


def timeline(transcript: Transcript, decisive: Iterable[int]) -> tuple[Moment, ...]:
    """Return the decisive events and what happened around them on both sides, at most MOST lines."""
    wanted, edged = frozenset(decisive), transcript.edge is not None
    told = [
        (event, text)
        for event in transcript.events
        if event.data.get("tap") != f"client:{SENTINEL}" and (text := _text(event, _sides(event, edged=edged)))
    ]
    positions = [index for index, (event, _) in enumerate(told) if event.seq in wanted]
    if not positions:
        return tuple(_moment(event, text, wanted) for event, text in told[:MOST])
    kept = set(positions[:MOST])
    distance = 1
    while len(kept) < min(MOST, len(told)) and distance < len(told):
        for position in positions:
            for near in (position - distance, position + distance):
                if 0 <= near < len(told) and len(kept) < MOST:
                    kept.add(near)
        distance += 1
    return tuple(_moment(*told[index], wanted) for index in sorted(kept))


def _moment(event: Event, text: str, wanted: frozenset[int]) -> Moment:
    return Moment(event.t, str(event.point), printable(text), event.seq in wanted)


def _sides(event: Event, *, edged: bool) -> tuple[str, str]:
    """Return who stands on either side of where an event was seen. edged: whether an edge stands before the gateway."""
    if edged and event.point is Point.CLIENT_TAP:
        return "client", "edge"
    if event.point is Point.EDGE_TAP:
        return "edge", f"gateway {str(event.data.get('tap')).removeprefix('edge:')}"
    return _WHO.get(event.point, ("", ""))


def _text(event: Event, sides: tuple[str, str]) -> str:
    """Return what one event says, empty for those that no reader needs."""
    told = _TOLD.get(event.kind)
    return told(event.data, *sides) if told is not None else ""


def _response_body(data: Data, near: str, far: str) -> str:
    return f"{near} ← {far}: {_rpc(data)}" if data.get("length") else ""


def _response_end(data: Data, near: str, far: str) -> str:
    return f"{near} ← {far}: response ended ({data['how']})" if data.get("how") != "complete" else ""


def _request_body(data: Data, near: str, far: str) -> str:
    return f"{near} → {far}: {_rpc(data)}" if data.get("message") is not None else ""


def _stimulus(data: Data, _near: str, _far: str) -> str:
    detail = {name: value for name, value in data.items() if name != "name"}
    return f"scenario: {data.get('name')} {json.dumps(detail, ensure_ascii=False) if detail else ''}".strip()


def _probe(data: Data, _near: str, _far: str) -> str:
    seen = obstacle(data)
    answered = f"{data.get('status')} {data.get('content_type')}".rstrip()
    return f"probe from {_PLACES[data['place']]}: {data['url']}: {seen.says if seen is not None else answered}"


def _arrow(data: Data) -> str:
    return "→" if data.get("dir") == "up" else "←"


Data: TypeAlias = Mapping[str, JSON]
_TOLD: Final[Mapping[Kind, Callable[[Data, str, str], str]]] = {
    Kind.HTTP_REQUEST: lambda d, near, far: f"{near} → {far}: {d['method']} {d['target']}{_session(d)}",
    Kind.HTTP_REQUEST_BODY: _request_body,
    Kind.HTTP_RESPONSE: lambda d, near, far: f"{near} ← {far}: {d['status']} {_header(d, 'content-type')}{_session(d)}",
    Kind.HTTP_RESPONSE_BODY: _response_body,
    Kind.HTTP_RESPONSE_END: _response_end,
    Kind.SSE_EVENT: lambda d, near, far: f"{near} ← {far}: event {d.get('event')}: {_rpc(d)}",
    Kind.SSE_COMMENT: lambda d, near, far: f"{near} ← {far}: comment {d.get('text')!r}",
    Kind.STDIO_FRAME: lambda d, near, far: f"{near} {_arrow(d)} {far} (stdio): {_rpc(d)}",
    Kind.STDIO_START: lambda d, _near, far: f"{far} process {d.get('pid')} started",
    Kind.STDIO_EXIT: lambda d, _near, far: f"{far} process exited with {d.get('code')}",
    Kind.ENGINE_EVENT: lambda d, _near, _far: (
        f"engine: {d.get('action')} {str(d.get('container'))[:12]} ({d.get('image')})"
    ),
    Kind.CONN_FAILED: lambda d, near, far: f"{near} → {far}: connection failed ({d.get('error')})",
    Kind.CONN_FIN: lambda d, near, far: f"{near} {_arrow(d)} {far}: connection closed",
    Kind.CONN_RST: lambda d, near, far: f"{near} {_arrow(d)} {far}: reset",
    Kind.PROCESS_EXIT: lambda d, _near, _far: f"{d.get('name')} exited with {d.get('code')}",
    Kind.STIMULUS: _stimulus,
    Kind.NETWORK_PROBE: _probe,
}


def _header(data: Mapping[str, JSON], wanted: str) -> str:
    return next((value for name, value in data.get("headers", ()) if name.lower() == wanted), "")


def _session(data: Mapping[str, JSON]) -> str:
    session = _header(data, "mcp-session-id")
    return f" session {session[:8]}…" if session else ""


def _rpc(data: Mapping[str, JSON]) -> str:
    """Return a JSON-RPC message in a few words, or the body's beginning."""
    message = data.get("message")
    if not isinstance(message, Mapping):
        return json.dumps(message if message is not None else str(data.get("body", ""))[:120], ensure_ascii=False)
    number = f" id {json.dumps(message['id'])}" if "id" in message else ""
    if "method" in message:
        return f"{message['method']}{number}"
    if "error" in message:
        return f"error{number}: {json.dumps(message['error'], ensure_ascii=False)}"
    return f"result{number}"
