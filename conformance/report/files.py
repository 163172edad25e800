"""The files of an output folder that are made from report.jsonl, all of them at once."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from conformance.diagnosis.classify import UNCLASSIFIED
from conformance.diagnosis.failure_classes import failure_classes
from conformance.report.badge import Badge, NoBadge, write_badges
from conformance.report.classes import write_classes
from conformance.report.escape import file_name
from conformance.report.records import Report
from conformance.report.spin_ups import NAME as SPIN_UPS
from conformance.report.spin_ups import write_spin_ups
from conformance.report.summary import write_summary
from conformance.spec.profiles import profile
from conformance.spec.revisions import Revision

REPORT: Final = "report.jsonl"


def clear(out: Path) -> None:
    """Remove what an earlier run left in `out`, so that nothing of it passes for this run's; other files stay."""
    classes = [file_name(name) for name in (*(known.id for known in failure_classes()), UNCLASSIFIED)]
    for path in (
        out / REPORT,
        out / "summary.md",
        *(out / f"{SPIN_UPS}{ending}" for ending in (".md", ".html")),
        *(path for ending in ("json", "svg") for name in ("badge", "badge-*") for path in out.glob(f"{name}.{ending}")),
        *(out / "classes" / f"{name}{ending}" for name in classes for ending in (".md", ".html")),
    ):
        path.unlink(missing_ok=True)


def write_reports(report: Report, out: Path) -> tuple[Badge | NoBadge, ...]:
    """Write badges, summary, class reports and starts of containers; return each target's badge or why it has none.

    Raises UsageError when the header names a revision that has no profile.
    """
    revision = report.header.profile
    badges = write_badges(report, profile(Revision(revision)), out) if revision else ()
    write_summary(report, badges, out)
    write_classes(report, out)
    write_spin_ups(report, out)
    return badges
