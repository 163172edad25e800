"""Ports of this machine that cannot be used: one refuses, one does not answer TCP, one accepts and is silent."""

from __future__ import annotations

import socket
from dataclasses import dataclass

from conformance.wire.tap_address import TcpAddress


@dataclass(frozen=True, slots=True)
class BarredPort:
    """A port that is held. beyond: what stands behind it, which is nothing here."""

    address: TcpAddress
    held: tuple[socket.socket, ...]
    beyond: TcpAddress | None = None

    async def stop(self) -> None:
        """Give the port back."""
        for sock in self.held:
            sock.close()


def closed_port(host: str) -> BarredPort:
    """Take a free port on which nothing listens: it refuses, and no other program can be given it meanwhile."""
    held = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    held.bind((host, 0))
    return BarredPort(TcpAddress(host, held.getsockname()[1]), (held,))


def overrun_port(host: str) -> BarredPort:
    """Take a port whose listener has no room for another connection: Linux drops further SYNs, as a filter does.

    listen(2), tcp(7): with a backlog of 0 one connection that nobody accepts fills the queue.
    """
    held = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    held.bind((host, 0))
    held.listen(0)
    waiting = socket.create_connection(held.getsockname()[:2])
    return BarredPort(TcpAddress(host, held.getsockname()[1]), (held, waiting))


def silent_port(host: str) -> BarredPort:
    """Take a port whose connections the kernel accepts and nobody ever reads, as for a process that is stopped."""
    held = socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    return BarredPort(TcpAddress(host, held.getsockname()[1]), (held,))
