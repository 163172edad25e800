"""What the mutants' results are taken to mean."""

from dataclasses import replace
from functools import partial

import pytest

from conformance import mutation
from conformance.commands import mutants as commands
from conformance.errors import ExitCode, NothingRanError, UsageError
from conformance.mutation import Outcome, judge_healthy, judge_mutant, undecided
from conformance.rules.all import rule_named
from conformance.sharding import Shard
from conformance.stage.mutants import LATEST, Base, Mutant, mutants
from conformance.stage.scenario import DEFAULT_SUITES

MUTANT = Mutant(
    "m",
    "a fault",
    benign=False,
    base=Base.TERMINATING,
    rules=("MGC1",),
    failure_class="class-a",
    requirements=("ROW-1",),
    revision="2025-11-25",
)


def record(rule="MGC1", verdict="pass", failure_class=None, charged_to="gateway", scenario="s", target="t"):
    found = {"rule": rule, "verdict": verdict, "failure_class": failure_class, "scenario": scenario, "target": target}
    found |= {"runtime": "process", "backend": "witness", "revision": LATEST, "backend_revision": LATEST}
    return {**found, "charged_to": charged_to if verdict == "fail" else None, "observed": "seen"}


CAUGHT = (record(verdict="fail", failure_class="class-a"),)


@pytest.mark.parametrize(
    ("records", "outcome"),
    [
        ([record(verdict="fail", failure_class="class-a"), record("MGC2")], Outcome.CAUGHT),
        ([record(), record("MGC2")], Outcome.MISSED),
        ([record(verdict="fail", failure_class="class-a", charged_to="backend")], Outcome.MISSED),
        ([record(verdict="fail", failure_class="class-b")], Outcome.MISCLASSIFIED),
        ([record(verdict="fail", failure_class="class-a"), record("MGC2", "fail", "class-b")], Outcome.MORE_FAILS),
        ([record(verdict="fail", failure_class="class-a"), record("MGC2", "harness-error")], Outcome.NOT_JUDGED),
        ([], Outcome.NOT_JUDGED),
    ],
)
def test_a_fault(records, outcome):
    assert judge_mutant(MUTANT, records).outcome is outcome


@pytest.mark.parametrize(
    ("records", "outcome"),
    [
        ([record()], Outcome.CLEAN),
        ([record(), record("MGC9", "not-applicable")], Outcome.CLEAN),
        ([record(), record("MGC9")], Outcome.SLANDERED),
        ([record(verdict="not-applicable")], Outcome.SLANDERED),
        ([record(verdict="not-exercised")], Outcome.SLANDERED),
        ([record(verdict="inconclusive")], Outcome.SLANDERED),
        ([record(verdict="fail")], Outcome.SLANDERED),
    ],
)
def test_a_healthy_gateway(monkeypatch, records, outcome):
    monkeypatch.setattr(mutation, "expected_not_applicable", lambda: frozenset({("t", "s", "MGC9")}))
    assert judge_healthy("t", "healthy", records).outcome is outcome


@pytest.mark.parametrize(
    ("target", "scenario", "verdict", "outcome"),
    [
        ("mutant:variant", "http-sse-session", "not-exercised", Outcome.CLEAN),
        ("mutant:variant", "http-sse-session", "fail", Outcome.SLANDERED),
        ("mutant:variant", "get-in-session", "not-exercised", Outcome.SLANDERED),
        ("terminating", "http-sse-session", "not-exercised", Outcome.SLANDERED),
        ("passthrough", "second-backend-down", "not-exercised", Outcome.CLEAN),
        ("mutant:variant", "second-backend-down", "not-exercised", Outcome.CLEAN),
        ("terminating", "second-backend-down", "not-exercised", Outcome.SLANDERED),
        ("terminating", "edge-caddy-http-1.0", "not-exercised", Outcome.CLEAN),
        ("terminating", "edge-nginx-traffic", "not-exercised", Outcome.SLANDERED),
        ("terminating", "edge-nginx-traffic", "fail", Outcome.SLANDERED),
        ("terminating", "network-loopback", "not-exercised", Outcome.CLEAN),
        ("terminating", "network-none", "not-exercised", Outcome.SLANDERED),
    ],
)
def test_a_healthy_gateway_need_not_serve_what_its_manifest_does_not_name(target, scenario, verdict, outcome):
    found = judge_healthy(target, "healthy", [record(verdict=verdict, scenario=scenario, target=target)])
    assert found.outcome is outcome


@pytest.mark.parametrize(
    ("target", "rule", "outcome"),
    [
        ("mutant:spin_one_per_call", "MGC512", Outcome.CLEAN),
        ("mutant:spin_one_per_call", "MGC507", Outcome.CLEAN),
        ("mutant:spin_one_per_call", "MGC501", Outcome.SLANDERED),
        ("mutant:spin_one_for_all", "MGC512", Outcome.SLANDERED),
    ],
)
def test_where_a_container_serves_a_call_there_is_none_to_be_killed(target, rule, outcome):
    records = [record(verdict="not-exercised", scenario="spin-up-container-dies", target=target, rule=rule)]
    assert judge_healthy(target, "healthy", records).outcome is outcome


def test_the_committed_list_can_be_read():
    assert all(len(row) == 3 for row in mutation.expected_not_applicable())


