"""The ways in which a script spoils the answer to tools/call, after the tool has run."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from conformance.witness import jsonrpc
from conformance.witness.http_wire import Wire
from conformance.witness.jsonrpc import JSON, RpcError
from conformance.witness.scripts import OnCall, Script

HTML = b"<!DOCTYPE html><html><head><title>500</title></head><body><h1>Internal Server Error</h1></body></html>"


async def misanswer(
    script: Script,
    wire: Wire,
    answer: Mapping[str, JSON],
    stream_headers: Mapping[str, str],
    event: Callable[[JSON, Script], bytes],
) -> None:
    """Answer a tools/call whose right answer is `answer` as `script.on_call` says."""
    match script.on_call:
        case OnCall.HTML_500:
            await wire.respond(500, {"Content-Type": "text/html; charset=utf-8"}, HTML)
        case OnCall.JSON_500:
            error = jsonrpc.failure(answer["id"], RpcError(jsonrpc.INTERNAL_ERROR, "Internal error"))
            await wire.respond(500, {"Content-Type": "application/json"}, jsonrpc.encode(error))
        case OnCall.EMPTY_STREAM:
            wire.start(200, stream_headers)
            wire.end()
        case OnCall.RESET_MID_EVENT:
            whole = event(answer, script)
            wire.start(200, stream_headers)
            await wire.send(whole[: len(whole) // 2])
            await wire.reset()
        case OnCall.HALF_BODY:
            body = jsonrpc.encode(answer)
            wire.start(200, {"Content-Type": "application/json", "Content-Length": str(len(body))})
            await wire.send(body[: len(body) // 2])
            wire.cut()
        case OnCall.ANSWER | OnCall.SILENT:
            raise AssertionError("these are answered, or not, by the protocol itself")
