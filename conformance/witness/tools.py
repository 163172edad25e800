"""The witness's tools. Each result says on which session, request and connection the call arrived."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from conformance.witness import jsonrpc, manners
from conformance.witness.all_manners import MANNERS
from conformance.witness.jsonrpc import JSON, RpcError
from conformance.witness.sessions import LOG_LEVELS, Outlet, Session, Sessions

NONCE_META: Final = "mcp-gateway-conformance/nonce"
"""Key in `_meta` of a notification that a call with a nonce asked for."""

PROGRESS_PERIOD: Final = 1.0
"""Seconds between progress notifications where the caller names no period."""

PING_ANSWER: Final = 5.0
"""Seconds `server_ping` waits for its answer: a healthy client answers in milliseconds, a call may last longer."""

BEYOND_BMP: Final = "\U0001d11e caf\u00e9 \U0001f9ea"
"""Text with characters of two and of four bytes in UTF-8; the latter are two units of UTF-16."""

LIST_CHANGED: Final = "notifications/tools/list_changed"


@dataclass(frozen=True, slots=True)
class Call:
    """One tools/call as a tool sees it; `outlet` carries what belongs to this call."""

    arguments: Mapping[str, JSON]
    session: Session
    sessions: Sessions
    toolbox: Toolbox
    outlet: Outlet
    connection: int
    request: int
    progress_token: str | int | None


Specifics: TypeAlias = Mapping[str, JSON]


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool: what is listed, and what it adds to the common result.

    resumable: whether its calls are answered on streams that can be resumed. shape: what becomes of the whole result.
    """

    name: str
    description: str
    run: Callable[[Call], Awaitable[Specifics]]
    properties: Mapping[str, Mapping[str, JSON]] = field(default_factory=dict)
    required: tuple[str, ...] = ()
    fails: bool = False
    resumable: bool = False
    shape: Callable[[dict[str, JSON]], dict[str, JSON]] = dict

    def listed(self) -> dict[str, JSON]:
        """Return the tool as tools/list shows it."""
        properties = {"nonce": {"type": "string", "description": "Echoed in the result"}, **self.properties}
        schema = {"type": "object", "properties": properties, "required": ["nonce", *self.required]}
        return {"name": self.name, "description": self.description, "inputSchema": schema}

    def complaint(self, arguments: JSON) -> str | None:
        """Return what is wrong with `arguments`, None if they fit the input schema."""
        if not isinstance(arguments, dict):
            return "arguments must be an object"
        schema = self.listed()["inputSchema"]
        for name in schema["required"]:
            if name not in arguments:
                return f"argument {name} is missing"
        for name, value in arguments.items():
            wanted = schema["properties"].get(name)
            if wanted is not None and not _fits(value, wanted):
                return f"argument {name} does not fit {jsonrpc.encode(wanted).decode()}"
        return None


def _fits(value: JSON, wanted: Mapping[str, JSON]) -> bool:
    types = {"string": str, "number": int | float, "integer": int}
    if isinstance(value, bool) or not isinstance(value, types[wanted["type"]]):
        return False
    return value in wanted.get("enum", [value]) and value >= wanted.get("minimum", value)


class Toolbox:
    """The tools of the process, shared by its sessions; `open` is False while a script keeps them back."""

    def __init__(self, tools: Iterable[Tool]) -> None:
        self._tools = {tool.name: tool for tool in tools}
        self.open = True

    def listed(self) -> list[dict[str, JSON]]:
        """Return all visible tools in a fixed order."""
        return [tool.listed() for tool in self._tools.values()] if self.open else []

    def find(self, name: JSON) -> Tool:
        """Return the tool called `name`; RpcError -32602 if there is none (server/tools § Error Handling)."""
        tool = self._tools.get(name) if self.open and isinstance(name, str) else None
        if tool is None:
            raise RpcError(jsonrpc.INVALID_PARAMS, f"Unknown tool: {name}")
        return tool

    def resumable(self, name: JSON) -> bool:
        """Whether the calls of the tool called `name` are answered on streams that can be resumed."""
        tool = self._tools.get(name) if isinstance(name, str) else None
        return tool is not None and tool.resumable

    def add(self, name: str) -> None:
        """Add a tool that only reports where its call arrived; RpcError -32602 if the name is taken."""
        if name in self._tools:
            raise RpcError(jsonrpc.INVALID_PARAMS, f"A tool called {name} exists already")
        self._tools[name] = Tool(name=name, description="A tool added at run time.", run=_nothing)


async def run(tool: Tool, call: Call) -> dict[str, JSON]:
    """Run a tool and return its CallToolResult, in the shape of the session's revision."""
    complaint = tool.complaint(call.arguments)
    if complaint is not None:
        return _refusal(call.session.revision, f"Invalid arguments for tool {tool.name}: {complaint}")
    specifics = await tool.run(call)
    facts = {
        "nonce": call.arguments["nonce"],
        "tool": tool.name,
        "session": call.session.id,
        "request": call.request,
        "connection": call.connection,
        "process": os.getpid(),
        **specifics,
    }
    result: dict[str, JSON] = {"content": [{"type": "text", "text": jsonrpc.encode(facts).decode()}]}
    if call.session.revision >= "2025-06-18":
        result["structuredContent"] = facts
    return tool.shape(result) | ({"isError": True} if tool.fails else {})


