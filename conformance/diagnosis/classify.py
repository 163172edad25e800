"""From one failed rule to the failure class that names its cause, and how sure that is.

The rule names the classes it can find, and its verdict may name one of them as the symptom. Each neighbour of that
class is then held against the facts of the evidence: ruled out, spoken for, or not observed. Where a fact speaks for a
neighbour that the rule can find too, the neighbour is the class. Nothing is forced: without a candidate the failure is
`unclassified`.

Confidence is 0.5 with no separating observation made and 0.9 with all made against every neighbour, linear in between.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from conformance.diagnosis.facts import Failure
from conformance.diagnosis.failure_classes import FailureClass, failure_classes
from conformance.diagnosis.separations import SEPARATIONS
from conformance.evidence.events import JSON, Hop
from conformance.rules.base import Inputs, Rule
from conformance.rules.verdicts import Fail

UNCLASSIFIED: Final = "unclassified"
_UNSEPARATED: Final = 0.5
_SEPARATED: Final = 0.9


@dataclass(frozen=True, slots=True)
class Separation:
    """One neighbouring class. made: whether the observation that rules it out was made. says: what it is about."""

    neighbour: str
    made: bool
    says: str

    def to_json(self) -> dict[str, JSON]:
        """Return its record in report.jsonl."""
        return {"neighbour": self.neighbour, "made": self.made, "says": self.says}


@dataclass(frozen=True, slots=True)
class Classified:
    """A failure's class, the hop to blame, how sure that is (0 to 1), and the neighbours held against the evidence."""

    failure_class: str
    hop: Hop
    confidence: float
    separations: tuple[Separation, ...] = ()


def classify(rule: Rule, verdict: Fail, inputs: Inputs) -> Classified:
    """Return the failure class of one failure."""
    known = {item.id: item for item in failure_classes()}
    candidate = _candidate(rule, verdict)
    if candidate is None or candidate not in known:
        return Classified(UNCLASSIFIED, verdict.charged_to, 0.0)
    failure = Failure(verdict, inputs)
    tried = {candidate}
    while True:
        separations, spoken_for = _separate(known[candidate], failure)
        better = next((item for item in spoken_for if item in rule.failure_classes and item not in tried), None)
        if better is None:
            return Classified(candidate, verdict.charged_to, _confidence(separations), separations)
        candidate = better
        tried.add(better)


def _candidate(rule: Rule, verdict: Fail) -> str | None:
    if verdict.symptom in rule.failure_classes:
        return verdict.symptom
    return rule.failure_classes[0] if len(rule.failure_classes) == 1 else None


def _separate(failure_class: FailureClass, failure: Failure) -> tuple[tuple[Separation, ...], tuple[str, ...]]:
    """Return what the evidence says of each neighbour, and the neighbours it speaks for."""
    table = SEPARATIONS.get(failure_class.id, {})
    separations, spoken_for = [], []
    for neighbour in failure_class.neighbours:
        separator = table.get(neighbour.id)
        seen = separator[0](failure) if separator else None
        made = separator is not None and seen is separator[1]
        if separator is not None and seen is not None and not made:
            spoken_for.append(neighbour.id)
        separations.append(Separation(neighbour.id, made, neighbour.separated_by))
    return tuple(separations), tuple(spoken_for)


def _confidence(separations: tuple[Separation, ...]) -> float:
    if not separations:
        return _UNSEPARATED
    share = sum(item.made for item in separations) / len(separations)
    return round(_UNSEPARATED + (_SEPARATED - _UNSEPARATED) * share, 2)
