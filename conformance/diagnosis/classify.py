"""From one failed rule to the failure class that names its cause."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from conformance.evidence.events import Hop
from conformance.rules.base import Inputs, Rule
from conformance.rules.verdicts import Fail

UNCLASSIFIED: Final = "unclassified"


@dataclass(frozen=True, slots=True)
class Classified:
    """A failure's class, the hop to blame, and how sure that is (0 to 1)."""

    failure_class: str
    hop: Hop
    confidence: float


def classify(rule: Rule, verdict: Fail, inputs: Inputs) -> Classified:
    """Return the failure class of one failure: the one the verdict's symptom names, else the rule's only one."""
    del inputs
    if verdict.symptom in rule.failure_classes:
        return Classified(verdict.symptom, verdict.charged_to, 0.5)
    if len(rule.failure_classes) == 1:
        return Classified(rule.failure_classes[0], verdict.charged_to, 0.5)
    return Classified(UNCLASSIFIED, verdict.charged_to, 0.0)
