"""What the benchmarks compute; what they measure is nobody's verdict."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from bench.http_load import ANSWER, REQUEST, answering, message_end, posts_per_second, witness
from bench.measuring import Spread
from bench.official_suite import count_statuses
from bench.run_times import EXCLUSIVE_LIMIT, RunTimes, Section, run_times, section, sections
from bench.tap_rivals import BARE, WITNESS, Rate, in_turn, summarize, to_json
from conformance.evidence.events import JSON, Event, Kind, Point
from conformance.evidence.log import Observation, read_evidence, write_evidence
from conformance.stage.plan import Cell
from conformance.stage.scenario import ScenarioKind
from conformance.wire.tap_address import TcpAddress

CELL = "terminating/process/witness/2025-11-25/2025-11-25"


def evidence(tmp_path: Path, scenario: str, *stimuli: tuple[float, dict[str, JSON]], started: float = 100.0) -> Path:
    file = tmp_path / f"{scenario}.jsonl"
    header = {"cell": f"{CELL}/{scenario}", "scenario": scenario, "started": started}
    observations = [Observation(int(t * 1e9), Point.DRIVER, Kind.STIMULUS, data) for t, data in stimuli]
    write_evidence(file, header, observations, {"complete": True, "error": ""})
    return file


BEGIN = {"name": "scenario.begin"}
END = {"name": "scenario.end"}


def test_a_section_lasts_until_the_sentinel_after_it(tmp_path: Path) -> None:
    before = (5.0, {"name": "sentinel", "when": "before", "ok": True})
    after = (9.5, {"name": "sentinel", "when": "after", "ok": True})
    found = section(read_evidence(evidence(tmp_path, "ping", before, (6.0, BEGIN), (9.0, END), after)))
    assert found == Section(101.0, 104.5, Cell.parse(f"{CELL}/ping"), ScenarioKind.EXCLUSIVE, 0.0)
    assert found.seconds == pytest.approx(3.5)


def test_a_cell_that_was_not_driven_to_its_end_has_no_section(tmp_path: Path) -> None:
    evidence(tmp_path, "second-get", (0.0, BEGIN))
    evidence(tmp_path, "ping", (0.0, BEGIN), (2.0, END), started=200.0)
    evidence(tmp_path, "idle-get", (0.0, BEGIN), (62.5, END), started=90.0)
    assert [item.cell.scenario for item in sections(tmp_path)] == ["idle-get", "ping"]


def sample(scenario: str, kind: ScenarioKind, begin: float, seconds: float, wait: float, target: str) -> Section:
    return Section(begin, begin + seconds, Cell(target, "process", "witness", "r", "r", scenario), kind, wait)


def test_the_bound_is_of_the_longest_wait_the_exclusive_sections_and_the_start() -> None:
    found = [
        sample("a", ScenarioKind.IDLE, 13.0, 64.0, 62.0, "gateway"),
        sample("b", ScenarioKind.EXCLUSIVE, 14.0, 20.0, 8.0, "gateway"),
        sample("c", ScenarioKind.EXCLUSIVE, 34.0, 10.0, 2.0, "gateway"),
        sample("b", ScenarioKind.EXCLUSIVE, 12.0, 25.0, 8.0, "direct"),
        sample("d", ScenarioKind.DESTRUCTIVE, 15.0, 40.0, 12.0, "gateway"),
    ]
    times = run_times(found, begun=10.0, ended=110.0)
    assert times.exclusive == {"gateway before witness": 30.0, "direct before witness": 25.0}
    assert (times.wall, times.start_up, times.longest_wait) == (100.0, 2.0, 62.0)
    assert times.bound == pytest.approx(1.25 * 62.0 + 30.0 + 2.0)
    assert times.holds
    assert times.to_json()["holds"] is True


def test_a_run_that_is_too_long_or_too_exclusive_does_not_hold() -> None:
    assert not RunTimes(wall=110.0, start_up=2.0, longest_wait=62.0, exclusive={"x": 30.0}).holds
    assert not RunTimes(wall=20.0, start_up=2.0, longest_wait=62.0, exclusive={"x": EXCLUSIVE_LIMIT}).holds


def test_nothing_driven_took_only_its_start() -> None:
    assert run_times([], begun=10.0, ended=14.0) == RunTimes(4.0, 4.0, 0.0, {})


def test_checks_are_counted_by_status() -> None:
    texts = [json.dumps([{"status": "SUCCESS"}, {"status": "FAILURE"}]), json.dumps([{"status": "SUCCESS"}]), "[]"]
    assert count_statuses(texts) == {"FAILURE": 1, "SUCCESS": 2}


@pytest.mark.parametrize("message", [REQUEST, ANSWER])
def test_a_message_is_whole_at_its_last_byte(message: bytes) -> None:
    assert message_end(message) == len(message)
    assert message_end(message + message) == len(message)
    assert message_end(message[:-1]) == 0
    assert message_end(message[:20]) == 0


def test_a_message_without_length_is_refused() -> None:
    with pytest.raises(ValueError, match="Content-Length"):
        message_end(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")


@pytest.mark.parametrize("server", [answering, witness])
@pytest.mark.parametrize(("connections", "posts"), [(1, 20), (4, 30)])
def test_every_post_is_answered(
    server: Callable[[], AbstractContextManager[TcpAddress]], connections: int, posts: int
) -> None:
    with server() as address:
        assert posts_per_second(address, connections, posts) > 0


def test_ways_take_turns_at_being_first() -> None:
    orders = [in_turn(["a", "b", "c"], number) for number in range(6)]
    assert orders == [list(order) for order in ("abc", "bca", "cab", "cba", "acb", "bac")]


def rates(tap: float) -> dict[str, Rate]:
    return {
        "direct": Rate(100.0, 0.0),
        "tap": Rate(tap, 20e-6),
        "haproxy": Rate(50.0, 10e-6),
        "haproxy-narrow": Rate(60.0, 12e-6),
        "mitmproxy": Rate(5.0, 500e-6),
    }


def test_ratios_are_taken_within_a_round() -> None:
    found = summarize([rates(45.0), rates(50.0), rates(40.0)])
    assert found["tap/haproxy"] == Spread(0.9, 0.8, 1.0)
    assert found["tap/haproxy-narrow"].median == pytest.approx(0.75)
    assert found["tap/mitmproxy"].median == pytest.approx(9.0)
    assert found["direct"] == Spread(100.0, 100.0, 100.0)
    assert found["tap CPU µs"].median == pytest.approx(20.0)


@pytest.mark.parametrize(("tap", "enough"), [(45.0, True), (44.0, False)])
def test_the_tap_carries_enough_only_at_every_number_of_connections(tap: float, enough: bool) -> None:
    of_mcp = {1: summarize([rates(tap)]), 16: summarize([rates(60.0)])}
    told = to_json({WITNESS: of_mcp, BARE: {1: summarize([rates(40.0)])}})
    assert told["enough"] is enough
    assert told["carried_of_haproxy"] == {WITNESS: pytest.approx(tap / 50.0), BARE: pytest.approx(0.8)}
    assert set(told["before"][WITNESS]) == {"1", "16"}


def test_other_events_do_not_bound_a_section() -> None:
    events = [
        Event(0, 0.0, Point.STAGE, Kind.HEADER, {"cell": f"{CELL}/ping", "scenario": "ping", "started": 1.0}),
        Event(1, 1.0, Point.DRIVER, Kind.STIMULUS, BEGIN),
        Event(2, 2.0, Point.DRIVER, Kind.STIMULUS, END),
        Event(3, 3.0, Point.DRIVER, Kind.STIMULUS, {"name": "toxics"}),
        Event(4, 4.0, Point.STAGE, Kind.LOG, {"line": "late"}),
    ]
    found = section(events)
    assert found is not None
    assert (found.begin, found.end) == (2.0, 3.0)
