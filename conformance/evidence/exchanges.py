"""What one tap saw, grouped: JSON-RPC messages, HTTP exchanges, runs of stdio backends, sessions towards backends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from conformance.evidence.events import JSON, Point


@dataclass(frozen=True, slots=True)
class Message:
    """One JSON-RPC message (or what stood where one should), on either side of the gateway.

    direction: `up` towards the server, `down` towards the client. via: `post` (request body), `body` (response body),
    `sse` (event of a response stream), `stdio`. session: the session it belongs to as the wire shows it.
    """

    seq: int
    t: float
    direction: str
    payload: JSON
    via: str
    tap: str
    session: str | None
    exchange: str | None = None

    @property
    def method(self) -> str | None:
        """The method of a request or notification."""
        method = self.payload.get("method") if isinstance(self.payload, Mapping) else None
        return method if isinstance(method, str) else None

    @property
    def id(self) -> JSON:
        """The JSON-RPC id, None when absent."""
        return self.payload.get("id") if isinstance(self.payload, Mapping) else None

    @property
    def is_request(self) -> bool:
        """Whether it has a method and an id."""
        return self.method is not None and isinstance(self.payload, Mapping) and "id" in self.payload

    @property
    def is_response(self) -> bool:
        """Whether it carries a result or an error."""
        return isinstance(self.payload, Mapping) and ("result" in self.payload or "error" in self.payload)

    @property
    def result(self) -> Mapping[str, JSON] | None:
        """The result object of a successful response."""
        value = self.payload.get("result") if isinstance(self.payload, Mapping) else None
        return value if isinstance(value, Mapping) else None

    @property
    def error(self) -> Mapping[str, JSON] | None:
        """The error object of a failed response."""
        value = self.payload.get("error") if isinstance(self.payload, Mapping) else None
        return value if isinstance(value, Mapping) else None

    @property
    def params(self) -> Mapping[str, JSON]:
        """The params object, empty when there is none."""
        value = self.payload.get("params") if isinstance(self.payload, Mapping) else None
        return value if isinstance(value, Mapping) else {}

    @property
    def nonce(self) -> str | None:
        """The harness's nonce in the arguments of a tools/call."""
        arguments = self.params.get("arguments")
        value = arguments.get("nonce") if isinstance(arguments, Mapping) else None
        return value if isinstance(value, str) else None


@dataclass(frozen=True, slots=True)
class Beat:
    """Something that came down a response stream: `comment`, `event` (with its message) at t seconds."""

    seq: int
    t: float
    what: str
    event: str = ""
    text: str = ""
    id: str | None = None
    retry: int | None = None
    message: JSON = None


