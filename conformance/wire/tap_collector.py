"""The collector: takes the stdio taps' record lines over TCP and spools them with its own receive stamp."""

from __future__ import annotations

import asyncio
import base64
import json
from time import monotonic_ns
from typing import Final

from conformance.wire.spool import SpoolWriter
from conformance.wire.tap_address import Address
from conformance.wire.tap_listener import listen_on

_LINE_LIMIT: Final = 1 << 24


class Collector:
    """Listens; each line of each sender becomes one line of the spool.

    A line `{…}` gets `"received_ns"` (this machine's CLOCK_MONOTONIC) as its first key; anything else, such as a last
    line cut off when a container was killed, is kept as `{"received_ns", "damaged": base64}`.
    """

    def __init__(self, server: asyncio.Server, address: Address, spool: SpoolWriter) -> None:
        self.address = address
        self._server = server
        self._spool = spool

    @classmethod
    async def start(cls, listen: Address, spool: SpoolWriter) -> Collector:
        """Listen on the address given. Raises OSError when it cannot be had."""
        sock, address = listen_on(listen)
        self: Collector

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await self.collect(reader, writer)

        server = await asyncio.start_server(serve, sock=sock, limit=_LINE_LIMIT)
        self = cls(server, address, spool)
        return self

    async def collect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Spool one sender's lines until it ends."""
        try:
            while line := await reader.readline():
                self._spool.line(_stamped(line, monotonic_ns()))
        except ConnectionError:
            return  # what came before is spooled; the gap in the sender's numbers shows what did not
        finally:
            writer.close()

    def close(self) -> None:
        """Stop listening."""
        self._server.close()


def _stamped(line: bytes, now: int) -> bytes:
    if line.startswith(b'{"') and line.endswith(b"}\n"):
        return b'{"received_ns": %d, ' % now + line[1:]
    return json.dumps({"received_ns": now, "damaged": base64.b64encode(line).decode()}).encode() + b"\n"
