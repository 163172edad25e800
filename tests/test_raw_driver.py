"""The driver for one TCP connection: requests that are begun and not waited for, and resets."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from conformance.wire.raw_driver import raw_connection


def seen_by_server(*, whole: bool) -> tuple[bytes, bool]:
    """Begin a POST and reset the connection; return what a server read, and whether a reset ended it."""

    async def drive() -> tuple[bytes, bool]:
        outcome: asyncio.Future[tuple[bytes, bool]] = asyncio.get_running_loop().create_future()
        arrived = asyncio.Event()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            read = await reader.readuntil(b"\r\n\r\n")
            try:
                while chunk := await reader.read(100):
                    read += chunk
                    arrived.set()
                outcome.set_result((read, False))
            except ConnectionResetError:
                outcome.set_result((read, True))
            writer.close()

        steps: list[Any] = []
        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            async with raw_connection(f"http://127.0.0.1:{port}/mcp", steps.append) as connection:
                await connection.begin_post({"method": "ping"}, {"Accept": "text/event-stream"}, whole=whole)
                await arrived.wait()
                connection.reset()
            return await outcome

    return asyncio.run(drive())


@pytest.mark.parametrize(("whole", "body"), [(True, b'{"method": "ping"}'), (False, b'{"method"')])
def test_a_request_can_be_begun_and_reset(whole: bool, body: bytes) -> None:
    read, was_reset = seen_by_server(whole=whole)
    head, _, sent = read.partition(b"\r\n\r\n")
    assert head.startswith(b"POST /mcp HTTP/1.1\r\n")
    assert b"Content-Length: 18" in head
    assert sent == body
    assert was_reset
