"""The server behind every face: initialize, the methods, and the deviations that do not depend on the transport."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import dataclasses
import itertools
import json
import os
import sys
import traceback
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from typing import Any, Final

from conformance.witness import jsonrpc, tools
from conformance.witness.all_tools import ALL_TOOLS
from conformance.witness.jsonrpc import JSON, Notification, Request, RpcError
from conformance.witness.scripts import OnCall, Script
from conformance.witness.sessions import LOG_LEVELS, REVISIONS, Outlet, Session, Sessions

PROMPT: Final = {
    "name": "greeting",
    "description": "Asks for a greeting.",
    "arguments": [{"name": "name", "description": "Whom to greet", "required": True}],
}
RESOURCE: Final = {
    "uri": "witness://about",
    "name": "about",
    "description": "What this server is.",
    "mimeType": "text/plain",
}
SHOWN: Final = 2000
"""Characters of a message that are printed."""
PING_TIMEOUT: Final = 2.0
"""Seconds a scripted ping waits for its answer; an unanswered one is only counted, it ends nothing."""


class Server:
    """One witness process: its script, sessions and tools."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.sessions = Sessions()
        self._toolbox = tools.Toolbox(ALL_TOOLS)
        self._toolbox.open = script.tools_delay == 0
        self._requests = itertools.count(1)
        self._tasks: set[asyncio.Task[None]] = set()
        self._opened_once = False
        methods: Mapping[str, Callable[[Session, Mapping[str, JSON]], Mapping[str, JSON]]] = {
            "ping": lambda _session, _params: {},
            "tools/list": lambda session, params: _page("tools", self._tools_of(session), script.page_size, params),
            "prompts/list": lambda _session, params: _page("prompts", [PROMPT], None, params),
            "prompts/get": lambda _session, params: _get_prompt(params),
            "resources/list": lambda _session, params: _page("resources", [RESOURCE], None, params),
            "resources/templates/list": lambda _session, params: _page("resourceTemplates", [], None, params),
            "resources/read": lambda _session, params: _read_resource(params),
            "logging/setLevel": _set_level,
        }
        self._declared = {"tools": {"listChanged": True}} | (
            {} if script.tools_only else {"prompts": {}, "resources": {}, "logging": {}}
        )
        known = {"ping", *self._declared}
        self._methods = {name: run for name, run in methods.items() if name.partition("/")[0] in known}

    async def initialize(self, session: Session, request: Request) -> dict[str, JSON]:
        """Open `session` and return the answer to its initialize; RpcError -32602 on malformed parameters."""
        self._show(session, request)
        if self.script.hangs_on_initialize:
            await asyncio.get_running_loop().create_future()
        if self.script.initialize_delay:
            await asyncio.sleep(self.script.initialize_delay)
        if self.script.single_session and (session.opened or len(self.sessions)):
            raise RpcError(jsonrpc.INVALID_REQUEST, "Invalid Request: Server already initialized")
        params = request.params
        for name, kind in (("protocolVersion", str), ("capabilities", dict), ("clientInfo", dict)):
            if not isinstance(params.get(name), kind):
                raise RpcError(jsonrpc.INVALID_PARAMS, f"Invalid request parameters: {name} is missing or malformed")
        wanted = params["protocolVersion"]
        session.revision = wanted if wanted in REVISIONS else REVISIONS[-1]
        session.client = {"info": params["clientInfo"], "capabilities": params["capabilities"], "asked_for": wanted}
        session.opened = True
        self.sessions.add(session)
        if not self._opened_once:
            self._opened_once = True
            if self.script.tools_delay:
                self._spawn(self._open_toolbox())
        result = {
            "protocolVersion": self.script.answers_version or session.revision,
            "capabilities": self._declared,
            "serverInfo": {"name": "witness", "version": "1.0.0"},
        }
        return jsonrpc.success(request.id, result)

    def start(
        self, session: Session, request: Request, outlet: Outlet, connection: int
    ) -> asyncio.Task[dict[str, JSON]]:
        """Start to answer a request; the task returns the answer, and is cancelled if the client cancels the request.

        What belongs to the request before its answer (progress, logs, pings) goes to `outlet`. A request that runs is
        not ended by a lost connection (transports § Sending Messages: a disconnection is no cancellation).
        """
        self._show(session, request)
        session.requests += 1
        task = asyncio.create_task(self._answer(session, request, outlet, connection))
        session.running[request.id] = task

        def forget(done: asyncio.Task[dict[str, JSON]]) -> None:
            if session.running.get(request.id) is done:
                del session.running[request.id]

        task.add_done_callback(forget)
        return task

    def resumable(self, request: Request) -> bool:
        """Whether a request calls a tool whose answers come on streams that can be resumed."""
        return request.method == "tools/call" and self._toolbox.resumable(request.params.get("name"))

    def notice(self, session: Session, notification: Notification) -> None:
        """Take a notification; unknown and malformed ones are ignored."""
        self._show(session, notification)
        if notification.method == "notifications/initialized":
            session.initialized.set()
        elif notification.method == "notifications/cancelled":
            session.cancel(notification.params.get("requestId"))

    @contextlib.asynccontextmanager
    async def listening(self, session: Session, outlet: Outlet) -> AsyncIterator[None]:
        """Let `outlet` carry what is unrelated to any request, and send what the script wants sent unasked."""
        session.listener = outlet
        task = asyncio.create_task(self._send_unasked(session, outlet))
        try:
            yield
        finally:
            task.cancel()
            session.listener = None

    def _show(self, session: Session, message: Request | Notification) -> None:
        """Print what came in, where that is wanted; a process that issues no session ids is told by its number."""
        if self.script.shown:
            told = {"session": session.id or f"process {os.getpid()}"} | dataclasses.asdict(message)
            print(json.dumps(told)[:SHOWN], file=sys.stderr, flush=True)

    async def _answer(self, session: Session, request: Request, outlet: Outlet, connection: int) -> dict[str, JSON]:
        try:
            return jsonrpc.success(request.id, await self._result(session, request, outlet, connection))
        except RpcError as error:
            return jsonrpc.failure(request.id, error)
        except Exception:  # noqa: BLE001 - a defect of ours must not read as a hang: it is answered, and its trace shown
            traceback.print_exc()
            return jsonrpc.failure(request.id, RpcError(jsonrpc.INTERNAL_ERROR, "Internal error of the witness"))

    async def _result(self, session: Session, request: Request, outlet: Outlet, connection: int) -> Mapping[str, JSON]:
        number = next(self._requests)
        if self.script.requires_initialized and not session.initialized.is_set() and request.method != "ping":
            raise RpcError(jsonrpc.INVALID_PARAMS, "Invalid request parameters")
        if request.method == "tools/call":
            return await self._call(session, request, outlet, connection, number)
        method = self._methods.get(request.method)
        if method is None:
            raise RpcError(jsonrpc.METHOD_NOT_FOUND, f"Method not found: {request.method}")
        return method(session, request.params)

    def _tools_of(self, session: Session) -> list[dict[str, JSON]]:
        """Return the tools as one session sees them: everybody's, then its own."""
        return [*self._toolbox.listed(), *(tool.listed() for tool in session.own_tools.values())]

    async def _call(
        self, session: Session, request: Request, outlet: Outlet, connection: int, number: int
    ) -> Mapping[str, JSON]:
        if self.script.on_call is OnCall.SILENT:
            await asyncio.get_running_loop().create_future()
        name = request.params.get("name")
        own = session.own_tools.get(name) if isinstance(name, str) else None
        tool = own or self._toolbox.find(name)
        meta = request.params.get("_meta")
        token = meta.get("progressToken") if isinstance(meta, dict) else None
        call = tools.Call(
            arguments=request.params.get("arguments", {}),
            session=session,
            sessions=self.sessions,
            toolbox=self._toolbox,
            outlet=outlet,
            connection=connection,
            request=number,
            progress_token=token if jsonrpc.is_id(token) else None,
        )
        return await tools.run(tool, call)

    async def _send_unasked(self, session: Session, outlet: Outlet) -> None:
        await session.initialized.wait()
        if self.script.list_changed_delay is not None:
            await asyncio.sleep(self.script.list_changed_delay)
            outlet.send(jsonrpc.notification(tools.LIST_CHANGED))
        while self.script.ping_period is not None:
            await asyncio.sleep(self.script.ping_period)
            await session.ping(outlet, PING_TIMEOUT)

    async def _open_toolbox(self) -> None:
        await asyncio.sleep(self.script.tools_delay)
        self._toolbox.open = True
        if self.script.announces_late_tools:
            self.sessions.broadcast(jsonrpc.notification(tools.LIST_CHANGED))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _page(key: str, items: Sequence[JSON], size: int | None, params: Mapping[str, JSON]) -> Mapping[str, JSON]:
    """Return one page of a list; RpcError -32602 on a cursor that was never issued (utilities/pagination)."""
    start = 0
    cursor = params.get("cursor")
    if cursor is not None:
        cursors = {_cursor(at): at for at in range(size, len(items), size)} if size else {}
        if not isinstance(cursor, str) or cursor not in cursors:
            raise RpcError(jsonrpc.INVALID_PARAMS, "Invalid cursor")
        start = cursors[cursor]
    end = start + size if size else len(items)
    page: dict[str, JSON] = {key: list(items[start:end])}
    return page | ({"nextCursor": _cursor(end)} if end < len(items) else {})


