"""What rules read: evidence grouped into exchanges, JSON-RPC messages and sessions. Pure, built once per file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from conformance.evidence.events import JSON, Event, Kind, Point
from conformance.evidence.exchanges import BackendSession, Beat, Exchange, Message, StdioProcess, each
from conformance.evidence.log import read_evidence
from conformance.evidence.meta_tools import MetaTool
from conformance.evidence.tool_names import ToolNames

__all__ = ["PROBE_AGENT", "SENTINEL", "BackendSession", "Beat", "Exchange", "Message", "StdioProcess", "Transcript"]

SENTINEL = "sentinel"
"""Name of the client that makes the sentinel exchanges before and after a scenario."""
PROBE_AGENT = "mcp-gateway-conformance-probe"
"""User-Agent of what the harness itself asks of the container engine in the gateway's place."""


class Transcript:
    """The evidence of one cell, grouped. Everything is computed on first use and never changed."""

    def __init__(self, events: Iterable[Event]) -> None:
        self.events: tuple[Event, ...] = tuple(events)

    @classmethod
    def read(cls, path: Path) -> Transcript:
        """Return the transcript of an evidence file; raises EvidenceError as `read_evidence` does."""
        return cls(read_evidence(path))

    @property
    def header(self) -> Mapping[str, JSON]:
        """What the file says about its cell."""
        return self.events[0].data

    @property
    def footer(self) -> Mapping[str, JSON]:
        """How the drive ended."""
        return self.events[-1].data

    @cached_property
    def meta_tool(self) -> MetaTool | None:
        """The gateway's own tool through which clients call its backend's tools, None where they call these."""
        return MetaTool.of_header(self.header)

    @property
    def tool_names(self) -> ToolNames:
        """What the gateway makes of its backend's names for tools."""
        return ToolNames.of_header(self.header)

    @property
    def end(self) -> float:
        """Time of the last event, in seconds."""
        return self.events[-1].t

    def of(self, *kinds: Kind) -> tuple[Event, ...]:
        """Return the events of some kinds, in order."""
        return tuple(event for event in self.events if event.kind in kinds)

    def stimuli(self, name: str) -> tuple[Event, ...]:
        """Return the stimuli of one name, in order."""
        return tuple(event for event in self.of(Kind.STIMULUS) if event.data.get("name") == name)

    def lag(self, start: float, end: float) -> float:
        """Return how far a busy machine falsifies what was measured between two times, in seconds.

        The harness's worst recorded lag, or what the gateway waited for a processor altogether, if that is more.
        """
        lags = (float(e.data.get("seconds", 0.0)) for e in self._between(Kind.LAG, start - 1.0, end + 1.0))
        waits = (float(e.data["seconds"]) for e in self._between(Kind.PROCESSOR_WAIT, start, end + 0.5))
        return max(max(lags, default=0.0), sum(waits))

    def _between(self, kind: Kind, start: float, end: float) -> Iterator[Event]:
        return (event for event in self.of(kind) if start <= event.t <= end)

    @cached_property
    def exchanges(self) -> tuple[Exchange, ...]:
        """Every HTTP exchange of every tap, in order of their requests."""
        found: dict[str, Exchange] = {}
        beats: dict[str, list[Beat]] = {}
        for event in self.events:
            key = event.data.get("exchange")
            if key is None:
                continue
            if event.kind is Kind.HTTP_REQUEST:
                found[key] = _opened(event)
            elif key in found:
                if event.kind in (Kind.SSE_EVENT, Kind.SSE_COMMENT):
                    beats.setdefault(key, []).append(_beat(event))
                else:
                    found[key] = _advanced(found[key], event)
        whole = (replace(item, beats=tuple(beats.get(key, ()))) for key, item in found.items())
        return tuple(_plain(item, self.meta_tool) for item in whole)

    def client(self, name: str | None = None) -> tuple[Exchange, ...]:
        """Return the exchanges between a client and the gateway: of one client, or of all but the sentinel."""
        wanted = f"client:{name}"
        return tuple(
            item
            for item in self.exchanges
            if item.point is Point.CLIENT_TAP and (item.tap == wanted if name else item.tap != f"client:{SENTINEL}")
        )

    @cached_property
    def probe_answered(self) -> bool:
        """Whether the gateway answered the initialize of the readiness probe, which then ended its session."""
        return any(
            event.data["ok"] and str(event.data["what"]).startswith("gateway answers")
            for event in self.of(Kind.READINESS)
        )

    @cached_property
    def behind_edge(self) -> tuple[Exchange, ...]:
        """The HTTP exchanges between the edge and the gateway's replicas; `tap` tells which, as `edge:2`."""
        return tuple(item for item in self.exchanges if item.point is Point.EDGE_TAP)

    @property
    def edge(self) -> Mapping[str, JSON] | None:
        """What the header says of the edge before the gateway, None where none stood there."""
        found: Mapping[str, JSON] | None = self.header.get("edge")
        return found

    @cached_property
    def backend(self) -> tuple[Exchange, ...]:
        """The HTTP exchanges between the gateway and its backends."""
        return tuple(item for item in self.exchanges if item.point is Point.BACKEND_TAP)

    @cached_property
    def engine(self) -> tuple[Exchange, ...]:
        """What the gateway asked of the container engine, the harness's own probes aside."""
        return tuple(
            item
            for item in self.exchanges
            if item.point is Point.ENGINE_TAP and item.headers.get("user-agent") != PROBE_AGENT
        )

    def left_at(self, exchange: Exchange) -> float | None:
        """Return when the client of `exchange` closed or reset its connection, in seconds; None when it did not."""
        for event in self.of(Kind.CONN_FIN, Kind.CONN_RST):
            if (event.data["tap"], event.data["conn"], event.data["dir"]) == (exchange.tap, exchange.conn, "up"):
                return event.t
        return None

    def end_of(self, exchange: Exchange) -> float:
        """Return when an exchange was over, at the latest with the evidence, in seconds."""
        return exchange.ended(self.end)

    def over_for_client(self, exchange: Exchange) -> float:
        """Return when an exchange was over for its client, in seconds: it left, the response or the recording ended."""
        ends = (self.left_at(exchange), exchange.t_end)
        return min((end for end in ends if end is not None), default=self.end)

    @property
    def sees_backend(self) -> bool:
        """Whether a backend-side tap stood in this cell at all."""
        return bool(self.header.get("backend_tapped"))

    @cached_property
    def processes(self) -> tuple[StdioProcess, ...]:
        """The runs of stdio backends, in order of their start."""
        return _processes(event for event in self.events if event.point is Point.STDIO_TAP)

    @cached_property
    def stdio_clients(self) -> tuple[StdioProcess, ...]:
        """The runs of clients that speak stdio to their application: `up` is what the application says to them."""
        return _processes(event for event in self.events if event.point is Point.APPLICATION_TAP)

    @cached_property
    def backend_sessions(self) -> tuple[BackendSession, ...]:
        """The gateway's sessions towards its backends, over HTTP and stdio, in order of their first message."""
        sessions = [*_http_sessions(self.backend), *_stdio_sessions(self.processes)]
        return tuple(sorted(sessions, key=lambda item: item.messages[0].seq if item.messages else 0))

    @cached_property
    def backend_messages(self) -> tuple[Message, ...]:
        """Every JSON-RPC message between the gateway and its backends, in order."""
        return tuple(sorted((m for s in self.backend_sessions for m in s.messages), key=lambda m: m.seq))

    def client_messages(self, name: str | None = None) -> tuple[Message, ...]:
        """Return the JSON-RPC messages between clients and the gateway, in order."""
        found = [message for exchange in self.client(name) for message in _messages(exchange)]
        return tuple(sorted(found, key=lambda m: m.seq))


