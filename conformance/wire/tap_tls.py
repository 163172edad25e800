"""TLS on one side of a tap: towards the server (tls-originate) or towards the client (tls-terminate).

The bytes stamped and spooled are the plain ones. ALPN (RFC 7301) offers http/1.1 only, so that HTTP/2 is never agreed.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from conformance.wire.tap_address import Address, TcpAddress, TlsOptions
from conformance.wire.tap_endpoint import PlainEndpoint, reason

_RECORDS: Final = 1 << 16
_HTTPS: Final = 443

Wrap: TypeAlias = Callable[[ssl.MemoryBIO, ssl.MemoryBIO], ssl.SSLObject]


class TlsEndpoint(PlainEndpoint):
    """A socket that speaks TLS; `recv` and `send` take and give plain bytes."""

    plain = False

    def __init__(self, sock: socket.socket, wrap: Wrap) -> None:
        super().__init__(sock)
        self._in = ssl.MemoryBIO()
        self._out = ssl.MemoryBIO()
        self._unsent = b""
        self._tls = wrap(self._in, self._out)

    async def handshake(self) -> dict[str, Any]:
        """Shake hands; returns version, cipher and protocol agreed. Raises OSError (ssl.SSLError) when it fails."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                await loop.sock_sendall(self.sock, self._out.read())
                if data := await loop.sock_recv(self.sock, _RECORDS):
                    self._in.write(data)
                else:
                    self._in.write_eof()
            except ssl.SSLError:
                await loop.sock_sendall(self.sock, self._out.read())  # the alert that says why
                raise
            else:
                await loop.sock_sendall(self.sock, self._out.read())
                break
        cipher = self._tls.cipher()
        alpn = self._tls.selected_alpn_protocol()
        return {"version": self._tls.version(), "cipher": cipher[0] if cipher else None, "alpn": alpn}

    def buffered(self) -> bool:
        """Tell whether bytes came together with the handshake."""
        return self._in.pending > 0

    def recv(self, size: int) -> bytes:
        """Return plain bytes, as PlainEndpoint.recv. An end without close_notify is an end (see `clean_end`)."""
        try:
            if data := self.sock.recv(size):
                self._in.write(data)
            else:
                self._in.write_eof()
        except BlockingIOError:
            if not self._in.pending:
                raise
        plain = b"".join(iter(self._read_record, b""))
        if not plain and not self.at_end:
            raise BlockingIOError
        return plain

    def send(self, data: bytes | memoryview) -> int:
        """Encrypt and send; what the socket does not take is kept for `flush`."""
        if not self.flush():
            raise BlockingIOError
        count = self._tls.write(data[:_RECORDS])
        self.flush()
        return count

    def flush(self) -> bool:
        """Send kept ciphertext; True when none is left."""
        self._unsent += self._out.read()
        while self._unsent:
            try:
                self._unsent = self._unsent[self.sock.send(self._unsent) :]
            except BlockingIOError:
                return False
        return True

    def shutdown_write(self) -> None:
        """Send close_notify and FIN; reading goes on (RFC 8446, section 6.1)."""
        try:
            self._tls.unwrap()
        except ssl.SSLWantReadError:
            self.flush()  # our close_notify; the peer's comes through recv
        super().shutdown_write()

    def _read_record(self) -> bytes:
        """Return the next record's plain bytes, b"" when there is none yet or the end has come."""
        try:
            plain = self._tls.read(_RECORDS)
        except ssl.SSLWantReadError:
            return b""
        except ssl.SSLEOFError:
            self.at_end, self.clean_end = True, False
            return b""
        self.at_end = not plain
        return plain


@dataclass(frozen=True, slots=True)
class TlsSides:
    """Which side of a tap speaks TLS. host: what requests' Host becomes, None to leave it."""

    to_server: Wrap | None = None
    to_client: Wrap | None = None
    host: str | None = None

    async def accept(self, sock: socket.socket) -> tuple[PlainEndpoint, dict[str, Any]]:
        """Return the client's end and what is to be recorded. Raises ValueError when the handshake fails."""
        if self.to_client is None:
            return PlainEndpoint(sock), {}
        end = TlsEndpoint(sock, self.to_client)
        try:
            return end, {"client_tls": await end.handshake()}
        except OSError as error:
            raise ValueError(f"TLS handshake with the client: {reason(error)}") from error

    async def connect(self, sock: socket.socket) -> tuple[PlainEndpoint, dict[str, Any]]:
        """Return the server's end and what is to be recorded. Raises ValueError when the handshake fails."""
        if self.to_server is None:
            return PlainEndpoint(sock), {}
        end = TlsEndpoint(sock, self.to_server)
        try:
            return end, {"tls": await end.handshake(), "host": self.host}
        except OSError as error:
            raise ValueError(f"TLS handshake with the server: {reason(error)}") from error


def tls_sides(mode: str, options: TlsOptions, upstream: Address | None) -> TlsSides:
    """Return the sides for a tap's mode. Raises ValueError for missing options, OSError for unusable files."""
    if mode == "tls-terminate":
        if options.certificate is None or options.key is None:
            raise ValueError("the mode tls-terminate needs a certificate and its key")
        served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        served.load_cert_chain(options.certificate, options.key)
        served.set_alpn_protocols(["http/1.1"])
        return TlsSides(to_client=lambda to, out: served.wrap_bio(to, out, server_side=True))
    if mode == "tls-originate":
        name = options.server_name or (upstream.host if isinstance(upstream, TcpAddress) else None)
        if name is None:
            raise ValueError("the mode tls-originate needs a server name")
        asked = ssl.create_default_context(cafile=options.ca)
        asked.set_alpn_protocols(["http/1.1"])
        port = upstream.port if isinstance(upstream, TcpAddress) else _HTTPS
        host = name if port == _HTTPS else str(TcpAddress(name, port))
        return TlsSides(to_server=lambda to, out: asked.wrap_bio(to, out, server_hostname=name), host=host)
    if mode == "tcp":
        return TlsSides()
    raise ValueError(f"there is no mode {mode!r}")
