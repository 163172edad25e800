"""Manners in which the HTTP face can answer one tools/call after its tool has run.

A script has every call answered in one manner; the tool `answer` has the manner named by its argument, so that one
witness can show many of them without being started anew. Over stdio an answer has one manner only.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, TypeAlias

from conformance.witness import jsonrpc
from conformance.witness.jsonrpc import JSON, RpcError

if TYPE_CHECKING:  # over stdio nothing of HTTP is needed, and a gateway may start a witness for each request
    from conformance.witness.http_wire import Wire

TOOL: Final = "answer"
"""The tool whose argument `manner` names how its call is answered."""

JSON_HEADERS: Final = {"Content-Type": "application/json"}
HTML: Final = b"<!DOCTYPE html><html><head><title>500</title></head><body><h1>Internal Server Error</h1></body></html>"


@dataclass(frozen=True, slots=True)
class Answering:
    """One call that is being answered: its wire, its right answer, its arguments, and how its stream would look.

    stream_headers: header fields of a correct event stream. event: the bytes of the event that carries a message.
    """

    wire: Wire
    answer: Mapping[str, JSON]
    arguments: Mapping[str, JSON]
    stream_headers: Mapping[str, str]
    event: Callable[[JSON], bytes]


Manner: TypeAlias = Callable[[Answering], Awaitable[None]]

_MANNERS: Final[dict[str, Manner]] = {}
MANNERS: Final[Mapping[str, Manner]] = MappingProxyType(_MANNERS)
"""Every manner by name; complete once `conformance.witness.all_manners` is imported."""


def manner(name: str) -> Callable[[Manner], Manner]:
    """Register a manner under a name that is part of drives and reproductions."""

    def register(function: Manner) -> Manner:
        _MANNERS[name] = function
        return function

    return register


@manner("correct")
async def _correct(call: Answering) -> None:
    call.wire.start(200, call.stream_headers)
    await call.wire.send(call.event(call.answer))
    call.wire.end()


@manner("html-500")
async def _html_500(call: Answering) -> None:
    await call.wire.respond(500, {"Content-Type": "text/html; charset=utf-8"}, HTML)


@manner("json-500")
async def _json_500(call: Answering) -> None:
    error = jsonrpc.failure(call.answer["id"], RpcError(jsonrpc.INTERNAL_ERROR, "Internal error"))
    await call.wire.respond(500, JSON_HEADERS, jsonrpc.encode(error))


@manner("empty-stream")
async def _empty_stream(call: Answering) -> None:
    call.wire.start(200, call.stream_headers)
    call.wire.end()


@manner("reset-mid-event")
async def _reset_mid_event(call: Answering) -> None:
    whole = call.event(call.answer)
    call.wire.start(200, call.stream_headers)
    await call.wire.send(whole[: len(whole) // 2])
    await call.wire.reset()


@manner("half-body")
async def _half_body(call: Answering) -> None:
    body = jsonrpc.encode(call.answer)
    call.wire.start(200, {**JSON_HEADERS, "Content-Length": str(len(body))})
    await call.wire.send(body[: len(body) // 2])
    call.wire.cut()
