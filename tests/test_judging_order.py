"""Cells are judged as their evidence comes, and none is waited for when no evidence can come any more."""

import threading
from dataclasses import replace

import pytest

from conformance.judging_order import as_evidence_comes, judged_on
from conformance.stage.plan import DIRECT, Cell, Plan
from conformance.stage.supervisor import EXIT_FILE

FIRST = Cell("a", "process", "witness", "2025-11-25", "2025-11-25", "answer-forms")
SECOND = replace(FIRST, target="b")
LONG = 60.0


@pytest.fixture
def plan(tmp_path):
    plan = Plan("r", str(tmp_path / "out"), str(tmp_path / "work"), "process", (FIRST, SECOND))
    plan.evidence_dir.mkdir(parents=True)
    (tmp_path / "work").mkdir()
    return plan


def drive(plan, *cells):
    for cell in cells:
        plan.evidence_file(cell).touch()


def end(plan):
    (plan.evidence_dir.parent.parent / "work" / EXIT_FILE).touch()


def order(plan, **options):
    return as_evidence_comes({FIRST: "first", SECOND: "second"}, plan, **{"patience": LONG, **options})


def test_what_was_driven_first_is_judged_first(plan):
    drive(plan, SECOND)
    judged = order(plan)
    assert next(judged) == "second"
    drive(plan, FIRST)
    assert list(judged) == ["first"]


def test_evidence_that_comes_while_it_is_waited_for_is_found(plan):
    timer = threading.Timer(0.1, drive, (plan, SECOND))
    timer.start()
    assert next(order(plan)) == "second"
    timer.join()


def test_of_several_that_are_there_the_given_order_holds(plan):
    drive(plan, SECOND, FIRST)
    assert list(order(plan)) == ["first", "second"]


def test_what_was_never_driven_comes_last_once_the_driving_has_ended(plan):
    drive(plan, SECOND)
    end(plan)
    assert list(order(plan)) == ["second", "first"]


def test_a_run_whose_folder_is_gone_waits_for_nothing(plan):
    plan = replace(plan, work=str(plan.evidence_dir / "none"))
    assert list(order(plan)) == ["first", "second"]


def test_patience_ends_a_wait_for_a_driving_that_stands_still(plan):
    passing = iter(range(0, 1000, 40))
    assert list(order(plan, clock=lambda: float(next(passing)))) == ["first", "second"]


def test_a_cell_waits_for_its_control_run_where_that_is_driven(plan):
    compared = replace(FIRST, scenario="capabilities")
    control = compared.control
    assert control.target == DIRECT
    assert judged_on(compared, {compared}) == (compared,)
    assert judged_on(compared, {compared, control}) == (compared, control)
    plan = replace(plan, cells=(compared, control, SECOND))
    drive(plan, compared, SECOND)
    judged = as_evidence_comes({compared: "compared", SECOND: "second"}, plan, patience=LONG)
    assert next(judged) == "second"
    drive(plan, control)
    assert list(judged) == ["compared"]
