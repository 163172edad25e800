"""badge.json: a shields.io endpoint badge that counts the MUST rows of a frozen profile.

A row passes when a result that cites it is a `pass` and none is a `fail`; failures charged to the backend, the client
or the harness say nothing about the target and are left out. A row that does not apply to the target, by what it
legitimately is (no HTTP towards its backend, say), is not counted, and the badge says how many those are. A row that
nothing judged means that there is no badge: a smaller number would look like a worse gateway, a smaller total like a
better one.

Each target gets `badge-TARGET.json`. `badge.json` is written too when the run had a single target; with several, no
one of them would be what the name promises. Beside each lies the same badge as a picture, `.svg`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from conformance.errors import ExitCode
from conformance.evidence.events import JSON
from conformance.expectations import NOT_THE_TARGET
from conformance.report.badge_svg import svg
from conformance.report.escape import file_name
from conformance.report.records import Report, Result
from conformance.rules.verdicts import Fail, HarnessFault, NotApplicable, Pass
from conformance.spec.profiles import Profile

_JUDGED_ENDS: Final = (ExitCode.OK, ExitCode.UNEXPECTED)


@dataclass(frozen=True, slots=True)
class Badge:
    """How many rows of a profile one target passes, out of how many."""

    target: str
    revision: str
    passed: int
    total: int
    not_applicable: int = 0

    @property
    def message(self) -> str:
        """The right half of the badge."""
        aside = f" ({self.not_applicable} n/a)" if self.not_applicable else ""
        return f"required {self.passed}/{self.total}{aside}"

    @property
    def whole(self) -> bool:
        """Whether every row passes."""
        return self.passed == self.total

    def to_json(self) -> dict[str, JSON]:
        """Return the endpoint's JSON (shields.io, endpoint badge). isError keeps a red badge from being recoloured."""
        return {
            "schemaVersion": 1,
            "label": f"MCP gateway {self.revision}",
            "message": self.message,
            "color": "brightgreen" if self.whole else "red",
            **({} if self.whole else {"isError": True}),
        }


@dataclass(frozen=True, slots=True)
class NoBadge:
    """Why a target gets no badge."""

    target: str
    why: str


def badge(report: Report, target: str, profile: Profile) -> Badge | NoBadge:
    """Return the badge of one target of a run, or why there is none."""
    results = [item for item in report.results if item.target == target and item.revision == profile.revision]
    if why := _unfit(report, results, profile):
        return NoBadge(target, why)
    rows = {row: _row(row, results) for row in profile.requirements}
    if missing := [row for row, verdict in rows.items() if verdict is None]:
        return NoBadge(target, f"{len(missing)} of {len(rows)} required rows were not judged: {', '.join(missing)}")
    counts = Counter(rows.values())
    aside = counts[NotApplicable.name]
    return Badge(target, str(profile.revision), counts[Pass.name], len(rows) - aside, aside)


def _unfit(report: Report, results: Iterable[Result], profile: Profile) -> str:
    """Say what about the run or the profile forbids a badge; empty when nothing does."""
    selection = report.header.selection
    if not profile.frozen:
        return f"the profile of revision {profile.revision} is not frozen yet"
    if selection.quick:
        return "a --quick run leaves rules out"
    if selection.partial:
        return "the run was limited to some suites, rules or backends"
    if not report.complete or report.footer is None:
        return "the run did not end in order"
    if report.footer.exit_code == ExitCode.NOTHING_RAN:
        return "nothing was judged"
    if report.footer.exit_code not in _JUDGED_ENDS:
        return f"the run ended with status {report.footer.exit_code}"
    if errors := sum(item.verdict == HarnessFault.name for item in results):
        return f"{errors} results are harness errors"
    return ""


def _row(row: str, results: Iterable[Result]) -> str | None:
    """Return `fail`, `pass` or `not-applicable`, the first that occurs; None when nothing judged the row."""
    verdicts = {
        item.verdict
        for item in results
        if row in item.requirements and not (item.verdict == Fail.name and item.charged_to in NOT_THE_TARGET)
    }
    return next((name for name in (Fail.name, Pass.name, NotApplicable.name) if name in verdicts), None)


def write_badges(report: Report, profile: Profile, out: Path) -> tuple[Badge | NoBadge, ...]:
    """Write the badges of a run into `out` and return, for each target, its badge or why there is none."""
    found = tuple(badge(report, target, profile) for target in report.targets)
    for item in found:
        if isinstance(item, Badge):
            names = [f"badge-{file_name(item.target)}.json", *(["badge.json"] if len(found) == 1 else [])]
            for name in names:
                write_badge(item, out / name)
    return found


def write_badge(item: Badge, path: Path) -> None:
    """Write a badge's JSON to `path`, and beside it the same as a picture (.svg)."""
    shown = item.to_json()
    path.write_text(json.dumps(shown, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    path.with_suffix(".svg").write_text(svg(shown["label"], shown["message"], shown["color"]), encoding="utf-8")
