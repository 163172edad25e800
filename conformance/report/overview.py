"""What a run came to, arranged as people read it: unexpected first, symptoms folded under their cause."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from conformance.diagnosis.classify import UNCLASSIFIED
from conformance.errors import ExitCode
from conformance.expectations import Unmet
from conformance.report.records import Diagnosis, Report, Result
from conformance.rules.verdicts import HarnessFault, Inconclusive, NotApplicable, NotExercised


class Meaning(StrEnum):
    """What one result means to a reader, in the order in which counts are listed."""

    PASS = "pass"  # noqa: S105 - a verdict, no password
    UNEXPECTED_FAILURE = "unexpected failure"
    WRONG_CLASS = "known failure with another cause"
    UNEXPECTED_PASS = "unexpected pass"  # noqa: S105 - as above
    KNOWN_FAILURE = "known failure"
    BELOW_THRESHOLD = "failure below --fail-on"
    CHARGED_ELSEWHERE = "failure charged elsewhere"
    NOT_APPLICABLE = "not applicable"
    NOT_EXERCISED = "not exercised"
    INCONCLUSIVE = "inconclusive"
    HARNESS_ERROR = "harness error"


UNEXPECTED: Final = (Meaning.UNEXPECTED_FAILURE, Meaning.WRONG_CLASS)
"""Meanings that are failures nobody expected."""

_OF_VERDICT: Final = {
    NotApplicable.name: Meaning.NOT_APPLICABLE,
    NotExercised.name: Meaning.NOT_EXERCISED,
    Inconclusive.name: Meaning.INCONCLUSIVE,
    HarnessFault.name: Meaning.HARNESS_ERROR,
}
_OF_EXPECTATION: Final = {
    "ok": Meaning.PASS,
    "unexpected-pass": Meaning.UNEXPECTED_PASS,
    "known-failure": Meaning.KNOWN_FAILURE,
    "below-threshold": Meaning.BELOW_THRESHOLD,
    "charged-elsewhere": Meaning.CHARGED_ELSEWHERE,
    "wrong-class": Meaning.WRONG_CLASS,
    "unexpected-failure": Meaning.UNEXPECTED_FAILURE,
}
_ENDS: Final = {
    ExitCode.OK: "everything selected was judged, and nothing differs from what was expected",
    ExitCode.UNEXPECTED: "there are unexpected failures or passes, or stale baseline entries",
    ExitCode.INTERRUPTED: "the run was interrupted; what is shown is what had been judged by then",
    ExitCode.CANNOT_JUDGE: "the harness could not judge: harness errors, or too much that is inconclusive",
    ExitCode.USAGE: "the command line, a target file or a baseline is wrong",
    ExitCode.NOTHING_RAN: "nothing ran",
}


def counted(item: Meaning, number: int) -> str:
    """Return a number of results of one meaning in words, such as `2 known failures`."""
    plural = number != 1 and item is not Meaning.PASS
    noun = {"failure": "failures", "pass": "passes", "error": "errors"}
    words = [noun.get(word, word) if plural else word for word in item.split(" ")]
    return f"{number} {' '.join(words)}"


def meaning(result: Result) -> Meaning:
    """Return what a result means to a reader."""
    return _OF_VERDICT.get(result.verdict) or _OF_EXPECTATION[result.expectation]


def end_of(report: Report) -> str:
    """Say in one sentence what the exit code of a run means."""
    if report.footer is None:
        return "the report has no end: the run was killed, or the file was cut off"
    code = report.footer.exit_code
    said = _ENDS[ExitCode(code)] if code in set(ExitCode) else "an exit code this version does not know"
    return f"exit code {code}: {said}"


def driven_in(report: Report) -> str:
    """Say how many cells with verdicts each run drove, where an interrupted one was resumed; empty where one did all.

    Controls have no verdicts of their own, and so no results to count.
    """
    cells = {result.cell: result.run for result in report.results}
    counts = Counter(cells.values())
    if len(report.header.runs) < 2:
        return ""
    each = ", ".join(f"{counts[run.id]} by the run begun {run.started}" for run in report.header.runs)
    judged = f"{len(cells)} cells with verdicts were driven in {len(report.header.runs)} runs: {each}"
    return f"{judged}; controls, which drive a backend without a gateway, are not counted"


@dataclass(frozen=True, slots=True)
class SuiteLine:
    """One suite's counts on one target; only meanings that occur, in their order."""

    suite: str
    counts: tuple[tuple[Meaning, int], ...]


@dataclass(frozen=True, slots=True)
class Cause:
    """One cause and the results it explains. diagnosis: None where nothing explains them."""

    failure_class: str
    diagnosis: Diagnosis | None
    results: tuple[Result, ...]

    @property
    def count(self) -> int:
        """How many results it explains."""
        return len(self.results)

    @property
    def title(self) -> str:
        """What to call it: the class's title, or the rule's where no class explains it."""
        return self.diagnosis.title if self.diagnosis and self.diagnosis.title else self.results[0].title

    @property
    def hop(self) -> str:
        """The hop at fault."""
        return self.diagnosis.hop if self.diagnosis else self.results[0].charged_to or "unknown"

    @property
    def page(self) -> str:
        """The class's report, under the output folder."""
        return f"classes/{self.failure_class}.md"

    @property
    def rules(self) -> tuple[str, ...]:
        """The rules that failed, each once."""
        return tuple(dict.fromkeys(result.rule for result in self.results))


