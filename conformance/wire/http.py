"""Passive parsing of one tapped TCP connection: HTTP/1.1 (h11), event streams and JSON-RPC, in both directions.

The parser only watches. It takes the bytes of both directions in the order the tap read them and reports what they
mean; what is not HTTP/1.1 is reported as unparsed, once per direction, and then left alone.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import Final

import h11

from conformance.evidence.events import JSON, Kind, Point
from conformance.evidence.log import Observation
from conformance.evidence.redact import Redactor
from conformance.wire.content_coding import ContentDecoder, is_plain
from conformance.wire.sse import SseEvent, SseParser

_MAX_HEADERS: Final = 1024 * 1024
_KEPT_BODY: Final = 64 * 1024
_KEPT_ENDS: Final = 8 * 1024
_KEPT_STRING: Final = 4 * 1024
_KEPT_HEAD: Final = 200
_DEEPEST: Final = 100
_QUOTED: Final = re.compile(r":? (?=b['\"]|bytearray\()")
"""Where a message of h11's begins to quote what it read."""


def body_record(raw: bytes, redactor: Redactor) -> dict[str, JSON]:
    """Return what is written of a body: length and JSON `message`, or text; over 64 KiB head, tail and SHA-256.

    In a message of such a size each long string is replaced by its length and digest, so that it can be compared.
    JSON that is nested deeper than 100 levels is text, as what is no JSON: whoever reads it would have to recurse.
    """
    record: dict[str, JSON] = {"length": len(raw)}
    message: JSON = None
    parsed = False
    if raw[:64].lstrip()[:1] in (b"{", b"["):
        try:
            message = json.loads(raw)
            # So few brackets cannot nest deeper, and most bodies have no more.
            parsed = raw.count(b"{") + raw.count(b"[") <= _DEEPEST or not _is_deep(message)
        except (ValueError, RecursionError):
            parsed = False
    if len(raw) > _KEPT_BODY:
        text = redactor.body(raw.decode("utf-8", "replace"))  # before it is cut: half a secret is not known for one
        record["sha256"] = hashlib.sha256(raw).hexdigest()
        record["head"] = text[:_KEPT_ENDS]
        record["tail"] = text[-_KEPT_ENDS:]
        if parsed and isinstance(message, dict):
            record["message"] = redactor.json(_abridged(message))
    elif parsed:
        record["message"] = redactor.json(message)
    else:
        record["body"] = redactor.body(raw.decode("utf-8", "replace"))
    return record


def _is_deep(message: JSON) -> bool:
    level = [message]
    for _ in range(_DEEPEST):
        inner = (item.values() if isinstance(item, dict) else item for item in level if isinstance(item, dict | list))
        level = list(chain.from_iterable(inner))
        if not level:
            return False
    return any(isinstance(item, dict | list) for item in level)


def _abridged(message: dict[str, JSON]) -> JSON:
    """Return a large message with its long strings shortened; only its outline where it is large all the same."""
    shortened = _shortened(message)
    if len(json.dumps(shortened)) <= _KEPT_BODY:
        return shortened
    kept = {name: message[name] for name in ("jsonrpc", "id", "method", "error") if name in message}
    return {**kept, **({"result": {}} if "result" in message else {})}


def _shortened(value: JSON) -> JSON:
    if isinstance(value, str) and len(value) > _KEPT_STRING:
        digest = hashlib.sha256(value.encode("utf-8", "surrogatepass")).hexdigest()
        return f"{len(value)} characters, SHA-256 {digest}"
    if isinstance(value, dict):
        return {name: _shortened(item) for name, item in value.items()}
    return [_shortened(item) for item in value] if isinstance(value, list) else value


@dataclass(slots=True)
class _Request:
    """A request seen on the connection and not yet answered."""

    exchange: str
    method: bytes
    upgrade: bool


