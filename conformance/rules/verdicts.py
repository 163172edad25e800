"""The six verdicts. A closed union: `verdict.name` is the spelling used in reports (DESIGN: Verdicts)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, TypeAlias

from conformance.evidence.events import Hop


@dataclass(frozen=True, slots=True)
class Pass:
    """The rule's precondition was seen and what it demands was seen too.

    observed: one sentence naming what was seen. events: `seq` numbers of the decisive events.
    """

    name: ClassVar[str] = "pass"
    observed: str
    events: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Fail:
    """The evidence contradicts the rule.

    expected, observed: one sentence each. events: `seq` numbers of the decisive events, at least one.
    charged_to: the hop at fault. symptom: optional short code that tells apart ways of failing one rule
    (read by diagnosis, never shown as a cause).
    """

    name: ClassVar[str] = "fail"
    expected: str
    observed: str
    events: tuple[int, ...]
    charged_to: Hop = Hop.GATEWAY
    symptom: str = ""


@dataclass(frozen=True, slots=True)
class NotApplicable:
    """The rule does not hold here, by what the target legitimately is (e.g. 405 on GET: no stream to judge)."""

    name: ClassVar[str] = "not-applicable"
    why: str


@dataclass(frozen=True, slots=True)
class NotExercised:
    """Nothing was observed that the rule could judge. Never a pass."""

    name: ClassVar[str] = "not-exercised"
    missing: str


@dataclass(frozen=True, slots=True)
class Inconclusive:
    """Something was seen, but a busy machine, a missing link or an order across clocks could have decided."""

    name: ClassVar[str] = "inconclusive"
    why: str


@dataclass(frozen=True, slots=True)
class HarnessFault:
    """The harness or its infrastructure failed (spelled `harness-error`). Never the gateway's fault, never excused."""

    name: ClassVar[str] = "harness-error"
    error: str


Verdict: TypeAlias = Pass | Fail | NotApplicable | NotExercised | Inconclusive | HarnessFault
