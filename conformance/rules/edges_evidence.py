"""What the rules of family edges read from evidence: a client's request before the edge, and what passed behind it.

An edge relays requests and responses as they are, so that one is found again behind it by its method and its body
while the client waits; where several are the same, by the session's id. Each exchange behind belongs to one before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from conformance.evidence.events import JSON, Event, Kind, Point
from conformance.evidence.transcript import Exchange, Transcript
from conformance.rules.base import Precondition

SUITE: Final = "edges"
SESSION: Final = "mcp-session-id"
SENT: Final = ("accept", "content-type", SESSION, "mcp-protocol-version", "last-event-id", "authorization")
"""Headers of a request that an edge must hand on."""
ANSWERED: Final = ("content-type", SESSION, "www-authenticate", "allow")
"""Headers of a response that an edge must hand on."""
REDIRECTS: Final = (301, 302, 303, 307, 308)


@dataclass(frozen=True, slots=True)
class Passage:
    """A client's request.

    behind: what the edge asked of replicas because of it, in order; the answer to the last one counts.
    """

    front: Exchange
    behind: tuple[Exchange, ...]

    @property
    def back(self) -> Exchange | None:
        """The exchange whose answer the client was to have, None where the edge asked nobody."""
        return self.behind[-1] if self.behind else None

    @property
    def exchanges(self) -> tuple[Exchange, ...]:
        """Both sides."""
        return (self.front, *self.behind)


def passages(transcript: Transcript) -> tuple[Passage, ...]:
    """Return the clients' requests with what passed behind the edge because of each, in order."""
    free = list(transcript.behind_edge)
    found = []
    for front in transcript.client():
        until = transcript.over_for_client(front)
        mine = [item for item in free if _same(front, item) and front.t <= item.t <= until]
        named = [item for item in mine if item.headers.get(SESSION) == front.headers.get(SESSION)]
        chosen = tuple(named or mine[:1])
        free = [item for item in free if item not in chosen]
        found.append(Passage(front, chosen))
    return tuple(found)


def _same(front: Exchange, item: Exchange) -> bool:
    return front.method == item.method and front.request == item.request


def variant(transcript: Transcript) -> Mapping[str, JSON]:
    """Return the edge's variant as the header tells it, empty where no edge stood there."""
    found: Mapping[str, JSON] = (transcript.edge or {}).get("variant", {})
    return found


def title(transcript: Transcript) -> str:
    """Return what the edge is called."""
    return str((transcript.edge or {}).get("title") or (transcript.edge or {}).get("name") or "the edge")


def replicas(transcript: Transcript) -> int:
    """Return how many replicas stood behind the edge, 0 without one."""
    return int((transcript.edge or {}).get("replicas", 0))


def passed_on(transcript: Transcript) -> tuple[Passage, ...]:
    """Return the passages of requests that reached a replica."""
    return tuple(item for item in passages(transcript) if item.back is not None)


def posts(transcript: Transcript) -> tuple[Passage, ...]:
    """Return the passages of what clients posted."""
    return tuple(item for item in passages(transcript) if item.front.method == "POST")


def streams(transcript: Transcript) -> tuple[Passage, ...]:
    """Return the passages of GETs that a replica answered with an event stream."""
    gets = (item for item in passed_on(transcript) if item.front.method == "GET")
    return tuple(item for item in gets if item.back is not None and item.back.status == 200 and item.back.is_stream)


def calls(transcript: Transcript) -> tuple[Passage, ...]:
    """Return the passages of calls that reached a replica."""
    return tuple(item for item in passed_on(transcript) if item.front.rpc_method == "tools/call")


def handshake_failures(transcript: Transcript) -> tuple[Event, ...]:
    """Return the connections of clients that ended in the TLS handshake with the edge."""
    failed = (event for event in transcript.of(Kind.CONN_FAILED) if event.point is Point.CLIENT_TAP)
    return tuple(event for event in failed if "TLS handshake" in str(event.data.get("error")))


def steps(transcript: Transcript, *names: str) -> tuple[Event, ...]:
    """Return the stimuli of those names, in order."""
    return tuple(event for event in transcript.of(Kind.STIMULUS) if event.data.get("name") in names)


def served(exchange: Exchange) -> bool:
    """Whether a request was answered with a result, or a notification taken."""
    answer = exchange.answer()
    if isinstance(exchange.request, Mapping) and "id" not in exchange.request:
        return exchange.status is not None and exchange.status < 300
    return answer is not None and answer.result is not None


def refusal(exchange: Exchange) -> str:
    """Return how a request was not served, in a few words."""
    if exchange.status is None:
        return "no response"
    answer = exchange.answer()
    return f"{exchange.status} {exchange.content_type}".rstrip() + (" with an error" if answer else "")


def edged(name: str, missing: str, holds: Callable[[Transcript], object]) -> Precondition:
    """Return a precondition of this family: an edge stood there, and something was seen."""
    return Precondition(name, missing, lambda transcript: transcript.edge is not None and bool(holds(transcript)))


def asked_host(transcript: Transcript, exchange: Exchange) -> str:
    """Return the Host that a client's request reached the edge with: a tap that speaks TLS puts the edge's name in."""
    for event in transcript.of(Kind.CONN_CONNECTED):
        if (event.data["tap"], event.data["conn"]) == (exchange.tap, exchange.conn) and event.data.get("host"):
            return str(event.data["host"])
    return exchange.headers.get("host", "")


def lost_header(item: Passage) -> str:
    """Return which header the edge dropped or changed, on its way to the replica or back; empty for none."""
    assert item.back is not None
    for name in SENT:
        if name in item.front.headers and item.back.headers.get(name) != item.front.headers[name]:
            asked = f"{item.front.method} {item.front.rpc_method or ''}".rstrip()
            return f"{_how(name, item.back.headers.get(name))} of {asked}"
    if item.front.status != item.back.status:
        return ""  # the edge's own answer: other rules speak of that
    for name in ANSWERED:
        if name in item.back.response_headers:
            came = item.front.response_headers.get(name)
            if came != item.back.response_headers[name]:
                return f"{_how(name, came)} of the answer {item.back.status}"
    return ""


def _how(name: str, now: str | None) -> str:
    return f"dropped {name}" if now is None else f"changed {name} to {now!r}"
