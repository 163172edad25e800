"""Manners of HTTP: the legal forms of an answer, and faults of which the message itself is innocent."""

from __future__ import annotations

from typing import Final

from conformance.witness import jsonrpc
from conformance.witness.manners import HTML, JSON_HEADERS, Answering, manner

WITH_CHARSET: Final = "; charset=utf-8"
"""A parameter that HTTP frameworks append to the media type by themselves."""


@manner("json")
async def _json(call: Answering) -> None:
    await call.wire.respond(200, JSON_HEADERS, jsonrpc.encode(call.answer))


@manner("json-charset")
async def _json_charset(call: Answering) -> None:
    await call.wire.respond(200, _with_charset(JSON_HEADERS["Content-Type"]), jsonrpc.encode(call.answer))


@manner("stream-charset")
async def _stream_charset(call: Answering) -> None:
    call.wire.start(200, {**call.stream_headers, **_with_charset(call.stream_headers["Content-Type"])})
    await call.wire.send(call.event(call.answer))
    call.wire.end()


@manner("stream-comments")
async def _stream_comments(call: Answering) -> None:
    call.wire.start(200, call.stream_headers)
    await call.wire.send(b": before\n\n" + call.event(call.answer) + b": after\n\n")
    call.wire.end()


@manner("plain-413")
async def _plain_413(call: Answering) -> None:
    await call.wire.respond(413, {"Content-Type": "text/plain"}, b"Request Entity Too Large")


@manner("html-200")
async def _html_200(call: Answering) -> None:
    await call.wire.respond(200, {"Content-Type": "text/html; charset=utf-8"}, HTML)


@manner("broken-json")
async def _broken_json(call: Answering) -> None:
    await call.wire.respond(200, JSON_HEADERS, jsonrpc.encode(call.answer)[:-1])


@manner("reset-at-once")
async def _reset_at_once(call: Answering) -> None:
    await call.wire.reset()


def _with_charset(media_type: str) -> dict[str, str]:
    return {"Content-Type": media_type + WITH_CHARSET}
