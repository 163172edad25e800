"""The collector: takes the stdio taps' record lines over TCP and spools them with its own receive stamp."""

from __future__ import annotations

import asyncio
import base64
import json
import socket
from time import monotonic_ns
from typing import Any, Final

from conformance.wire.spool import SpoolWriter
from conformance.wire.tap_address import TcpAddress
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

    def __init__(self, listen: TcpAddress, spool: SpoolWriter) -> None:
        """Listen there. Raises OSError when it cannot be had."""
        self._sock, _ = listen_on(listen)
        self.address = TcpAddress(listen.host, self._sock.getsockname()[1])
        self._spool = spool
        self._senders: set[_Sender] = set()
        self._arrived: dict[Any, asyncio.Event] = {}
        self._server: asyncio.Server | None = None
        self._syncs = 0

    async def serve(self) -> None:
        """Take senders."""
        self._server = await asyncio.start_server(self._collect, sock=self._sock, limit=_LINE_LIMIT)

    async def settle(self) -> None:
        """Return once every connected tap's records so far are spooled. Raises ValueError when one does not answer."""
        await self._accept_waiting()
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

    async def _accept_waiting(self) -> None:
        """Return once every connection made before now is accepted: they are in order, so one of our own comes last."""
        with socket.socket(self._sock.family) as sock:
            sock.settimeout(0)
            sock.bind((self.address.host, 0))  # so that its name is known before it can be accepted
            arrived = self._arrived[sock.getsockname()] = asyncio.Event()
            await asyncio.get_running_loop().sock_connect(sock, (self.address.host, self.address.port))
            await arrived.wait()
            del self._arrived[sock.getsockname()]

    async def _collect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        sender = _Sender(writer)
        if sender.peer in self._arrived:
            self._arrived[sender.peer].set()
            writer.close()
            return
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