def _cursor(at: int) -> str:
    return base64.urlsafe_b64encode(f"page-at:{at}".encode()).decode()


def _get_prompt(params: Mapping[str, JSON]) -> Mapping[str, JSON]:
    arguments = params.get("arguments")
    if params.get("name") != PROMPT["name"]:
        raise RpcError(jsonrpc.INVALID_PARAMS, f"Unknown prompt: {params.get('name')}")
    if not isinstance(arguments, dict) or not isinstance(arguments.get("name"), str):
        raise RpcError(jsonrpc.INVALID_PARAMS, "Missing argument: name")
    text = {"type": "text", "text": f"Please greet {arguments['name']}."}
    return {"messages": [{"role": "user", "content": text}]}


def _read_resource(params: Mapping[str, JSON]) -> Mapping[str, JSON]:
    if params.get("uri") != RESOURCE["uri"]:
        raise RpcError(jsonrpc.RESOURCE_NOT_FOUND, f"Resource not found: {params.get('uri')}")
    contents = {"uri": RESOURCE["uri"], "mimeType": "text/plain", "text": "The witness of a conformance harness."}
    return {"contents": [contents]}


def _set_level(session: Session, params: Mapping[str, JSON]) -> Mapping[str, JSON]:
    level = params.get("level")
    if level not in LOG_LEVELS:
        raise RpcError(jsonrpc.INVALID_PARAMS, f"Invalid log level: {level}")
    session.log_level = level
    return {}
