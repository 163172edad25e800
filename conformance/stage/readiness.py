"""Is it up? A port that accepts, then an `initialize` that is answered, asked of the program itself and through no tap.

Only this is retried in a run, and each try is evidence.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import httpx

from conformance import __version__
from conformance.evidence.events import Kind
from conformance.wire.http_client import as_sent, http_client, said_of
from conformance.wire.sse import SseEvent, SseParser

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from conformance.stage.runtime import OnEvent
    from conformance.wire.tap_address import TcpAddress

FIRST_PAUSE: Final = 0.05
"""Seconds between the first two tries; it doubles each time. The fastest gateway on record is up after 0.7 s."""

LONGEST_PAUSE: Final = 0.5
"""Seconds the pause grows to: what a start-up can seem longer than it is."""

REVISION: Final = "2025-11-25"
"""Revision the probe offers; a server may answer with an older one (lifecycle, Version Negotiation)."""

_PROBE_ID: Final = "readiness"


@dataclass(frozen=True, slots=True)
class Probe:
    """What is asked: `address` must accept; with `path`, an initialize there must be answered with a result.

    prepare: what is done in between; it returns the headers that each request to the target then needs. The session
    that the answer opens is ended again with DELETE. stream: path where GET must open an event stream, for what serves
    HTTP+SSE (2024-11-05) alone.
    """

    address: TcpAddress
    path: str | None
    prepare: Callable[[OnEvent], Awaitable[Mapping[str, str]]] | None = None
    stream: str | None = None


async def wait_ready(
    name: str, probe: Probe, *, seconds: float, exited: Awaitable[object], on_event: OnEvent
) -> str | None:
    """Try until the probe succeeds (None), `exited` completes or `seconds` are over (one clause saying why not)."""
    latest = ""

    def told(kind: Kind, data: dict[str, Any]) -> None:
        nonlocal latest
        latest = data["detail"]
        on_event(kind, data)

    gone = asyncio.ensure_future(exited)
    steps = asyncio.ensure_future(_steps(name, probe, told))
    try:
        done, _ = await asyncio.wait((gone, steps), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if steps in done:
            await steps
            return None
        return "it ended" if gone in done else f"not within {seconds:g} s (last try: {latest or 'still under way'})"
    finally:
        for task in (gone, steps):
            task.cancel()
        await asyncio.gather(gone, steps, return_exceptions=True)


async def _steps(name: str, probe: Probe, on_event: OnEvent) -> None:
    await until(f"{name} accepts at {probe.address}", lambda: _connect(probe.address), on_event)
    headers = await probe.prepare(on_event) if probe.prepare is not None else {}
    if probe.path is not None:
        url = f"http://{probe.address}{probe.path}"
        await until(f"{name} answers initialize at {url}", lambda: _initialize(url, headers), on_event)
    if probe.stream is not None:
        old = f"http://{probe.address}{probe.stream}"
        await until(f"{name} opens a stream at {old}", lambda: _open_stream(old, headers), on_event)


async def until(
    what: str, attempt: Callable[[], Awaitable[tuple[bool, str]]], on_event: OnEvent, *, once: bool = False
) -> str | None:
    """Attempt until it succeeds (None), or once only; then return what the attempt came to."""
    pause, number = FIRST_PAUSE, 0
    while True:
        number += 1
        before = time.monotonic()
        try:
            ok, detail = await attempt()
        except asyncio.CancelledError:
            waited = f"given up after {time.monotonic() - before:.1f} s"
            on_event(Kind.READINESS, {"what": what, "ok": False, "attempt": number, "detail": waited})
            raise
        on_event(Kind.READINESS, {"what": what, "ok": ok, "attempt": number, "detail": detail})
        if ok or once:
            return None if ok else detail
        await asyncio.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)


async def _connect(address: TcpAddress) -> tuple[bool, str]:
    try:
        _, writer = await asyncio.open_connection(address.host, address.port)
    except OSError as error:
        return False, os.strerror(error.errno) if error.errno else str(error)
    writer.close()
    return True, "accepted"


async def _initialize(url: str, headers: Mapping[str, str]) -> tuple[bool, str]:
    # The caller's deadline bounds the whole wait; a limit per request would call a slow start-up a failed one.
    async with http_client(headers=dict(headers)) as client:
        try:
            answer, session, detail = await _post(client, url)
            if session is not None:
                named = as_sent({"Mcp-Session-Id": session, "MCP-Protocol-Version": REVISION})
                ended = await client.delete(url, headers=named)
                detail += f"; DELETE of its session: {ended.status_code}"
        except httpx.HTTPError as error:
            return False, said_of(error)
    return answer is not None and "result" in answer, detail


async def _open_stream(url: str, headers: Mapping[str, str]) -> tuple[bool, str]:
    accept = {**headers, "Accept": "text/event-stream"}
    async with http_client() as client:
        try:
            async with client.stream("GET", url, headers=accept) as response:
                kind = response.headers.get("Content-Type", "")
        except httpx.HTTPError as error:
            return False, said_of(error)
    opened = response.status_code == httpx.codes.OK and kind.startswith("text/event-stream")
    return opened, f"{response.status_code} {kind or 'without a content type'}"


async def _post(client: httpx.AsyncClient, url: str) -> tuple[dict[str, Any] | None, str | None, str]:
    """Return the answer to the initialize, the session id that came with it, and what to say of both."""
    info = {"name": "mcp-gateway-conformance-readiness", "version": __version__}
    params = {"protocolVersion": REVISION, "capabilities": {}, "clientInfo": info}
    message = {"jsonrpc": "2.0", "id": _PROBE_ID, "method": "initialize", "params": params}
    accept = {"Accept": "application/json, text/event-stream"}
    async with client.stream("POST", url, json=message, headers=accept) as response:
        answer = await _answer(response)
        session = response.headers.get("Mcp-Session-Id")
        detail = f"{response.status_code} {json.dumps(answer)[:300] if answer else 'without an answer'}"
        return (answer if response.status_code == httpx.codes.OK else None), session, detail


async def _answer(response: httpx.Response) -> dict[str, Any] | None:
    """Read on until the answer to the probe has come; None when the body ends without it."""
    if not response.headers.get("Content-Type", "").startswith("text/event-stream"):
        return _if_answer((await response.aread()).decode(errors="replace"))
    parser = SseParser()
    async for chunk in response.aiter_bytes():
        for item in parser.feed(chunk):
            if isinstance(item, SseEvent) and (found := _if_answer(item.data)):
                return found
    return None


def _if_answer(text: str) -> dict[str, Any] | None:
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        return None
    is_answer = isinstance(message, dict) and message.get("id") in (_PROBE_ID, None) and "method" not in message
    return message if is_answer else None
