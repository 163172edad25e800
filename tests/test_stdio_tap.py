"""The stdio tap: the command behaves as if the tap were not there, and the records say what passed."""

from __future__ import annotations

import ast
import base64
import json
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from conformance.errors import CannotJudgeError
from conformance.wire import stdio_tap
from conformance.wire.tap import TapProcess, TcpAddress
from tests.tap_setup import LOOPBACK, asynchronous

TAP = str(Path(stdio_tap.__file__))


def argv(where: Path | TcpAddress, *command: str, python: str = sys.executable) -> list[str]:
    to = ["--spool", str(where)] if isinstance(where, Path) else ["--collector", str(where)]
    return [python, TAP, "--name", "backend", *to, "--", *command]


def python(program: str) -> tuple[str, str, str]:
    return (sys.executable, "-c", program)


def run(where: Path | TcpAddress, *command: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(argv(where, *command), input=given, capture_output=True, check=False, timeout=60)


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def passed(records: list[dict[str, Any]], kind: str) -> bytes:
    return b"".join(base64.b64decode(r["b64"]) for r in records if r["kind"] == kind)


def test_it_needs_nothing_but_an_old_python() -> None:
    source = Path(TAP).read_text()
    tree = ast.parse(source, feature_version=(3, 9))
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.split(".")[0] for name in imported} <= set(sys.stdlib_module_names)


@pytest.mark.parametrize("version", ["3.9", "3.10", "3.12", "3.13"])
def test_it_runs_alone_under_other_pythons(tmp_path: Path, version: str) -> None:
    other = shutil.which(f"python{version}")
    if other is None or subprocess.run([other, "-V"], capture_output=True, check=False).returncode:
        pytest.skip(f"no Python {version} here")
    shutil.copy(TAP, tmp_path / "alone.py")
    command = [other, "-I", str(tmp_path / "alone.py"), *argv(tmp_path / "s.jsonl", "cat")[2:]]
    ended = subprocess.run(command, input=b"hello\n", capture_output=True, check=True, timeout=60)
    assert (ended.stdout, ended.stderr) == (b"hello\n", b"")


def test_records_tell_the_whole_story(tmp_path: Path) -> None:
    program = "import sys; print(sys.stdin.readline(), end=''); print('oops', file=sys.stderr); sys.exit(7)"
    before = time.monotonic_ns()
    ended = run(tmp_path / "s.jsonl", *python(program), given=b'{"id": 1}\n')
    records = read(tmp_path / "s.jsonl")
    assert (ended.returncode, ended.stdout, ended.stderr) == (7, b'{"id": 1}\n', b"oops\n")
    assert [passed(records, kind) for kind in ("up", "down", "stderr")] == [b'{"id": 1}\n', b'{"id": 1}\n', b"oops\n"]
    kinds = [r["kind"] for r in records]
    assert kinds[0] == "start"
    assert kinds[-1] == "exit"
    assert {"eof-up", "eof-down"} <= set(kinds)
    assert [r["n"] for r in records] == list(range(len(records)))
    assert {(r["tap"], r["process"]) for r in records} == {("backend", records[0]["process"])}
    assert all(before <= r["t_ns"] <= time.monotonic_ns() for r in records)
    assert records[0]["argv"] == [*python(program)]
    assert records[0]["boot_id"] == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert {key: records[-1][key] for key in ("code", "signal", "error")} == {"code": 7, "signal": None, "error": None}


def test_megabytes_both_ways_at_once_without_deadlock(tmp_path: Path) -> None:
    data = random.Random(3).randbytes(5 << 20)
    ended = run(tmp_path / "s.jsonl", "cat", given=data)
    assert ended.stdout == data
    records = read(tmp_path / "s.jsonl")
    assert passed(records, "up") == data
    assert passed(records, "down") == data


def test_a_command_that_writes_before_it_reads_does_not_deadlock(tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "sys.stdout.buffer.write(b'o' * 3_000_000); sys.stderr.buffer.write(b'e' * 3_000_000)\n"
        "sys.stdout.buffer.write(sys.stdin.buffer.read())"
    )
    ended = run(tmp_path / "s.jsonl", *python(program), given=b"i" * 3_000_000)
    assert ended.stdout == b"o" * 3_000_000 + b"i" * 3_000_000
    assert ended.stderr == b"e" * 3_000_000


