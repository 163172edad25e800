"""summary.md: the run as Markdown, for a pull request's job summary."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from conformance.report.badge import Badge, NoBadge
from conformance.report.overview import Meaning, TargetOverview, counted, driven_in, end_of, overview
from conformance.report.records import Report
from conformance.report.templates import markdown_templates

LIMIT: Final = 1024 * 1024
"""Bytes that GitHub takes as one step's summary."""

_ROOM: Final = 64 * 1024
"""Left free below LIMIT for what other commands of the same step append."""

_MOST: Final = (500, 100, 20, 5, 0)
"""How many causes, passes and reasons are shown of each sort; the largest number that fits is used."""


def render(report: Report, badges: Iterable[Badge | NoBadge]) -> str:
    """Return the summary as Markdown of less than LIMIT bytes; what does not fit is counted."""
    by_target = {item.target: item for item in badges}
    template = markdown_templates().get_template("summary.md.j2")
    for most in _MOST:
        text = template.render(
            report=report,
            targets=overview(report),
            badges=by_target,
            end=end_of(report),
            driven=driven_in(report),
            most=most,
            count=_count,
            counted=counted,
            is_badge=_is_badge,
            Meaning=Meaning,
        )
        if len(text.encode()) <= LIMIT - _ROOM:
            break
    return text


def _count(target: TargetOverview, *wanted: Meaning) -> int:
    return sum(number for line in target.suites for meaning, number in line.counts if meaning in wanted)


def _is_badge(item: Badge | NoBadge | None) -> bool:
    return isinstance(item, Badge)


def write_summary(report: Report, badges: Iterable[Badge | NoBadge], out: Path) -> Path:
    """Write `summary.md` into `out`, append it to the file that GITHUB_STEP_SUMMARY names, and return its path."""
    text = render(report, badges)
    path = out / "summary.md"
    path.write_text(text, encoding="utf-8")
    if step := os.environ.get("GITHUB_STEP_SUMMARY"):
        with Path(step).open("a", encoding="utf-8") as file:
            file.write(text)
    return path
