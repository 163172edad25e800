"""From one failed rule to the failure class that names its cause, and how sure that is.

The rule names the classes it can find, and its verdict may name one of them as the symptom. Each neighbour of that
class is then held against the evidence. It is ruled out where the separating fact says so (`separations.py`), or where
the trace that every case of it leaves is missing (`traces.py`). Where the separating fact speaks for the neighbour, the
neighbour is the class: if its own trace is there, or the rule can find it and no trace is missing. Nothing is forced: a
failure of a rule that names no class, or several without saying which, is `unclassified`.

Confidence is 0.5 + 0.4 x share, share being that of the neighbours ruled out: 0.9 only when all were.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from conformance.diagnosis.failure import Failure
from conformance.diagnosis.failure_classes import FailureClass, Neighbour, failure_classes
from conformance.diagnosis.separations import SEPARATIONS
from conformance.diagnosis.traces import TRACES
from conformance.evidence.events import JSON, Hop
from conformance.rules.base import Inputs, Rule
from conformance.rules.verdicts import Fail

UNCLASSIFIED: Final = "unclassified"
_UNSEPARATED: Final = 0.5
_SEPARATED: Final = 0.9


@dataclass(frozen=True, slots=True)
class Separation:
    """One neighbouring class. made: whether an observation that rules it out was made. says: what it is about."""

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


@dataclass(frozen=True, slots=True)
class _Weighed:
    """A candidate class: its separations, and the neighbours that the evidence speaks for."""

    failure_class: str
    separations: tuple[Separation, ...]
    spoken_for: tuple[str, ...]

    @property
    def confidence(self) -> float:
        """Linear in the share of neighbours that were ruled out; a class without neighbours stays unseparated."""
        if not self.separations:
            return _UNSEPARATED
        share = sum(item.made for item in self.separations) / len(self.separations)
        return round(_UNSEPARATED + (_SEPARATED - _UNSEPARATED) * share, 2)


def classify(rule: Rule, verdict: Fail, inputs: Inputs) -> Classified:
    """Return the failure class of one failure."""
    known = {item.id: item for item in failure_classes()}
    failure = Failure(verdict, inputs)
    start = verdict.symptom if verdict.symptom in rule.failure_classes else _only_candidate(rule, failure)
    if start not in known:
        return Classified(UNCLASSIFIED, verdict.charged_to, 0.0)
    found = _followed(_weigh(known[start], failure), rule, failure, known)
    return Classified(found.failure_class, verdict.charged_to, found.confidence, found.separations)


def _only_candidate(rule: Rule, failure: Failure) -> str:
    """Return the one class that the rule names, or the one of them whose trace is there; empty for none or several."""
    if len(rule.failure_classes) == 1:
        return rule.failure_classes[0]
    traced = [name for name in rule.failure_classes if _trace(name, failure)]
    return traced[0] if len(traced) == 1 else ""


def _followed(start: _Weighed, rule: Rule, failure: Failure, known: dict[str, FailureClass]) -> _Weighed:
    """Return where the evidence leads from the first candidate; round a circle, the best separated class on it."""
    met = [start]
    while True:
        tried = {item.failure_class for item in met}
        further = [name for name in met[-1].spoken_for if _may_take_over(name, rule, failure)]
        if not further:
            return met[-1]
        better = next((name for name in further if name not in tried), None)
        if better is None:
            return max(met, key=lambda item: item.confidence)
        met.append(_weigh(known[better], failure))


def _may_take_over(name: str, rule: Rule, failure: Failure) -> bool:
    """Whether a neighbour may become the class: named by the rule, or traced where the rule left the class open.

    A rule that names the symptom has already looked; a trace alone then does not overrule it.
    """
    seen = _trace(name, failure)
    if name in rule.failure_classes:
        return seen is not False
    return seen is True and failure.verdict.symptom not in rule.failure_classes


def _weigh(failure_class: FailureClass, failure: Failure) -> _Weighed:
    """Hold every neighbour of a class against the evidence."""
    separations, spoken_for = [], []
    for neighbour in failure_class.neighbours:
        seen = _spoken_for(failure_class.id, neighbour.id, failure)
        traceless = _trace(neighbour.id, failure) is False
        if seen is True and not traceless:
            spoken_for.append(neighbour.id)
        separations.append(_separation(neighbour, ruled_out=seen is False, traceless=traceless))
    return _Weighed(failure_class.id, tuple(separations), tuple(spoken_for))


def _separation(neighbour: Neighbour, *, ruled_out: bool, traceless: bool) -> Separation:
    if ruled_out or not traceless:
        return Separation(neighbour.id, ruled_out, neighbour.separated_by)
    lacking = (TRACES[neighbour.id].__doc__ or "").strip()
    return Separation(neighbour.id, made=True, says=f"What it always shows was not seen here: {lacking}")


def _spoken_for(name: str, neighbour: str, failure: Failure) -> bool | None:
    """Return whether the separating fact speaks for the neighbour (True) or against it (False)."""
    separator = SEPARATIONS.get(name, {}).get(neighbour)
    if separator is None:
        return None
    fact, value = separator
    seen = fact(failure)
    return None if seen is None else seen is not value


def _trace(name: str, failure: Failure) -> bool | None:
    fact = TRACES.get(name)
    return fact(failure) if fact is not None else None
