"""The driving client of HTTP+SSE, at a witness and at servers that get the transport wrong."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urljoin

import pytest

from conformance.wire.driver import Listening
from conformance.wire.sse import SseEvent
from conformance.wire.sse_driver import SseClient
from tests.witness_process import http_witness

STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"


class Steps(list[str]):
    """What the driver recorded."""

    def __call__(self, name: str, **_detail: Any) -> None:
        self.append(name)


def client_of(url: str, steps: Steps, *authorities: str) -> SseClient:
    return SseClient("a", url, revision="2024-11-05", record=steps, authorities=authorities)


@asynccontextmanager
async def server(stream: bytes, answer: bytes = b"") -> AsyncIterator[tuple[str, list[bytes]]]:
    """Answer GET with `stream` (left open) and POST with `answer`; yield the URL and what was posted to."""
    posted: list[bytes] = []
    served: list[asyncio.Task[Any] | None] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.append(asyncio.current_task())
        line = await reader.readline()
        if line.startswith(b"POST"):
            posted.append(line.split()[1])
        writer.write(answer if line.startswith(b"POST") else stream)
        await writer.drain()
        while line.startswith(b"GET") and await reader.read(1000):
            pass
        writer.close()
        await writer.wait_closed()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with listening:
        host, port = listening.sockets[0].getsockname()
        yield f"http://{host}:{port}/sse", posted
        await asyncio.gather(*filter(None, served))


def test_it_speaks_to_a_witness() -> None:
    async def drive(url: str) -> Steps:
        steps = Steps()
        client = client_of(url, steps)
        async with client.open() as stream:
            assert (stream.status, stream.is_stream, client.has_endpoint) == (200, True, True)
            await client.connect()
            assert client.negotiated == "2024-11-05"
            assert "echo" in await client.tools()
            reply = await client.call("echo", {"nonce": "n-1", "text": "x"})
            assert reply.status == 202
            assert "n-1" in str(reply.result(client.last_id))
            assert (await client.delete()).status is None
        assert not client.has_endpoint
        assert (await client.request("ping")).trouble == "the stream named no URI to post to"
        await client.close()
        return steps

    with http_witness() as witness:
        assert asyncio.run(drive(urljoin(witness.url, "/sse"))) == []


def test_a_get_that_opens_no_stream_names_no_uri() -> None:
    async def drive() -> None:
        async with server(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n") as (url, posted):
            client = client_of(url, Steps())
            async with client.open() as stream:
                assert (stream.status, client.has_endpoint) == (404, False)
                assert (await client.connect()).status is None
            assert posted == []
            await client.close()

    asyncio.run(drive())


def test_a_stream_without_a_uri_is_given_up() -> None:
    async def drive() -> None:
        steps = Steps()
        async with server(STREAM + b"data: /messages\n\n") as (url, _):
            client = client_of(url, steps)
            async with client.open(deadline=0.2):
                assert not client.has_endpoint
            await client.close()
        assert steps == ["gave-up"]

    asyncio.run(drive())


@pytest.mark.parametrize("uri", [b"http://backend:9000/messages", b"http://["])
def test_what_is_no_uri_of_the_same_origin_is_not_followed(uri: bytes) -> None:
    async def drive() -> None:
        steps = Steps()
        async with server(STREAM + b"event: endpoint\ndata: %s\n\n" % uri) as (url, posted):
            client = client_of(url, steps)
            async with client.open(deadline=0.2):
                await client.notify("notifications/initialized")
            await client.close()
        assert posted == []
        assert steps == ["endpoint-refused", "gave-up"]

    asyncio.run(drive())


def test_the_gateways_own_address_stands_for_the_taps() -> None:
    async def drive() -> None:
        accepted = b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        named = b"event: endpoint\ndata: http://gateway:8080/messages?of=a%2Fb\n\n"
        async with server(STREAM + named, accepted) as (url, posted):
            client = client_of(url, Steps(), "gateway:8080")
            async with client.open():
                assert (await client.notify("notifications/initialized")).status == 202
            await client.close()
        assert posted == [b"/messages?of=a%2Fb"]

    asyncio.run(drive())


def test_an_answer_in_the_body_lets_the_drive_go_on() -> None:
    async def drive() -> None:
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "result": {}}).encode()
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
        async with server(STREAM + b"event: endpoint\ndata: /messages\n\n", head % len(body) + body) as (url, _):
            client = client_of(url, Steps())
            async with client.open():
                reply = await client.request("ping")
                assert reply.result(client.last_id) == {}
            await client.close()

    asyncio.run(drive())


def test_an_answer_that_never_comes_is_given_up() -> None:
    async def drive() -> None:
        steps = Steps()
        accepted = b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        async with server(STREAM + b"event: endpoint\ndata: /messages\n\n", accepted) as (url, _):
            client = client_of(url, steps)
            async with client.open():
                reply = await client.request("ping", deadline=0.2)
                assert reply.trouble == "no answer on the stream within 0.2 s"
            await client.close()
        assert steps == ["gave-up"]

    asyncio.run(drive())


def test_an_object_for_an_id_or_a_list_for_a_method_ends_nothing() -> None:
    async def drive() -> None:
        client, listening = client_of("http://127.0.0.1:9/sse", Steps()), Listening()
        for odd in ('{"jsonrpc": "2.0", "id": {}, "result": {}}', '{"jsonrpc": "2.0", "id": 7, "method": ["ping"]}'):
            await client._take(SseEvent("message", odd), listening)
        await asyncio.gather(*client._tasks)
        assert [message["id"] for message in listening.messages] == [{}, 7]
        await client.close()

    asyncio.run(drive())
