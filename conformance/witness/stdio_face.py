"""The stdio face: one JSON-RPC message per line on stdin and stdout (transports § stdio); a process is one session."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from typing import Final

from conformance.witness import jsonrpc
from conformance.witness.jsonrpc import JSON, Message, Request, Response, RpcError
from conformance.witness.protocol import Server
from conformance.witness.scripts import Script
from conformance.witness.sessions import BATCH_REVISION, Session
from conformance.witness.stored_streams import Leaving

EOF_GRACE: Final = 1.0
"""Seconds that requests in flight get to finish once stdin has ended: what was asked just before the end is answered,
and a long call does not keep the process alive."""


class StdoutOutlet:
    """Stdout, which carries everything there is to say to the client."""

    def send(self, message: JSON) -> bool:
        """Write one line; False if nobody reads any more."""
        return _write(jsonrpc.encode(message) + b"\n")

    def end(self) -> None:
        """Do nothing: stdout ends with the process."""

    def leave(self, how: Leaving, retry: int) -> bool:  # noqa: ARG002 - nothing is left
        """Return False: there is one stream for the process's whole life."""
        return False


class StdioFace:
    """The one session of a process that talks over its standard streams."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self._server = Server(script)
        self._session = Session()
        self._outlet = StdoutOutlet()
        self._tasks: set[asyncio.Task[dict[str, JSON]]] = set()

    async def serve(self) -> None:
        """Serve until stdin ends."""
        if self._script.stdout_banner is not None:
            _write(self._script.stdout_banner.encode())
        lines = _stdin_lines()
        async with self._server.listening(self._session, self._outlet):
            while (line := await lines.get()) is not None:
                if self._script.answers and line.strip():
                    self._receive(line)
                    await asyncio.sleep(0)  # initialize takes effect before the next line is looked at
            if self._tasks:
                await asyncio.wait(self._tasks, timeout=EOF_GRACE)

    def _receive(self, line: bytes) -> None:
        try:
            value = jsonrpc.decode(line)
            if isinstance(value, list) and value and self._session.revision == BATCH_REVISION:
                messages = [jsonrpc.read(each) for each in value]
            else:
                messages = [jsonrpc.read(value)]
        except RpcError as error:
            self._outlet.send(jsonrpc.failure(jsonrpc.readable_id(line), error))
            return
        for message in messages:
            self._take(message)

    def _take(self, message: Message) -> None:
        session = self._session
        if isinstance(message, Response):
            session.take_response(message)
        elif not isinstance(message, Request):
            self._server.notice(session, message)
        elif message.method == "initialize":
            self._deliver(asyncio.create_task(self._initialize(message)))
        elif not session.opened and message.method != "ping":
            error = RpcError(jsonrpc.INVALID_REQUEST, "Bad Request: Server not initialized")
            self._outlet.send(jsonrpc.failure(message.id, error))
        else:
            self._deliver(self._server.start(session, message, self._outlet, connection=0))

    async def _initialize(self, request: Request) -> dict[str, JSON]:
        try:
            return await self._server.initialize(self._session, request)
        except RpcError as error:
            return jsonrpc.failure(request.id, error)

    def _deliver(self, task: asyncio.Task[dict[str, JSON]]) -> None:
        """Write the task's answer when it is there; a cancelled request has none."""

        def write(done: asyncio.Task[dict[str, JSON]]) -> None:
            self._tasks.discard(done)
            if not done.cancelled():
                self._outlet.send(done.result())

        self._tasks.add(task)
        task.add_done_callback(write)


def _write(data: bytes) -> bool:
    """Write to stdout, unbuffered; False if the reader has gone, whose end of stdin then ends the process."""
    try:
        while data:
            data = data[os.write(sys.stdout.fileno(), data) :]
    except BrokenPipeError:
        return False
    return True


def _stdin_lines() -> asyncio.Queue[bytes | None]:
    """Return a queue of the lines on stdin; None marks its end.

    A thread reads, because stdin may be a file, which an event loop cannot wait for; and it reads the descriptor,
    because a lock on `sys.stdin` held by a thread breaks the interpreter's shutdown.
    """
    lines: asyncio.Queue[bytes | None] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    descriptor = sys.stdin.fileno()

    def read() -> None:
        rest = b""
        try:
            while data := os.read(descriptor, 65536):
                *whole, rest = (rest + data).split(b"\n")
                for line in whole:
                    loop.call_soon_threadsafe(lines.put_nowait, line)
            loop.call_soon_threadsafe(lines.put_nowait, rest)
            loop.call_soon_threadsafe(lines.put_nowait, None)
        except RuntimeError:
            if not loop.is_closed():  # closed: the process is ending, and the line has no reader
                raise

    threading.Thread(target=read, name="stdin", daemon=True).start()
    return lines
