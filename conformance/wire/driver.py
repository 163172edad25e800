"""The driving client: speaks MCP over Streamable HTTP through a client tap, on httpx.

It only drives. What happened is read from the tap, never from here; a reply is returned so that a scenario can go on
(the session id, the tools' names), and giving up is recorded as a stimulus so that a rule can tell "no answer" from
"did not wait".
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urljoin

import httpx

from conformance import __version__, timing
from conformance.evidence.events import JSON
from conformance.evidence.meta_tools import MetaTool
from conformance.wire.http_client import as_sent, http_client, said_of
from conformance.wire.sse import SseEvent, SseParser

ACCEPT_BOTH: Final = "application/json, text/event-stream"
CLIENT_INFO: Final = {"name": "mcp-gateway-conformance", "version": __version__}
"""Who the harness's own clients say they are."""
Record = Callable[..., None]
"""`record(name, **detail)` writes a stimulus."""


WRITTEN: Final = "http11.send_request_body.complete"
"""The milestone of a request that was written to its end, as httpx names it."""

ANSWERING: Final = "http11.receive_response_headers.complete"
"""The milestone of a response whose head came."""


@dataclass(frozen=True, slots=True)
class Milestone:
    """How far an exchange is to come. reached: set as soon as it is so far."""

    what: str
    reached: asyncio.Event = field(default_factory=asyncio.Event)

    async def trace(self, what: str, _info: object) -> None:
        """Take from httpx what it tells of its progress."""
        if what == self.what:
            self.reached.set()


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back for one HTTP request. status is None when nothing did; trouble then says why."""

    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    messages: tuple[Mapping[str, JSON], ...] = ()
    trouble: str = ""

    def answer(self, request_id: JSON) -> Mapping[str, JSON] | None:
        """Return the JSON-RPC response to the request with that id."""
        for message in self.messages:
            if message.get("id") == request_id and ("result" in message or "error" in message):
                return message
        return None

    def result(self, request_id: JSON) -> Mapping[str, JSON] | None:
        """Return the result of the request with that id, None when it failed or never came."""
        found = (self.answer(request_id) or {}).get("result")
        return found if isinstance(found, Mapping) else None


def tool_names(page: Mapping[str, JSON] | None) -> list[str]:
    """Return the names on one page of tools/list; none where the request had no result."""
    tools = (page or {}).get("tools")
    return [str(tool.get("name")) for tool in tools if isinstance(tool, Mapping)] if isinstance(tools, list) else []


class McpClient:
    """One MCP client with its own tap, its own TCP connections and one session.

    url: the tap's address with the gateway's path. headers: sent on every request (credentials). meta_tool: the
    gateway's own tool through which calls go.
    """

    def __init__(
        self,
        name: str,
        url: str,
        *,
        revision: str,
        record: Record,
        headers: Mapping[str, str] | None = None,
        meta_tool: MetaTool | None = None,
    ) -> None:
        self.name = name
        self.revision = revision
        self.meta_tool = meta_tool
        self.session: str | None = None
        self.negotiated: str | None = None
        self.url = url
        self.replies: Mapping[str, JSON] = {}
        """What this client answers the server's requests with: a result by method. Others get -32601."""
        self._record = record
        self._extra = dict(headers or {})
        self._next_id = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._http = http_client(
            headers={"Accept-Encoding": "identity", "User-Agent": f"mcp-gateway-conformance/{__version__}"},
            limits=httpx.Limits(max_connections=200, max_keepalive_connections=20, keepalive_expiry=600),
        )

    # requests -------------------------------------------------------------------------------------------------------

    def headers(self, overrides: Mapping[str, str | None] | None = None) -> dict[str, str]:
        """Return the headers of the next request; an override of None leaves a header out."""
        base: dict[str, str | None] = {"Accept": ACCEPT_BOTH, **self._extra}
        if self.session is not None:
            base["Mcp-Session-Id"] = self.session
        if self.negotiated is not None and self.negotiated >= "2025-06-18":
            base["MCP-Protocol-Version"] = self.negotiated
        lower = {name.lower() for name in overrides or {}}
        kept = {name: value for name, value in base.items() if name.lower() not in lower}
        return {name: value for name, value in {**kept, **(overrides or {})}.items() if value is not None}

    def next_id(self) -> int:
        """Return a JSON-RPC id not used before by this client."""
        self._next_id += 1
        return self._next_id

    def outgoing(self, message: JSON) -> JSON:
        """Return a message as this client sends it: a call goes through the gateway's own tool where it has one."""
        return message if self.meta_tool is None else self.meta_tool.wrapped(message)

    async def post(
        self,
        message: JSON,
        *,
        headers: Mapping[str, str | None] | None = None,
        deadline: float = timing.ANSWER,
        milestone: Milestone | None = None,
    ) -> Reply:
        """POST one message and read the whole answer; gives up after `deadline` seconds and records that.

        Bytes go out as they are, anything else as `outgoing` makes it. milestone: reached as the exchange
        goes on.
        """
        content = message if isinstance(message, bytes) else json.dumps(self.outgoing(message)).encode()
        wanted = message.get("id") if isinstance(message, Mapping) and "method" in message else None
        given = {"Content-Type": "application/json", **self.headers(headers)}
        return await self._within(deadline, "POST", self._send("POST", given, content, wanted, milestone=milestone))

    async def send(
        self,
        method: str,
        *,
        path: str | None = None,
        body: JSON = None,
        headers: Mapping[str, str | None] | None = None,
        deadline: float = timing.ANSWER,
    ) -> Reply:
        """Send what is no MCP message: a DELETE, a GET whose whole answer is wanted, a request to another `path`."""
        content = None if body is None else json.dumps(body).encode()
        sent = {**({} if content is None else {"Content-Type": "application/json"}), **self.headers(headers)}
        url = self.url if path is None else urljoin(self.url, path)
        return await self._within(deadline, method, self._send(method, sent, content, None, url))

    async def _within(self, deadline: float, what: str, sending: AsyncIterator[Reply]) -> Reply:
        reply = Reply()
        try:
            async with asyncio.timeout(deadline):
                async for latest in sending:
                    reply = latest
        except TimeoutError:
            self._record("gave-up", client=self.name, what=what, seconds=deadline, status=reply.status)
            return Reply(reply.status, reply.headers, reply.messages, f"gave up after {deadline} s")
        except httpx.HTTPError as error:
            self._record("disconnected", client=self.name, what=what, error=type(error).__name__, status=reply.status)
            return Reply(reply.status, reply.headers, reply.messages, said_of(error))
        if reply.status == 429:
            await self._hold_back(reply)
        return reply

    async def _hold_back(self, reply: Reply) -> None:
        """Wait as long as a 429 asks for (RFC 6585 section 4), within reason; nothing is sent again by itself."""
        asked = reply.headers.get("retry-after", "")
        seconds = min(float(asked) if asked.isascii() and asked.isdigit() else 1.0, timing.RATE_LIMITED)
        self._record("rate-limited", client=self.name, seconds=seconds, asked=asked)
        await asyncio.sleep(seconds)

    async def _send(
        self,
        method: str,
        headers: dict[str, str],
        content: bytes | None,
        wanted: JSON,
        url: str = "",
        milestone: Milestone | None = None,
    ) -> AsyncIterator[Reply]:
        """Yield the reply as it grows; stop when the answer to `wanted` came and its stream ended or lingers."""
        extensions = {} if milestone is None else {"trace": milestone.trace}
        async with self._http.stream(
            method, url or self.url, headers=as_sent(headers), content=content, extensions=extensions
        ) as response:
            kept = {name.lower(): value for name, value in response.headers.items()}
            yield Reply(response.status_code, kept)
            if not kept.get("content-type", "").startswith("text/event-stream"):
                body = await response.aread()
                yield Reply(response.status_code, kept, json_messages(body))
                return
            messages: tuple[Mapping[str, JSON], ...] = ()
            parser = SseParser()
            chunks = response.aiter_bytes()
            async for chunk in chunks:
                events = [item for item in parser.feed(chunk) if isinstance(item, SseEvent)]
                arrived = tuple(message for event in events for message in json_messages(event.data.encode()))
                await self._react(arrived)
                messages += arrived
                yield Reply(response.status_code, kept, messages)
                if wanted is not None and any(m.get("id") == wanted and "method" not in m for m in arrived):
                    await _drain(chunks)
                    return

    async def _react(self, messages: tuple[Mapping[str, JSON], ...]) -> None:
        """Answer the server's requests, each with a POST of its own (2025-11-25 basic/transports, Sending Messages)."""
        for message in messages:
            if "method" in message and "id" in message:
                task = asyncio.create_task(self._reply(message))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def _reply(self, message: Mapping[str, JSON]) -> None:
        """Answer one request of the server's: a ping always (basic/utilities/ping), others as `replies` says."""
        replies = {"ping": {}, **self.replies}
        method = message["method"]
        taken = isinstance(method, str) and method in replies
        answer = {"result": replies[method]} if taken else {"error": _not_taken(method)}
        await self.post({"jsonrpc": "2.0", "id": message["id"], **answer})

    # the lifecycle --------------------------------------------------------------------------------------------------

    async def initialize(
        self,
        *,
        version: str | None = None,
        headers: Mapping[str, str | None] | None = None,
        deadline: float = timing.ANSWER,
        **params: JSON,
    ) -> Reply:
        """POST initialize and remember the session id and the negotiated version. params override the usual ones."""
        request_id = self.next_id()
        usual = {"protocolVersion": version or self.revision, "capabilities": {}, "clientInfo": CLIENT_INFO}
        message = {"jsonrpc": "2.0", "id": request_id, "method": "initialize", "params": {**usual, **params}}
        reply = await self.post(message, headers=headers, deadline=deadline)
        result = reply.result(request_id)
        if result is not None:
            self.session = reply.headers.get("mcp-session-id")
            answered = result.get("protocolVersion")
            self.negotiated = answered if isinstance(answered, str) else None
        return reply

    async def initialized(self) -> Reply:
        """POST notifications/initialized."""
        return await self.notify("notifications/initialized")

    async def connect(self, **params: JSON) -> Reply:
        """Initialize and confirm it; return the reply to initialize. params override the usual ones."""
        reply = await self.initialize(**params)
        await self.initialized()
        return reply

    async def notify(self, method: str, params: JSON = None) -> Reply:
        """POST a notification."""
        body = {"jsonrpc": "2.0", "method": method, **({"params": params} if params is not None else {})}
        return await self.post(body)

    async def request(
        self,
        method: str,
        params: JSON = None,
        *,
        headers: Mapping[str, str | None] | None = None,
        deadline: float = timing.ANSWER,
        request_id: JSON = None,
        milestone: Milestone | None = None,
    ) -> Reply:
        """POST a request and return its reply; `reply.result(client.last_id)` reads the answer.

        milestone: as for `post`.
        """
        chosen = self.next_id() if request_id is None else request_id
        body = {"jsonrpc": "2.0", "id": chosen, "method": method, **({"params": params} if params is not None else {})}
        return await self.post(body, headers=headers, deadline=deadline, milestone=milestone)

    @property
    def last_id(self) -> int:
        """The id of the latest request this client numbered itself."""
        return self._next_id

    async def tools(self) -> tuple[str, ...]:
        """Return the names that tools/list gives, all pages, empty when it failed."""
        names: list[str] = []
        cursor: JSON = None
        for _ in range(20):  # a gateway that repeats its cursor must not hold the drive; the tap shows the loop
            reply = await self.request("tools/list", {"cursor": cursor} if cursor else {})
            result = reply.result(self.last_id) or {}
            names += tool_names(result)
            cursor = result.get("nextCursor")
            if not cursor:
                break
        return tuple(names)

    async def call(
        self,
        tool: str,
        arguments: JSON,
        *,
        deadline: float = timing.ANSWER,
        meta: JSON = None,
        milestone: Milestone | None = None,
    ) -> Reply:
        """POST tools/call. milestone: as for `post`."""
        params = {"name": tool, "arguments": arguments, **({"_meta": meta} if meta is not None else {})}
        return await self.request("tools/call", params, deadline=deadline, milestone=milestone)

    async def begin_call(
        self,
        tasks: asyncio.TaskGroup,
        tool: str,
        arguments: JSON,
        *,
        deadline: float = timing.ANSWER,
        until: str = WRITTEN,
    ) -> asyncio.Task[Reply]:
        """Begin a tools/call as a task; return it once it is WRITTEN, or ANSWERING, or never will be."""
        milestone = Milestone(until)
        call = tasks.create_task(self.call(tool, arguments, deadline=deadline, milestone=milestone))
        reaching = asyncio.create_task(milestone.reached.wait())
        try:
            await asyncio.wait({call, reaching}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            reaching.cancel()
        return call

    async def delete(self) -> Reply:
        """DELETE the session; the id is kept, so that it can be used again on purpose."""
        return await self.send("DELETE")

    @asynccontextmanager
    async def listen(
        self,
        headers: Mapping[str, str | None] | None = None,
        *,
        deadline: float = timing.ANSWER,
    ) -> AsyncIterator[Listening]:
        """Open the standalone GET stream and read it until the block ends.

        `Listening.status` is set once response headers came or the deadline passed.
        """
        listening = Listening()
        sent = {**self.headers(headers)}
        if not any(name.lower() == "accept" for name in headers or {}):
            sent["Accept"] = "text/event-stream"
        task = asyncio.create_task(self._read(self.url, sent, listening))
        try:
            try:
                async with asyncio.timeout(deadline):
                    await listening.opened.wait()
            except TimeoutError:
                self._record("gave-up", client=self.name, what="GET", seconds=deadline, status=None)
            yield listening
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _read(self, url: str, headers: Mapping[str, str], listening: Listening) -> None:
        """GET a stream and take each of its events until it ends."""
        try:
            async with self._http.stream("GET", url, headers=as_sent(headers)) as response:
                listening.status = response.status_code
                listening.is_stream = response.headers.get("content-type", "").startswith("text/event-stream")
                listening.opened.set()
                if not listening.is_stream:
                    await response.aread()
                    return
                parser = SseParser()
                async for chunk in response.aiter_bytes():
                    for item in parser.feed(chunk):
                        if isinstance(item, SseEvent):
                            await self._take(item, listening)
        except httpx.HTTPError as error:
            self._record("disconnected", client=self.name, what="GET", error=type(error).__name__)
        finally:
            listening.opened.set()
            listening.closed.set()

    async def _take(self, event: SseEvent, listening: Listening) -> tuple[Mapping[str, JSON], ...]:
        """Keep the messages of one event of a GET stream, answer the server's requests, and return them all."""
        arrived = json_messages(event.data.encode())
        listening.add(arrived)
        await self._react(arrived)
        return arrived

    async def close(self) -> None:
        """Close every connection; open streams end."""
        for task in list(self._tasks):
            task.cancel()
        await self._http.aclose()


@dataclass(slots=True)
class Listening:
    """An open (or refused) GET stream. status: None until headers came."""

    status: int | None = None
    is_stream: bool = False
    opened: asyncio.Event = field(default_factory=asyncio.Event)
    closed: asyncio.Event = field(default_factory=asyncio.Event)
    messages: list[Mapping[str, JSON]] = field(default_factory=list)

    def add(self, messages: tuple[Mapping[str, JSON], ...]) -> None:
        """Remember messages that came down the stream."""
        self.messages += messages

    @property
    def methods(self) -> tuple[str, ...]:
        """Methods of the messages that came, in order."""
        return tuple(str(message.get("method")) for message in self.messages if "method" in message)


def _not_taken(method: JSON) -> Mapping[str, JSON]:
    return {"code": -32601, "message": f"Method not found: {method}"}


async def _drain(chunks: AsyncIterator[bytes]) -> None:
    """Let the server end its stream; a server that never does is left after a moment."""
    with suppress(TimeoutError):  # that it lingers is visible on the tap; the drive need not wait for it
        async with asyncio.timeout(timing.STREAM_END):
            async for _ in chunks:
                pass


def json_messages(raw: bytes) -> tuple[Mapping[str, JSON], ...]:
    """Return the JSON objects of a body or an event, one or a batch; none where it is no JSON."""
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError):
        return ()  # what is not JSON is on the tap; the drive only needs what it can use
    items = value if isinstance(value, list) else [value]
    return tuple(item for item in items if isinstance(item, dict))
