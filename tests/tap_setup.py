"""A client and a server as raw sockets with a tap between them."""

from __future__ import annotations

import asyncio
import functools
import json
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ParamSpec

from conformance.wire.spool import Direction, RecordKind, SpoolRecord, read_spool
from conformance.wire.tap import Address, TapMode, TapProcess, TcpAddress, TlsOptions, UnixAddress
from conformance.wire.toxics import Toxic

PATIENCE = 30.0
"""Seconds until a test that waits for something is stuck; nothing is judged by it."""

_P = ParamSpec("_P")
LOOPBACK = TcpAddress("127.0.0.1", 0)


def asynchronous(test: Callable[_P, Awaitable[None]]) -> Callable[_P, None]:
    """Run an async test in a loop of its own."""

    @functools.wraps(test)
    def run(*args: _P.args, **kwargs: _P.kwargs) -> None:
        async def bounded() -> None:
            async with asyncio.timeout(PATIENCE):
                await test(*args, **kwargs)

        asyncio.run(bounded())

    return run


async def send(sock: socket.socket, data: bytes) -> None:
    await asyncio.get_running_loop().sock_sendall(sock, data)


async def receive(sock: socket.socket, size: int = 1 << 16) -> bytes:
    """Return one read; b"" is FIN."""
    return await asyncio.get_running_loop().sock_recv(sock, size)


async def receive_exactly(sock: socket.socket, count: int) -> bytes:
    got = b""
    while len(got) < count:
        data = await receive(sock, count - len(got))
        assert data, f"ended after {len(got)} of {count} bytes"
        got += data
    return got


async def receive_all(sock: socket.socket) -> bytes:
    got = b""
    while data := await receive(sock):
        got += data
    return got


async def receive_until_reset(sock: socket.socket) -> bytes:
    """Return what came before the reset; fails on FIN."""
    got = b""
    try:
        while data := await receive(sock):
            got += data
    except ConnectionResetError:
        return got
    raise AssertionError(f"FIN, not RST, after {got!r}")


async def stays_silent(sock: socket.socket, seconds: float = 0.3) -> bool:
    """Tell whether nothing comes. Only a lower bound: too short a wait can hide a fault, never invent one."""
    try:
        await asyncio.wait_for(receive(sock), seconds)
    except TimeoutError:
        return True
    return False


async def send_until_refused(sock: socket.socket, data: bytes) -> None:
    """Send again and again: a kernel tells a sender of a reset only at a later send."""
    while True:
        await send(sock, data)
        await asyncio.sleep(0.01)


def reset(sock: socket.socket) -> None:
    """Close with RST."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


@dataclass
class Stage:
    """A tap process, a listening server, and the sockets opened so far."""

    taps: TapProcess
    address: Address
    listener: socket.socket
    opened: list[socket.socket] = field(default_factory=list)

    async def client(self) -> socket.socket:
        """Connect a client to the tap."""
        unix = isinstance(self.address, UnixAddress)
        sock = socket.socket(socket.AF_UNIX if unix else socket.AF_INET)
        sock.settimeout(0)
        self.opened.append(sock)
        where = self.address.path if isinstance(self.address, UnixAddress) else (self.address.host, self.address.port)
        await asyncio.get_running_loop().sock_connect(sock, where)
        return sock

    async def server(self) -> socket.socket:
        """Accept the tap's next connection."""
        sock, _ = await asyncio.get_running_loop().sock_accept(self.listener)
        self.opened.append(sock)
        return sock

    async def pair(self) -> tuple[socket.socket, socket.socket]:
        """Return a client and the server's end of the same relayed connection."""
        client = await self.client()
        return client, await self.server()

    async def toxics(self, *toxics: Toxic) -> None:
        await self.taps.set_toxics("tap", toxics)

    async def records(self, *kinds: RecordKind) -> list[SpoolRecord]:
        """Return the records so far, of some kinds, without the periodic lag."""
        end = await self.taps.sync("tap")
        wanted = set(kinds) or set(RecordKind) - {RecordKind.LAG}
        return [record for record in read_spool(self.taps.spool_path("tap"), end=end) if record.kind in wanted]

    async def until(self, kind: RecordKind) -> dict[str, Any]:
        """Wait for a record of that kind; return its JSON."""
        found = await self.eventually(kind, b"")
        facts: dict[str, Any] = json.loads(found.payload or b"{}")
        return facts

    async def eventually(self, kind: RecordKind, text: bytes) -> SpoolRecord:
        """Wait for a record of that kind with that text in its payload; return it."""
        while True:
            for record in await self.records(kind):
                if text in record.payload:
                    return record
            await asyncio.sleep(0.02)


def listening(address: Address = LOOPBACK) -> tuple[socket.socket, Address]:
    """Return a listening socket and its address."""
    if isinstance(address, UnixAddress):
        sock = socket.socket(socket.AF_UNIX)
        sock.bind(address.path)
    else:
        sock = socket.socket()
        sock.bind((address.host, address.port))
        address = TcpAddress(*sock.getsockname())
    sock.listen()
    sock.settimeout(0)
    return sock, address


@asynccontextmanager
async def staged(
    folder: Path,
    toxics: Sequence[Toxic] = (),
    *,
    unix: bool = False,
    mode: TapMode = "tcp",
    tls: TlsOptions | None = None,
) -> AsyncIterator[Stage]:
    """Start a tap process with one tap, `tap`, before one server."""
    listener, upstream = listening(UnixAddress(str(folder / "server.sock")) if unix else LOOPBACK)
    listen: Address = UnixAddress(str(folder / "tap.sock")) if unix else LOOPBACK
    taps = await TapProcess.start(folder / "spool")
    try:
        address = await taps.open_tap("tap", listen=listen, upstream=upstream, mode=mode, tls=tls)
        if toxics:
            await taps.set_toxics("tap", toxics)
        stage = Stage(taps, address, listener)
        try:
            yield stage
        finally:
            for sock in stage.opened:
                sock.close()
    finally:
        listener.close()
        await taps.stop()


def joined(records: Sequence[SpoolRecord], direction: Direction, kind: RecordKind = RecordKind.DATA) -> bytes:
    """Return the bytes of one direction."""
    return b"".join(r.payload for r in records if r.direction is direction and r.kind is kind)