def _plain(exchange: Exchange, tool: MetaTool | None) -> Exchange:
    """Return a client's exchange with the calls and results that it carries in those of the gateway's own tool."""
    if tool is None or exchange.point is not Point.CLIENT_TAP:
        return exchange
    request = tool.unwrapped(exchange.request)
    return replace(
        exchange,
        request=request,
        wrapped=None if request is exchange.request else exchange.request,
        body=tool.result(exchange.body),
        beats=tuple(replace(beat, message=tool.result(beat.message)) for beat in exchange.beats),
    )


def _opened(event: Event) -> Exchange:
    data = event.data
    return Exchange(
        id=data["exchange"],
        tap=data["tap"],
        point=event.point,
        conn=data["conn"],
        seq=event.seq,
        t=event.t,
        method=data["method"],
        target=data["target"],
        headers=_headers(data["headers"]),
    )


def _headers(pairs: Iterable[Iterable[str]]) -> dict[str, str]:
    merged: dict[str, str] = {}
    for name, value in pairs:
        lower = name.lower()
        merged[lower] = f"{merged[lower]}, {value}" if lower in merged else value
    return merged


def _advanced(exchange: Exchange, event: Event) -> Exchange:
    data = event.data
    if event.kind is Kind.HTTP_REQUEST_BODY:
        return replace(exchange, t_sent=event.t, request=data.get("message"), request_body=data.get("body", ""))
    if event.kind is Kind.HTTP_RESPONSE:
        return replace(
            exchange,
            status=data["status"],
            seq_response=event.seq,
            t_response=event.t,
            response_headers=_headers(data["headers"]),
        )
    if event.kind is Kind.HTTP_RESPONSE_BODY:
        return replace(exchange, body=data.get("message"), body_text=data.get("body", data.get("head", "")))
    if event.kind is Kind.HTTP_RESPONSE_END:
        return replace(exchange, how=data["how"], t_end=event.t, seq_end=event.seq)
    return exchange


