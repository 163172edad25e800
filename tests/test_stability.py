"""What several runs are taken to mean."""

import psutil
import pytest

from conformance.stability import Condition, every_core_busy, flips, is_stable, trouble


def record(verdict="pass", rule="MGC1"):
    return {"target": "t", "backend": "witness", "scenario": "s", "rule": rule, "verdict": verdict}


def condition(name, *verdicts, rule="MGC1"):
    found = Condition(name)
    for verdict in verdicts:
        found.add([record(verdict, rule)])
    return found


def test_the_same_verdict_each_time_is_stable():
    conditions = [condition("idle", *["pass"] * 3), condition("loaded", *["pass"] * 3)]
    assert is_stable(conditions)
    assert (conditions[0].runs, conditions[0].judged) == (3, 3)


@pytest.mark.parametrize(
    ("idle", "loaded"), [(["pass", "fail"], ["pass"]), (["pass"], ["fail"]), (["pass"], ["pass", "harness-error"])]
)
def test_another_verdict_is_a_flip(idle, loaded):
    conditions = [condition("idle", *idle), condition("loaded", *loaded)]
    assert not is_stable(conditions)
    assert [item.to_json()["rule"] for item in flips(conditions)] == ["MGC1"]


@pytest.mark.parametrize(
    ("name", "unsure", "stable"), [("idle", 2, True), ("idle", 3, False), ("loaded", 10, True), ("loaded", 11, False)]
)
def test_inconclusive_verdicts_are_no_flips_and_are_counted(name, unsure, stable):
    found = condition(name, *["inconclusive"] * unsure, *["pass"] * (100 - unsure))
    assert not flips([found])
    assert is_stable([found]) is stable


def test_nothing_judged_has_no_share():
    assert Condition("idle").inconclusive == 0.0


@pytest.mark.parametrize(
    ("verdicts", "said"),
    [
        (("pass", "pass"), ""),
        (("fail", "not-applicable"), ""),
        (("pass", "harness-error"), "1 of 2 results"),
        (("inconclusive", "not-exercised"), "no result"),
        ((), "no result"),
    ],
)
def test_runs_that_judged_nothing_show_nothing(verdicts, said):
    found = trouble([condition("idle", *verdicts)])
    assert said in found
    assert bool(found) is bool(said)


def test_cores_are_busy_for_as_long_as_the_block_runs():
    mine = psutil.Process()
    with every_core_busy(2):
        spinning = [child for child in mine.children() if "while True: pass" in child.cmdline()]
        assert len(spinning) == 2
    assert not any(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in spinning)
