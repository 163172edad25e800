"""Endpoints that are wrong in one way each, on the loopback address, for tests of network probes."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme

PAGE = b"HTTP/1.1 502 Bad Gateway\r\nServer: proxy\r\nContent-Type: text/html\r\nContent-Length: 4\r\n\r\n<p/>"
REFUSAL = b"HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
HOST = "127.0.0.1"


@contextlib.contextmanager
def serving(answer: Callable[[socket.socket], None]) -> Iterator[int]:
    """A port whose every connection is handed to `answer` in a thread, and closed after it."""
    with socket.create_server((HOST, 0)) as server:

        def accept() -> None:
            with contextlib.suppress(OSError):  # the end of the test closes the listener
                while True:
                    sock, _ = server.accept()
                    threading.Thread(target=handle, args=(sock,), daemon=True).start()

        def handle(sock: socket.socket) -> None:
            with sock, contextlib.suppress(OSError):  # what the other side makes of it is what the test looks at
                answer(sock)

        threading.Thread(target=accept, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


def answering(payload: bytes) -> Callable[[socket.socket], None]:
    """Read one request and send `payload`."""

    def answer(sock: socket.socket) -> None:
        sock.recv(4096)
        sock.sendall(payload)

    return answer


def reset(sock: socket.socket) -> None:
    """End the connection with RST."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def in_tls(presented: trustme.LeafCert, payload: bytes = REFUSAL) -> Callable[[socket.socket], None]:
    """Shake hands with that certificate, read one request and send `payload`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    presented.configure_cert(context)

    def answer(sock: socket.socket) -> None:
        with context.wrap_socket(sock, server_side=True) as wrapped:
            wrapped.recv(4096)
            wrapped.sendall(payload)

    return answer


def issued(authority: trustme.CA, name: str = HOST, *, expired: bool = False) -> trustme.LeafCert:
    """A certificate of `authority`."""
    return authority.issue_cert(name, not_after=datetime.now(UTC) - timedelta(days=1) if expired else None)


def pem(authority: trustme.CA) -> str:
    """The authority's own certificate."""
    return authority.cert_pem.bytes().decode("ascii")


def trusted(authority: trustme.CA, folder: Path) -> str:
    """The same as a file."""
    file = folder / "authority.pem"
    authority.cert_pem.write_to_path(str(file))
    return str(file)


@contextlib.contextmanager
def closed() -> Iterator[int]:
    """A port that is taken and on which nobody listens."""
    with socket.socket() as sock:
        sock.bind((HOST, 0))
        yield sock.getsockname()[1]
