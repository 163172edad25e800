"""The files of an output folder that are made from report.jsonl, all of them at once."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Final

from conformance.diagnosis.classify import UNCLASSIFIED
from conformance.diagnosis.failure_classes import failure_classes
from conformance.errors import UsageError
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
_FILES: Final = (REPORT, "junit.xml", "summary.md", "plan.json", "search.json")
_FOLDERS: Final = ("evidence", "classes", "allure-results")
"""What the commands that take --out write there."""


def usable_folder(out: Path) -> None:
    """Make the folder of --out, or see that it is one that everything can be written into. Raises UsageError."""
    writable_folder(out, "--out")
    for file in (out / name for name in _FILES):
        if file.is_dir():
            raise UsageError(f"{file} is a folder where a file is to be written; move it, or name another with --out.")
    for folder in (out / name for name in _FOLDERS):
        if folder.exists() and not (folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)):
            raise UsageError(f"{folder} is no folder that can be written into; move it, or name another with --out.")


def writable_folder(folder: Path, option: str) -> None:
    """Make the folder that an option names, or see that files can be made in it. Raises UsageError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UsageError(f"{option} {folder} cannot be written into ({error.strerror}); name another.") from error


def clear(out: Path) -> None:
    """Remove what an earlier run left in `out`, so that nothing of it passes for this run's; other files stay.

    Raises UsageError for what cannot be removed.
    """
    classes = [file_name(name) for name in (*(known.id for known in failure_classes()), UNCLASSIFIED)]
    for path in (
        out / REPORT,
        out / "summary.md",
        *(out / f"{SPIN_UPS}{ending}" for ending in (".md", ".html")),
        *(path for ending in ("json", "svg") for name in ("badge", "badge-*") for path in out.glob(f"{name}.{ending}")),
        *(out / "classes" / f"{name}{ending}" for name in classes for ending in (".md", ".html")),
    ):
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise UsageError(f"{path} cannot be replaced ({error.strerror}); move it, or change --out.") from error


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
