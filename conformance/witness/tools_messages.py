"""Tools whose results and errors carry all that a message may carry, so that it can be seen what of it arrives."""

from __future__ import annotations

from typing import Final

from conformance.witness import jsonrpc
from conformance.witness.jsonrpc import JSON, RpcError
from conformance.witness.tools import Call, Specifics, Tool

META: Final[dict[str, JSON]] = {
    "com.example/trace": {"id": "4bf92f35", "sampled": True, "tags": ["a", "b"]},
    "io.modelcontextprotocol/later": ["of a revision", {"to": "come"}],
}
"""`_meta` of a vendor's, and under a prefix that is reserved for what nobody knows yet (basic, _meta)."""

STRANGER: Final = "comExampleMember"
"""A member that no revision defines."""

DATA: Final[dict[str, JSON]] = {"text": "naïve", "list": [1, "two", None, []], "nested": {"empty": {}, "half": 0.5}}

ERROR_CODE: Final = 4711
"""Outside the range that JSON-RPC reserves, as an application's own codes are (JSON-RPC 2.0, Error object)."""


async def _rich(call: Call) -> Specifics:
    told = {"level": "info", "logger": "witness", "data": {"nonce": call.arguments["nonce"]}}
    call.outlet.send(jsonrpc.notification("notifications/message", {**told, STRANGER: "told", "_meta": META}))
    return {"data": DATA}


def _enriched(result: dict[str, JSON]) -> dict[str, JSON]:
    content = [{**item, "annotations": {"priority": 0.5}, STRANGER: "content"} for item in result["content"]]
    return {**result, "content": content, STRANGER: {"of": "result"}, "_meta": META}


async def _reject(call: Call) -> Specifics:
    raise RpcError(
        ERROR_CODE, f"Rejected on purpose: {call.arguments['nonce']}", data={"reason": "asked to", "at": [1]}
    )


TOOLS: Final = (
    Tool(
        "rich",
        "Logs a message and returns a result, both with `_meta` and with members that no revision defines.",
        _rich,
        shape=_enriched,
    ),
    Tool("reject", "Answers with a JSON-RPC error of its own code, with data.", _reject),
)