@dataclass(frozen=True, slots=True)
class Reason:
    """Why several rules were not judged: one sentence, how many results it holds for, and of which rules."""

    text: str
    results: tuple[Result, ...]

    @property
    def rules(self) -> tuple[str, ...]:
        """The rules, each once."""
        return tuple(dict.fromkeys(result.rule for result in self.results))

    @property
    def cells(self) -> int:
        """In how many cells."""
        return len({result.cell for result in self.results})


@dataclass(frozen=True, slots=True)
class TargetOverview:
    """Everything about one target that a summary shows."""

    target: str
    version: str
    suites: tuple[SuiteLine, ...]
    unexpected: tuple[Cause, ...]
    unexpected_passes: tuple[Result, ...]
    known: tuple[Cause, ...]
    below_threshold: tuple[Cause, ...]
    elsewhere: tuple[Cause, ...]
    not_exercised: tuple[Reason, ...]
    inconclusive: tuple[Reason, ...]
    harness_errors: tuple[Reason, ...]
    stale: tuple[Unmet, ...] = ()
    unchecked: tuple[Unmet, ...] = ()


def overview(report: Report) -> tuple[TargetOverview, ...]:
    """Return what a run came to, target by target."""
    return tuple(_target(report, target) for target in report.targets)


def _target(report: Report, target: str) -> TargetOverview:
    by_meaning: dict[Meaning, list[Result]] = defaultdict(list)
    suites: dict[str, Counter[Meaning]] = {}
    for result in report.results:
        if result.target == target:
            by_meaning[meaning(result)].append(result)
            suites.setdefault(result.suite, Counter())[meaning(result)] += 1
    diagnoses = tuple(item for item in report.diagnoses if item.target == target)
    unmet = [item for item in (report.footer.unmet if report.footer else ()) if item.target == target]
    return TargetOverview(
        target=target,
        version=report.header.targets.get(target, ""),
        suites=tuple(
            SuiteLine(suite, tuple((item, counts[item]) for item in Meaning if counts[item]))
            for suite, counts in suites.items()
        ),
        unexpected=causes([result for item in UNEXPECTED for result in by_meaning[item]], diagnoses),
        unexpected_passes=tuple(by_meaning[Meaning.UNEXPECTED_PASS]),
        known=causes(by_meaning[Meaning.KNOWN_FAILURE], diagnoses),
        below_threshold=causes(by_meaning[Meaning.BELOW_THRESHOLD], diagnoses),
        elsewhere=causes(by_meaning[Meaning.CHARGED_ELSEWHERE], diagnoses),
        not_exercised=_reasons(by_meaning[Meaning.NOT_EXERCISED]),
        inconclusive=_reasons(by_meaning[Meaning.INCONCLUSIVE]),
        harness_errors=_reasons(by_meaning[Meaning.HARNESS_ERROR]),
        stale=tuple(item for item in unmet if item.state == "stale"),
        unchecked=tuple(item for item in unmet if item.state == "unchecked"),
    )


def causes(results: Iterable[Result], diagnoses: Iterable[Diagnosis]) -> tuple[Cause, ...]:
    """Return failures folded under what explains them: a diagnosis, else their own failure class.

    A cause that was diagnosed with several backends or revisions is one cause; the surest diagnosis speaks for it, and
    the failures that show the cause itself come before those that follow from it.
    """
    explained = {symptom: diagnosis for diagnosis in diagnoses for symptom in diagnosis.symptoms}
    folded: dict[tuple[str, str, str], list[Result]] = defaultdict(list)
    for result in results:
        folded[_cause_of(result, explained.get(result.id))].append(result)
    found: list[Cause] = []
    for (failure_class, _, _), own in folded.items():
        speaking = [explained[result.id] for result in own if result.id in explained]
        surest = max(speaking, key=lambda item: item.confidence, default=None)
        own.sort(key=lambda result: result.failure_class != failure_class)
        found.append(Cause(failure_class, surest, tuple(own)))
    return tuple(found)


def _cause_of(result: Result, diagnosis: Diagnosis | None) -> tuple[str, str, str]:
    """Return class, hop, and for what no class explains the rule: unclassified failures are not one cause."""
    failure_class = diagnosis.failure_class if diagnosis else result.failure_class or UNCLASSIFIED
    hop = diagnosis.hop if diagnosis else result.charged_to or ""
    return failure_class, hop, result.rule if failure_class == UNCLASSIFIED else ""


def _reasons(results: Iterable[Result]) -> tuple[Reason, ...]:
    """Return results grouped by what they say, the most frequent first."""
    grouped: dict[str, list[Result]] = defaultdict(list)
    for result in results:
        grouped[result.observed].append(result)
    ordered = sorted(grouped.items(), key=lambda item: -len(item[1]))
    return tuple(Reason(text, tuple(found)) for text, found in ordered)
