"""Manners of answering on an event stream: its legal spellings (WHATWG HTML § 9.2), and some pauses and ends."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from conformance.witness import jsonrpc
from conformance.witness.manners import Answering, manner

SOON: Final = 0.02
"""Seconds between two pieces of one event, so that they leave in packets of their own."""

LATE: Final = 2.0
"""Seconds between the head of a response and its first event in `sse-late-event`."""

FLOOD_BYTES: Final = 6 << 20
"""Size of the answer in `sse-flood`: more than the sockets between a server and a client who does not read will hold
(Linux: up to 4 MiB to send)."""

BOM: Final = b"\xef\xbb\xbf"


async def _send(call: Answering, *pieces: bytes) -> None:
    """Send a stream of these pieces, each by itself, and end it."""
    call.wire.start(200, call.stream_headers)
    for piece in pieces:
        await call.wire.send(piece)
        await asyncio.sleep(SOON)
    call.wire.end()


def _lines(newline: bytes, lines: Sequence[bytes]) -> bytes:
    return b"".join(line + newline for line in (*lines, b""))


@manner("sse-crlf")
async def _crlf(call: Answering) -> None:
    await _send(call, _lines(b"\r\n", (b"event: message", b"data: " + jsonrpc.encode(call.answer))))


@manner("sse-cr")
async def _cr(call: Answering) -> None:
    await _send(call, _lines(b"\r", (b"event: message", b"data: " + jsonrpc.encode(call.answer))))


@manner("sse-bom")
async def _bom(call: Answering) -> None:
    await _send(call, BOM + _lines(b"\n", (b"data: " + jsonrpc.encode(call.answer),)))


@manner("sse-split")
async def _split(call: Answering) -> None:
    """Cut inside a character of four bytes and between CR and LF."""
    whole = _lines(b"\r\n", (b"event: message", b"data: " + jsonrpc.encode(call.answer)))
    middle = next((at + 2 for at, byte in enumerate(whole) if byte >= 0xF0), len(whole) // 2)
    await _send(call, whole[:middle], whole[middle:-3], whole[-3:-1], whole[-1:])


@manner("sse-data-lines")
async def _data_lines(call: Answering) -> None:
    """Spread the message over several data fields, one of them without the space."""
    pretty = jsonrpc.encode(call.answer).replace(b',"', b',\n"').split(b"\n")
    await _send(call, _lines(b"\n", (b"data:" + pretty[0], *(b"data: " + line for line in pretty[1:]))))


@manner("sse-other-fields")
async def _other_fields(call: Answering) -> None:
    """Put fields that no client knows, and an event of a type of its own, before and around the message."""
    foreign = _lines(b"\n", (b"event: witness-foreign", b"data: not a message"))
    message = (b"witness: unknown", b"nothing", b"event: message", b"data: " + jsonrpc.encode(call.answer))
    await _send(call, foreign, _lines(b"\n", message))


@manner("sse-comments")
async def _comments(call: Answering) -> None:
    """Put comments before the answer."""
    whole = call.event(call.answer)
    await _send(call, b": on its way\n\n", b":\n\n", whole)


@manner("sse-unended")
async def _unended(call: Answering) -> None:
    """End the stream before the blank line that would have ended the event."""
    await _send(call, call.event(call.answer).rstrip(b"\r\n") + b"\n")


@manner("sse-late-event")
async def _late_event(call: Answering) -> None:
    """Send the head of the response at once and its only event late."""
    call.wire.start(200, call.stream_headers)
    await asyncio.sleep(LATE)
    await call.wire.send(call.event(call.answer))
    call.wire.end()


@manner("sse-flood")
async def _flood(call: Answering) -> None:
    """Add to the answer more text than fits anywhere on its way."""
    result = call.answer["result"]
    filler = {"type": "text", "text": "x" * FLOOD_BYTES}
    answer = {**call.answer, "result": {**result, "content": [*result["content"], filler]}}
    call.wire.start(200, call.stream_headers)
    await call.wire.send(call.event(answer))
    call.wire.end()
