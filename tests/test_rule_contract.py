"""What every rule must have, whoever wrote it."""

import pytest

from conformance.diagnosis.failure_classes import failure_classes
from conformance.rules.all import rules
from conformance.rules.base import DOCSTRING_HEADINGS, Level
from conformance.spec.catalogue import requirement
from conformance.stage.mutants import mutants
from conformance.stage.scenario import SUITES, scenarios

RULES = rules()
BROUGHT = {name for scenario in scenarios().values() for name in scenario.brings}
CLASSES = {item.id for item in failure_classes()}
CAUGHT = {rule for mutant in mutants() for rule in mutant.rules}
every_rule = pytest.mark.parametrize("rule", RULES, ids=[rule.id for rule in RULES])


# A suite joins when its rules stand: transparency and isolation are in the making.
STANDING = (
    "initialize_ordering",
    "session_reuse",
    "get_sse",
    "keep_alive",
    "streaming",
    "isolation",
    "spin_up",
    "clients",
    "edges",
)


@pytest.mark.parametrize("suite", STANDING)
def test_each_suite_has_at_least_six_rules(suite):
    assert sum(rule.suite == suite for rule in RULES) >= 6


@every_rule
def test_its_docstring_has_the_five_headings(rule):
    for heading in DOCSTRING_HEADINGS:
        assert f"{heading}:" in rule.doc, f"{rule.id} does not say {heading!r}"


@every_rule
def test_it_cites_rows_of_the_catalogue_at_their_level(rule):
    levels = {str(requirement(row).level) for row in rule.requirements}
    assert rule.requirements
    assert rule.level is Level.PRACTICE or str(rule.level) in levels, f"{rule.id} is {rule.level}, its rows {levels}"


@every_rule
def test_its_failure_classes_exist(rule):
    assert rule.failure_classes
    assert set(rule.failure_classes) <= CLASSES


@every_rule
def test_some_scenario_brings_its_precondition_about(rule):
    assert rule.when.name in BROUGHT
    assert rule.suite in SUITES


@every_rule
def test_a_mutant_kills_it(rule):
    assert rule.id in CAUGHT, f"{rule.id} has not been shown able to fail: add a mutant under fixtures/mutants"


def test_every_precondition_that_a_scenario_promises_exists():
    assert {rule.when.name for rule in RULES} >= BROUGHT, BROUGHT - {rule.when.name for rule in RULES}


@pytest.mark.parametrize("mutant", mutants(), ids=lambda item: item.id)
def test_a_mutant_names_what_exists(mutant):
    known = {rule.id: rule for rule in RULES}
    assert set(mutant.rules) <= set(known)
    assert mutant.benign or mutant.failure_class in CLASSES
    cited = {row for rule in mutant.rules for row in known[rule].requirements}
    assert set(mutant.requirements) <= cited, f"{mutant.id} is tagged with rows that its rules do not cite"
    if not mutant.benign:
        assert any(mutant.failure_class in known[rule].failure_classes for rule in mutant.rules)