@pytest.mark.parametrize("shard", ["0/2", "3/2", "2", "a/b", "1/0"])
def test_a_shard_is_k_of_n(shard):
    with pytest.raises(UsageError, match="write it as K/N"):
        Shard.parse(shard)


def test_shards_share_all_mutants():
    every = mutants()
    assert sorted(item.id for part in "123" for item in Shard.parse(f"{part}/3").of(every)) == [m.id for m in every]


def test_own_suites_drive_a_mutant_where_its_rules_are():
    plain = [item for item in mutants() if not item.scenario]
    batches = commands._batches(plain, ("passthrough",), own_suites=True)
    assert sorted(item.id for batch in batches for item in batch.mutants) == [item.id for item in plain]
    for batch in batches:
        for item in batch.mutants:
            own = {rule.suite for rule in map(rule_named, item.rules)} - {"spin_up"}
            assert not own or set(batch.suites) == own


def test_without_own_suites_every_mutant_meets_every_suite_once():
    batches = commands._batches(mutants(), ("passthrough",), own_suites=False)
    whole = [batch for batch in batches if not set(batch.suites) <= set(commands.APART)]
    assert len({batch.revision for batch in whole}) == len(whole) == len(batches) - len(commands.APART)
    assert all(len(batch.suites) == len(DEFAULT_SUITES) - 1 for batch in whole)


def test_what_is_found_only_when_asked_for_is_driven_apart_and_so_are_the_healthy():
    batches = commands._batches(mutants(), ("passthrough",), own_suites=False)
    for suite in commands.APART:
        (batch,) = [item for item in batches if item.suites == (suite,)]
        assert batch.sound == ("passthrough",)
        assert all(rule_named(rule).suite == suite for item in batch.mutants for rule in item.rules)


@pytest.mark.parametrize("resume", [False, True])
def test_every_part_of_an_interrupted_run_is_resumed(monkeypatch, tmp_path, resume):
    selections = []
    monkeypatch.setattr(commands, "records_of", lambda selection: selections.append(selection) or [])
    monkeypatch.setattr(commands, "engine_answers", lambda: True)
    commands.mutants_command(resume=resume, out=tmp_path)
    assert {item.out.relative_to(tmp_path).parts[0] for item in selections} == {"process", "edges", "containers"}
    assert {item.resume for item in selections} == {resume}


@pytest.mark.parametrize(
    ("judge", "records", "again"),
    [
        (partial(judge_mutant, MUTANT), [record(verdict="inconclusive"), record(scenario="other")], {"s"}),
        (partial(judge_mutant, MUTANT), [record(verdict="inconclusive"), *CAUGHT], set()),
        (partial(judge_mutant, MUTANT), [record("MGC2", "inconclusive", scenario="other"), *CAUGHT], set()),
        (partial(judge_mutant, MUTANT), [record("MGC2", "inconclusive", scenario="other"), record()], set()),
        (
            partial(judge_healthy, "t", "healthy"),
            [record(), record("MGC2", "inconclusive", scenario="other")],
            {"other"},
        ),
        (partial(judge_healthy, "t", "healthy"), [record(verdict="fail")], set()),
    ],
)
def test_what_is_driven_again_is_what_could_not_be_decided_by(judge, records, again):
    assert {cell.scenario for cell in undecided(judge(records), records)} == again


def test_a_mutant_is_judged_by_what_was_driven_again(monkeypatch, tmp_path):
    (mutant,) = [item for item in mutants() if item.id == "get_answers_400"]
    place = {"scenario": "get-in-session", "target": mutant.target}
    poor = [record(rule, "inconclusive", **place) for rule in mutant.rules]
    better = [record(rule, "fail", mutant.failure_class, **place) for rule in mutant.rules]
    selections = []

    def driven(selection):
        selections.append(selection)
        return better if selection.only else poor

    monkeypatch.setattr(commands, "records_of", driven)
    assert commands.mutants_command(["get_answers_400"], out=tmp_path) is ExitCode.OK
    first, again = selections
    assert {cell.scenario for cell in again.only} == {"get-in-session"}
    assert first.targets[0].needs.memory_mb < again.targets[0].needs.memory_mb
    assert first.out != again.out


def test_a_part_without_any_of_the_mutants_named_is_nothing_to_judge(tmp_path):
    with pytest.raises(NothingRanError, match="2/2"):
        commands.mutants_command(["get_answers_400"], shard="2/2", out=tmp_path)


def test_what_an_edge_does_on_purpose_says_nothing_of_a_healthy_gateway():
    records = [record(scenario="edge-nginx-traffic"), record(verdict="fail", scenario="edge-nginx-unrouted")]
    assert judge_healthy("terminating", "healthy", records).outcome is Outcome.CLEAN


@pytest.mark.parametrize(
    ("found", "outcome"),
    [
        ({"verdict": "fail", "failure_class": "class-a", "charged_to": "edge"}, Outcome.CAUGHT),
        ({"verdict": "pass"}, Outcome.MISSED),
        ({"verdict": "not-exercised"}, Outcome.NOT_JUDGED),
    ],
)
def test_the_fault_of_an_edge(found, outcome):
    mutant = replace(MUTANT, scenario="edge-nginx-unrouted", own_target=False)
    elsewhere = record("MGC2", "fail", "class-b", scenario="edge-nginx-slash")
    assert judge_mutant(mutant, [record(scenario="edge-nginx-unrouted", **found), elsewhere]).outcome is outcome
    assert (mutant.name, mutant.target) == ("mutant:m", "terminating")
