"""Each toxic does what it says, and nothing once it is removed."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conformance.errors import UsageError
from conformance.wire.spool import Direction, RecordKind
from conformance.wire.tap_http_stages import DropSseCommentsStage, HoldStage, StripHeaderStage
from conformance.wire.tap_stages import Stage, Unit, UnitKind
from conformance.wire.toxics import (
    Blackhole,
    BufferBytes,
    BufferUntilEnd,
    DropSseComments,
    EngineDenied,
    HalfClose,
    IdleCut,
    Latency,
    Reset,
    SlowRead,
    StripHeader,
    Toxic,
    from_json,
    to_json,
)
from tests.tap_setup import (
    asynchronous,
    joined,
    receive,
    receive_all,
    receive_exactly,
    receive_until_reset,
    reset,
    send,
    staged,
    stays_silent,
)

EVERY: list[Toxic] = [
    Latency(0.5, Direction.UP),
    IdleCut(30, "fin"),
    BufferUntilEnd(),
    BufferBytes(4096),
    Reset(100),
    Reset(),
    HalfClose(Direction.UP),
    SlowRead(1000),
    Blackhole(),
    DropSseComments(),
    StripHeader("Mcp-Session-Id"),
    EngineDenied(),
]

SSE_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
ANSWER = b'HTTP/1.1 200 OK\r\nContent-Length: 9\r\nMcp-Session-Id: s1\r\n\r\n{"id": 1}'


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def test_every_toxic_survives_its_json_form() -> None:
    assert {type(toxic) for toxic in EVERY} == set(get_args(Toxic))
    listed = to_json(EVERY)
    assert list(from_json(json.loads(json.dumps(listed)))) == EVERY
    assert listed[0] == {"toxic": "Latency", "seconds": 0.5, "direction": "up"}


@pytest.mark.parametrize(
    ("listed", "says"),
    [
        ({"toxic": "Rain"}, "There is no toxic 'Rain'"),
        ({"toxic": "Latency"}, "Latency does not take"),
        ({"toxic": "Latency", "seconds": 1, "direction": "sideways"}, "Latency does not take"),
    ],
)
def test_unknown_toxics_are_named(listed: dict[str, object], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        from_json([listed])


@asynchronous
async def test_toxics_are_recorded_and_hold_for_open_and_later_connections(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        old, _ = await stage.pair()
        await stage.toxics(Blackhole(Direction.DOWN))
        new, _ = await stage.pair()
        for server in stage.opened[1::2]:
            await send(server, b"lost")
        assert await stays_silent(old)
        assert await stays_silent(new)
        await stage.toxics()
        records = await stage.records(RecordKind.TOXIC)
    assert [json.loads(r.payload) for r in records] == [
        {"toxics": [{"toxic": "Blackhole", "direction": "down"}]},
        {"toxics": []},
    ]


@asynchronous
async def test_latency_delays_and_keeps_gaps(tmp_path: Path) -> None:
    async with staged(tmp_path, [Latency(0.4, Direction.UP)]) as stage:
        client, server = await stage.pair()
        for word in (b"a", b"b"):
            await send(client, word)
            await asyncio.sleep(0.2)
        client.shutdown(socket.SHUT_WR)
        assert await receive(server) == b"a"
        assert await receive(server) == b"b"
        assert await receive(server) == b""
        await send(server, b"at once")
        await receive(client)
        records = await stage.records()
    up = [r for r in records if r.direction is Direction.UP]
    read = [r.t_ns for r in up if r.kind is RecordKind.DATA]
    sent = [r.t_ns for r in up if r.kind is RecordKind.FORWARDED]
    assert all(late - early >= 0.4e9 for early, late in zip(read, sent, strict=True))
    ((a, b),) = pairwise(read)
    ((x, y),) = pairwise(sent)
    assert (y - x) / (b - a) == pytest.approx(1, abs=0.5)
    down = [r for r in records if r.direction is Direction.DOWN and r.length]
    assert down[1].t_ns - down[0].t_ns < 0.4e9


@pytest.mark.parametrize("how", ["rst", "fin"])
@asynchronous
async def test_idle_cut_spares_the_busy_and_cuts_the_idle(tmp_path: Path, how: str) -> None:
    async with staged(tmp_path, [IdleCut(0.5, "rst" if how == "rst" else "fin")]) as stage:
        client, server = await stage.pair()
        for _ in range(5):
            await asyncio.sleep(0.2)
            await send(server, b": ping\n\n")
            assert await receive(client) == b": ping\n\n"
        if how == "rst":
            await asyncio.gather(receive_until_reset(client), receive_until_reset(server))
        else:
            assert await asyncio.gather(receive_all(client), receive_all(server)) == [b"", b""]
        records = await stage.records()
    (acted,) = [r for r in records if r.kind is RecordKind.TOXIC and r.conn]
    assert json.loads(acted.payload) == {"acted": "IdleCut"}
    last = max(r.t_ns for r in records if r.kind is RecordKind.DATA)
    assert acted.t_ns - last >= 0.5e9


@asynchronous
async def test_buffer_until_end_holds_a_stream_but_not_a_finished_answer(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        client, server = await stage.pair()
        await stage.toxics(BufferUntilEnd())  # on a connection that is already open
        await send(server, ANSWER)
        assert await receive_exactly(client, len(ANSWER)) == ANSWER
        parts = [SSE_HEAD, chunk(b"data: 1\n\n"), chunk(b"data: 2\n\n"), b"0\r\n\r\n"]
        for part in parts[:-1]:
            await send(server, part)
        assert await stays_silent(client)
        await send(server, parts[-1])
        assert await receive_exactly(client, len(b"".join(parts))) == b"".join(parts)
        await send(server, SSE_HEAD)
        assert await stays_silent(client)
        await stage.toxics()
        assert await receive(client) == SSE_HEAD


@asynchronous
async def test_buffer_bytes_releases_when_full_and_at_the_end(tmp_path: Path) -> None:
    async with staged(tmp_path, [BufferBytes(300)]) as stage:
        client, server = await stage.pair()
        await send(server, SSE_HEAD)
        assert await stays_silent(client)
        event = chunk(b"data: " + b"x" * 250 + b"\n\n")
        await send(server, event)
        assert await receive_exactly(client, len(SSE_HEAD + event)) == SSE_HEAD + event
        await send(server, b"0\r\n\r\n" + ANSWER)
        assert await receive_exactly(client, 5 + len(ANSWER)) == b"0\r\n\r\n" + ANSWER


@asynchronous
async def test_reset_after_so_many_bytes(tmp_path: Path) -> None:
    async with staged(tmp_path, [Reset(10)]) as stage:
        client, server = await stage.pair()
        await send(server, b"12345")
        assert await receive(client) == b"12345"
        await send(server, b"67890abc")
        assert await receive_until_reset(client) == b"67890"
        await receive_until_reset(server)
        records = await stage.records(RecordKind.TOXIC, RecordKind.RST)
    assert [json.loads(r.payload) for r in records if r.conn] == [{"acted": "Reset"}]


@asynchronous
async def test_reset_now_takes_what_is_open_and_spares_what_comes(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        for _ in range(10):  # the tap may still be about to relay
            client, server = await stage.pair()
            await stage.toxics(Reset())
            await asyncio.gather(receive_until_reset(client), receive_until_reset(server))
        later, server = await stage.pair()
        await send(server, b"fine")
        assert await receive(later) == b"fine"


@asynchronous
async def test_half_close_ends_one_direction_only(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        client, server = await stage.pair()
        await stage.toxics(HalfClose(Direction.DOWN))
        assert await receive(client) == b""
        await send(server, b"too late")
        await send(client, b"still heard")
        assert await receive(server) == b"still heard"
        ends = await stage.records(RecordKind.FIN, RecordKind.RST)
    assert ends == []


@asynchronous
async def test_slow_read_limits_the_rate(tmp_path: Path) -> None:
    async with staged(tmp_path, [SlowRead(20_000)]) as stage:
        client, server = await stage.pair()
        data = bytes(range(250)) * 40
        await send(server, data)
        server.shutdown(socket.SHUT_WR)
        assert await receive_all(client) == data
        records = await stage.records(RecordKind.DATA)
    seconds = (records[-1].t_ns - records[0].t_ns) / 1e9
    assert len(data[len(records[0].payload) :]) / seconds <= 20_000 * 1.05  # never faster; the first read has no wait


@asynchronous
async def test_a_reset_between_two_slow_reads_loses_nothing(tmp_path: Path) -> None:
    async with staged(tmp_path, [SlowRead(100)]) as stage:
        client, server = await stage.pair()
        data = bytes(range(250)) * 4
        await send(server, data)
        assert await receive(client) == data[:5]
        reset(server)
        assert await receive_until_reset(client) == data[5:]


@pytest.mark.parametrize("end", ["fin", "rst"])
@asynchronous
async def test_blackhole_swallows_bytes_and_ends(tmp_path: Path, end: str) -> None:
    async with staged(tmp_path, [Blackhole(Direction.UP)]) as stage:
        client, server = await stage.pair()
        await send(server, b"down passes")
        assert await receive(client) == b"down passes"
        await send(client, b"up does not")
        if end == "fin":
            client.shutdown(socket.SHUT_WR)
        else:
            reset(client)
        assert await stays_silent(server)
        records = await stage.records()
    assert joined(records, Direction.UP) == b"up does not"
    assert not [r for r in records if r.kind is RecordKind.FORWARDED and r.direction is Direction.UP]


@asynchronous
async def test_bytes_after_a_blackhole_are_spooled_as_sent(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        client, server = await stage.pair()
        await stage.toxics(Blackhole(Direction.UP))
        await send(client, b"lost ")
        assert await stays_silent(server)
        await stage.toxics()
        await send(client, b"found")
        assert await receive(server) == b"found"
        records = await stage.records()
    assert joined(records, Direction.UP) == b"lost found"
    assert joined(records, Direction.UP, RecordKind.FORWARDED) == b"found"


@asynchronous
async def test_sse_comments_are_dropped_and_what_was_sent_is_spooled(tmp_path: Path) -> None:
    async with staged(tmp_path, [DropSseComments()]) as stage:
        client, server = await stage.pair()
        await send(server, SSE_HEAD)
        assert await receive(client) == SSE_HEAD
        await send(server, chunk(b": ping\n\n"))
        assert await stays_silent(client)
        await send(server, chunk(b": note\nid: 7\ndata: x\n\n") + b"0\r\n\r\n" + ANSWER)
        expected = chunk(b"id: 7\ndata: x\n\n") + b"0\r\n\r\n" + ANSWER
        assert await receive_exactly(client, len(expected)) == expected
        records = await stage.records()
    assert joined(records, Direction.DOWN, RecordKind.FORWARDED) == SSE_HEAD + expected
    assert b": ping" in joined(records, Direction.DOWN)


@asynchronous
async def test_engine_denies_every_post_and_lets_the_rest_through(tmp_path: Path) -> None:
    async with staged(tmp_path, [EngineDenied()], unix=True) as stage:
        client, server = await stage.pair()
        ping = b"GET /_ping HTTP/1.1\r\nHost: docker\r\n\r\n"
        await send(client, ping)
        assert await receive(server) == ping
        await send(server, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK")
        await receive(client)
        await send(client, b"POST /v1.41/containers/create HTTP/1.1\r\nHost: docker\r\nContent-Length: 2\r\n\r\n{}")
        head, _, body = (await receive_all(client)).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 403 ")
        assert "permission denied" in json.loads(body)["message"]
        client.close()
        assert await receive_all(server) == b""


def fed(stage: Stage, stream: bytes, cuts: Sequence[int]) -> bytes:
    """Return what comes out of a stage when the stream comes in reads cut at those positions, then FIN."""
    ends = [*sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]
    out = b""
    position = 0
    for end in ends:
        if data := stream[position:end]:
            out += b"".join(bytes(unit.payload) for unit in stage.feed(Unit(0, UnitKind.DATA, data)))
        position = end
    return out + b"".join(bytes(unit.payload) for unit in stage.feed(Unit(0, UnitKind.FIN)))


def unchunked(body: bytes) -> bytes:
    data = b""
    while not body.startswith(b"0\r\n"):
        size, _, rest = body.partition(b"\r\n")
        data, body = data + rest[: int(size, 16)], rest[int(size, 16) + 2 :]
    return data


STREAM = (
    b": a\r\n\r\nid: 1\r\n:b\r\ndata: x\r\n\r\n" + b":c\n\n" + b"data: :no comment\n\n" + b"\n" + b"data: y\r\r:z\r\r"
)
WITHOUT = b"id: 1\r\ndata: x\r\n\r\n" + b"data: :no comment\n\n" + b"\n" + b"data: y\r\r"
CUTS = st.lists(st.integers(0, 1000), max_size=20)


@settings(derandomize=True, deadline=None)
@given(cuts=CUTS, chunks=CUTS)
def test_dropping_comments_does_not_depend_on_reads_and_chunks(cuts: list[int], chunks: list[int]) -> None:
    bounds = [0, *sorted(c % (len(STREAM) + 1) for c in chunks), len(STREAM)]
    coded = b"".join(chunk(STREAM[a:b]) for a, b in pairwise(bounds) if b > a)
    trailer = b"0\r\nX-T: 1\r\n\r\n"
    out = fed(DropSseCommentsStage(), SSE_HEAD + coded + trailer + ANSWER, cuts)
    assert out.startswith(SSE_HEAD)
    assert out.endswith(trailer + ANSWER)
    assert unchunked(out[len(SSE_HEAD) :]) == WITHOUT
    close_head = SSE_HEAD.replace(b"Transfer-Encoding: chunked\r\n", b"")
    assert fed(DropSseCommentsStage(), close_head + STREAM, cuts) == close_head + WITHOUT


MESSAGES = b"".join(
    [
        b"HTTP/1.1 100 Continue\r\n\r\n",
        ANSWER,
        b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\nmcp-session-id: s1\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"5;x=y\r\nhello\r\n0\r\nMcp-Session-Id: in a trailer\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nMcp-Session-Id: s1\r\n\r\n\x00raw\r\n",
    ]
)


@settings(derandomize=True, deadline=None)
@given(cuts=CUTS, limit=st.integers(1, 600))
def test_holding_and_stripping_change_nothing_else(cuts: list[int], limit: int) -> None:
    assert fed(HoldStage(Direction.DOWN, limit), MESSAGES, cuts) == MESSAGES
    stripped = MESSAGES.replace(b"Mcp-Session-Id: s1\r\n", b"").replace(b"mcp-session-id: s1\r\n", b"")
    assert fed(StripHeaderStage(Direction.DOWN, "Mcp-Session-Id"), MESSAGES, cuts) == stripped


@settings(derandomize=True, deadline=None)
@given(stream=st.binary(max_size=400), cuts=CUTS)
def test_what_is_not_http_passes_unchanged(stream: bytes, cuts: list[int]) -> None:
    for stage in (
        HoldStage(Direction.DOWN),
        StripHeaderStage(Direction.UP, "Host"),
        StripHeaderStage(Direction.DOWN, "Server"),
        DropSseCommentsStage(),
    ):
        assert fed(stage, stream, cuts) == stream


@asynchronous
async def test_strip_header_on_requests(tmp_path: Path) -> None:
    async with staged(tmp_path, [StripHeader("accept", Direction.UP)]) as stage:
        client, server = await stage.pair()
        await send(client, b"POST /mcp HTTP/1.1\r\nHost: x\r\nAccept: a, b\r\nContent-Length: 2\r\n\r\n{}")
        expected = b"POST /mcp HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"
        assert await receive_exactly(server, len(expected)) == expected
