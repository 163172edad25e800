"""`--write-baseline`: a run's failures as entries that match them and nothing else."""

import json

import pytest

from conformance.commands.first_baseline import entries_of, write_baseline
from conformance.errors import CannotJudgeError, UsageError
from conformance.expectations import load_baseline
from conformance.stage.plan import Cell

RULES = ["MGC301", "MGC302"]
CLASSES = ["get-sse-wrong-status"]
CELL = {"target": "mine", "runtime": "process", "backend": "witness", "revision": "2025-11-25", "scenario": "s"}


def result(verdict="fail", rule="MGC301", failure_class="get-sse-wrong-status", charged_to="gateway", **cell):
    found = {"kind": "result", "rule": rule, "verdict": verdict, "observed": 'GET was "400"\n', **CELL, **cell}
    failed = verdict == "fail"
    return {**found, "charged_to": charged_to if failed else None, "failure_class": failure_class if failed else None}


def report(tmp_path, *results, footer=({"kind": "footer", "complete": True},)):
    file = tmp_path / "report.jsonl"
    file.write_text("".join(json.dumps(record) + "\n" for record in ({"kind": "header"}, *results, *footer)))
    return file


def fields(entries):
    return [{key: value for key, value in entry.items() if key != "seen"} for entry in entries]


def test_what_always_fails_is_one_entry_without_patterns():
    found = [result(backend=backend, scenario=scenario) for backend in "ab" for scenario in "st"]
    assert fields(entries_of(found)) == [{"rule": "MGC301", "failure_class": "get-sse-wrong-status"}]


def test_what_fails_before_one_backend_is_narrowed_to_it():
    found = [result(backend="a"), result(backend="a", scenario="t"), result("pass", backend="b")]
    assert [entry["backend"] for entry in entries_of(found)] == ["a"]
    assert "scenario" not in next(entries_of(found))


def test_what_fails_in_one_cell_only_is_narrowed_to_it():
    found = [
        result(backend="a", scenario="s"),
        result("pass", backend="a", scenario="t"),
        result("pass", backend="b", scenario="s"),
    ]
    assert [(entry["backend"], entry["scenario"]) for entry in entries_of(found)] == [("a", "s")]


def test_two_classes_of_one_rule_are_two_entries_that_exclude_each_other():
    found = [result(scenario="s"), result(scenario="t", failure_class="accept-406")]
    assert {(entry["scenario"], entry["failure_class"]) for entry in entries_of(found)} == {
        ("s", "get-sse-wrong-status"),
        ("t", "accept-406"),
    }


@pytest.mark.parametrize("verdict", ["inconclusive", "not-exercised", "not-applicable", "harness-error", "pass"])
def test_only_failures_are_written(verdict):
    assert list(entries_of([result(verdict)])) == []


@pytest.mark.parametrize("hop", ["backend", "client", "harness"])
def test_what_is_charged_to_others_is_not_the_targets(hop):
    assert list(entries_of([result(charged_to=hop)])) == []


def test_what_is_written_can_be_read_and_matches(tmp_path):
    file = tmp_path / "baseline.toml"
    assert write_baseline(file, report(tmp_path, result(), result("pass", rule="MGC302"))) == 1
    (entry,) = load_baseline(file, "mine", ["MGC301"], ["get-sse-wrong-status"])
    assert (entry.issue, entry.seen) == ("not reported", 'GET was "400"\n')
    assert entry.matches(Cell("mine", "process", "witness", "2025-11-25", "2025-11-25", "s"), "MGC301")


def test_whatever_a_gateway_sent_can_be_written_and_read(tmp_path):
    file = tmp_path / "baseline.toml"
    read = report(tmp_path, result(observed="1\ud800 \x7f\x9b31m\u202e é"))
    assert write_baseline(file, read) == 1
    (entry,) = load_baseline(file, "mine", ["MGC301"], ["get-sse-wrong-status"])
    assert entry.seen == "1\\ud800 \\x7f\\x9b31m\\u202e é"


@pytest.mark.parametrize(("version", "versions"), [("1.2.3", ">=1.2.3"), ("unknown", "")])
def test_an_entry_speaks_of_the_version_seen_and_later_ones(tmp_path, version, versions):
    file, read = tmp_path / "baseline.toml", report(tmp_path, result())
    header = json.dumps({"kind": "header", "versions": {"targets": {"mine": version}}})
    read.write_text(read.read_text().replace('{"kind": "header"}', header))
    write_baseline(file, read)
    (entry,) = load_baseline(file, "mine", ["MGC301"], ["get-sse-wrong-status"])
    assert entry.versions == versions


def test_no_failure_is_an_empty_baseline(tmp_path):
    file = tmp_path / "baseline.toml"
    assert write_baseline(file, report(tmp_path, result("pass"))) == 0
    assert load_baseline(file, "mine", [], []) == ()


def test_issues_that_were_reported_are_kept(tmp_path):
    file = tmp_path / "baseline.toml"
    write_baseline(file, report(tmp_path, result()))
    file.write_text(file.read_text().replace("not reported", "upstream#12"))
    write_baseline(file, report(tmp_path, result()))
    assert "upstream#12" in file.read_text()


def test_what_a_run_did_not_decide_is_kept(tmp_path):
    file = tmp_path / "baseline.toml"
    narrowed = result(rule="MGC302", scenario="other")
    write_baseline(file, report(tmp_path, result(), narrowed, result("pass", rule="MGC302")))
    assert write_baseline(file, report(tmp_path, result("pass"), result("pass", rule="MGC302"))) == 1
    (entry,) = load_baseline(file, "mine", RULES, CLASSES)
    assert (entry.rule, entry.scenario) == ("MGC302", "other")


@pytest.mark.parametrize(("verdicts", "kept"), [(("pass",), 1), (("pass", "fail"), 1), (("fail",), 1), ((), 1)])
def test_what_fails_only_sometimes_stays_so(tmp_path, verdicts, kept):
    file = tmp_path / "baseline.toml"
    write_baseline(file, report(tmp_path, result()))
    file.write_text(file.read_text().replace("seen =", 'sometimes = "a race of its own"\nseen ='))
    seen = (result(verdict, scenario=f"s{number}") for number, verdict in enumerate(verdicts))
    assert write_baseline(file, report(tmp_path, *seen)) == kept
    assert [item.sometimes for item in load_baseline(file, "mine", RULES, CLASSES)] == ["a race of its own"] * kept


@pytest.mark.parametrize("footer", [(), ({"kind": "footer", "complete": False},)])
def test_an_incomplete_run_writes_none(tmp_path, footer):
    with pytest.raises(CannotJudgeError, match="did not complete"):
        write_baseline(tmp_path / "baseline.toml", report(tmp_path, result(), footer=footer))
    assert not (tmp_path / "baseline.toml").exists()


def test_a_file_that_is_no_baseline_is_left_alone(tmp_path):
    file = tmp_path / "notes.txt"
    file.write_text("my notes")
    with pytest.raises(UsageError, match="is no baseline"):
        write_baseline(file, report(tmp_path, result()))
    assert file.read_text() == "my notes"
