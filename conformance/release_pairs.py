"""What driving a broken release and the release that mended it showed: the defect in the one, and not in the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from conformance.evidence.events import JSON
from conformance.expectations import NOT_THE_TARGET
from conformance.progress import Record
from conformance.stage.broken_releases import BrokenRelease


class PairOutcome(StrEnum):
    """What came of one pair."""

    TOLD_APART = "told apart"
    MISSED = "missed"
    FIXED_FLAGGED = "fixed release flagged too"
    FIXED_NOT_PASSED = "fixed release did not pass"
    NOT_JUDGED = "not judged"


@dataclass(frozen=True, slots=True)
class PairFinding:
    """One pair's outcome. caught_by: the rules that flagged the bad release with its class. detail: where it is bad."""

    release: BrokenRelease
    caught_by: tuple[str, ...]
    outcome: PairOutcome
    detail: str = ""

    def to_json(self) -> dict[str, JSON]:
        """Return the record of `broken-releases --json`."""
        return {
            "id": self.release.id,
            "package": self.release.package,
            "bad": self.release.bad,
            "fixed": self.release.fixed,
            "failure_class": self.release.failure_class,
            "issue": self.release.issue,
            "caught_by": list(self.caught_by),
            "outcome": str(self.outcome),
            "detail": self.detail,
        }


def judge_pair(release: BrokenRelease, bad: Sequence[Record], fixed: Sequence[Record]) -> PairFinding:
    """Return the outcome of a pair from the records of each of its two targets.

    The bad release must have a failure of the defect's class that is charged to it. The fixed one must have none of
    that class, and must pass wherever the bad one was flagged: silence because nothing was judged is no silence.
    """
    bad, fixed = _that_count(release, bad), _that_count(release, fixed)
    flagged = {_place(record) for record in bad if _is_flagged(record, release.failure_class)}
    rules = tuple(sorted({rule for _, rule in flagged}))
    if not flagged:
        others = sorted({str(item["failure_class"]) for item in bad if item["verdict"] == "fail"})
        if errors := [str(item["observed"]) for item in bad if item["verdict"] == "harness-error"]:
            return PairFinding(release, rules, PairOutcome.NOT_JUDGED, f"{release.bad}: {errors[0]}")
        said = f"it was flagged as {', '.join(others) or 'nothing'}"
        return PairFinding(release, rules, PairOutcome.MISSED, f"{release.bad}: {said}")
    for record in fixed:
        if _is_flagged(record, release.failure_class):
            where = f"{release.fixed}: {record['rule']} in {record['scenario']}: {record['observed']}"
            return PairFinding(release, rules, PairOutcome.FIXED_FLAGGED, where)
    broken = [record for record in fixed if record["verdict"] == "harness-error" and _place(record) in flagged]
    if broken:
        return PairFinding(release, rules, PairOutcome.NOT_JUDGED, f"{release.fixed}: {broken[0]['observed']}")
    passed = {_place(record) for record in fixed if record["verdict"] == "pass"}
    if missing := sorted(flagged - passed):
        where = ", ".join(f"{rule} in {scenario}" for scenario, rule in missing)
        return PairFinding(release, rules, PairOutcome.FIXED_NOT_PASSED, f"{release.fixed}: no pass of {where}")
    return PairFinding(release, rules, PairOutcome.TOLD_APART)


def _that_count(release: BrokenRelease, records: Sequence[Record]) -> list[Record]:
    return [record for record in records if not release.scenarios or record["scenario"] in release.scenarios]


def _place(record: Record) -> tuple[str, str]:
    return str(record["scenario"]), str(record["rule"])


def _is_flagged(record: Record, failure_class: str) -> bool:
    charged_elsewhere = record["charged_to"] in {str(hop) for hop in NOT_THE_TARGET}
    return record["verdict"] == "fail" and record["failure_class"] == failure_class and not charged_elsewhere