def _beat(event: Event) -> Beat:
    data = event.data
    if event.kind is Kind.SSE_COMMENT:
        return Beat(event.seq, event.t, "comment", text=data.get("text", ""))
    return Beat(
        event.seq,
        event.t,
        "event",
        event=data.get("event", "message"),
        text=data.get("body", ""),
        id=data.get("id"),
        retry=data.get("retry"),
        message=data.get("message"),
    )


def _posted(exchange: Exchange) -> list[Message]:
    if exchange.request is None:
        return []
    t = exchange.asked_at
    return [
        Message(exchange.seq, t, "up", item, "post", exchange.tap, exchange.session, exchange.id)
        for item in each(exchange.request)
    ]


def _messages(exchange: Exchange) -> list[Message]:
    return [*_posted(exchange), *exchange.messages()]


def _http_sessions(exchanges: tuple[Exchange, ...]) -> list[BackendSession]:
    """Group exchanges by session id, those without one by connection and by the handshake that came last on it."""
    groups: dict[tuple[str, str], list[Exchange]] = {}
    handshakes: Counter[tuple[str, int]] = Counter()
    for exchange in exchanges:
        if exchange.session is None and exchange.rpc_method == "initialize":
            handshakes[exchange.tap, exchange.conn] += 1
        key = exchange.session or _without_id(exchange, handshakes[exchange.tap, exchange.conn])
        groups.setdefault((exchange.tap, key), []).append(exchange)
    found = []
    for (tap, key), members in groups.items():
        messages = sorted((m for item in members for m in _messages(item)), key=lambda m: m.seq)
        found.append(BackendSession(key, tap, "http", tuple(messages), tuple(members)))
    return found


def _without_id(exchange: Exchange, handshakes: int) -> str:
    again = f", handshake {handshakes}" if handshakes > 1 else ""
    return f"without a session id, connection {exchange.conn}{again}"


def _stdio_sessions(processes: tuple[StdioProcess, ...]) -> list[BackendSession]:
    return [BackendSession(item.process, item.tap, "stdio", item.messages) for item in processes]


def _processes(events: Iterable[Event]) -> tuple[StdioProcess, ...]:
    starts: dict[str, Event] = {}
    messages: dict[str, list[Message]] = {}
    stray: dict[str, list[int]] = {}
    exits: dict[str, Event] = {}
    for event in events:
        process = event.data.get("process")
        if event.kind is Kind.STDIO_START and process is not None:
            starts[process] = event
        elif event.kind is Kind.STDIO_EXIT and process is not None:
            exits[process] = event
        elif event.kind is Kind.STDIO_FRAME and process is not None:
            payload = event.data.get("message")
            if payload is None:
                stray.setdefault(process, []).append(event.seq)
                continue
            message = Message(event.seq, event.t, event.data["dir"], payload, "stdio", event.data["tap"], process)
            messages.setdefault(process, []).append(message)
    found = []
    for process, start in starts.items():
        ended = exits.get(process)
        found.append(
            StdioProcess(
                process=process,
                tap=start.data["tap"],
                seq=start.seq,
                t=start.t,
                argv=tuple(start.data.get("argv") or ()),
                messages=tuple(messages.get(process, ())),
                stray_lines=tuple(stray.get(process, ())),
                t_exit=ended.t if ended else None,
                code=ended.data.get("code") if ended else None,
                host=str(start.data.get("host") or ""),
            ),
        )
    return tuple(found)
