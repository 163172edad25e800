"""A driver for one TCP connection: what a connection pool would do by itself is done here on purpose, or not at all.

It reuses a connection after a pause, where a pool would quietly open another. Like the other driver it only drives;
what happened is read from the client's tap.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

import h11

from conformance import timing
from conformance.evidence.events import JSON
from conformance.wire.http_client import said_of

_READ: Final = 65536
Record = Callable[..., None]
"""`record(name, **detail)` writes a stimulus."""


@dataclass(frozen=True, slots=True)
class RawReply:
    """What came back. status is None when no response head did; trouble then says why."""

    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    trouble: str = ""


class RawConnection:
    """One TCP connection to an endpoint. Made by `raw_connection`."""

    def __init__(self, url: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, record: Record) -> None:
        self.url = urlsplit(url)
        self._reader = reader
        self._writer = writer
        self._record = record
        self._h11 = h11.Connection(h11.CLIENT)

    @property
    def closed_by_peer(self) -> bool:
        """Whether the peer's FIN or RST has arrived: a careful client does not send on such a connection."""
        return self._reader.at_eof() or self._reader.exception() is not None

    async def send_bytes(self, data: bytes) -> None:
        """Write bytes as they are. Raises ConnectionError when the connection is known to be gone."""
        self._writer.write(data)
        await self._writer.drain()

    async def post(self, message: JSON, headers: Mapping[str, str], *, deadline: float = timing.ANSWER) -> RawReply:
        """POST one message and read the whole response; give up after `deadline` seconds and record that."""
        try:
            async with asyncio.timeout(deadline):
                await self.begin_post(message, headers)
                return await self._response()
        except TimeoutError:
            self._record("gave-up", what="POST", seconds=deadline, status=None)
            return RawReply(trouble=f"gave up after {deadline} s")
        except (ConnectionError, h11.ProtocolError) as error:
            self._record("disconnected", what="POST", error=type(error).__name__, status=None)
            return RawReply(trouble=said_of(error))

    async def begin_post(self, message: JSON, headers: Mapping[str, str], *, whole: bool = True) -> None:
        """Send a POST and do not wait for its response; with whole=False only the first half of its body."""
        content = message if isinstance(message, bytes) else json.dumps(message).encode()
        fields = {"Host": self.url.netloc, "Content-Type": "application/json", **headers}
        head = h11.Request(
            method="POST",
            target=self.url.path,
            headers=[*fields.items(), ("Content-Length", str(len(content)))],
        )
        body = h11.Data(data=content if whole else content[: len(content) // 2])
        for event in (head, body, *((h11.EndOfMessage(),) if whole else ())):
            await self.send_bytes(self._h11.send(event) or b"")

    def reset(self) -> None:
        """Reset the connection (RST) instead of ending it."""
        linger = struct.pack("ii", 1, 0)  # on, for 0 s: closing then resets (socket(7), SO_LINGER)
        self._writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self._writer.transport.abort()

    async def _response(self) -> RawReply:
        reply = RawReply()
        while True:
            event = self._h11.next_event()
            if event is h11.NEED_DATA:
                self._h11.receive_data(await self._reader.read(_READ))
            elif isinstance(event, h11.Response):
                kept = {name.decode("latin-1"): value.decode("latin-1") for name, value in event.headers}
                reply = RawReply(event.status_code, kept)
            elif isinstance(event, h11.Data):
                reply = RawReply(reply.status, reply.headers, reply.body + bytes(event.data))
            elif isinstance(event, h11.EndOfMessage):
                if self._h11.our_state is h11.DONE and self._h11.their_state is h11.DONE:
                    self._h11.start_next_cycle()
                return reply
            elif isinstance(event, h11.ConnectionClosed) or event is h11.PAUSED:
                raise ConnectionResetError("the connection ended before the response did")

    async def close(self) -> None:
        """Close the connection."""
        self._writer.close()
        with suppress(ConnectionError):  # that the peer had reset it is on the tap
            await self._writer.wait_closed()


@asynccontextmanager
async def raw_connection(url: str, record: Record) -> AsyncIterator[RawConnection]:
    """Connect to the host and port of an http URL and close the connection at the end of the block.

    Raises OSError when nothing accepts.
    """
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    connection = RawConnection(url, reader, writer, record)
    try:
        yield connection
    finally:
        await connection.close()
