"""One side of a relayed connection: a non-blocking socket that tells FIN from RST and can send either."""

from __future__ import annotations

import fcntl
import os
import socket
import ssl
import struct
import termios
from typing import Final

_LINGER_ZERO: Final = struct.pack("ii", 1, 0)


def reason(error: Exception) -> str:
    """Return an error's text without numbers and paths."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"{error.reason}: {error.verify_message.rstrip('.')}"
    if isinstance(error, ssl.SSLError):
        return str(error.reason or error)
    if isinstance(error, OSError) and error.errno and error.errno > 0:
        return os.strerror(error.errno)
    return str(error)


class PlainEndpoint:
    """A plain TCP or Unix socket."""

    plain = True
    """What is read from and sent to the socket is what is relayed."""
    at_end = False
    """The end came together with the last bytes that `recv` returned (TLS only)."""
    clean_end = True
    """The end was announced as its protocol demands (TLS: close_notify)."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        sock.settimeout(0)
        if sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def fileno(self) -> int:
        """Return the descriptor to wait on, -1 once closed."""
        return self.sock.fileno()

    def recv(self, size: int) -> bytes:
        """Return bytes, or b"" at FIN. Raises BlockingIOError when there are none yet, OSError when the peer reset."""
        return self.sock.recv(size)

    def send(self, data: bytes | memoryview) -> int:
        """Send what fits now and return its length. Raises BlockingIOError when nothing fits, OSError when reset."""
        return self.sock.send(data)

    def buffered(self) -> bool:
        """Tell whether `recv` has bytes that the socket will not announce."""
        return False

    def flush(self) -> bool:
        """Send bytes kept from earlier sends; True when none are left (a plain socket keeps none)."""
        return True

    def shutdown_write(self) -> None:
        """Send FIN; reading goes on."""
        self.sock.shutdown(socket.SHUT_WR)

    def unacknowledged(self) -> int:
        """Return how many sent bytes the peer's kernel has not taken yet."""
        if self.sock.fileno() < 0:
            return 0
        return int(struct.unpack("i", fcntl.ioctl(self.sock, termios.TIOCOUTQ, b"\0\0\0\0"))[0])

    def abort(self) -> None:
        """Close with RST. A Unix socket has no RST: it is closed."""
        if self.sock.fileno() >= 0 and self.sock.family != socket.AF_UNIX:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)
        self.sock.close()

    def close(self) -> None:
        """Close; what was sent is still delivered, then FIN."""
        self.sock.close()