@dataclass(frozen=True, slots=True)
class Exchange:
    """One HTTP request and what became of it, as one tap saw it.

    t, seq: the request's head. t_sent: its last byte (None: it never ended). status: None when no response head came.
    how: `complete`, `fin`, `rst`, `abandoned` (the client closed first), or `open` (the recording ended first).
    request: the JSON-RPC message that was posted; of a call through the gateway's own tool the call that it carries,
    and `wrapped` is then the message as it was posted.
    """

    id: str
    tap: str
    point: Point
    conn: int
    seq: int
    t: float
    method: str
    target: str
    headers: Mapping[str, str]
    t_sent: float | None = None
    request: JSON = None
    request_body: str = ""
    status: int | None = None
    seq_response: int | None = None
    t_response: float | None = None
    response_headers: Mapping[str, str] = field(default_factory=dict)
    body: JSON = None
    body_text: str = ""
    beats: tuple[Beat, ...] = ()
    how: str = "open"
    t_end: float | None = None
    seq_end: int | None = None
    wrapped: JSON = None

    @property
    def session(self) -> str | None:
        """The session this exchange belongs to: the id sent, or the one issued with the answer to initialize."""
        return self.headers.get("mcp-session-id") or self.response_headers.get("mcp-session-id")

    def ended(self, otherwise: float) -> float:
        """When it ended, in seconds; `otherwise` where the recording does not show that it did."""
        return self.t_end if self.t_end is not None else otherwise

    @property
    def asked_at(self) -> float:
        """When the request was sent, in seconds: its last byte, else its head."""
        return self.t_sent if self.t_sent is not None else self.t

    @property
    def answered_since(self) -> float:
        """When the response began, in seconds, else the request."""
        return self.t_response if self.t_response is not None else self.t

    @property
    def content_type(self) -> str:
        """Media type of the response, lower case, without parameters."""
        return self.response_headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def path(self) -> str:
        """The path that was asked for, without the query."""
        return self.target.partition("?")[0]

    @property
    def is_metadata(self) -> bool:
        """Whether it asks what the server says of itself (RFC 8615), as clients do that look for a sign-in: not MCP."""
        return "/.well-known/" in self.target

    @property
    def is_stream(self) -> bool:
        """Whether the response is an event stream."""
        return self.content_type == "text/event-stream"

    @property
    def rpc_method(self) -> str | None:
        """Method of the JSON-RPC message that was posted."""
        method = self.request.get("method") if isinstance(self.request, Mapping) else None
        return method if isinstance(method, str) else None

    @property
    def events(self) -> tuple[int, ...]:
        """`seq` numbers of request, response head and end, as far as seen."""
        return tuple(seq for seq in (self.seq, self.seq_response, self.seq_end) if seq is not None)

    def messages(self) -> tuple[Message, ...]:
        """Return the JSON-RPC messages of the response, in order; those of a batch (2025-03-26) one by one."""
        found = [
            Message(beat.seq, beat.t, "down", item, "sse", self.tap, self.session, self.id)
            for beat in self.beats
            if beat.what == "event" and beat.message is not None
            for item in each(beat.message)
        ]
        if self.body is not None and self.seq_response is not None and self.t_response is not None:
            t = self.t_end if self.t_end is not None else self.t_response
            found += [
                Message(self.seq_response, t, "down", item, "body", self.tap, self.session, self.id)
                for item in each(self.body)
            ]
        return tuple(found)

    def answer(self) -> Message | None:
        """Return the JSON-RPC response with the posted request's id, or an error without an id; None when none came."""
        wanted = self.request.get("id") if isinstance(self.request, Mapping) else None
        for message in self.messages():
            if message.is_response and (message.id == wanted or (message.id is None and message.error is not None)):
                return message
        return None


def each(payload: JSON) -> list[JSON]:
    """Return what a payload consists of: one message, or those of a batch (2025-03-26)."""
    return payload if isinstance(payload, list) else [payload]


def is_outline(exchange: Exchange) -> bool:
    """Whether the evidence has an empty result: that is all it keeps of one of more than 64 KiB, as a long list is."""
    answer = exchange.answer()
    return answer is not None and answer.result == {}


def progress_token(request: JSON) -> JSON:
    """Return the progress token in a request's `_meta`, None where it asks for no progress."""
    params = request.get("params") if isinstance(request, Mapping) else None
    meta = params.get("_meta") if isinstance(params, Mapping) else None
    return meta.get("progressToken") if isinstance(meta, Mapping) else None


@dataclass(frozen=True, slots=True)
class StdioProcess:
    """One run of a stdio backend, or of a client that an application speaks stdio to: its frames in order and its end.

    host: name of the host that it ran on, which an engine gives a container after its id; empty where it is not known.
    t_exit: None while it was still running at the end.
    """

    process: str
    tap: str
    seq: int
    t: float
    argv: tuple[str, ...]
    messages: tuple[Message, ...]
    stray_lines: tuple[int, ...]
    t_exit: float | None = None
    code: int | None = None
    host: str = ""


@dataclass(frozen=True, slots=True)
class BackendSession:
    """What the gateway did in one session towards a backend: an HTTP session id, or one stdio process."""

    key: str
    tap: str
    transport: str
    messages: tuple[Message, ...]
    exchanges: tuple[Exchange, ...] = ()

    def up(self, method: str | None = None) -> tuple[Message, ...]:
        """Return the gateway's requests and notifications, of one method or all."""
        return tuple(m for m in self.messages if m.direction == "up" and m.method and method in (None, m.method))

    def response_to(self, request: Message) -> Message | None:
        """Return the backend's response to one of the gateway's requests."""
        for message in self.messages:
            if message.direction == "down" and message.is_response and message.seq > request.seq:
                same_exchange = message.exchange is not None and message.exchange == request.exchange
                if same_exchange or (message.via == "stdio" and message.id == request.id):
                    return message
        return None
