"""One tap: a listening socket, an upstream dialled anew for each client, a spool."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import json
import socket
from collections.abc import Sequence
from pathlib import Path
from time import monotonic_ns
from typing import Any

from conformance.wire.spool import Direction, RecordKind, SpoolWriter
from conformance.wire.tap_address import Address, Refusal, TcpAddress, UnixAddress
from conformance.wire.tap_endpoint import PlainEndpoint, reason
from conformance.wire.tap_peer import peer_facts
from conformance.wire.tap_plan import plan
from conformance.wire.tap_relay import Connection
from conformance.wire.tap_selector import ResetWatch
from conformance.wire.tap_tls import TlsSides
from conformance.wire.toxics import Toxic, to_json

_BACKLOG = 1024


def listen_on(address: Address) -> tuple[socket.socket, Address]:
    """Return a non-blocking listening socket and the address it really has. Raises OSError when it cannot be had."""
    if isinstance(address, UnixAddress):
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        where: Any = address.path
    else:
        sock = socket.socket(socket.AF_INET6 if ":" in address.host else socket.AF_INET, socket.SOCK_STREAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        where = (address.host, address.port)
    try:
        sock.bind(where)
        sock.listen(_BACKLOG)
    except OSError:
        sock.close()
        raise
    sock.settimeout(0)
    if isinstance(address, TcpAddress):
        address = TcpAddress(address.host, sock.getsockname()[1])
    return sock, address


async def dial(address: Address) -> socket.socket:
    """Return a connected non-blocking socket; raises OSError of the last address tried."""
    loop = asyncio.get_running_loop()
    failure: OSError = OSError("the name has no address")
    for family, where in await _resolve(address):
        sock = socket.socket(family, socket.SOCK_STREAM)
        sock.settimeout(0)
        try:
            await loop.sock_connect(sock, where)
        except OSError as error:
            sock.close()
            failure = error
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    raise failure


async def _resolve(address: Address) -> list[tuple[int, Any]]:
    if isinstance(address, UnixAddress):
        return [(socket.AF_UNIX, address.path)]
    with contextlib.suppress(ValueError):
        version = ipaddress.ip_address(address.host).version
        return [(socket.AF_INET6 if version == 6 else socket.AF_INET, (address.host, address.port))]
    found = await asyncio.get_running_loop().getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    return [(family, where) for family, _, _, _, where in found]


class Tap:
    """Accepts clients and relays each to the upstream."""

    def __init__(
        self, listen: Address, upstream: Address | None, spool: SpoolWriter, watch: ResetWatch, tls: TlsSides
    ) -> None:
        self._upstream = upstream or Refusal("no upstream is set")
        self.spool = spool
        self._watch = watch
        self._tls = tls
        self._toxics: tuple[Toxic, ...] = ()
        self._connections: set[Connection] = set()
        self._dialling: set[asyncio.Task[None]] = set()
        self._count = 0
        self._sock: socket.socket | None
        self._sock, self.address = self._listen(listen)

    def set_upstream(self, upstream: Address | Refusal) -> None:
        """Set where clients that connect from now on are relayed to, or why they are refused.

        A closed port is listened on again. Raises OSError when somebody else has taken it.
        """
        if self._sock is None:
            self._sock, _ = self._listen(self.address)
        self._accept()
        self._upstream = upstream

    def close_port(self) -> None:
        """Stop listening, so that the system itself refuses, until an upstream is set; open connections go on."""
        self._accept()
        self._unlisten()

    def _listen(self, address: Address) -> tuple[socket.socket, Address]:
        sock, found = listen_on(address)
        asyncio.get_running_loop().add_reader(sock.fileno(), self._accept)
        return sock, found

    def _unlisten(self) -> None:
        if self._sock is None:
            return
        asyncio.get_running_loop().remove_reader(self._sock.fileno())
        self._sock.close()
        self._sock = None
        if isinstance(self.address, UnixAddress):
            Path(self.address.path).unlink(missing_ok=True)

    def set_toxics(self, toxics: Sequence[Toxic]) -> None:
        """Replace the toxics, on open connections too."""
        self._accept()  # a client that connected before now is open, whether or not the loop came to it
        self._toxics = tuple(toxics)
        payload = json.dumps({"toxics": to_json(toxics)}).encode()
        self.spool.record(monotonic_ns(), 0, Direction.NONE, RecordKind.TOXIC, payload)
        for connection in list(self._connections):
            connection.set_plan(plan(self._toxics, self._tls.host), begin=True)

    def close(self) -> None:
        """Stop listening and drop every connection. The spool stays open."""
        self._unlisten()
        for task in self._dialling:
            task.cancel()
        for connection in list(self._connections):
            connection.drop()

    def _accept(self) -> None:
        while self._sock is not None:
            try:
                sock, peer = self._sock.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            now = monotonic_ns()
            self._count += 1
            facts = {"peer": _text(peer), "local": _text(sock.getsockname()), **peer_facts(sock)}
            self._note(now, self._count, RecordKind.OPEN, facts)
            task = asyncio.create_task(self._serve(self._count, sock, self._upstream, self._toxics))
            self._dialling.add(task)
            task.add_done_callback(self._dialling.discard)

    async def _serve(
        self, number: int, sock: socket.socket, upstream: Address | Refusal, toxics: tuple[Toxic, ...]
    ) -> None:
        """Relay one client. upstream, toxics: those in force when it was accepted."""
        client = PlainEndpoint(sock)
        try:
            client, client_facts = await self._tls.accept(sock)
            server, facts = await self._connect(upstream)
        except (OSError, ValueError) as error:
            facts = {"upstream": None if isinstance(upstream, Refusal) else str(upstream), "error": reason(error)}
            self._note(monotonic_ns(), number, RecordKind.CONNECT_FAILED, facts)
            client.abort()
            self._note(monotonic_ns(), number, RecordKind.CLOSED)
            return
        except asyncio.CancelledError:
            client.close()
            raise
        self._note(monotonic_ns(), number, RecordKind.CONNECTED, facts | client_facts)
        connection = Connection(number, self.spool, client, server, self._watch)
        self._connections.add(connection)
        connection.on_closed = lambda: self._connections.discard(connection)
        connection.set_plan(plan(self._toxics, self._tls.host), begin=toxics is not self._toxics)
        connection.start()

    async def _connect(self, upstream: Address | Refusal) -> tuple[PlainEndpoint, dict[str, Any]]:
        if isinstance(upstream, Refusal):
            raise ConnectionRefusedError(upstream.why)
        sock = await dial(upstream)
        local = _text(sock.getsockname())
        try:
            server, facts = await self._tls.connect(sock)
        except BaseException:
            sock.close()
            raise
        return server, {"upstream": str(upstream), "local": local, **facts}

    def _note(self, t_ns: int, number: int, kind: RecordKind, facts: dict[str, Any] | None = None) -> None:
        self.spool.record(t_ns, number, Direction.NONE, kind, json.dumps(facts).encode() if facts else b"")


def _text(where: Any) -> str:
    if isinstance(where, tuple):
        return str(TcpAddress(where[0], where[1]))
    return f"unix:{where.decode(errors='replace') if isinstance(where, bytes) else where}"
