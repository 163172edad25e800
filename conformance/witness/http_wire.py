"""One HTTP/1.1 connection with raw control (h11 on an asyncio transport): a script can cut, reset or withhold."""

from __future__ import annotations

import asyncio
import fcntl
import socket
import struct
import termios
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final, cast

import h11

MAX_BODY: Final = 32 * 1024 * 1024
"""Largest request body in bytes: beyond what any drive sends, so that a limit that shows is the gateway's. The Python
SDK's servers take 4 MiB."""

MAX_HEAD: Final = 64 * 1024
"""Largest request head in bytes, the limit of common servers."""

FLUSH_WAIT: Final = 1.0
"""Longest wait in seconds for the peer to acknowledge what was sent before the connection is reset; what is still
unacknowledged then is lost with the reset. On a healthy network: under 0.001."""

FLUSH_POLL: Final = 0.005


class BadRequestError(Exception):
    """The peer broke HTTP or a size limit; the connection ends after the answer."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One request with its whole body; header names are lower case, repeated fields are joined with a comma.

    target: path and query as sent. path: the same without the query.
    """

    method: str
    target: str
    path: str
    headers: Mapping[str, str]
    body: bytes


class Wire(asyncio.Protocol):
    """One connection, numbered in the order of acceptance; `serve` runs for its lifetime.

    gone: set once the peer has closed its side or the connection broke. What is written to a broken connection is
    dropped, as the answer of a call whose client went away has to be.
    """

    def __init__(self, number: int, serve: Callable[[Wire], Coroutine[Any, Any, None]]) -> None:
        self.number = number
        self.gone = asyncio.Event()
        self._serve = serve
        self._h11 = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD)
        self._readable = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()
        self._transport: asyncio.Transport
        self._task: asyncio.Task[None]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to serve."""
        self._transport = cast("asyncio.Transport", transport)
        self._task = asyncio.create_task(self._serve(self))
        self._task.add_done_callback(lambda _done: self._transport.close())

    def data_received(self, data: bytes) -> None:
        """Feed h11."""
        self._h11.receive_data(data)
        self._readable.set()

    def eof_received(self) -> bool:
        """Note the peer's FIN and keep our side open: the answer to a request may still be due."""
        self._end_of_input()
        return True

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the signature is asyncio's
        """Release whoever waits for the peer."""
        self._end_of_input()
        self._writable.set()

    def pause_writing(self) -> None:
        """Let `send` wait: the peer reads slowly."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """Let `send` go on."""
        self._writable.set()

    def _end_of_input(self) -> None:
        if not self.gone.is_set():
            self._h11.receive_data(b"")
            self.gone.set()
        self._readable.set()

    @property
    def lost(self) -> bool:
        """Whether nothing can be written any more."""
        return self._transport.is_closing()

    async def next_request(self) -> HttpRequest | None:
        """Return the next request, None when there will be none; BadRequestError if the peer breaks HTTP."""
        if self._h11.our_state is h11.DONE and self._h11.their_state is h11.DONE:
            self._h11.start_next_cycle()
        if self._h11.our_state is not h11.IDLE:
            return None
        head = await self._next_event()
        if not isinstance(head, h11.Request):
            return None
        body = bytearray()
        while isinstance(event := await self._next_event(), h11.Data):
            body += event.data
            if len(body) > MAX_BODY:
                raise BadRequestError(413, f"Payload Too Large: the limit is {MAX_BODY} bytes")
        headers: dict[str, str] = {}
        for raw_name, raw_value in head.headers:
            name, value = raw_name.decode("ascii"), raw_value.decode("latin-1")
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        target = head.target.decode("latin-1")
        path = target.partition("?")[0]
        return HttpRequest(head.method.decode("ascii"), target, path, headers, bytes(body))

    async def _next_event(self) -> h11.Event:
        while True:
            try:
                event = self._h11.next_event()
            except h11.RemoteProtocolError as error:
                raise BadRequestError(error.error_status_hint, f"Bad Request: {error}") from error
            if isinstance(event, h11.Event):
                return event
            if self._h11.they_are_waiting_for_100_continue:
                self._write(h11.InformationalResponse(status_code=100, headers=[]))
            self._readable.clear()
            await self._readable.wait()

    def _write(self, event: h11.Event) -> None:
        data = self._h11.send(event)
        if data and not self.lost:
            self._transport.write(data)

    async def respond(self, status: int, headers: Mapping[str, str], body: bytes = b"") -> None:
        """Send a whole response."""
        self.start(status, {**headers, "Content-Length": str(len(body))})
        if body:
            await self.send(body)
        self.end()

    def start(self, status: int, headers: Mapping[str, str]) -> None:
        """Send the head of a response at once; without a Content-Length the body is chunked."""
        self._write(h11.Response(status_code=status, headers=list(headers.items()), reason=HTTPStatus(status).phrase))

    async def send(self, data: bytes) -> None:
        """Send a piece of the body and wait while the peer reads slowly."""
        self._write(h11.Data(data=data))
        await self._writable.wait()

    def end(self) -> None:
        """End the body."""
        self._write(h11.EndOfMessage())

    def cut(self) -> None:
        """Close the connection with FIN, wherever in a response it stands."""
        self._transport.close()

    async def reset(self) -> None:
        """Let what was sent arrive, then end the connection with RST."""
        sock: socket.socket = self._transport.get_extra_info("socket")
        loop = asyncio.get_running_loop()
        deadline = loop.time() + FLUSH_WAIT
        while not self.lost and loop.time() < deadline and self._unacknowledged(sock):  # noqa: ASYNC110
            await asyncio.sleep(FLUSH_POLL)  # the kernel tells nobody when its queue drains
        # A zero linger time makes close() send RST and drop the queue (socket(7), SO_LINGER).
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()

    def _unacknowledged(self, sock: socket.socket) -> int:
        queued = fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, struct.pack("i", 0))
        in_kernel: int = struct.unpack("i", queued)[0]
        return in_kernel + self._transport.get_write_buffer_size()
