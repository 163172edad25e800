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
_SYNC_PATIENCE: Final = 3.0
"""Seconds a stdio tap may take to say that it has sent everything: it answers at once unless it is frozen."""


class _Sender:
    """One connected stdio tap."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self.writer = writer
        self.peer = writer.get_extra_info("peername")
        self._asked: dict[str, asyncio.Event] = {}

    async def settle(self, token: str) -> None:
        """Return once everything the tap had recorded is here, or it has gone."""
        self._asked[token] = asyncio.Event()
        self.writer.write(f"sync {token}\n".encode())
        await self._asked[token].wait()
        del self._asked[token]

    def answered(self, line: bytes) -> None:
        """Take note when the line is the answer to a sync."""
        if self._asked and b'"sync"' in line[:512]:
            record = json.loads(line)
            if record["kind"] == "sync" and record["token"] in self._asked:
                self._asked[record["token"]].set()

    def gone(self) -> None:
        """Let nobody wait for it any longer."""
        for event in self._asked.values():
            event.set()


class Collector:
    """Listens; each line of each sender becomes one line of the spool.

    A line `{…}` gets `"received_ns"` (this machine's CLOCK_MONOTONIC) as its first key; anything else, such as a last
    line cut off when a container was killed, is kept as `{"received_ns", "damaged": base64}`.
    """

    def __init__(self, spool: SpoolWriter) -> None:
        self._spool = spool
        self._senders: set[_Sender] = set()
        self._server: asyncio.Server | None = None
        self._syncs = 0

    async def listen(self, address: Address) -> Address:
        """Listen there and return the address. Raises OSError when it cannot be had."""
        sock, address = listen_on(address)
        self._server = await asyncio.start_server(self._collect, sock=sock, limit=_LINE_LIMIT)
        return address

    async def settle(self) -> None:
        """Return once every connected tap's records so far are spooled. Raises ValueError when one does not answer."""
        self._syncs += 1
        token = str(self._syncs)
        waiting = {asyncio.create_task(sender.settle(token)): sender for sender in self._senders}
        if not waiting:
            return
        _, late = await asyncio.wait(waiting, timeout=_SYNC_PATIENCE)
        for task in late:
            task.cancel()
        if late:
            peers = ", ".join(str(waiting[task].peer) for task in late)
            raise ValueError(f"the stdio tap at {peers} does not hand over its records (is its container paused?)")

    def close(self) -> None:
        """Stop listening and let the senders go."""
        if self._server is not None:
            self._server.close()
        for sender in self._senders:
            sender.writer.transport.abort()

    async def _collect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        sender = _Sender(writer)
        self._senders.add(sender)
        try:
            while line := await reader.readline():
                self._spool.line(_stamped(line, monotonic_ns()))
                sender.answered(line)
        except (ConnectionError, ValueError):
            return  # gone, or not a stdio tap; what came before is spooled, and a missing `exit` record shows the rest
        finally:
            self._senders.discard(sender)
            sender.gone()
            writer.close()


def _stamped(line: bytes, now: int) -> bytes:
    if line.startswith(b'{"') and line.endswith(b"}\n"):
        return b'{"received_ns": %d, ' % now + line[1:]
    return json.dumps({"received_ns": now, "damaged": base64.b64encode(line).decode()}).encode() + b"\n"
