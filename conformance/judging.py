"""From stored evidence to results. The same function serves `run`, `replay` and live recordings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from conformance.diagnosis.classify import Classified, classify
from conformance.errors import EvidenceError
from conformance.evidence.events import JSON
from conformance.evidence.transcript import Transcript
from conformance.report.escape import shown_lines
from conformance.rules.base import Inputs, Rule, judge, stands_for_gateway
from conformance.rules.verdicts import Fail, HarnessFault, Inconclusive, NotApplicable, NotExercised, Pass, Verdict
from conformance.stage.plan import DIRECT, Cell


@dataclass(frozen=True, slots=True)
class Judgement:
    """One rule's verdict on one cell. classified: the failure class, for a failure only."""

    cell: Cell
    rule: Rule
    verdict: Verdict
    classified: Classified | None
    evidence: str

    @property
    def id(self) -> str:
        """Cell id and rule id."""
        return f"{self.cell.id}/{self.rule.id}"

    def to_json(self) -> dict[str, JSON]:
        """Return the `result` record of report.jsonl."""
        expected, observed, charged_to, events = _sentences(self.verdict)
        return {
            "kind": "result",
            "id": self.id,
            "target": self.cell.target,
            "runtime": self.cell.runtime,
            "backend": self.cell.backend,
            "revision": self.cell.revision,
            "backend_revision": self.cell.backend_revision,
            "suite": self.rule.suite,
            "scenario": self.cell.scenario,
            "rule": self.rule.id,
            "title": self.rule.title,
            "level": str(self.rule.level),
            "requirements": list(self.rule.requirements),
            "verdict": self.verdict.name,
            "charged_to": charged_to,
            "expected": expected,
            "observed": observed,
            "failure_class": self.classified.failure_class if self.classified else None,
            "events": events,
            "evidence": self.evidence,
        }


def _sentences(verdict: Verdict) -> tuple[str | None, str, str | None, list[int]]:
    # They quote what a gateway sent, and not every file or terminal that they end in could take that as it is.
    match verdict:
        case Fail(expected, observed, events, charged_to):
            return shown_lines(expected), shown_lines(observed), str(charged_to), list(events)
        case Pass(observed, events):
            return None, shown_lines(observed), None, list(events)
        case NotApplicable(why) | Inconclusive(why):
            return None, shown_lines(why), None, []
        case NotExercised(missing):
            return None, shown_lines(missing), None, []
        case HarnessFault(error):
            return None, shown_lines(error), "harness", []


@lru_cache(maxsize=32)
def transcript(path: Path) -> Transcript:
    """Return the transcript of an evidence file, read once per process. Raises EvidenceError."""
    return Transcript.read(path)


def judge_files(cell: Cell, rule: Rule, through: Path, control: Path | None) -> Judgement:
    """Judge one rule on the evidence in `through`; control is the control run's file where there is one.

    Evidence that cannot be read is a harness error, never the gateway's failure.
    """
    evidence = f"{through.resolve().parent.name}/{through.name}"
    try:
        inputs = Inputs(transcript(through), transcript(control) if control is not None else None)
    except EvidenceError as error:
        return Judgement(cell, rule, HarnessFault(str(error)), None, evidence)
    verdict = judge(rule, inputs)
    if cell.target == DIRECT and isinstance(verdict, Fail) and cell.backend == "witness" and not _scripted(inputs):
        said = f"the control run of our own witness fails {rule.id}: expected {verdict.expected}; {verdict.observed}"
        return Judgement(cell, rule, HarnessFault(said), None, evidence)
    if not isinstance(verdict, Fail):
        return Judgement(cell, rule, verdict, None, evidence)
    try:
        return Judgement(
            cell, rule, verdict, classify(rule, verdict, stands_for_gateway(rule, inputs) or inputs), evidence
        )
    except Exception as error:  # noqa: BLE001 - a bug in diagnosis must not swallow the failure it was asked about
        said = f"diagnosis broke on {rule.id} ({error!r}), which fails: {verdict.observed}"
        return Judgement(cell, rule, HarnessFault(said), None, evidence)


def _scripted(inputs: Inputs) -> bool:
    return str(inputs.through.header.get("witness_script", "correct")) != "correct"


def cell_of(header: Mapping[str, JSON]) -> Cell:
    """Return the cell that an evidence header names; raises EvidenceError when it names none."""
    try:
        return Cell.parse(str(header["cell"]))
    except (KeyError, ValueError) as error:
        raise EvidenceError("the evidence names no cell in its header; it was not written by a run or a tap") from error


def applicable(rules: Iterator[Rule] | tuple[Rule, ...], brings: tuple[str, ...], revision: str) -> tuple[Rule, ...]:
    """Return the rules whose precondition a scenario brings about and that hold on `revision`."""
    return tuple(item for item in rules if item.when.name in brings and revision in item.revisions)
