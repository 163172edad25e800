"""The summary of a run on a terminal, or in a log that is none."""

from __future__ import annotations

import io
import shlex
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from conformance.expectations import Unmet
from conformance.program import typed_again
from conformance.report.badge import Badge, NoBadge
from conformance.report.escape import shown
from conformance.report.overview import (
    Cause,
    Meaning,
    Reason,
    SuiteLine,
    TargetOverview,
    counted,
    driven_in,
    end_of,
    overview,
)
from conformance.report.records import Report, Result

_REASONS: Final = 8
_STYLES: Final = {
    Meaning.PASS: "green",
    Meaning.UNEXPECTED_FAILURE: "bold red",
    Meaning.WRONG_CLASS: "bold red",
    Meaning.UNEXPECTED_PASS: "bold yellow",
    Meaning.HARNESS_ERROR: "magenta",
}


def make_console(*, stderr: bool = False) -> Console:
    """Return a console on standard output, or error, for text shown as it stands: no markup, no emoji codes.

    rich itself honours NO_COLOR and COLUMNS and leaves colours out where the stream is no terminal. Characters that the
    stream cannot encode are spelled out instead of ending the program.
    """
    stream = sys.stderr if stderr else sys.stdout
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")
    return Console(stderr=stderr, markup=False, emoji=False, highlight=False)


def render(report: Report, badges: Iterable[Badge | NoBadge], out: Path, console: Console) -> None:
    """Print the summary of a run. out: the folder whose files are named as the place to look."""
    by_target = {item.target: item for item in badges}
    for item in overview(report):
        _Printer(console, out).target(report, item, by_target.get(item.target))
    if not report.results:
        console.print(Text("no results", style="bold"))
    if said := driven_in(report):
        console.print(Text(said))
    if not report.complete:
        console.print(Text("This report is not complete.", style="bold yellow"))
    console.print(Text(end_of(report), style="bold"))


