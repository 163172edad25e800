"""The driving client of Streamable HTTP says when a request was sent: what is to happen beside a call waits for that."""

from __future__ import annotations

import asyncio

from conformance.wire.driver import McpClient, Reply

PATIENCE = 30.0


def client_at(port: int) -> McpClient:
    return McpClient("a", f"http://127.0.0.1:{port}/mcp", revision="2025-11-25", record=lambda *_, **__: None)


def test_a_call_is_sent_when_it_was_written_and_not_when_it_is_answered() -> None:
    async def drive() -> tuple[bytes, bool, Reply]:
        heard, go_on = asyncio.get_running_loop().create_future(), asyncio.Event()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            heard.set_result(await reader.readuntil(b"\r\n\r\n"))
            await go_on.wait()
            writer.write(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            writer.close()

        async with await asyncio.start_server(serve, "127.0.0.1", 0) as listening:
            client = client_at(listening.sockets[0].getsockname()[1])
            async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as tasks:
                call = await client.begin_call(tasks, "echo", {})
                answered = call.done()
                head = await heard
                go_on.set()
            await client.close()
        return head, answered, call.result()

    head, answered, reply = asyncio.run(drive())
    assert head.startswith(b"POST /mcp")
    assert not answered
    assert reply.status == 202


def test_a_call_that_cannot_be_sent_is_not_waited_for() -> None:
    async def drive() -> Reply:
        async with await asyncio.start_server(lambda *_: None, "127.0.0.1", 0) as listening:
            port = listening.sockets[0].getsockname()[1]
        client = client_at(port)
        async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as tasks:
            call = await client.begin_call(tasks, "echo", {})
            over = call.done()
        await client.close()
        assert over
        return call.result()

    assert asyncio.run(drive()).status is None
