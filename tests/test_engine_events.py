"""Engine events: parsing, the engine's clock on ours, short-lived containers, clean-up."""

from __future__ import annotations

import asyncio
import gc
import io
import subprocess
import time

import pytest

from conformance.evidence.events import Kind
from conformance.stage.engine_cleanup import remove_run_with, run_containers, sweep_dead_runs
from conformance.stage.engine_events import (
    ClockSample,
    EngineWatch,
    frames,
    parse_event,
    sample_clock,
    wall_nanoseconds,
)
from conformance.stage.labels import OWNER_LABEL, RUN_LABEL, owner_of, run_labels
from conformance.stage.networks import create_networks
from tests.engine_setup import engine_run, engine_test

DIE = {
    "Type": "container",
    "Action": "die",
    "Actor": {"ID": "ab12", "Attributes": {"exitCode": "137", "image": "i:1", "name": "n", "our.label": "x"}},
    "time": 1795232802,
    "timeNano": 1795232802098641404,
}


def test_an_event_keeps_labels_apart_and_counts_in_nanoseconds():
    event = parse_event(DIE)
    assert (event.action, event.container, event.image, event.exit_code) == ("die", "ab12", "i:1", 137)
    assert event.labels == {"our.label": "x"}
    assert event.wall_ns == 1795232802098641404


def test_an_event_without_an_exit_has_no_code():
    start = {**DIE, "Action": "start", "Actor": {"ID": "ab12", "Attributes": {"image": "i:1"}}}
    assert parse_event(start).exit_code is None


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("1970-01-01T00:00:01Z", 1_000_000_000),
        ("1970-01-01T00:00:01.5Z", 1_500_000_000),
        ("1970-01-01T00:00:01.123456789Z", 1_123_456_789),
        ("1970-01-01T02:00:01.000000001+02:00", 1_000_000_001),
    ],
)
def test_engine_times_keep_every_digit(text, nanoseconds):
    assert wall_nanoseconds(text) == nanoseconds


def test_a_clock_sample_moves_engine_times_onto_our_clock():
    assert ClockSample(offset_ns=1000, uncertainty_ns=1).monotonic_ns(1500) == 500


def test_output_is_taken_apart_by_its_frames():
    raw = io.BytesIO(b"\1\0\0\0\0\0\0\3hel" + b"\2\0\0\0\0\0\0\4oops" + b"\1\0\0")
    assert list(frames(raw)) == [(b"hel", None), (None, b"oops")]


class TestWithAnEngine:
    pytestmark = engine_test

    def test_the_clock_of_an_engine_on_this_machine_is_this_machines(self):
        with engine_run() as (client, _, _):
            sample = sample_clock(client)
            here = time.time_ns() - time.monotonic_ns()
            assert abs(sample.offset_ns - here) <= sample.uncertainty_ns + 1_000_000

    def test_a_container_that_somebody_else_starts_and_that_lives_for_a_moment_is_seen_whole(self):
        with engine_run() as (_, run_id, base):
            seen = asyncio.run(watch_one(run_id, base))
        actions = [data["action"] for kind, data, _ in seen if kind is Kind.ENGINE_EVENT]
        assert [one for one in actions if one != "attach"] == ["create", "start", "die", "destroy"]
        lines = [(data["stream"], data["line"]) for kind, data, _ in seen if kind is Kind.CONTAINER_LOG]
        assert set(lines) == {("stderr", "oops"), ("stdout", "hello")}  # perhaps twice, see EngineWatch._attach
        codes = [data["exit_code"] for kind, data, _ in seen if kind is Kind.ENGINE_EVENT and data["action"] == "die"]
        assert codes == [7]
        times = [t for kind, data, t in seen if kind is Kind.ENGINE_EVENT]
        assert times == sorted(times)
        assert sum(kind is Kind.CLOCK for kind, _, _ in seen) == 2

    def test_what_a_container_writes_in_pieces_is_told_by_whole_lines(self):
        with engine_run() as (_, run_id, base):
            seen = asyncio.run(watch_one(run_id, base, "sleep 1; printf hel; sleep 0.3; echo lo; printf end; exit 7"))
        assert [data["line"] for kind, data, _ in seen if kind is Kind.CONTAINER_LOG] == ["hello", "end"]

    def test_removing_a_run_leaves_nothing_of_it_and_everything_of_others(self):
        with engine_run() as (client, run_id, base), engine_run() as (_, other, _):
            for run in (run_id, other):
                side = create_networks(client, run).gateway
                client.containers.run(
                    base, ["60"], entrypoint=["sleep"], network=side.name, labels=run_labels(run), detach=True
                )
            remove_run_with(client, run_id)
            assert run_containers(client, run_id) == []
            assert client.networks.list(filters={"label": f"{RUN_LABEL}={run_id}"}) == []
            assert len(run_containers(client, other)) == 1

    def test_a_sweep_removes_runs_whose_process_is_gone_and_no_living_one(self):
        with engine_run() as (client, living, base), engine_run() as (_, dead, _):
            with subprocess.Popen(["sleep", "60"]) as process:
                owner = owner_of(process.pid)
                process.kill()
            labels = {RUN_LABEL: dead, OWNER_LABEL: owner}
            for its in (labels, run_labels(living)):
                client.containers.run(base, ["60"], entrypoint=["sleep"], labels=its, detach=True)
            swept = sweep_dead_runs()
            assert dead in swept
            assert living not in swept
            assert run_containers(client, dead) == []
            assert len(run_containers(client, living)) == 1


async def watch_one(run_id, base, script="echo hello; echo oops >&2; exit 7"):
    seen = []
    watch = await EngineWatch.start(run_id, lambda kind, data, t_ns: seen.append((kind, data, t_ns)))
    try:
        command = ["docker", "run", "--rm", "--label", f"{RUN_LABEL}={run_id}", base]
        command += ["sh", "-c", script]
        process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        assert await process.wait() == 7
        assert await watch.wait_for(lambda event: event.action == "destroy", 20) is not None
    finally:
        await watch.stop()
    gc.collect()  # a connection that was left open warns, and the test fails, here rather than in a later test
    return seen