class _Printer:
    """Prints one target's part."""

    def __init__(self, console: Console, out: Path) -> None:
        self.console = console
        self.out = out

    def target(self, report: Report, item: TargetOverview, badge: Badge | NoBadge | None) -> None:
        """Print everything about one target, the unexpected before the known."""
        revisions = ", ".join(report.header.selection.revisions)
        where = f" {item.version}" if item.version else ""
        self.console.print(
            Text(shown(f"{item.target}{where} · {report.header.selection.runtime} · {revisions}"), "bold")
        )
        self.suites(item.suites)
        for cause in item.unexpected:
            self.unexpected(cause)
        self.passes(item.unexpected_passes)
        self.entries("stale baseline entries", item.stale, "bold yellow")
        self.known(item.known)
        self.causes("charged to others than the target", item.elsewhere)
        self.causes("below --fail-on", item.below_threshold)
        self.reasons("harness errors", item.harness_errors, "magenta", in_cells=True)
        self.reasons("inconclusive", item.inconclusive, "")
        self.reasons("not exercised", item.not_exercised, "")
        self.entries("baseline entries that this run did not check", item.unchecked, "")
        match badge:
            case Badge():
                self.console.print(Text(f"  {badge.message} · {badge.revision}", "green" if badge.whole else "red"))
            case NoBadge(_, why):
                self.console.print(Text(f"  no badge: {shown(why)}", "dim"))
            case None if report.header.profile is None:
                self.console.print(Text("  no badge: only a run of one revision with a frozen profile gets one", "dim"))
            case None:
                pass
        self.console.print()

    def suites(self, suites: tuple[SuiteLine, ...]) -> None:
        """Print a line of counts for each suite."""
        grid = Table.grid(padding=(0, 2))
        grid.add_column(no_wrap=True)
        grid.add_column()
        for line in suites:
            counts = Text()
            for number, (item, count) in enumerate(line.counts):
                counts.append(" · " if number else "")
                counts.append(counted(item, count), _STYLES.get(item, ""))
            grid.add_row(Text(f"  {shown(line.suite)}"), counts)
        self.console.print(grid)

    def unexpected(self, cause: Cause) -> None:
        """Print one cause nobody expected: what, where, how sure, and how to see it again."""
        first = cause.results[0]
        self.console.print(Text(f"  ✗ {shown(cause.title)} ({shown(cause.failure_class)})", "bold red"))
        rows = [("hop", cause.hop + _confidence(cause))]
        rows += [("expected", first.expected or ""), ("observed", first.observed)]
        if first.known:
            rows.append(("baseline", f"lists it as {first.known.failure_class} ({first.known.issue})"))
        rows.append(("rule", f"{first.rule} {first.title} ({first.backend}, {first.scenario})"))
        if len(cause.results) > 1:
            rows.append(("symptoms", f"{_results(cause)} of {_list(cause.rules)}"))
        if cause.diagnosis and cause.diagnosis.remedy:
            rows.append(("remedy", cause.diagnosis.remedy))
        self.rows(rows)
        evidence = str(self.out / first.evidence)
        if cause.diagnosis:
            self.command("look", str(self.out / cause.page))
        self.command("look", evidence)
        self.command("again", f"{typed_again()} replay {shlex.quote(evidence)} --rule {first.rule}")

    def passes(self, passes: tuple[Result, ...]) -> None:
        """Print what passes although the baseline lists it."""
        for result in passes:
            issue = f" ({result.known.issue})" if result.known else ""
            self.console.print(Text(f"  ! {shown(result.rule)} {shown(result.title)}", "bold yellow"))
            self.rows([("passes", f"on {result.cell}, though the baseline lists it{issue}: remove that entry")])

    def known(self, known: tuple[Cause, ...]) -> None:
        """Print the failures that the baseline lists."""
        if known:
            self.console.print(Text("  known failures"))
        for cause in known:
            issues = _list(dict.fromkeys(item.known.issue for item in cause.results if item.known))
            self.rows([(cause.failure_class, f"{_results(cause)} of {_list(cause.rules)}; {issues}")])

    def causes(self, heading: str, found: tuple[Cause, ...]) -> None:
        """Print failures that do not make the run fail, a line for each cause."""
        if found:
            self.console.print(Text(f"  {heading}"))
        self.rows([(item.failure_class, f"{item.hop}: {item.results[0].observed}") for item in found])

    def reasons(self, heading: str, reasons: tuple[Reason, ...], style: str, *, in_cells: bool = False) -> None:
        """Print why rules were not judged, a line for each reason. in_cells: with the number of cells it holds for."""
        if not reasons:
            return
        self.console.print(Text(f"  {heading}", style))
        told = ((item, _cells(item) if in_cells else "") for item in reasons[:_REASONS])
        self.rows([(_list(item.rules), f"{cells}{item.text}") for item, cells in told])
        if len(reasons) > _REASONS:
            self.console.print(Text(f"    and {len(reasons) - _REASONS} other reasons in report.jsonl"))

    def entries(self, heading: str, entries: tuple[Unmet, ...], style: str) -> None:
        """Print baseline entries that the run did not bear out, a line for each."""
        if entries:
            self.console.print(Text(f"  {heading}", style))
        self.rows([(entry.rule, f"{entry.failure_class}: {entry.why}") for entry in entries[:_REASONS]])
        if len(entries) > _REASONS:
            self.console.print(Text(f"    and {len(entries) - _REASONS} other entries in report.jsonl"))

    def rows(self, rows: Iterable[tuple[str, str]]) -> None:
        """Print names and what is to say about them, with hanging indents."""
        grid = Table.grid(padding=(0, 1))
        grid.add_column(min_width=12, max_width=max(12, self.console.width * 2 // 5), overflow="fold")
        grid.add_column(overflow="fold")
        for name, said in rows:
            grid.add_row(Text(f"    {shown(name)}", "dim"), Text(shown(said)))
        self.console.print(grid)

    def command(self, name: str, command: str) -> None:
        """Print a line to copy: never folded by us, however narrow the terminal."""
        line = Text(f"    {name:<9}", "dim").append(shown(command, longest=len(command)), "cyan")
        self.console.print(line, soft_wrap=True)


def _results(cause: Cause) -> str:
    return f"{len(cause.results)} result{'s' if len(cause.results) > 1 else ''}"


def _cells(reason: Reason) -> str:
    return f"{reason.cells} cells: " if reason.cells > 1 else ""


def _confidence(cause: Cause) -> str:
    return f", confidence {cause.diagnosis.confidence:.2f}" if cause.diagnosis else ""


def _list(names: Iterable[str], most: int = 4) -> str:
    listed = list(names)
    more = f" and {len(listed) - most} more" if len(listed) > most else ""
    return ", ".join(listed[:most]) + more
