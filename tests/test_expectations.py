"""What a verdict means for a run, given what its target is known to fail; and reading that from a file."""

from dataclasses import replace

import pytest

from conformance.diagnosis.classify import Classified
from conformance.errors import UsageError
from conformance.evidence.events import Hop
from conformance.expectations import COUNTED, Expectations, Known, load_baseline
from conformance.judging import Judgement
from conformance.rules.all import rule_named
from conformance.rules.base import Level
from conformance.rules.verdicts import Fail, HarnessFault, Inconclusive, NotApplicable, NotExercised, Pass
from conformance.stage.plan import Cell

CELL = Cell("gw", "process", "witness", "2025-11-25", "2025-11-25", "get-in-session")
CLASS = "get-sse-wrong-status"
ENTRY = Known(target="gw", rule="MGC301", failure_class=CLASS, seen="400", issue="gw#1")
RULE = rule_named("MGC301")
FAILED = Fail("405", "400", (1,))


def judged(verdict, *, level=Level.MUST, failure_class=CLASS, cell=CELL):
    classified = Classified(failure_class, Hop.GATEWAY, 0.9) if isinstance(verdict, Fail) else None
    return Judgement(cell, replace(RULE, level=level), verdict, classified, "evidence/x.jsonl")


def expectation(judgement, *known, fail_on="practice"):
    return Expectations(known, fail_on).outcome(judgement).expectation


def test_a_pass_is_fine_unless_it_was_known_to_fail():
    assert expectation(judged(Pass("405"))) == "ok"
    assert expectation(judged(Pass("405")), ENTRY) == "unexpected-pass"


def test_what_a_race_of_the_target_decides_may_pass_and_may_fail_with_its_class_only():
    entry = replace(ENTRY, sometimes="which of two tasks is first")
    assert expectation(judged(Pass("405")), entry) == "ok"
    assert expectation(judged(FAILED), entry) == "known-failure"
    assert expectation(judged(FAILED, failure_class="accept-406"), entry) == "wrong-class"


@pytest.mark.parametrize("verdict", [NotApplicable("w"), NotExercised("m"), Inconclusive("w"), HarnessFault("e")])
def test_what_was_not_judged_confirms_and_excuses_nothing(verdict):
    assert expectation(judged(verdict)) == "not-judged"
    assert expectation(judged(verdict), ENTRY) == "not-judged"


@pytest.mark.parametrize("hop", list(Hop))
def test_a_failure_counts_unless_it_is_anothers(hop):
    elsewhere = hop not in (Hop.GATEWAY, Hop.RUNTIME)
    found = expectation(judged(replace(FAILED, charged_to=hop)))
    assert found == ("charged-elsewhere" if elsewhere else "unexpected-failure")
    assert (found in COUNTED) is not elsewhere


def test_a_known_failure_must_fail_with_its_class():
    assert expectation(judged(FAILED), ENTRY) == "known-failure"
    assert expectation(judged(FAILED, failure_class="accept-406"), ENTRY) == "wrong-class"


@pytest.mark.parametrize(
    ("fail_on", "counted"),
    [
        ("must", {Level.MUST}),
        ("should", {Level.MUST, Level.SHOULD, Level.MAY}),
        ("practice", set(Level)),
    ],
)
def test_the_level_from_which_a_failure_counts(fail_on, counted):
    found = {level: expectation(judged(FAILED, level=level), fail_on=fail_on) for level in Level}
    assert {level for level, said in found.items() if said == "unexpected-failure"} == counted
    assert {said for level, said in found.items() if level not in counted} <= {"below-threshold"}


@pytest.mark.parametrize(
    "change",
    [
        {"target": "other"},
        {"rule": "MGC302"},
        {"scenario": "second-*"},
        {"backend": "everything"},
        {"runtime": "containers"},
        {"revision": "2025-06-18"},
    ],
)
def test_an_entry_speaks_only_of_what_it_names(change):
    assert expectation(judged(FAILED), replace(ENTRY, **change)) == "unexpected-failure"


def test_patterns_match_as_in_a_shell():
    patterns = {"scenario": "get-*", "backend": "wit?ess", "runtime": "[pc]*", "revision": "2025-*"}
    assert expectation(judged(FAILED), replace(ENTRY, **patterns)) == "known-failure"


def test_expectations_travel_as_json():
    expectations = Expectations((ENTRY,), "must")
    assert Expectations.from_json(expectations.to_json()) == expectations


# the file -------------------------------------------------------------------------------------------------------------

GOOD = f'[[known]]\nrule = "MGC301"\nfailure_class = "{CLASS}"\nseen = "400"\nissue = "gw#1"\n'


