"""The relay tap: what one side does, the other sees, and the spool says."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import textwrap
from itertools import pairwise
from pathlib import Path

import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conformance.errors import CannotJudgeError, EvidenceError
from conformance.wire.spool import Direction, RecordKind, read_spool
from conformance.wire.tap import TapProcess, TcpAddress, UnixAddress
from tests.tap_setup import (
    LOOPBACK,
    Stage,
    asynchronous,
    joined,
    listening,
    receive,
    receive_all,
    receive_exactly,
    receive_until_reset,
    reset,
    send,
    send_until_refused,
    staged,
)

FIVE_MB = 5 << 20


async def _exchange(stage: Stage, up: bytes, down: bytes) -> None:
    """Send both ways at once through a new connection; each side must get exactly what the other sent."""
    client, server = await stage.pair()

    async def write(sock: socket.socket, data: bytes) -> None:
        await send(sock, data)
        sock.shutdown(socket.SHUT_WR)

    _, _, got_up, got_down = await asyncio.gather(
        write(client, up), write(server, down), receive_all(server), receive_all(client)
    )
    assert got_up == up
    assert got_down == down


@pytest.mark.parametrize("unix", [False, True])
@asynchronous
async def test_five_megabytes_pass_both_ways_unchanged_and_are_spooled(tmp_path: Path, unix: bool) -> None:
    up, down = random.Random(1).randbytes(FIVE_MB), random.Random(2).randbytes(FIVE_MB)
    async with staged(tmp_path, unix=unix) as stage:
        await _exchange(stage, up, down)
        records = await stage.records()
    for direction, sent in ((Direction.UP, up), (Direction.DOWN, down)):
        assert joined(records, direction) == sent
        forwarded = [r for r in records if r.kind is RecordKind.FORWARDED and r.direction is direction]
        assert sum(r.length for r in forwarded) == FIVE_MB
        assert not any(r.payload for r in forwarded)


@settings(max_examples=15, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(conversation=st.lists(st.tuples(st.booleans(), st.binary(min_size=1, max_size=5000)), max_size=12))
def test_any_conversation_passes_unchanged(
    tmp_path_factory: pytest.TempPathFactory, conversation: list[tuple[bool, bytes]]
) -> None:
    @asynchronous
    async def talk() -> None:
        async with staged(tmp_path_factory.mktemp("tap")) as stage:
            client, server = await stage.pair()
            for upwards, data in conversation:
                sender, receiver = (client, server) if upwards else (server, client)
                await send(sender, data)
                assert await receive_exactly(receiver, len(data)) == data
            records = await stage.records()
        for direction, upwards in ((Direction.UP, True), (Direction.DOWN, False)):
            assert joined(records, direction) == b"".join(data for way, data in conversation if way is upwards)

    talk()


@asynchronous
async def test_separate_writes_stay_separate_reads_with_their_gaps(tmp_path: Path) -> None:
    pauses = [0.05, 0.2, 0.05, 0.4]
    async with staged(tmp_path) as stage:
        client, server = await stage.pair()
        loop = asyncio.get_running_loop()

        async def write() -> list[float]:
            sent = []
            for number, pause in enumerate([0.0, *pauses]):
                await asyncio.sleep(pause)
                sent.append(loop.time())
                await send(server, b"chunk %d" % number)
            server.shutdown(socket.SHUT_WR)
            return sent

        writing = asyncio.create_task(write())
        got, seen = [], []
        while data := await receive(client):
            got.append(data)
            seen.append(loop.time())
        sent = await writing
        records = await stage.records(RecordKind.DATA)
    assert got == [b"chunk %d" % number for number in range(5)]
    assert [r.payload for r in records] == got
    stamped = [r.t_ns / 1e9 for r in records]
    for times in (seen, stamped):
        for (a, b), (x, y) in zip(pairwise(sent), pairwise(times), strict=True):
            assert (y - x) / (b - a) == pytest.approx(1, abs=0.5)
    # Read in the tap: after the write began, and in order with the client's read.
    assert all(wrote <= stamp <= read for wrote, stamp, read in zip(sent, stamped, seen, strict=True))


@pytest.mark.parametrize("client_first", [True, False])
@asynchronous
async def test_half_close_is_kept_and_the_other_direction_goes_on(tmp_path: Path, client_first: bool) -> None:
    async with staged(tmp_path) as stage:
        client, server = await stage.pair()
        first, second = (client, server) if client_first else (server, client)
        await send(first, b"the last words")
        first.shutdown(socket.SHUT_WR)
        assert await receive_all(second) == b"the last words"
        for word in (b"one", b"two"):
            await send(second, word)
            assert await receive(first) == word
        second.shutdown(socket.SHUT_WR)
        assert await receive(first) == b""
        await stage.until(RecordKind.CLOSED)
        ends = await stage.records(RecordKind.FIN, RecordKind.RST)
    way = [Direction.UP, Direction.DOWN] if client_first else [Direction.DOWN, Direction.UP]
    assert [(r.kind, r.direction) for r in ends] == [(RecordKind.FIN, w) for w in way]


@pytest.mark.parametrize("from_client", [True, False])
@asynchronous
async def test_reset_is_kept_with_the_bytes_before_it(tmp_path: Path, from_client: bool) -> None:
    async with staged(tmp_path) as stage:
        client, server = await stage.pair()
        sender, receiver = (client, server) if from_client else (server, client)
        await send(sender, b"half a mess")
        assert await receive(receiver) == b"half a mess"
        reset(sender)
        assert await receive_until_reset(receiver) == b""
        await stage.until(RecordKind.CLOSED)
        ends = await stage.records(RecordKind.FIN, RecordKind.RST)
    assert [(r.kind, r.direction) for r in ends] == [(RecordKind.RST, Direction.UP if from_client else Direction.DOWN)]


@asynchronous
async def test_reset_after_half_close_is_kept(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        client, server = await stage.pair()
        client.shutdown(socket.SHUT_WR)
        assert await receive(server) == b""
        reset(client)
        with pytest.raises(ConnectionError):
            await send_until_refused(server, b"into the void")
        ends = await stage.records(RecordKind.FIN, RecordKind.RST)
    assert [(r.kind, r.direction) for r in ends] == [(RecordKind.FIN, Direction.UP), (RecordKind.RST, Direction.UP)]


async def _fill(sock: socket.socket) -> int:
    """Send until nothing is taken any more; return how much was."""
    sent = 0
    quiet = 0
    while quiet < 20:
        try:
            sent += sock.send(bytes(1 << 16))
            quiet = 0
        except BlockingIOError:
            quiet += 1
            await asyncio.sleep(0.01)
    return sent


@asynchronous
async def test_a_reader_that_does_not_read_holds_the_sender_up(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        client, server = await stage.pair()
        sent = await _fill(server)
        records = await stage.records()
        read = len(joined(records, Direction.DOWN))
        forwarded = sum(r.length for r in records if r.kind is RecordKind.FORWARDED)
        assert read < sent  # the rest waits in the sender's kernel
        assert read - forwarded <= 2 << 18
        server.shutdown(socket.SHUT_WR)
        assert len(await receive_all(client)) == sent


@asynchronous
async def test_a_reset_is_noticed_behind_a_reader_that_does_not_read(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        client, server = await stage.pair()
        await _fill(client)
        reset(client)
        await stage.until(RecordKind.CLOSED)
        await receive_until_reset(server)


@asynchronous
async def test_a_receiver_that_resets_while_it_is_sent_to(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        client, server = await stage.pair()
        await _fill(client)
        reset(server)
        with pytest.raises(ConnectionError):
            await send(client, bytes(1 << 24))
        ends = await stage.records(RecordKind.RST)
    assert [r.direction for r in ends] == [Direction.DOWN]


async def _connect_to_be_reset(stage: Stage) -> None:
    """The reset may be so quick that connecting itself reports it."""
    with contextlib.suppress(ConnectionResetError):
        await receive_until_reset(await stage.client())


@asynchronous
async def test_refused_upstream_resets_the_client_and_is_recorded(tmp_path: Path) -> None:
    free, nobody = listening()
    free.close()
    async with staged(tmp_path) as stage:
        await stage.taps.set_upstream("tap", nobody)
        await _connect_to_be_reset(stage)
        facts = await stage.until(RecordKind.CONNECT_FAILED)
        assert facts == {"upstream": str(nobody), "error": "Connection refused"}
        closed = await stage.records(RecordKind.CLOSED)
    assert [r.conn for r in closed] == [1]


@asynchronous
async def test_a_tap_told_to_refuse_dials_nobody_until_it_has_an_upstream_again(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        before, server = await stage.pair()
        await stage.taps.refuse("tap", "the stage has stopped it")
        await _connect_to_be_reset(stage)
        facts = await stage.until(RecordKind.CONNECT_FAILED)
        assert facts == {"upstream": None, "error": "the stage has stopped it"}
        await send(before, b"open before")
        assert await receive(server) == b"open before"
        await stage.taps.set_upstream("tap", TcpAddress(*stage.listener.getsockname()))
        after, server = await stage.pair()  # the first that was dialled since
        await send(after, b"again")
        assert await receive(server) == b"again"
        closed = await stage.records(RecordKind.CLOSED)
    assert [r.conn for r in closed] == [2]


@asynchronous
async def test_a_closed_port_refuses_and_is_opened_again_with_an_upstream(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        before, server = await stage.pair()
        await stage.taps.close_port("tap")
        await stage.taps.close_port("tap")
        with pytest.raises(ConnectionRefusedError):
            await stage.client()
        await send(before, b"open before")
        assert await receive(server) == b"open before"
        await stage.taps.set_upstream("tap", TcpAddress(*stage.listener.getsockname()))
        after, server = await stage.pair()
        await send(after, b"again")
        assert await receive(server) == b"again"
        opened = await stage.records(RecordKind.OPEN)
    assert [r.conn for r in opened] == [1, 2]


@asynchronous
async def test_upstream_is_dialled_anew_for_each_client(tmp_path: Path) -> None:
    other, address = listening()
    async with staged(tmp_path) as stage:
        first, server = await stage.pair()
        await stage.taps.set_upstream("tap", address)
        second = await stage.client()
        elsewhere, _ = await asyncio.get_running_loop().sock_accept(other)
        stage.opened += [other, elsewhere]
        await send(second, b"new")
        await send(first, b"old")
        assert await receive(elsewhere) == b"new"
        assert await receive(server) == b"old"
        opened = await stage.records(RecordKind.OPEN)
    assert [r.conn for r in opened] == [1, 2]


@asynchronous
async def test_listens_on_the_given_address_only(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        assert isinstance(stage.address, TcpAddress)
        (process,) = psutil.Process().children()
        listening_on = [c.laddr.ip for c in process.net_connections() if c.status == psutil.CONN_LISTEN]
    assert listening_on == ["127.0.0.1"]


@asynchronous
async def test_taken_address_and_unknown_names_are_one_sentence(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        with pytest.raises(CannotJudgeError, match="Address already in use"):
            await stage.taps.open_tap("other", listen=stage.address, upstream=None)
        with pytest.raises(CannotJudgeError, match="'tap' is taken"):
            await stage.taps.open_tap("tap", listen=LOOPBACK, upstream=None)
        with pytest.raises(CannotJudgeError, match="nothing of the name 'nobody' is open"):
            await stage.taps.sync("nobody")
        odd = "cell/with:odd names"
        await stage.taps.open_tap(odd, listen=LOOPBACK, upstream=None)
        await stage.taps.close_tap(odd)
        assert list(read_spool(stage.taps.spool_path(odd))) == []


@asynchronous
async def test_closing_a_tap_ends_its_connections_and_its_spool(tmp_path: Path) -> None:
    async with staged(tmp_path, unix=True) as stage:
        client, _ = await stage.pair()
        await send(client, b"hello")
        path = stage.taps.spool_path("tap")
        assert path.stat().st_mode & 0o777 == 0o600
        assert path.parent.stat().st_mode & 0o777 == 0o700
        await stage.taps.sync("tap")
        with pytest.raises(EvidenceError, match="truncated"):
            list(read_spool(path))
        await stage.taps.close_tap("tap")
        assert isinstance(stage.address, UnixAddress)
        with pytest.raises(FileNotFoundError):
            await stage.client()
        assert [r.kind for r in read_spool(path)][-1] is RecordKind.CLOSED


async def _sync_for_ever(stage: Stage) -> None:
    while True:
        await stage.taps.sync("tap")


@asynchronous
async def test_a_killed_tap_process_is_an_error_and_its_spool_truncated(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        client, server = await stage.pair()
        await send(client, b"hello")
        await receive(server)
        await stage.taps.sync("tap")
        (process,) = psutil.Process().children()
        process.kill()
        with pytest.raises(CannotJudgeError, match="has ended"):
            await _sync_for_ever(stage)
        with pytest.raises(EvidenceError, match="truncated"):
            list(read_spool(stage.taps.spool_path("tap")))


@asynchronous
async def test_lag_of_the_loop_is_recorded(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        (process,) = psutil.Process().children()
        process.suspend()
        await asyncio.sleep(0.3)
        process.resume()
        noticed = json.loads((await stage.eventually(RecordKind.LAG, b'"sample"')).payload)
        await stage.eventually(RecordKind.LAG, b'"max"')
    assert noticed["seconds"] > 0.1


def test_the_tap_process_ends_with_its_parent(tmp_path: Path) -> None:
    program = textwrap.dedent(
        """
        import asyncio, os, sys
        from pathlib import Path
        from conformance.wire.tap import TapProcess, TcpAddress
        import psutil

        async def main():
            taps = await TapProcess.start(Path(sys.argv[1]))
            await taps.open_tap("tap", listen=TcpAddress("127.0.0.1", 0), upstream=None)
            print(psutil.Process().children()[0].pid, flush=True)
            await asyncio.sleep(60)

        asyncio.run(main())
        """
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path / "spool")], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        tap = psutil.Process(int(parent.stdout.readline()))
        parent.send_signal(signal.SIGKILL)
        tap.wait(30)
    assert list(read_spool(tmp_path / "spool" / "tap.spool")) is not None  # closed in order


@asynchronous
async def test_many_taps_in_one_process_are_apart(tmp_path: Path) -> None:
    taps = await TapProcess.start(tmp_path / "spool")
    listener, upstream = listening()
    names = [f"tap{number}" for number in range(5)]
    payloads = {name: os.urandom(1000) for name in names}
    opened = [listener]
    for name in names:
        address = await taps.open_tap(name, listen=LOOPBACK, upstream=upstream)
        assert isinstance(address, TcpAddress)
        client = socket.create_connection((address.host, address.port))
        client.settimeout(0)
        server, _ = await asyncio.get_running_loop().sock_accept(listener)
        await send(client, payloads[name])
        assert await receive_exactly(server, 1000) == payloads[name]
        opened += [client, server]
    await taps.stop()
    for sock in opened:
        sock.close()
    for name in names:
        assert joined(list(read_spool(taps.spool_path(name))), Direction.UP) == payloads[name]
