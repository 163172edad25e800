"""Tests of what is told of a program that waits for a processor."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from conformance.evidence.events import JSON, Kind
from conformance.evidence.redact import Redactor
from conformance.stage.processor_wait import longest, waits, watch
from conformance.stage.recorder import Recorder

BUSY = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\nwhile True: pass"
BY_A_SHELL = f"'{sys.executable}' -c '{BUSY}'; true"

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/task").is_dir(), reason="not exercised: no kernel here that tells how long a process waited"
)


@dataclass
class Program:
    """As much of a running gateway as is watched."""

    pid: int
    returncode: int | None = None


@pytest.fixture
def crowded() -> Iterator[int]:
    """Two programs on one processor, each of which would take all of it; yield the shell that started one of them."""
    shells = [subprocess.Popen(["sh", "-c", BY_A_SHELL], start_new_session=True) for _ in range(2)]
    try:
        yield shells[0].pid
    finally:
        for shell in shells:
            os.killpg(shell.pid, 9)
            shell.wait()


def test_what_a_program_started_is_waited_for_too(crowded: int) -> None:
    give_up = time.monotonic() + 30
    before = waits(crowded)
    while len(before) < 2 and time.monotonic() < give_up:
        before = waits(crowded)
    while (grown := longest(before, waits(crowded))) < 0.1 and time.monotonic() < give_up:
        pass
    assert grown >= 0.1


def test_it_is_recorded_as_it_comes(crowded: int) -> None:
    async def until_told() -> Mapping[str, JSON]:
        told: asyncio.Queue[tuple[Kind, Mapping[str, JSON]]] = asyncio.Queue()
        recorder = Recorder(Redactor(()))
        recorder.stage = lambda kind, data: told.put_nowait((kind, data))  # type: ignore[method-assign]
        watching = asyncio.create_task(watch(Program(crowded), recorder))  # type: ignore[arg-type]
        async with asyncio.timeout(30):
            kind, data = await told.get()
        watching.cancel()
        assert kind is Kind.PROCESSOR_WAIT
        return data

    data = asyncio.run(until_told())
    assert data["name"] == "gateway"
    assert data["seconds"] > 0


def test_the_longest_wait_counts_and_one_that_began_meanwhile_counts_whole() -> None:
    before = {1: 5_000_000_000, 2: 1_000_000_000}
    assert longest(before, {1: 5_100_000_000, 2: 1_400_000_000, 3: 200_000_000}) == 0.4
    assert longest(before, {1: 5_000_000_000, 3: 700_000_000}) == 0.7
    assert longest(before, {}) == 0


def test_a_program_that_has_ended_waits_for_nothing() -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    assert waits(ended.pid) == {}
