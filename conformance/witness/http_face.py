"""The Streamable HTTP face: one endpoint with POST, GET and DELETE.

Source: transports § Streamable HTTP, revisions 2025-03-26 to 2025-11-25.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Final

from conformance.witness import jsonrpc, manners
from conformance.witness.all_manners import MANNERS
from conformance.witness.http_checks import (
    JSON_TYPE,
    STREAM_TYPE,
    Refusal,
    check_accept,
    check_content_type,
    check_origin,
    check_version,
)
from conformance.witness.http_wire import BadRequestError, HttpRequest, Wire
from conformance.witness.jsonrpc import JSON, Message, Request, Response, RpcError
from conformance.witness.protocol import Server
from conformance.witness.scripts import OnCall, OnGet, Script
from conformance.witness.sessions import ASSUMED_REVISION, BATCH_REVISION, Session
from conformance.witness.stored_streams import Leaving, StoredStream

PATHS: Final = frozenset({"/mcp", "/mcp/"})
STREAM_HEADERS: Final = {
    "Content-Type": STREAM_TYPE,
    "Cache-Control": "no-cache, no-transform",
    "X-Accel-Buffering": "no",
}
SESSION_HEADER: Final = "mcp-session-id"


class StreamOutlet:
    """The messages of one response, until its end."""

    was_left: Final = None

    def __init__(self, *, carries_messages: bool) -> None:
        self._carries = carries_messages
        self._queue: asyncio.Queue[JSON | None] = asyncio.Queue()

    def send(self, message: JSON) -> bool:
        """Queue a message; a JSON answer has no room for one."""
        if self._carries:
            self._queue.put_nowait(message)
        return self._carries

    def end(self) -> None:
        """End the stream behind what is queued."""
        self._queue.put_nowait(None)

    def leave(self, how: Leaving, retry: int) -> bool:  # noqa: ARG002 - nothing is left
        """Return False: nothing of this stream is kept."""
        return False

    async def frames(self, script: Script, after: int | None = None) -> AsyncIterator[bytes]:  # noqa: ARG002 - from the start
        """Yield events as they come, and a comment each keep-alive period."""
        loop = asyncio.get_running_loop()
        beat = None if script.keepalive_period is None else loop.time() + script.keepalive_period
        while True:
            try:
                async with asyncio.timeout_at(beat):
                    message = await self._queue.get()
            except TimeoutError:
                yield f": keepalive{script.newline * 2}".encode()
                beat = loop.time() + (script.keepalive_period or 0)
                continue
            if message is None:
                return
            yield event(message, script)


def event(message: JSON, script: Script) -> bytes:
    """Return the SSE event that carries `message` (WHATWG HTML § 9.2)."""
    newline = script.newline.encode()
    return b"event: message" + newline + b"data: " + jsonrpc.encode(message) + newline * 2


_PAGE = b"<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>"


class Endpoint:
    """The MCP endpoint of one witness process."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self._server = Server(script)
        self._connections = itertools.count(1)

    def accept(self) -> Wire:
        """Return the protocol of a new connection, for asyncio's `create_server`."""
        return Wire(next(self._connections), self._serve)

    async def _serve(self, wire: Wire) -> None:
        try:
            while (request := await wire.next_request()) is not None:
                if not self._script.answers:
                    await wire.gone.wait()
                    return
                if self._script.page:
                    await wire.respond(502, {"Content-Type": "text/html", "Via": "1.1 proxy.test"}, _PAGE)
                    continue
                await self._handle(wire, request)
        except BadRequestError as error:
            body = jsonrpc.encode(jsonrpc.failure(None, RpcError(jsonrpc.INVALID_REQUEST, str(error))))
            await wire.respond(error.status, {"Content-Type": JSON_TYPE, "Connection": "close"}, body)

    async def _handle(self, wire: Wire, request: HttpRequest) -> None:
        try:
            await self._route(wire, request)
        except Refusal as refusal:
            # A page of a foreign origin learns nothing from its request, not even that the id was read.
            identifier = None if refusal.status == 403 else jsonrpc.readable_id(request.body)
            body = jsonrpc.encode(jsonrpc.failure(identifier, refusal.error))
            await wire.respond(refusal.status, {"Content-Type": JSON_TYPE, **refusal.headers}, body)

    async def _route(self, wire: Wire, request: HttpRequest) -> None:
        if request.path not in PATHS:
            raise Refusal(404, jsonrpc.SERVER_ERROR, "Not Found")
        check_origin(request.headers)
        match request.method:
            case "POST":
                await self._post(wire, request)
            case "GET":
                await self._get(wire, request)
            case "DELETE":
                await self._delete(wire, request)
            case _:
                raise self._not_allowed()

    def _not_allowed(self) -> Refusal:
        get = self._script.on_get in {OnGet.STREAM, OnGet.HEADERS_WITHHELD}
        allowed = ", ".join((["GET"] if get else []) + ["POST"] + ([] if self._script.stateless else ["DELETE"]))
        return Refusal(405, jsonrpc.SERVER_ERROR, "Method not allowed.", {"Allow": allowed})

    def _session(self, request: HttpRequest) -> Session:
        """Return the session a request names (transports § Session Management).

        Refusal 400 if it names none, 404 if none of that id lives.
        """
        check_version(request.headers)
        if self._script.stateless:
            session = Session(id=None, revision=request.headers.get("mcp-protocol-version", ASSUMED_REVISION))
            session.initialized.set()
            return session
        if self._script.single_session and not self._server.sessions:
            raise Refusal(400, jsonrpc.SERVER_ERROR, "Bad Request: Server not initialized")
        identifier = request.headers.get(SESSION_HEADER)
        if identifier is None:
            raise Refusal(400, jsonrpc.INVALID_REQUEST, "Bad Request: Missing session ID")
        found = self._server.sessions.get(identifier)
        limit = self._script.forgets_session_after
        if found is not None and limit is not None and found.requests >= limit:
            self._server.sessions.end(found)
            found = None
        if found is None:
            raise Refusal(404, jsonrpc.INVALID_REQUEST, "Session not found")
        return found

    async def _post(self, wire: Wire, request: HttpRequest) -> None:
        check_accept(request.headers, (JSON_TYPE, STREAM_TYPE))
        check_content_type(request.headers)
        try:
            value = jsonrpc.decode(request.body)
            if isinstance(value, list):
                await self._post_batch(wire, request, value)
                return
            message = jsonrpc.read(value)
        except RpcError as error:
            raise Refusal(400, error.code, error.message) from error
        if isinstance(message, Request) and message.method == "initialize":
            await self._initialize(wire, request, message)
        else:
            await self._take(wire, self._session(request), [message])

    async def _post_batch(self, wire: Wire, request: HttpRequest, values: Sequence[JSON]) -> None:
        session = self._session(request)
        if session.revision != BATCH_REVISION:
            raise RpcError(jsonrpc.INVALID_REQUEST, f"Invalid Request: {session.revision} has no batches")
        messages = [jsonrpc.read(value) for value in values]
        if not messages or any(isinstance(each, Request) and each.method == "initialize" for each in messages):
            raise RpcError(jsonrpc.INVALID_REQUEST, "Invalid Request: a batch is not empty and holds no initialize")
        await self._take(wire, session, messages, batch=True)

    async def _initialize(self, wire: Wire, request: HttpRequest, message: Request) -> None:
        check_version(request.headers)
        if SESSION_HEADER in request.headers and not self._script.stateless and not self._script.single_session:
            self._session(request)  # refuses an id that is not live
            raise Refusal(400, jsonrpc.INVALID_REQUEST, "Invalid Request: Server already initialized")
        session = Session(id=None) if self._script.stateless else Session()
        headers = {} if session.id is None else {"Mcp-Session-Id": session.id}
        answering = asyncio.ensure_future(self._server.initialize(session, message))
        leaving = asyncio.ensure_future(wire.gone.wait())
        try:
            await asyncio.wait({answering, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if not answering.done():
                return
            answer = answering.result()
        except RpcError as error:
            if error.code == jsonrpc.INVALID_REQUEST:
                raise Refusal(400, error.code, error.message) from error
            answer, headers = jsonrpc.failure(message.id, error), {}
        finally:
            answering.cancel()
            leaving.cancel()
        outlet = StreamOutlet(carries_messages=True)
        if self._script.json_answers:
            await wire.respond(200, {"Content-Type": JSON_TYPE, **headers}, jsonrpc.encode(answer))
            return
        outlet.send(answer)
        outlet.end()
        await self._stream(wire, outlet, headers)

    async def _take(self, wire: Wire, session: Session, messages: Sequence[Message], *, batch: bool = False) -> None:
        requests: list[Request] = []
        for message in messages:
            if isinstance(message, Request):
                requests.append(message)
            elif isinstance(message, Response):
                session.take_response(message)
            else:
                self._server.notice(session, message)
        if requests:
            await self._answer(wire, session, requests, batch=batch)
        else:
            await wire.respond(202, {})

    async def _answer(self, wire: Wire, session: Session, requests: Sequence[Request], *, batch: bool) -> None:
        outlet = self._outlet(session, requests)
        tasks = [self._server.start(session, request, outlet, wire.number) for request in requests]
        for task, request in zip(tasks, requests, strict=True):
            if (name := self._manner(request)) is not None:
                await MANNERS[name](self._answering(wire, await task, request))
                return
        if self._script.json_answers:
            await self._answer_json(wire, requests, tasks, batch=batch)
            return
        remaining = len(tasks)

        def deliver(task: asyncio.Task[dict[str, JSON]]) -> None:
            nonlocal remaining
            if not task.cancelled():
                outlet.send(task.result())
            remaining -= 1
            if not remaining:
                outlet.end()

        for task in tasks:
            task.add_done_callback(deliver)
        await self._stream(wire, outlet, {})

    def _outlet(self, session: Session, requests: Sequence[Request]) -> StreamOutlet | StoredStream:
        stored = session.id is not None and any(self._server.resumable(request) for request in requests)
        if stored and not self._script.json_answers:
            return session.store(unasked=False)
        return StreamOutlet(carries_messages=not self._script.json_answers)

    def _manner(self, request: Request) -> str | None:
        """Return the manner in which a request is answered, None for the ordinary one."""
        if request.method != "tools/call":
            return None
        if self._script.on_call not in {OnCall.ANSWER, OnCall.SILENT}:
            return str(self._script.on_call)
        arguments = request.params.get("arguments")
        if request.params.get("name") != manners.TOOL or not isinstance(arguments, dict):
            return None
        wanted = arguments.get("manner")
        return wanted if isinstance(wanted, str) and wanted in MANNERS else None

    def _answering(self, wire: Wire, answer: Mapping[str, JSON], request: Request) -> manners.Answering:
        arguments = request.params.get("arguments", {})
        return manners.Answering(wire, answer, arguments, STREAM_HEADERS, lambda message: event(message, self._script))

    async def _answer_json(
        self,
        wire: Wire,
        requests: Sequence[Request],
        tasks: Sequence[asyncio.Task[dict[str, JSON]]],
        *,
        batch: bool,
    ) -> None:
        await asyncio.wait(tasks)
        # A JSON body cannot end without a message as a stream can: -32800 is what the Python SDK answers then.
        cancelled = RpcError(-32800, "Request cancelled")
        answers = [
            jsonrpc.failure(request.id, cancelled) if task.cancelled() else task.result()
            for request, task in zip(requests, tasks, strict=True)
        ]
        await wire.respond(200, {"Content-Type": JSON_TYPE}, jsonrpc.encode(answers if batch else answers[0]))

    async def _get(self, wire: Wire, request: HttpRequest) -> None:
        if self._script.on_get is OnGet.BAD_REQUEST:
            raise Refusal(400, jsonrpc.SERVER_ERROR, "Bad Request: GET is not served")
        if self._script.on_get is OnGet.NOT_ALLOWED:
            raise self._not_allowed()
        check_accept(request.headers, (STREAM_TYPE,))
        session = self._session(request)
        # An id that is not known here is passed over: the server may use it, and need not (§ Resumability 2).
        resumed = session.find(request.headers.get("last-event-id", ""))
        if resumed is not None and not resumed[0].unasked:
            await self._stream(wire, resumed[0], {}, after=resumed[1])
            return
        if session.listener is not None:
            raise Refusal(409, jsonrpc.INVALID_REQUEST, "Conflict: Only one SSE stream is allowed per session")
        outlet, after = resumed or (session.store(unasked=True), None)
        outlet.reopen()
        session.parked = None
        leaving = asyncio.ensure_future(wire.gone.wait())
        leaving.add_done_callback(lambda _done: outlet.end())
        try:
            async with self._server.listening(session, outlet):
                withhold = self._script.on_get is OnGet.HEADERS_WITHHELD
                await self._stream(wire, outlet, {}, after=after, withhold=withhold)
                session.parked = outlet if outlet.was_left else None
        finally:
            leaving.cancel()

    async def _delete(self, wire: Wire, request: HttpRequest) -> None:
        if self._script.stateless:
            raise self._not_allowed()
        self._server.sessions.end(self._session(request))
        await wire.respond(200, {})

    async def _stream(
        self,
        wire: Wire,
        outlet: StreamOutlet | StoredStream,
        headers: Mapping[str, str],
        *,
        after: int | None = None,
        withhold: bool = False,
    ) -> None:
        if not withhold:
            wire.start(200, {**STREAM_HEADERS, **headers})
        async for frame in outlet.frames(self._script, after):
            if wire.lost:
                return
            if withhold:
                wire.start(200, {**STREAM_HEADERS, **headers})
                withhold = False
            await wire.send(frame)
        if withhold or outlet.was_left is Leaving.CUT:
            wire.cut()
        else:
            wire.end()
