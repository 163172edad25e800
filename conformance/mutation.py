"""What driving the mutants showed: whether each fault was caught by the rules named for it, and nothing healthy was."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from conformance.diagnosis.failure_classes import failure_classes
from conformance.errors import CannotJudgeError
from conformance.evidence.events import JSON, Hop
from conformance.expectations import NOT_THE_TARGET
from conformance.paths import FIXTURES
from conformance.progress import Record
from conformance.rules.all import rule_named
from conformance.stage.manifest import load_edge, load_target
from conformance.stage.mutants import Base, Mutant
from conformance.stage.plan import Cell
from conformance.stage.scenario import NEEDS_CONTAINERS, SpinUp, scenarios

REFERENCES: Final = ("passthrough", "terminating")
"""The healthy gateways: every rule that applies must pass on them."""
_KILLED: Final = ("spin-up-killed", "spin-up-container-died")
"""Preconditions that a container is there when no call is under way."""
_ELSEWHERE: Final = frozenset(str(hop) for hop in NOT_THE_TARGET)


class Outcome(StrEnum):
    """What came of one gateway."""

    CAUGHT = "caught"
    MISSED = "missed"
    MISCLASSIFIED = "misclassified"
    MORE_FAILS = "more fails than its fault"
    CLEAN = "clean"
    SLANDERED = "slandered"
    NOT_JUDGED = "not judged"


GOOD: Final = (Outcome.CAUGHT, Outcome.CLEAN)


@dataclass(frozen=True, slots=True)
class Finding:
    """One gateway's outcome. caught_by: failing rules with their failure classes. detail: one line where it is bad."""

    target: str
    title: str
    expected: tuple[str, ...]
    failure_class: str | None
    caught_by: Mapping[str, str]
    outcome: Outcome
    detail: str = ""

    def to_json(self) -> dict[str, JSON]:
        """Return the record of `mutants --json`."""
        return {
            "id": self.target,
            "title": self.title,
            "expected": list(self.expected),
            "failure_class": self.failure_class,
            "caught_by": dict(self.caught_by),
            "outcome": str(self.outcome),
            "detail": self.detail,
        }


def expected_not_applicable() -> frozenset[tuple[str, str, str]]:
    """Return the (target, scenario, rule) triples that may be not-applicable on a healthy gateway.

    From `fixtures/mutants/not_applicable.toml`; raises CannotJudgeError when it is malformed.
    """
    file = FIXTURES / "mutants" / "not_applicable.toml"
    try:
        rows = tomllib.loads(file.read_text(encoding="utf-8"))["expected"]
        return frozenset(
            (target, row["scenario"], rule) for row in rows for target in row["targets"] for rule in row["rules"]
        )
    except (OSError, tomllib.TOMLDecodeError, KeyError, TypeError) as error:
        raise CannotJudgeError(f"{file} is not the list of what does not apply ({error!r}); restore it") from error


def judge_mutant(mutant: Mutant, records: Sequence[Record]) -> Finding:
    """Return the outcome of a mutant with a fault. records: of its target; where it names a scenario, those of that."""
    if mutant.scenario:
        records = [record for record in records if record["scenario"] == mutant.scenario]
    failing = _failing(records, _ELSEWHERE - _own_hops(mutant))
    found = {rule: ", ".join(sorted(classes)) for rule, classes in failing.items()}

    def finding(outcome: Outcome, detail: str = "") -> Finding:
        return Finding(mutant.name, mutant.title, mutant.rules, mutant.failure_class, found, outcome, detail)

    trouble = _trouble(records) or (_not_to_be_had(records) if mutant.scenario else "")
    if trouble:
        return finding(Outcome.NOT_JUDGED, trouble)
    missed = [rule for rule in mutant.rules if rule not in failing]
    if missed:
        verdicts = {rule: _verdicts(records, rule) for rule in missed}
        return finding(Outcome.MISSED, "; ".join(f"{rule} did not fail: {verdicts[rule]}" for rule in missed))
    more = sorted(set(failing) - set(mutant.rules))
    if more:
        return finding(Outcome.MORE_FAILS, f"{', '.join(more)} failed too")
    wrong = [rule for rule in mutant.rules if failing[rule] != {mutant.failure_class}]
    if wrong:
        return finding(Outcome.MISCLASSIFIED, "; ".join(f"{rule} as {found[rule]}" for rule in wrong))
    return finding(Outcome.CAUGHT)