def _refusal(revision: str, text: str) -> dict[str, JSON]:
    """Refuse arguments: a tool error since 2025-11-25, a protocol error before (server/tools § Error Handling)."""
    if revision < "2025-11-25":
        raise RpcError(jsonrpc.INVALID_PARAMS, text)
    return {"content": [{"type": "text", "text": text}], "isError": True}


async def _nothing(_call: Call) -> Specifics:
    return {}


async def _echo(call: Call) -> Specifics:
    return {"text": call.arguments["text"]}


async def _answer(call: Call) -> Specifics:
    return {"manner": call.arguments["manner"], "text": BEYOND_BMP}


async def _slow(call: Call) -> Specifics:
    seconds = float(call.arguments["seconds"])
    period = float(call.arguments.get("progress_every", PROGRESS_PERIOD))
    loop = asyncio.get_running_loop()
    start = loop.time()
    beats = 0
    if call.progress_token is not None:
        while (beats + 1) * period < seconds:
            beats += 1
            await asyncio.sleep(start + beats * period - loop.time())
            call.outlet.send(progress(call, beats * period, seconds))
    await asyncio.sleep(start + seconds - loop.time())
    return {"seconds": seconds, "progress": beats}


def progress(call: Call, done: float, total: float | None = None) -> dict[str, JSON]:
    """Return a progress notification of the call, with the call's nonce as its text where the revision has texts."""
    params: dict[str, JSON] = {"progressToken": call.progress_token, "progress": done}
    if total is not None:
        params["total"] = total
    if call.session.revision >= "2025-03-26":
        params["message"] = call.arguments["nonce"]
    return jsonrpc.notification("notifications/progress", params)


async def _counter(call: Call) -> Specifics:
    call.session.count += 1
    return {"count": call.session.count}


async def _whoami(call: Call) -> Specifics:
    session = call.session
    return {
        "revision": session.revision,
        "client": session.client,
        "initialized": session.initialized.is_set(),
        "listening": session.listener is not None,
        "requests": session.requests,
        "cancelled": session.cancelled,
        "pings": {"sent": session.pings_sent, "answered": session.pings_answered},
    }


async def _notify(call: Call) -> Specifics:
    kind, nonce = call.arguments["kind"], call.arguments["nonce"]
    if kind == "log":
        message = jsonrpc.notification(
            "notifications/message", {"level": "info", "logger": "witness", "data": {"nonce": nonce}}
        )
        if LOG_LEVELS.index("info") < LOG_LEVELS.index(call.session.log_level):
            return {"kind": kind, "stream": None, "delivered": False}
    else:
        message = jsonrpc.notification(LIST_CHANGED, {"_meta": {NONCE_META: nonce}})
    stream = call.arguments.get("stream", "post" if kind == "log" else "get")
    delivered = call.outlet.send(message) if stream == "post" else call.session.push(message)
    return {"kind": kind, "stream": stream, "delivered": delivered}


async def _add_tool(call: Call) -> Specifics:
    call.toolbox.add(call.arguments["name"])
    message = jsonrpc.notification(LIST_CHANGED, {"_meta": {NONCE_META: call.arguments["nonce"]}})
    return {"name": call.arguments["name"], "notified": call.sessions.broadcast(message)}


async def _fail(_call: Call) -> Specifics:
    return {"error": "This tool always fails."}


async def _exit(call: Call) -> Specifics:
    # A crash, on purpose: no answer, no farewell on other streams, no clean-up.
    os._exit(call.arguments["code"])


async def _server_ping(call: Call) -> Specifics:
    return {"answered": await call.session.ping(call.outlet, PING_ANSWER)}


TOOLS: Final = (
    Tool("echo", "Returns the text it was given.", _echo, {"text": {"type": "string"}}, ("text",)),
    Tool(
        manners.TOOL,
        "Returns its result over HTTP in the manner named: some are legal, some are not.",
        _answer,
        {"manner": {"type": "string", "enum": sorted(MANNERS)}},
        ("manner",),
    ),
    Tool(
        "slow",
        "Answers after the given seconds, reporting progress meanwhile if a progress token came with the call.",
        _slow,
        {
            "seconds": {"type": "number", "minimum": 0},
            "progress_every": {"type": "number", "minimum": 0.001, "description": "Seconds between progress reports"},
        },
        ("seconds",),
    ),
    Tool("counter", "Counts its calls in this session and returns the count.", _counter),
    Tool("whoami", "Returns what the server knows about the session of this call.", _whoami),
    Tool(
        "notify",
        "Sends a notification: on the stream of this call (post) or the session's own stream (get).",
        _notify,
        {
            "kind": {"type": "string", "enum": ["list_changed", "log"]},
            "stream": {"type": "string", "enum": ["get", "post"]},
        },
        ("kind",),
    ),
    Tool(
        "add_tool",
        "Adds a tool to this server and tells every listening client that the list changed.",
        _add_tool,
        {"name": {"type": "string"}},
        ("name",),
    ),
    Tool("fail", "Always returns a tool error.", _fail, fails=True),
    Tool(
        "exit",
        "Ends the server process with the given exit code, without an answer.",
        _exit,
        {"code": {"type": "integer", "minimum": 0}},
        ("code",),
    ),
    Tool("server_ping", "Pings the client on the stream of this call and tells whether it answered.", _server_ping),
)
