"""`broken-releases`: show that published releases with a known defect are flagged, and the mended ones are not."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from conformance.commands import teaching
from conformance.commands.console import print_json, print_table, say
from conformance.commands.driving import records_of
from conformance.errors import ExitCode, UsageError
from conformance.progress import Record
from conformance.release_pairs import PairFinding, PairOutcome, judge_pair
from conformance.report.files import usable_folder
from conformance.running import Selection
from conformance.stage.broken_releases import BrokenRelease, broken_releases
from conformance.stage.manifest import load_backend

EPILOG = teaching.epilog(
    ("broken-releases", "every pair; the packages are installed on first use"),
    ("broken-releases mcp-init-race", "one of them"),
    codes=(0, 1, 2, 3, 4),
)


def broken_releases_command(
    ids: Annotated[list[str] | None, typer.Argument(metavar="[ID]…", help="these only")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON array")] = False,
    out: Annotated[Path, typer.Option(metavar="DIR", help="folder for the evidence")] = Path(
        "reports/latest/broken-releases"
    ),
) -> ExitCode:
    """Drive published releases with a known defect beside the releases that mended it, and tell them apart.

    Each bad release must be flagged with the failure class of its defect, and the fixed one must pass there. All run
    as processes, from the package registries, at locked versions.
    """
    chosen = _chosen(ids or [])
    usable_folder(out)
    findings: list[PairFinding] = []
    for suites in sorted({item.suites for item in chosen}):
        here = [item for item in chosen if item.suites == suites]
        records = _drive(here, suites, out / "-".join(suites))
        findings += [
            judge_pair(item, records[item.target("bad").name], records[item.target("fixed").name]) for item in here
        ]
    _print(findings, as_json=as_json)
    if any(item.outcome is PairOutcome.NOT_JUDGED for item in findings):
        return ExitCode.CANNOT_JUDGE
    good = all(item.outcome is PairOutcome.TOLD_APART for item in findings)
    return ExitCode.OK if good else ExitCode.UNEXPECTED


def _chosen(ids: Sequence[str]) -> tuple[BrokenRelease, ...]:
    known = {item.id: item for item in broken_releases()}
    for name in ids:
        if name not in known:
            hint = teaching.nearest(name, tuple(known), f"known are {', '.join(known)}.")
            raise UsageError(f"There is no broken release {name!r}; {hint}")
    return tuple(known[name] for name in ids) if ids else tuple(known.values())


def _drive(releases: Sequence[BrokenRelease], suites: tuple[str, ...], out: Path) -> dict[str, list[Record]]:
    """Drive both releases of each pair and return the records by target name."""
    selection = Selection(
        targets=tuple(item.target(which) for item in releases for which in ("bad", "fixed")),
        backends=(load_backend("witness"),),
        runtime="process",
        out=out,
        suites=suites,
    )
    records: dict[str, list[Record]] = defaultdict(list)
    for record in records_of(selection):
        records[str(record["target"])].append(record)
    return records


def _print(findings: Sequence[PairFinding], *, as_json: bool) -> None:
    if as_json:
        print_json([item.to_json() for item in findings])
        return
    rows = [
        (
            item.release.package,
            f"{item.release.bad} → {item.release.fixed}",
            str(item.outcome),
            ", ".join(item.caught_by) or "-",
            item.release.failure_class,
            item.release.what,
        )
        for item in findings
    ]
    print_table("broken releases", ("package", "bad → fixed", "outcome", "caught by", "class", "defect"), rows)
    for item in findings:
        if item.detail:
            say(f"{item.release.id}: {item.outcome}: {item.detail}")
    told = sum(item.outcome is PairOutcome.TOLD_APART for item in findings)
    say(f"{told} of {len(findings)} broken releases flagged with their class, and their fixed releases not")