def test_each_frame_is_passed_on_at_once(tmp_path: Path) -> None:
    with subprocess.Popen(
        argv(tmp_path / "s.jsonl", "cat"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
    ) as tap:
        assert tap.stdin is not None
        assert tap.stdout is not None
        for number in range(3):
            tap.stdin.write(b"frame %d\n" % number)
            assert tap.stdout.readline() == b"frame %d\n" % number
        tap.stdin.close()
        assert tap.stdout.read() == b""
    assert tap.returncode == 0


def test_end_of_stdin_reaches_the_command_while_it_still_talks(tmp_path: Path) -> None:
    program = "import sys; sys.stdin.read(); print('all read', flush=True); sys.stdout.close()"
    assert run(tmp_path / "s.jsonl", *python(program), given=b"x").stdout == b"all read\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signals_are_forwarded(tmp_path: Path, number: signal.Signals) -> None:
    program = (
        f"import signal, sys\nsignal.signal({int(number)}, lambda *_: sys.exit(3))\nprint('ready', flush=True)\n"
        "while True: signal.pause()"
    )
    before = signal.signal(number, signal.SIG_DFL)  # what is ignored here (nohup) a child would ignore as well
    try:
        tap = subprocess.Popen(
            argv(tmp_path / "s.jsonl", *python(program)), stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
    finally:
        signal.signal(number, before)
    with tap:
        try:
            assert tap.stdout is not None
            tap.stdout.readline()
            tap.send_signal(number)
            assert tap.wait(30) == 3
        finally:
            tap.kill()
    records = read(tmp_path / "s.jsonl")
    assert records[-1]["code"] == 3
    assert [item["signal"] for item in records if item["kind"] == "signal"] == [number]


def test_a_signal_before_the_command_is_not_lost_and_ends_as_128_plus_n(tmp_path: Path) -> None:
    with subprocess.Popen(argv(tmp_path / "s.jsonl", "sleep", "60"), stdin=subprocess.PIPE) as tap:
        spool = tmp_path / "s.jsonl"
        while not spool.exists():
            time.sleep(0.01)
        tap.send_signal(signal.SIGTERM)
        assert tap.wait(30) == 128 + signal.SIGTERM
    exit_record = read(spool)[-1]
    assert (exit_record["code"], exit_record["signal"]) == (143, 15)


def test_commands_that_cannot_start(tmp_path: Path) -> None:
    missing = run(tmp_path / "s.jsonl", "no-such-command")
    assert missing.returncode == 127
    assert b"no-such-command: No such file or directory" in missing.stderr
    (tmp_path / "plain").write_text("not executable")
    assert run(tmp_path / "s.jsonl", str(tmp_path / "plain")).returncode == 126
    assert [r["error"] for r in read(tmp_path / "s.jsonl")] == ["No such file or directory", "Permission denied"]


def test_arguments_may_hold_a_double_dash_of_their_own(tmp_path: Path) -> None:
    assert run(tmp_path / "s.jsonl", "printf", "%s|", "a", "--", "b").stdout == b"a|--|b|"


def test_a_client_that_stops_reading_ends_the_command(tmp_path: Path) -> None:
    with subprocess.Popen(
        argv(tmp_path / "s.jsonl", "yes"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as tap:
        assert tap.stdout is not None
        tap.stdout.read(10)
        tap.stdout.close()
        assert tap.wait(30) == 128 + signal.SIGPIPE
    assert {"kind": "eof-down", "by": "receiver"}.items() <= next(
        r for r in read(tmp_path / "s.jsonl") if r["kind"] == "eof-down"
    ).items()


def test_a_grandchild_that_keeps_stdout_open_does_not_keep_the_tap(tmp_path: Path) -> None:
    ended = run(tmp_path / "s.jsonl", "sh", "-c", "sleep 3 & echo started; exit 5")
    assert (ended.returncode, ended.stdout) == (5, b"started\n")
    assert read(tmp_path / "s.jsonl")[-1]["kind"] == "exit"


def test_as_process_1_it_reaps_orphans(tmp_path: Path) -> None:
    unshare = ["unshare", "--pid", "--fork", "--mount-proc"]
    if (
        shutil.which("unshare") is None
        or subprocess.run([*unshare, "true"], capture_output=True, check=False).returncode
    ):
        pytest.skip("cannot make a process namespace here")
    program = (
        "import os, subprocess, time\n"
        "subprocess.run(['sh', '-c', 'sleep 0.1 & sleep 0.1 &'])\n"
        "time.sleep(0.5)\n"
        "states = [open(f'/proc/{p}/stat').read().split()[2] for p in os.listdir('/proc') if p.isdigit()]\n"
        "print(os.getppid(), states.count('Z'))"
    )
    command = [*unshare, *argv(tmp_path / "s.jsonl", *python(program))]
    ended = subprocess.run(command, input=b"", capture_output=True, check=True, timeout=60)
    assert ended.stdout == b"1 0\n"


def test_an_unreachable_collector_does_not_break_the_relay() -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        nobody = TcpAddress(*sock.getsockname())
        ended = run(nobody, "cat", given=b"hello\n")
    assert (ended.returncode, ended.stdout) == (0, b"hello\n")
    assert ended.stderr == b"stdio tap backend: records are lost from here on: [Errno 111] Connection refused\n"


def test_two_taps_share_a_spool_file(tmp_path: Path) -> None:
    spool = tmp_path / "s.jsonl"
    data = random.Random(4).randbytes(1 << 20)
    taps = [subprocess.Popen(argv(spool, "cat"), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) for _ in range(2)]
    for tap in taps:
        assert tap.stdin is not None
        tap.stdin.write(data)
        tap.stdin.close()
    assert [tap.wait(30) for tap in taps] == [0, 0]
    records = read(spool)
    for process in {r["process"] for r in records}:
        assert passed([r for r in records if r["process"] == process], "down") == data


def cat(where: TcpAddress) -> subprocess.Popen[bytes]:
    return subprocess.Popen(argv(where, "cat"), stdin=subprocess.PIPE, stdout=subprocess.PIPE)


@asynchronous
async def test_a_collector_gathers_taps_and_sync_waits_for_them(tmp_path: Path) -> None:
    taps = await TapProcess.start(tmp_path / "spool")
    try:
        address = await taps.open_collector("backends", LOOPBACK)
        data = random.Random(5).randbytes(1 << 20)
        with cat(address) as first, cat(address) as second:
            for tap in (first, second):
                assert tap.stdin is not None
                assert tap.stdout is not None
                tap.stdin.write(b"hello\n")
                tap.stdin.flush()
                assert tap.stdout.readline() == b"hello\n"
            size = await taps.sync("backends")
            lines = taps.spool_path("backends").read_bytes()[:size].splitlines()
            records = [json.loads(line) for line in lines]
            assert passed(records, "down") == b"hello\n" * 2
            assert all(r["received_ns"] >= r["t_ns"] for r in records)
            first.communicate(data)
            second.kill()
        await taps.sync("backends")
        records = read(taps.spool_path("backends"))
        by_process = {r["pid"]: r["process"] for r in records if r["kind"] == "start"}
        assert len(by_process) == 2
        ended = {r["process"] for r in records if r["kind"] == "exit"}
        assert len(ended) == 1  # the killed one's is missing, which is what tells
        assert passed([r for r in records if r["process"] in ended], "down") == b"hello\n" + data
    finally:
        await taps.stop()


@asynchronous
async def test_a_frozen_tap_makes_sync_say_so_and_garbage_is_kept_as_such(tmp_path: Path) -> None:
    taps = await TapProcess.start(tmp_path / "spool")
    try:
        address = await taps.open_collector("backends", LOOPBACK)
        with socket.create_connection((address.host, address.port)) as sock:
            sock.sendall(b'{"t_ns": 1, "cut')
            sock.shutdown(socket.SHUT_WR)
            assert sock.recv(10) == b""
        await taps.sync("backends")
        (damaged,) = read(taps.spool_path("backends"))
        assert base64.b64decode(damaged["damaged"]) == b'{"t_ns": 1, "cut'
        with socket.create_connection((address.host, address.port)) as sock:
            sock.sendall(b'{"kind": "start"}\n')
            with pytest.raises(CannotJudgeError, match="does not hand over its records"):
                await taps.sync("backends")
    finally:
        await taps.stop()
