"""What driving a cause of a field replay showed, on both of its sides: three assertions, each of its own.

The failure is seen on the failing side; the diagnosis names the true cause and hop and not the tempting wrong ones;
with the remedy the same scenario passes. Where a write-up has success criteria, a fourth says whether they hold. Pure:
from the judgements of two evidence files.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from conformance.diagnosis.rootcause import Diagnosis, diagnose
from conformance.evidence.events import JSON, Kind
from conformance.evidence.transcript import Transcript
from conformance.judging import Judgement
from conformance.replays.catalogue import Cause
from conformance.replays.conditions import Tried
from conformance.replays.criteria import Criterion
from conformance.rules.verdicts import Fail, HarnessFault, Inconclusive, NotExercised, Pass

_ANSWERS = (
    *(Kind.HTTP_RESPONSE, Kind.HTTP_RESPONSE_BODY, Kind.SSE_EVENT),
    *(Kind.LOG, Kind.STDIO_STDERR, Kind.CONTAINER_LOG),
)
"""Kinds of events in which the words of a write-up are looked for: what some peer said, never what was asked of it."""
_TOLD = ("client.answer", "engine.probe")
"""Stimuli that hold what a real client said, and what a probe in the gateway's place met."""


class Assertion(StrEnum):
    """What is asserted of a cause, in order."""

    SEEN = "seen"
    DIAGNOSED = "diagnosed"
    REMEDIED = "remedied"
    MEASURED = "measured"  # only where the cause names a load
    TRIED = "tried"  # of a condition in place of a cause: that it was driven, whatever came of it


class State(StrEnum):
    """What came of an assertion, in the verdicts' spelling."""

    HOLDS = "pass"
    FAILS = "fail"
    NOT_EXERCISED = "not-exercised"
    TROUBLE = "harness-error"


@dataclass(frozen=True, slots=True)
class Asserted:
    """One assertion. detail: a sentence that says what was seen."""

    assertion: Assertion
    state: State
    detail: str

    def to_json(self) -> dict[str, JSON]:
        """Return its record in the replay's JSON."""
        return {"assertion": str(self.assertion), "state": str(self.state), "detail": self.detail}


@dataclass(frozen=True, slots=True)
class Driven:
    """One side of a cause: what every rule that applies said of it, and the evidence itself."""

    judgements: tuple[Judgement, ...]
    transcript: Transcript

    @property
    def diagnoses(self) -> tuple[Diagnosis, ...]:
        """The root causes of its failures."""
        return diagnose(self.judgements, lambda _evidence: self.transcript)

    def verdict(self, rule: str) -> Judgement | None:
        """Return what one rule said, None when it does not apply to the scenario."""
        return next((item for item in self.judgements if item.rule.id == rule), None)


def due(cause: Cause) -> tuple[Assertion, ...]:
    """Return what is asserted of a cause."""
    always = (Assertion.SEEN, Assertion.DIAGNOSED, Assertion.REMEDIED)
    return (*always, Assertion.MEASURED) if cause.load else always


def assertions(cause: Cause, failing: Driven, remedied: Driven) -> tuple[Asserted, ...]:
    """Return the three assertions on a cause. What could not be driven is no failure of an assertion, and no pass."""
    return (
        _unjudged(Assertion.SEEN, cause, failing) or _seen(cause, failing),
        _unjudged(Assertion.DIAGNOSED, cause, failing) or _diagnosed(cause, failing.diagnoses),
        _unjudged(Assertion.REMEDIED, cause, remedied) or _remedied(cause, remedied),
    )


def trouble(cause: Cause, why: str, state: State = State.TROUBLE) -> tuple[Asserted, ...]:
    """Return the assertions on a cause that could not be driven at all."""
    return tuple(Asserted(item, state, f"{cause.name}: {why}") for item in due(cause))


def measured_assertion(table: Sequence[Criterion]) -> Asserted:
    """Return the assertion on a write-up's success criteria."""
    judged = [item for item in table if item.holds is not None]
    if missed := [item for item in judged if not item.holds]:
        return _fails(Assertion.MEASURED, f"{missed[0].name}: {missed[0].ratios}, and not {missed[0].asserted}")
    return _holds(Assertion.MEASURED, "; ".join(f"{item.name}: {item.ratios}" for item in judged))


def tried_assertion(found: Tried) -> Asserted:
    """Return the assertion on a condition: it holds, for whether the failure comes with it is what is asked."""
    return _holds(Assertion.TRIED, found.sentence)


