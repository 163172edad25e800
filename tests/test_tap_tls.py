"""TLS on either side of a tap, with a private CA."""

from __future__ import annotations

import asyncio
import random
import shutil
import socket
import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from conformance.errors import CannotJudgeError
from conformance.wire.spool import Direction, RecordKind
from conformance.wire.tap import TapProcess, TcpAddress, TlsOptions
from tests.tap_setup import (
    LOOPBACK,
    Stage,
    asynchronous,
    joined,
    receive_all,
    receive_exactly,
    receive_until_reset,
    send,
    staged,
)

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="makes its certificates with openssl")
NAME = "server.test"


@dataclass(frozen=True)
class Certificates:
    """PEM files: a private CA and a certificate of it for NAME."""

    ca: str
    certificate: str
    key: str


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    folder = tmp_path_factory.mktemp("pem")

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    new_key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    openssl("req", "-x509", *new_key, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=private CA")
    openssl(
        *("req", "-x509", *new_key, "-CA", "ca.pem", "-CAkey", "ca.key", "-keyout", "key.pem", "-out", "cert.pem"),
        *("-subj", f"/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME}", "-addext", "basicConstraints=CA:FALSE"),
    )
    return Certificates(str(folder / "ca.pem"), str(folder / "cert.pem"), str(folder / "key.pem"))


def serving(pem: Certificates) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem.certificate, pem.key)
    context.set_alpn_protocols(["h2", "http/1.1"])
    return context


def asking(pem: Certificates) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=pem.ca)
    context.set_alpn_protocols(["h2", "http/1.1"])
    return context


async def _tls_server(stage: Stage, context: ssl.SSLContext) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Accept the tap's next connection and shake hands."""
    sock = await stage.server()
    reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_accepted_socket(lambda: protocol, sock, ssl=context)
    return reader, asyncio.StreamWriter(transport, protocol, reader, loop)


@asynchronous
async def test_originate_rewrites_host_and_passes_the_rest(tmp_path: Path, pem: Certificates) -> None:
    async with staged(tmp_path, mode="tls-originate", tls=TlsOptions(server_name=NAME, ca=pem.ca)) as stage:
        client = await stage.client()
        reader, writer = await _tls_server(stage, serving(pem))
        assert writer.get_extra_info("ssl_object").selected_alpn_protocol() == "http/1.1"
        await send(client, b"POST /mcp HTTP/1.1\r\nHOST: 127.0.0.1:9\r\nContent-Length: 2\r\n\r\n{}")
        facts = await stage.until(RecordKind.CONNECTED)
        host = facts["host"]
        assert host == str(TcpAddress(NAME, stage.listener.getsockname()[1]))
        assert facts["tls"]["alpn"] == "http/1.1"
        request = b"POST /mcp HTTP/1.1\r\nHost: %b\r\nContent-Length: 2\r\n\r\n{}" % host.encode()
        assert await reader.readexactly(len(request)) == request
        writer.write(b"HTTP/1.1 202 Accepted\r\n\r\n")
        await writer.drain()
        assert await receive_exactly(client, 25) == b"HTTP/1.1 202 Accepted\r\n\r\n"
        writer.close()
        assert await receive_all(client) == b""
        client.close()
        await stage.until(RecordKind.CLOSED)
        records = await stage.records()
    assert joined(records, Direction.UP, RecordKind.FORWARDED) == request
    assert b"HOST: 127.0.0.1:9" in joined(records, Direction.UP)


