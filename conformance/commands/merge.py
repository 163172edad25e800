"""`merge`: the shards of a matrix, put together again into the fleet's report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import typer

from conformance.commands import teaching
from conformance.commands.console import print_line, print_table, say
from conformance.errors import ExitCode, UsageError
from conformance.expectations import status_of
from conformance.report.fleet import STANDINGS, Fleet, fleet
from conformance.report.fleet_pages import write_fleet
from conformance.report.shards import read_shard, whole

EPILOG = teaching.epilog(
    ("merge shards/", "all shard files of a folder, into reports/fleet"),
    ("merge shard-1-of-2.jsonl shard-2-of-2.jsonl --fleet site", "these two, into a folder of yours"),
    codes=(0, 1, 3, 4, 5),
)
FLEET: Final = Path("reports/fleet")
"""Where a fleet is published."""


def merge(
    shards: Annotated[list[Path], typer.Argument(metavar="SHARD…", help="shard files, or folders of them")],
    into: Annotated[
        Path, typer.Option("--fleet", metavar="DIR", help="folder for the fleet's report; an earlier one is replaced")
    ] = FLEET,
) -> ExitCode:
    """Merge the shards of one matrix, and write the fleet's report.

    Shards that overlap, were cut off or are of different plans are refused, and missing ones are named. The exit code
    says what all the results together mean, as that of `run` does.
    """
    return merge_files([file for path in shards for file in _files(path)], into)


def merge_files(files: Sequence[Path], into: Path) -> ExitCode:
    """Merge shard files and write the fleet's report into a folder; return what all results together mean.

    Raises UsageError, CannotJudgeError or EvidenceError when they are not the whole of one matrix.
    """
    found = fleet(whole([read_shard(file) for file in files]))
    try:
        into.mkdir(parents=True, exist_ok=True)
        write_fleet(found, into)
    except OSError as error:
        raise UsageError(f"--fleet {into} cannot be written ({error.strerror}); name another folder.") from error
    _print(found)
    say(f"wrote {into}/index.html")
    return status_of(
        ((item.verdict, item.expectation) for item in found.results),
        stale=any(entry.state == "stale" for entry in found.unmet),
    )


def _files(path: Path) -> Sequence[Path]:
    if not path.is_dir():
        return (path,)
    found = sorted(path.rglob("shard-*-of-*.jsonl"))
    if not found:
        raise UsageError(f"{path} holds no shard file; `matrix --shard K/N` writes them.")
    return found


def _print(found: Fleet) -> None:
    seen = [name for name in STANDINGS if any(name in cell.counts for cell in found.cells)]
    rows = []
    for item in found.plan.gateways:
        cells = found.of(item.name)
        counts = (sum(cell.counts.get(name, 0) for cell in cells) for name in seen)
        rows.append((item.name, item.version, *(str(number) for number in counts)))
    print_table("the fleet", ("gateway", "version", *seen), rows)
    for entry in found.unmet:
        print_line(f"{entry.target}: baseline entry {entry.rule} ({entry.failure_class}) is {entry.state}: {entry.why}")