def _unjudged(assertion: Assertion, cause: Cause, side: Driven) -> Asserted | None:
    """Return why nothing can be asserted: the harness failed or lagged too far, or nothing was driven."""
    for rule in cause.rules:
        found = side.verdict(rule)
        if found is None:
            return Asserted(
                assertion,
                State.TROUBLE,
                f"{rule} is not judged on {side.transcript.header.get('scenario')}; mend replay.toml",
            )
        if isinstance(found.verdict, HarnessFault):
            return Asserted(assertion, State.TROUBLE, found.verdict.error)
        if isinstance(found.verdict, Inconclusive):
            return Asserted(assertion, State.TROUBLE, f"{rule} is inconclusive: {found.verdict.why}")
    if why := str(side.transcript.footer.get("not_exercised") or ""):
        return Asserted(assertion, State.NOT_EXERCISED, why)
    return None


def _seen(cause: Cause, failing: Driven) -> Asserted:
    for rule in cause.rules:
        found = failing.verdict(rule)
        if found is None or not isinstance(found.verdict, Fail):
            said = found.to_json() if found else {}
            return _fails(Assertion.SEEN, f"{rule} does not fail: {said.get('verdict')}: {said.get('observed')}")
    if lacking := [words for words in cause.words if not _was_said(words, failing.transcript)]:
        return _fails(Assertion.SEEN, f"nobody said {lacking[0]!r}")
    sentences = (f"{rule}: {found.to_json()['observed']}" for rule in cause.rules if (found := failing.verdict(rule)))
    return _holds(Assertion.SEEN, "; ".join(sentences))


def _was_said(words: str, transcript: Transcript) -> bool:
    wanted = json.dumps(words, ensure_ascii=False)[1:-1]
    return any(
        words in text or wanted in text
        for event in transcript.events
        if event.kind in _ANSWERS or (event.kind is Kind.STIMULUS and event.data.get("name") in _TOLD)
        for text in (json.dumps(dict(event.data), ensure_ascii=False, default=str),)
    )


def _diagnosed(cause: Cause, diagnoses: Sequence[Diagnosis]) -> Asserted:
    named = [(item.failure_class, item.hop) for item in diagnoses]
    said = ", ".join(f"{name} at the {hop}" for name, hop in named) or "nothing"
    for wrong in cause.tempting:
        if found := [pair for pair in named if wrong.fits(*pair)]:
            return _fails(Assertion.DIAGNOSED, f"the wrong guess is named: {found[0][0]} at the {found[0][1]}")
    true = [(cause.failure_class, cause.hop), *((item.failure_class, item.hop) for item in cause.also)]
    if missing := [pair for pair in true if pair not in named]:
        return _fails(Assertion.DIAGNOSED, f"named is {said}, and not {missing[0][0]} at the {missing[0][1]}")
    more = [pair for pair in named if pair not in true and not any(item.fits(*pair) for item in cause.besides)]
    if more:
        return _fails(Assertion.DIAGNOSED, f"{more[0][0]} at the {more[0][1]} is named as well, as a cause of its own")
    return _holds(Assertion.DIAGNOSED, f"named is {said}")


def _remedied(cause: Cause, remedied: Driven) -> Asserted:
    for rule in cause.rules:
        found = remedied.verdict(rule)
        if found is None or not isinstance(found.verdict, Pass):
            said = found.to_json() if found else {}
            return _fails(Assertion.REMEDIED, f"{rule} does not pass: {said.get('verdict')}: {said.get('observed')}")
    left = [
        item
        for item in remedied.diagnoses
        if not any(known.fits(item.failure_class, item.hop) for known in cause.besides)
    ]
    if left:
        return _fails(Assertion.REMEDIED, f"{left[0].failure_class} at the {left[0].hop} is still named")
    return _holds(Assertion.REMEDIED, _counted(remedied.judgements))


def _counted(judgements: Iterable[Judgement]) -> str:
    judged = list(judgements)
    passed = sum(isinstance(item.verdict, Pass) for item in judged)
    silent = sum(isinstance(item.verdict, NotExercised) for item in judged)
    return f"{passed} of {len(judged)} rules pass" + (f", {silent} had nothing to judge" if silent else "")


def _holds(assertion: Assertion, detail: str) -> Asserted:
    return Asserted(assertion, State.HOLDS, detail)


def _fails(assertion: Assertion, detail: str) -> Asserted:
    return Asserted(assertion, State.FAILS, detail)