def load(file, text):
    file.write_text(text, encoding="utf-8")
    return load_baseline(file, "gw", ["MGC301"], [CLASS])


@pytest.fixture
def file(tmp_path):
    return tmp_path / "baseline.toml"


def test_a_good_file_is_read(file):
    assert load(file, GOOD) == (ENTRY,)
    assert load(file, GOOD + 'scenario = "get-*"\n') == (replace(ENTRY, scenario="get-*"),)
    assert load(file, "") == ()
    assert load(file, "\ufeff" + GOOD) == (ENTRY,)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[known]", "not a readable TOML file"),
        ("known = " + "[" * 5000, "nested too deeply"),
        ("known = 1", "[[known]] tables and nothing else"),
        ("[known]", "[[known]] tables and nothing else"),
        (GOOD + "[other]\n", "[[known]] tables and nothing else"),
        ("known = [1]", "entry 1: every value is a string"),
        (GOOD + "runtime = 1\n", "entry 1: every value is a string"),
        (GOOD + GOOD + 'secnario = "*"\n', "entry 2: unknown key 'secnario'; known are backend, "),
        (GOOD + 'target = "gw"\n', "entry 1: unknown key 'target'"),
        (GOOD.replace("issue", "#issue"), "entry 1: 'issue' is missing"),
        (GOOD.replace("MGC301", "MGC999"), "entry 1: there is no rule 'MGC999'; `list rules` shows them"),
        (GOOD.replace(CLASS, "x"), "entry 1: no failure class 'x'; `list failure-classes` shows them"),
    ],
)
def test_each_mistake_is_one_sentence_naming_file_and_entry(file, text, said):
    with pytest.raises(UsageError) as caught:
        load(file, text)
    assert said in str(caught.value)
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_says_how_to_write_one(file):
    with pytest.raises(UsageError, match="--write-baseline"):
        load_baseline(file, "gw", (), ())


def test_a_file_that_is_no_text_is_refused(file):
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="not a readable TOML file"):
        load_baseline(file, "gw", (), ())


# entries that a run does not bear out ---------------------------------------------------------------------------------


def unmet(*verdicts, entry=ENTRY, outside=(), whole=True):
    records = [{"id": f"{CELL.id}/MGC301", "rule": "MGC301", "verdict": verdict} for verdict in verdicts]
    found = Expectations((entry,), outside=outside).unmet(records, whole=whole)
    return [(item.rule, item.state) for item in found]


@pytest.mark.parametrize("verdict", ["fail", "pass"])
def test_an_entry_that_was_judged_is_borne_out_or_counted_elsewhere(verdict):
    assert unmet(verdict, "not-applicable") == []


def test_an_entry_whose_rule_applies_nowhere_any_more_is_stale_where_everything_was_driven():
    assert unmet("not-applicable", "not-applicable") == [("MGC301", "stale")]
    assert unmet("not-applicable", whole=False) == [("MGC301", "unchecked")]


@pytest.mark.parametrize("verdict", ["not-exercised", "inconclusive", "harness-error"])
def test_an_entry_that_could_not_be_judged_is_unchecked(verdict):
    assert unmet(verdict, "not-applicable") == [("MGC301", "unchecked")]


def test_an_entry_whose_cell_was_not_driven_is_unchecked():
    assert unmet("fail", entry=replace(ENTRY, backend="everything")) == [("MGC301", "unchecked")]


@pytest.mark.parametrize(
    ("versions", "version", "speaks"),
    [
        ("", "anything", True),
        (">=1.2,<2", "1.9.3", True),
        (">=1.2,<2", "2.0.0", False),
        (">=1.2", "2.0.0b1", True),
        (">=1.2", "unknown", False),
    ],
)
def test_an_entry_speaks_of_a_range_of_versions(versions, version, speaks):
    assert replace(ENTRY, versions=versions).speaks_of(version) is speaks


def test_an_entry_about_other_versions_excuses_nothing_and_is_shown():
    old = replace(ENTRY, versions="<1")
    assert Expectations(outside=(old,)).outcome(judged(FAILED)).expectation == "unexpected-failure"
    assert unmet("fail", outside=(replace(old, rule="MGC302"),)) == [("MGC302", "unchecked")]


def test_a_range_that_is_none_is_refused(tmp_path):
    file = tmp_path / "baseline.toml"
    file.write_text(
        '[[known]]\nrule = "MGC301"\nfailure_class = "accept-406"\nseen = "s"\nissue = "i"\nversions = "up to 2"\n'
    )
    with pytest.raises(UsageError, match="versions 'up to 2' is no range"):
        load_baseline(file, "gw", ["MGC301"], ["accept-406"])