def judge_healthy(target: str, title: str, records: Sequence[Record]) -> Finding:
    """Return the outcome of a reference gateway or benign variant: everything that applies must pass."""
    allowed = expected_not_applicable()
    records = [record for record in records if not _fault_on_purpose(record)]
    failing = _failing(records)
    found = {rule: ", ".join(sorted(classes)) for rule, classes in failing.items()}
    trouble = _trouble(records)
    if trouble:
        return Finding(target, title, (), None, found, Outcome.NOT_JUDGED, trouble)
    bad = [
        f"{record['rule']} {record['verdict']} in {record['scenario']}: {record['observed']}"
        for record in records
        if record["verdict"] != "pass" and not _allowed(record, allowed)
    ]
    judged = {(str(record["scenario"]), str(record["rule"])): str(record["verdict"]) for record in records}
    bad += [
        f"{rule} is listed as not applicable in {scenario} and was {judged[scenario, rule]}"
        for listed, scenario, rule in sorted(allowed)
        if listed == target and judged.get((scenario, rule), "not-applicable") != "not-applicable"
    ]
    if bad:
        return Finding(target, title, (), None, found, Outcome.SLANDERED, "; ".join(bad))
    return Finding(target, title, (), None, found, Outcome.CLEAN)


def undecided(finding: Finding, records: Iterable[Record]) -> frozenset[Cell]:
    """Return the cells to drive again: where a finding is bad, those whose evidence was too poor to decide.

    Of a fault what counts is the rules named for it that did not fail, of a healthy gateway every rule.
    """
    if finding.outcome not in (Outcome.MISSED, Outcome.SLANDERED):
        return frozenset()
    missed = frozenset(finding.expected) - finding.caught_by.keys()
    poor = (record for record in records if record["verdict"] == "inconclusive")
    return frozenset(cell_of(record) for record in poor if not finding.expected or record["rule"] in missed)


def cell_of(record: Record) -> Cell:
    """Return the cell that a result is of."""
    return Cell(
        target=str(record["target"]),
        runtime=str(record["runtime"]),
        backend=str(record["backend"]),
        revision=str(record["revision"]),
        backend_revision=str(record["backend_revision"]),
        scenario=str(record["scenario"]),
    )


def _verdicts(records: Iterable[Record], rule: str) -> str:
    found = sorted({str(record["verdict"]) for record in records if record["rule"] == rule})
    return ", ".join(found) or "not judged"


def _allowed(record: Record, allowed: Iterable[tuple[str, str, str]]) -> bool:
    place = (record["target"], record["scenario"], record["rule"])
    return (record["verdict"] == "not-applicable" and place in allowed) or _lacks(record)


def _lacks(record: Record) -> bool:
    """Whether a result is missing because a healthy gateway's manifest, or an edge, lacks what the scenario needs.

    Variants name no HTTP+SSE endpoint and no way to enable or revoke a backend, as the references do; of these the
    terminating one alone fronts two backends. Where a container serves a call, none can be killed between
    calls.
    """
    scenario = scenarios().get(str(record["scenario"]))
    if scenario is None or record["verdict"] != "not-exercised":
        return False
    rule = rule_named(str(record["rule"]))
    if rule is not None and rule.when.name in _KILLED:
        return load_target(str(record["target"])).claims.containers == "call"
    if scenario.network in NEEDS_CONTAINERS and record["runtime"] == "process":
        return True
    if scenario.edge is not None and load_edge(scenario.edge.name).lacks(scenario.edge.variant):
        return True
    variant = record["target"] not in REFERENCES
    managed = scenario.revokes or scenario.spin_up is SpinUp.NOT_ENABLED
    return ((scenario.http_sse or managed) and variant) or (
        scenario.second_backend is not None and record["target"] != Base.TERMINATING
    )


def _fault_on_purpose(record: Record) -> bool:
    """Whether what stood before the gateway did harm on purpose: that says nothing about a healthy gateway."""
    scenario = scenarios().get(str(record["scenario"]))
    return scenario is not None and scenario.edge is not None and scenario.edge.fault


def _own_hops(mutant: Mutant) -> frozenset[str]:
    """Return the hops at which a mutant's fault may be charged beside the gateway: an edge, or a wrong configuration.

    One that configures its own backend wrongly is charged as a deployment is that does so.
    """
    known = {item.id: item.hops for item in failure_classes()}
    configured = Hop.CONFIGURATION in known.get(mutant.failure_class or "", ())
    hops = ((Hop.EDGE, bool(mutant.scenario)), (Hop.CONFIGURATION, configured))
    return frozenset(str(hop) for hop, own in hops if own)


def _failing(records: Iterable[Record], elsewhere: frozenset[str] = _ELSEWHERE) -> dict[str, set[str]]:
    """Return the failure classes by the rules that fail. elsewhere: hops whose failures do not count."""
    found: dict[str, set[str]] = {}
    for record in records:
        if record["verdict"] == "fail" and record["charged_to"] not in elsewhere:
            found.setdefault(str(record["rule"]), set()).add(str(record["failure_class"]))
    return found


def _not_to_be_had(records: Sequence[Record]) -> str:
    """Return why an edge could not be put up: then nothing was exercised in its scenario."""
    whole = all(record["verdict"] == "not-exercised" for record in records)
    return str(records[0]["observed"]) if whole else ""


def _trouble(records: Sequence[Record]) -> str:
    if not records:
        return "nothing was judged"
    errors = [record for record in records if record["verdict"] == "harness-error"]
    return f"{errors[0]['scenario']}: {errors[0]['observed']}" if errors else ""