@asynchronous
async def test_megabytes_pass_through_both_kinds(tmp_path: Path, pem: Certificates) -> None:
    """Client, TLS-originating tap, TLS-terminating tap, server: both ends are plain."""
    up, down = random.Random(1).randbytes(2 << 20), random.Random(2).randbytes(2 << 20)
    tls = TlsOptions(certificate=pem.certificate, key=pem.key)
    async with staged(tmp_path, mode="tls-terminate", tls=tls) as stage:
        originate = TlsOptions(server_name=NAME, ca=pem.ca)
        stage.address = await stage.taps.open_tap(
            "out", listen=LOOPBACK, upstream=stage.address, mode="tls-originate", tls=originate
        )
        client, server = await stage.pair()

        async def write(sock: socket.socket, data: bytes) -> None:
            await send(sock, data)

        got = await asyncio.gather(
            write(client, up),
            write(server, down),
            receive_exactly(server, len(up)),
            receive_exactly(client, len(down)),
        )
        assert got[2:] == [up, down]
        client.shutdown(socket.SHUT_WR)
        assert await receive_all(server) == b""
        await send(server, b"after the half close")
        assert await receive_exactly(client, 20) == b"after the half close"
        server.shutdown(socket.SHUT_WR)
        assert await receive_all(client) == b""
        await stage.until(RecordKind.CLOSED)
        records = await stage.records()
    assert joined(records, Direction.UP) == up
    assert [r.payload for r in records if r.kind is RecordKind.FIN] == [b"", b""]


@asynchronous
async def test_terminate_speaks_http_1_only_and_keeps_the_early_request(tmp_path: Path, pem: Certificates) -> None:
    tls = TlsOptions(certificate=pem.certificate, key=pem.key)
    async with staged(tmp_path, mode="tls-terminate", tls=tls) as stage:
        assert isinstance(stage.address, TcpAddress)
        reader, writer = await asyncio.open_connection(
            stage.address.host, stage.address.port, ssl=asking(pem), server_hostname=NAME
        )
        assert writer.get_extra_info("ssl_object").selected_alpn_protocol() == "http/1.1"
        writer.write(b"sent before the server is dialled")
        server = await stage.server()
        assert await receive_exactly(server, 33) == b"sent before the server is dialled"
        await send(server, b"answer")
        server.shutdown(socket.SHUT_WR)
        assert await reader.read() == b"answer"
        writer.close()
        await writer.wait_closed()
        assert (await stage.until(RecordKind.CONNECTED))["client_tls"]["alpn"] == "http/1.1"


@asynchronous
async def test_an_end_without_close_notify_is_recorded_as_such(tmp_path: Path, pem: Certificates) -> None:
    async with staged(tmp_path, mode="tls-originate", tls=TlsOptions(server_name=NAME, ca=pem.ca)) as stage:
        client = await stage.client()
        _, writer = await _tls_server(stage, serving(pem))
        writer.get_extra_info("socket").shutdown(socket.SHUT_WR)
        assert await receive_all(client) == b""
        (end,) = await stage.records(RecordKind.FIN)
        writer.transport.abort()
    assert end.payload == b"no close_notify"


@asynchronous
async def test_a_certificate_of_another_name_is_a_failed_connect(tmp_path: Path, pem: Certificates) -> None:
    async with staged(tmp_path, mode="tls-originate", tls=TlsOptions(server_name="other.test", ca=pem.ca)) as stage:
        client = await stage.client()
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await _tls_server(stage, serving(pem))
        await receive_until_reset(client)
        facts = await stage.until(RecordKind.CONNECT_FAILED)
    why = "Hostname mismatch, certificate is not valid for 'other.test'"
    assert facts["error"] == f"TLS handshake with the server: CERTIFICATE_VERIFY_FAILED: {why}"


@asynchronous
async def test_a_client_that_speaks_no_tls_is_a_failed_connect(tmp_path: Path, pem: Certificates) -> None:
    tls = TlsOptions(certificate=pem.certificate, key=pem.key)
    async with staged(tmp_path, mode="tls-terminate", tls=tls) as stage:
        client = await stage.client()
        await send(client, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await receive_until_reset(client)
        facts = await stage.until(RecordKind.CONNECT_FAILED)
    assert facts["error"] == "TLS handshake with the client: HTTP_REQUEST"


@asynchronous
async def test_missing_tls_options_are_named(tmp_path: Path) -> None:
    taps = await TapProcess.start(tmp_path / "spool")
    try:
        with pytest.raises(CannotJudgeError, match="needs a certificate and its key"):
            await taps.open_tap("tap", listen=LOOPBACK, upstream=None, mode="tls-terminate")
        with pytest.raises(CannotJudgeError, match="needs a server name"):
            await taps.open_tap("tap", listen=LOOPBACK, upstream=None, mode="tls-originate")
    finally:
        await taps.stop()
