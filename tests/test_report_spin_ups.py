"""How containers came up: recorded from evidence, written to the report, shown as a table and as bars."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from report_sample import HOSTILE, report, result

from conformance.diagnosis.spin_ups import spin_ups
from conformance.execution import started_containers
from conformance.report.files import clear, write_reports
from conformance.report.spin_ups import bars
from conformance.report.validate import trouble
from tests.evidence_builder import request
from tests.evidence_builder import result as answer
from tests.spin_up_stories import WORKS, container, gateway, used


def story() -> Any:
    told = gateway()
    container(told)
    used(told)
    told.exchange("a", request=request("tools/call", 5), sse=[answer(5, content=[])], t=12.0)
    return told


def record(**changes: Any) -> dict[str, Any]:
    """Return the record of a client whose container came up."""
    found = list(spin_ups(story().transcript(cell="gw/c", **WORKS)))
    assert len(found) == 1
    return {**found[0], **changes}


def test_each_step_is_told_in_seconds_after_the_trigger():
    steps = {item["name"]: item["t"] for item in record()["steps"]}
    assert steps["trigger"] == 0.0
    assert list(steps)[1:5] == ["asked", "created", "started", "spoke"]
    assert 2.0 < steps["first_result"] < 2.1
    assert trouble("report", record()) == ""


def test_where_no_container_was_to_be_started_nothing_is_told():
    assert not list(spin_ups(story().transcript(cell="gw/c")))


def test_it_is_written_read_again_and_shown(tmp_path):
    read = report(tmp_path, result(), record(), record(cell=HOSTILE, client=HOSTILE))
    assert [row.client for row in read.spin_ups] == ["a", HOSTILE]
    write_reports(read, tmp_path)
    table = (tmp_path / "spin_up.md").read_text()
    assert "first result" in table
    assert "0.400" in table
    page = (tmp_path / "spin_up.html").read_text()
    assert "<script>" not in page
    assert "http" not in page.replace("http-equiv", "")
    assert "`spin_up.md`" in (tmp_path / "summary.md").read_text()
    clear(tmp_path)
    assert not list(tmp_path.glob("spin_up.*"))


def test_a_run_without_containers_writes_no_page(tmp_path):
    write_reports(report(tmp_path, result()), tmp_path)
    assert not list(tmp_path.glob("spin_up.*"))


def test_a_bar_ends_when_the_client_was_served(tmp_path):
    read = report(tmp_path, result(), record())
    ((_, parts),) = bars(read.spin_ups)
    assert parts[-1].name == "first result"
    assert round(parts[-1].begin + parts[-1].width) == 100
    assert all(one.begin + one.width <= other.begin + 0.01 for one, other in pairwise(parts))


def test_only_cells_that_were_driven_are_looked_at():
    records = [
        {"suite": "spin_up", "verdict": "pass", "evidence": "one"},
        {"suite": "spin_up", "verdict": "fail", "evidence": "one"},
        {"suite": "spin_up", "verdict": "not-exercised", "evidence": "two"},
        {"suite": "spin_up", "verdict": "harness-error", "evidence": "three"},
        {"suite": "get_sse", "verdict": "pass", "evidence": "four"},
    ]
    assert started_containers(records) == ("one",)
