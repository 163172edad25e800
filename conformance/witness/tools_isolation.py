"""Tools that give one session something that no other has."""

from __future__ import annotations

from typing import Final

from conformance.witness import jsonrpc
from conformance.witness.tools import LIST_CHANGED, NONCE_META, Call, Specifics, Tool


async def _nothing(_call: Call) -> Specifics:
    return {}


async def _add_own_tool(call: Call) -> Specifics:
    name = call.arguments["name"]
    call.session.own_tools[name] = Tool(name=name, description="A tool of one session.", run=_nothing)
    message = jsonrpc.notification(LIST_CHANGED, {"_meta": {NONCE_META: call.arguments["nonce"]}})
    return {"name": name, "notified": call.session.push(message)}


TOOLS: Final = (
    Tool(
        "add_own_tool",
        "Adds a tool to the session of this call alone, as servers do for a user who may do more.",
        _add_own_tool,
        {"name": {"type": "string"}},
        ("name",),
    ),
)