@dataclass(slots=True)
class HttpConnection:
    """Parser of one connection. tap, conn: names for the records. Feed it with `up`, `down`, `fin` and `rst`."""

    tap: str
    conn: int
    point: Point
    redactor: Redactor
    _count: int = 0
    _up: h11.Connection | None = None
    _down: h11.Connection | None = None
    _request: _Request | None = None
    _request_body: bytearray = field(default_factory=bytearray)
    _waiting: deque[_Request] = field(default_factory=deque)
    _answering: _Request | None = None
    _response_open: bool = False
    _response_body: bytearray = field(default_factory=bytearray)
    _stream: SseParser | None = None
    _decoder: ContentDecoder | None = None
    _blind: set[str] = field(default_factory=set)
    _client_left: bool = False

    def _see(self, t_ns: int, kind: Kind, **data: JSON) -> Observation:
        return Observation(t_ns, self.point, kind, {"tap": self.tap, "conn": self.conn, **data})

    def _go_blind(self, t_ns: int, direction: str, error: h11.RemoteProtocolError, raw: bytes) -> Observation:
        self._blind.add(direction)
        why = _QUOTED.split(str(error))[0]
        head = self.redactor.body(raw.decode("latin-1"))[:_KEPT_HEAD]
        return self._see(t_ns, Kind.HTTP_UNPARSED, dir=direction, why=why, head=head)

    def _headers(self, headers: h11._headers.Headers) -> list[list[str]]:
        return [
            [self.redactor.name(name), self.redactor.header(name, value)]
            for name, value in (
                (name.decode("latin-1"), value.decode("latin-1")) for name, value in headers.raw_items()
            )
        ]

    # requests -------------------------------------------------------------------------------------------------------

    def up(self, t_ns: int, data: bytes) -> Iterator[Observation]:
        """Bytes towards the server."""
        if "up" in self._blind:
            return
        if self._up is None:
            self._up = h11.Connection(h11.SERVER, max_incomplete_event_size=_MAX_HEADERS)
        begun, _ = self._up.trailing_data
        try:
            self._up.receive_data(data)
            yield from self._requests(t_ns)
        except h11.RemoteProtocolError as error:
            yield self._go_blind(t_ns, "up", error, begun + data)

    def _requests(self, t_ns: int) -> Iterator[Observation]:
        while self._up is not None:
            event = self._up.next_event()
            if isinstance(event, h11.Request):
                self._count += 1
                exchange = f"{self.tap}/{self.conn}/{self._count}"
                upgrade = any(name == b"upgrade" for name, _ in event.headers)
                self._request = _Request(exchange, event.method, upgrade)
                self._request_body.clear()
                self._waiting.append(self._request)
                yield self._see(
                    t_ns,
                    Kind.HTTP_REQUEST,
                    exchange=exchange,
                    method=event.method.decode("latin-1"),
                    target=self.redactor.target(event.target.decode("latin-1")),
                    headers=self._headers(event.headers),
                )
            elif isinstance(event, h11.Data):
                self._request_body += event.data
            elif isinstance(event, h11.EndOfMessage) and self._request is not None:
                record = body_record(bytes(self._request_body), self.redactor)
                yield self._see(t_ns, Kind.HTTP_REQUEST_BODY, exchange=self._request.exchange, **record)
                rest, _ = self._up.trailing_data
                if self._request.upgrade:
                    return
                self._up = h11.Connection(h11.SERVER, max_incomplete_event_size=_MAX_HEADERS)
                if not rest:
                    return
                self._up.receive_data(rest)
            else:
                return

    # responses ------------------------------------------------------------------------------------------------------

    def down(self, t_ns: int, data: bytes) -> Iterator[Observation]:
        """Bytes towards the client."""
        if "down" in self._blind:
            return
        if self._down is None:
            self._down = self._next_response()
        begun, _ = self._down.trailing_data
        try:
            self._down.receive_data(data)
            yield from self._responses(t_ns)
        except h11.RemoteProtocolError as error:
            yield self._go_blind(t_ns, "down", error, begun + data)

    def _next_response(self) -> h11.Connection:
        """Return a fresh response parser, told which request it answers (HEAD and CONNECT change the framing)."""
        self._answering = self._waiting.popleft() if self._waiting else None
        connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=_MAX_HEADERS)
        method = self._answering.method if self._answering else b"GET"
        headers = [("host", "tap")]
        if self._answering and self._answering.upgrade:
            headers += [("connection", "upgrade"), ("upgrade", "tcp")]
        connection.send(h11.Request(method=method, target="/", headers=headers))
        connection.send(h11.EndOfMessage())
        return connection

    @property
    def _exchange(self) -> str:
        return self._answering.exchange if self._answering else f"{self.tap}/{self.conn}/unasked"

    def _responses(self, t_ns: int) -> Iterator[Observation]:
        while self._down is not None:
            event = self._down.next_event()
            if isinstance(event, h11.Response | h11.InformationalResponse):
                switching = isinstance(event, h11.InformationalResponse)
                if switching and event.status_code != 101:
                    continue
                yield self._begin_response(t_ns, event)
                if switching:
                    self._blind |= {"up", "down"}
                    rest, _ = self._down.trailing_data
                    yield self._see(
                        t_ns,
                        Kind.HTTP_UNPARSED,
                        dir="down",
                        why="the connection was upgraded (101)",
                        head="",
                    )
                    return
            elif isinstance(event, h11.Data):
                yield from self._body(t_ns, bytes(event.data))
            elif isinstance(event, h11.EndOfMessage):
                yield from self._end_response(t_ns, "complete")
                rest, _ = self._down.trailing_data
                self._down = None
                if not rest:
                    return
                self._down = self._next_response()
                self._down.receive_data(rest)
            else:
                return

    def _begin_response(self, t_ns: int, event: h11.Response | h11.InformationalResponse) -> Observation:
        headers = self._headers(event.headers)
        content_type = next((value for name, value in headers if name.lower() == "content-type"), "")
        coding = next((value for name, value in headers if name.lower() == "content-encoding"), "")
        self._decoder = None if is_plain(coding) else ContentDecoder(coding)
        readable = self._decoder is None or self._decoder.reads
        is_stream = content_type.partition(";")[0].strip().lower() == "text/event-stream" and readable
        self._stream = SseParser() if is_stream else None
        self._response_body.clear()
        self._response_open = event.status_code != 101
        return self._see(
            t_ns,
            Kind.HTTP_RESPONSE,
            exchange=self._exchange,
            status=event.status_code,
            headers=headers,
        )

    def _body(self, t_ns: int, coded: bytes) -> Iterator[Observation]:
        data = self._decoder.feed(coded) if self._decoder is not None else coded
        self._response_body += data
        if self._stream is None:
            return
        for item in self._stream.feed(data):
            if isinstance(item, SseEvent):
                yield self._see(t_ns, Kind.SSE_EVENT, exchange=self._exchange, **self._sse(item))
            else:
                text = self.redactor.body(item.text)
                yield self._see(t_ns, Kind.SSE_COMMENT, exchange=self._exchange, text=text)

    def _sse(self, item: SseEvent) -> dict[str, JSON]:
        record = body_record(item.data.encode(), self.redactor)
        record["event"] = self.redactor.event(item.event)
        if item.id is not None:
            record["id"] = self.redactor.body(item.id)
        if item.retry is not None:
            record["retry"] = item.retry
        return record

    def _end_response(self, t_ns: int, how: str) -> Iterator[Observation]:
        if not self._response_open:
            return
        self._response_open = False
        length = len(self._response_body)
        if self._stream is None:
            record = body_record(bytes(self._response_body), self.redactor)
            yield self._see(t_ns, Kind.HTTP_RESPONSE_BODY, exchange=self._exchange, **record)
            left_over = False
        else:
            left_over = self._stream.incomplete
        yield self._see(
            t_ns,
            Kind.HTTP_RESPONSE_END,
            exchange=self._exchange,
            how=how,
            length=length,
            incomplete_event=left_over,
        )

    # endings --------------------------------------------------------------------------------------------------------

    def fin(self, t_ns: int, direction: str) -> Iterator[Observation]:
        """The sender of `direction` (`up` or `down`) closed its half."""
        yield self._see(t_ns, Kind.CONN_FIN, dir=direction)
        if direction == "up":
            self._client_left = True
        else:
            yield from self._cut(t_ns, "fin")

    def rst(self, t_ns: int, direction: str) -> Iterator[Observation]:
        """The sender of `direction` reset the connection."""
        yield self._see(t_ns, Kind.CONN_RST, dir=direction)
        yield from self._cut(t_ns, "rst" if direction == "down" else "abandoned")

    def closed(self, t_ns: int) -> Iterator[Observation]:
        """Both directions have ended; whatever is unanswered now stays so."""
        yield from self._cut(t_ns, "abandoned" if self._client_left else "fin")
        yield self._see(t_ns, Kind.CONN_CLOSED)

    def _cut(self, t_ns: int, how: str) -> Iterator[Observation]:
        """End the response in progress and every request still waiting for one."""
        if self._client_left:
            how = "abandoned"  # the client closed first: what follows is the server's reaction
        if self._down is not None and self._response_open and "down" not in self._blind and how == "fin":
            try:
                self._down.receive_data(b"")
                if isinstance(self._down.next_event(), h11.EndOfMessage):
                    how = "complete"  # a response framed by the end of the connection
            except h11.RemoteProtocolError:
                how = "fin"  # the peer closed inside a framed response: that is the finding, recorded as such
        if self._response_open:
            yield from self._end_response(t_ns, how)
        elif self._answering is not None and self._down is not None and "down" not in self._blind:
            self._waiting.appendleft(self._answering)  # bytes came, but never a whole response head
        self._down = None
        while self._waiting:
            request = self._waiting.popleft()
            yield self._see(
                t_ns,
                Kind.HTTP_RESPONSE_END,
                exchange=request.exchange,
                how=how,
                length=0,
                incomplete_event=False,
            )
