"""Runs a witness until it is told to stop."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import Callable, Coroutine
from typing import Any

from conformance.errors import CannotJudgeError, UsageError
from conformance.witness.scripts import Face, Script
from conformance.witness.stdio_face import StdioFace


def run_http(listen: str, script: Script, face: Face = Face.HTTP) -> int:
    """Serve `script` on `listen` (HOST:PORT; port 0 takes a free one) until SIGTERM or SIGINT; return the exit code.

    face: HTTP serves Streamable HTTP and HTTP+SSE beside it, SSE the latter alone.
    Writes one JSON line with `ready` and `url` to stderr once it listens. UsageError if `listen` is malformed,
    CannotJudgeError if the port is taken.
    """
    host, port = parse_listen(listen)
    return _run(script, lambda: _serve_http(host, port, script, face))


def run_stdio(script: Script) -> int:
    """Serve `script` on stdin and stdout until stdin ends, SIGTERM or SIGINT; return the exit code."""
    return _run(script, lambda: StdioFace(script).serve())


def parse_listen(listen: str) -> tuple[str, int]:
    """Return host and port of `HOST:PORT` or `[IPv6]:PORT`; UsageError if it is neither."""
    host, colon, port = listen.rpartition(":")
    if not colon or not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise UsageError(f"Cannot listen on {listen!r}: write HOST:PORT, for example 127.0.0.1:8080.")
    return host.strip("[]"), int(port)


def _run(script: Script, serve: Callable[[], Coroutine[Any, Any, None]]) -> int:
    if script.exit_at_start is not None:
        print("witness: ending at once, as its script says", file=sys.stderr)
        return script.exit_at_start
    taken = b"\1" * (script.memory_mib << 20)  # written to, or the kernel would only promise it
    asyncio.run(_until_signalled(script.start_delay, serve))
    del taken
    return 0


async def _until_signalled(delay: float, serve: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Serve after `delay` seconds, until done or told to stop.

    The handlers are needed: nothing else ends the first process of a container on these signals.
    """
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)

    async def serve_late() -> None:
        await asyncio.sleep(delay)
        await serve()

    task = asyncio.create_task(serve_late())
    stopping = asyncio.create_task(stopped.wait())
    await asyncio.wait({task, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        task.result()


async def _serve_http(host: str, port: int, script: Script, face: Face) -> None:
    # Over stdio none of it is needed, and a gateway may start a witness for each request.
    from conformance.witness.sse_face import SSE_PATH, SseEndpoint  # noqa: PLC0415

    loop = asyncio.get_running_loop()
    try:
        server = await loop.create_server(SseEndpoint(script, alone=face is Face.SSE).accept, host, port)
    except OSError as error:
        raise CannotJudgeError(
            f"The witness cannot listen on {host}:{port} ({error.strerror}); choose another address, or port 0."
        ) from error
    bound = server.sockets[0].getsockname()
    name = f"[{bound[0]}]" if ":" in bound[0] else bound[0]
    url = f"http://{name}:{bound[1]}{SSE_PATH if face is Face.SSE else '/mcp'}"
    print(json.dumps({"ready": True, "url": url}), file=sys.stderr, flush=True)
    await loop.create_future()  # connections are served by their own tasks, until the loop ends
