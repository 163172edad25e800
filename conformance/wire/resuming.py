"""A client that leaves streams and comes back for them, each time on a TCP connection of its own.

Like the other drivers it only drives. A position is what a client remembers to resume (transports § Resumability).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing, suppress
from dataclasses import dataclass

import httpx

from conformance import timing
from conformance.evidence.events import JSON
from conformance.wire.driver import McpClient
from conformance.wire.http_client import http_client
from conformance.wire.sse import SseEvent, SseParser


@dataclass(slots=True)
class Position:
    """How far one request's stream was read.

    retry: milliseconds the server asked for before a reconnection. messages: how many came. answered: whether the
    response did. status: of the latest HTTP response, None when none came.
    """

    request_id: JSON
    status: int | None = None
    last_event_id: str | None = None
    retry: int | None = None
    messages: int = 0
    answered: bool = False

    @property
    def pause(self) -> float:
        """Seconds to wait before coming back."""
        return timing.RECONNECT if self.retry is None else self.retry / 1000


async def post(
    client: McpClient, message: Mapping[str, JSON], *, seconds: float, leave: Callable[[Position], bool] | None = None
) -> Position:
    """POST a request and read its stream to its end, for at most `seconds`, or until `leave` says to go."""
    position = Position(message["id"])
    headers = {"Content-Type": "application/json", **client.headers()}
    await _read(client, "POST", headers, json.dumps(client.outgoing(message)).encode(), position, seconds, leave)
    return position


async def resume(client: McpClient, position: Position, *, seconds: float) -> None:
    """GET what followed `position`, again and again as long as the server closes early, for at most `seconds`."""
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    while not position.answered and position.last_event_id is not None and (left := until - loop.time()) > 0:
        headers = client.headers({"Accept": "text/event-stream", "Last-Event-ID": position.last_event_id})
        await _read(client, "GET", headers, None, position, left, None)
        if position.status != 200:
            return
        if not position.answered:
            await asyncio.sleep(position.pause)


async def listen(client: McpClient, position: Position, *, seconds: float) -> None:
    """GET the session's own stream, behind `position` where it was read before, and read it for at most `seconds`."""
    last = position.last_event_id
    headers = client.headers({"Accept": "text/event-stream", "Last-Event-ID": last})
    await _read(client, "GET", headers, None, position, seconds, None)


async def _read(
    client: McpClient,
    method: str,
    headers: Mapping[str, str],
    content: bytes | None,
    position: Position,
    seconds: float,
    leave: Callable[[Position], bool] | None,
) -> None:
    """Make one request and read its response; a deadline or a broken connection just ends it, both are on the tap."""
    position.status = None
    with suppress(TimeoutError, httpx.HTTPError):
        async with (
            asyncio.timeout(seconds),
            _new_client() as http,
            http.stream(method, client.url, headers=headers, content=content) as response,
        ):
            position.status = response.status_code
            if not response.headers.get("content-type", "").startswith("text/event-stream"):
                position.answered = method == "POST"
                await response.aread()
                return
            async with aclosing(_events(response)) as events:
                async for event in events:
                    _advance(position, event)
                    if leave is not None and leave(position):
                        return


def _new_client() -> httpx.AsyncClient:
    """Return a client for one request, so that closing it surely closes its TCP connection."""
    return http_client(headers={"Accept-Encoding": "identity"})


async def _events(response: httpx.Response) -> AsyncGenerator[SseEvent]:
    parser = SseParser()
    async for chunk in response.aiter_raw():
        for item in parser.feed(chunk):
            if isinstance(item, SseEvent):
                yield item


def _advance(position: Position, event: SseEvent) -> None:
    if event.id is not None:
        position.last_event_id = event.id
    if event.retry is not None:
        position.retry = event.retry
    if not event.data:
        return
    position.messages += 1
    with suppress(ValueError):  # what is not JSON is on the tap
        message = json.loads(event.data)
        if isinstance(message, dict) and message.get("id") == position.request_id and "method" not in message:
            position.answered = True
