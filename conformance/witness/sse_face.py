"""The HTTP+SSE face: GET opens the one stream for every answer, POST goes to the URI that its first event names.

Source: 2024-11-05 basic/transports § HTTP with SSE. Beside the Streamable HTTP endpoint, as servers that want both old
and new clients do (2025-03-26 to 2025-11-25 transports § Backwards Compatibility), or alone.
"""

from __future__ import annotations

import asyncio
import itertools
from typing import Final

from conformance.witness import jsonrpc
from conformance.witness.http_checks import STREAM_TYPE, Refusal, check_accept, check_content_type, check_origin
from conformance.witness.http_face import STREAM_HEADERS, Endpoint, StreamOutlet
from conformance.witness.http_wire import HttpRequest, Wire
from conformance.witness.jsonrpc import JSON, Message, Request, Response, RpcError
from conformance.witness.scripts import Script
from conformance.witness.sessions import Session

SSE_PATH: Final = "/sse"
MESSAGES_PATH: Final = "/odd%20path/messages/"
"""Escapes, a trailing slash, a query with escapes and an empty member: whoever composes the URI anew, instead of using
it as it came, is seen."""


class SseEndpoint(Endpoint):
    """Both transports of one witness process; `alone`: HTTP+SSE only."""

    def __init__(self, script: Script, *, alone: bool) -> None:
        super().__init__(script)
        self._alone = alone
        self._refusals = itertools.cycle(script.post_refusals)
        self._clients: dict[str, tuple[Session, StreamOutlet]] = {}
        self._deliveries: set[asyncio.Task[None]] = set()

    async def _route(self, wire: Wire, request: HttpRequest) -> None:
        if request.path == SSE_PATH:
            check_origin(request.headers)
            if request.method != "GET":
                raise Refusal(next(self._refusals), jsonrpc.SERVER_ERROR, "Refused", {"Allow": "GET"})
            await self._open(wire, request)
        elif request.path == MESSAGES_PATH and request.method == "POST":
            check_origin(request.headers)
            await self._message(wire, request)
        elif self._alone:
            raise Refusal(404, jsonrpc.SERVER_ERROR, "Not Found")
        else:
            await super()._route(wire, request)

    async def _open(self, wire: Wire, request: HttpRequest) -> None:
        check_accept(request.headers, (STREAM_TYPE,))
        session, outlet = Session(), StreamOutlet(carries_messages=True)
        uri = f"{MESSAGES_PATH}?session={session.id}&of=a%2Fb%3Dc&empty="
        self._clients[uri] = session, outlet
        leaving = asyncio.ensure_future(wire.gone.wait())
        leaving.add_done_callback(lambda _done: outlet.end())
        newline = self._script.newline
        try:
            async with self._server.listening(session, outlet):
                wire.start(200, STREAM_HEADERS)
                await wire.send(f"event: endpoint{newline}data: {uri}{newline * 2}".encode())
                async for frame in outlet.frames(self._script):
                    if wire.lost:
                        return
                    await wire.send(frame)
                wire.end()
        finally:
            leaving.cancel()
            del self._clients[uri]
            self._server.sessions.end(session)

    async def _message(self, wire: Wire, request: HttpRequest) -> None:
        found = self._clients.get(request.target)
        if found is None:
            raise Refusal(404, jsonrpc.INVALID_REQUEST, "Not Found: no open stream named this URI")
        check_content_type(request.headers)
        try:
            message = jsonrpc.read(jsonrpc.decode(request.body))
        except RpcError as error:
            raise Refusal(400, error.code, error.message) from error
        await wire.respond(202, {"Content-Type": "text/plain"}, b"Accepted")
        self._receive(*found, message, wire.number)

    def _receive(self, session: Session, outlet: StreamOutlet, message: Message, connection: int) -> None:
        if isinstance(message, Response):
            session.take_response(message)
        elif isinstance(message, Request):
            task = asyncio.create_task(self._deliver(session, outlet, message, connection))
            self._deliveries.add(task)
            task.add_done_callback(self._deliveries.discard)
        else:
            self._server.notice(session, message)

    async def _deliver(self, session: Session, outlet: StreamOutlet, request: Request, connection: int) -> None:
        """Put the answer on the stream; a cancelled request has none."""
        answer: dict[str, JSON]
        if request.method == "initialize":
            try:
                answer = await self._server.initialize(session, request)
            except RpcError as error:
                answer = jsonrpc.failure(request.id, error)
        elif session.opened or request.method == "ping":
            task = self._server.start(session, request, outlet, connection)
            await asyncio.wait((task,))
            if task.cancelled():
                return
            answer = task.result()
        else:
            refusal = RpcError(jsonrpc.INVALID_REQUEST, "Bad Request: Server not initialized")
            answer = jsonrpc.failure(request.id, refusal)
        outlet.send(answer)
