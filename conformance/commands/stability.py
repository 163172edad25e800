"""`stability`: run the same selection many times, idle and under load, and show what did not stay the same."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from conformance.commands import teaching
from conformance.commands.choosing import chosen_suites
from conformance.commands.console import print_json, print_table, say
from conformance.commands.driving import records_of
from conformance.errors import ExitCode
from conformance.progress import Record
from conformance.report.files import usable_folder
from conformance.running import Selection
from conformance.stability import Condition, every_core_busy, flips, is_stable, trouble
from conformance.stage.manifest import load_backend, load_target
from conformance.stage.scenario import DEFAULT_SUITES

TIMES = 20
SPIN_UP = "spin_up"
EPILOG = teaching.epilog(
    ("stability", "the terminating reference gateway, 20 times idle and 20 times with every core busy"),
    ("stability --target mcp-proxy --suite keep_alive --times 5", "a suite of another"),
    codes=(0, 1, 2, 3, 4),
)


def stability_command(
    target: Annotated[
        list[str] | None, typer.Option(metavar="NAME|FILE", help="repeatable; default: terminating")
    ] = None,
    suite: Annotated[
        list[str] | None, typer.Option(metavar="SUITE", help="repeatable; default: as `run`, but spin_up")
    ] = None,
    times: Annotated[int, typer.Option(min=1, help="runs under each condition")] = TIMES,
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False,
    quick: Annotated[bool, typer.Option("--quick", help="no wait over 2 s")] = False,
    out: Annotated[Path, typer.Option(metavar="DIR", help="folder for the evidence")] = Path(
        "reports/latest/stability"
    ),
) -> ExitCode:
    """Run a target many times on an idle machine and many times with every core busy, and compare the verdicts.

    A verdict that flips is a defect of the harness or of the gateway, and is shown with its counts. Inconclusive
    verdicts, which say that the machine was too slow to judge, are counted: at most 2 % idle and 10 % loaded.
    """
    suites = chosen_suites(suite or [item for item in DEFAULT_SUITES if item != SPIN_UP])
    usable_folder(out)
    names = target or ["terminating"]
    conditions = [Condition("idle"), Condition("loaded")]
    for condition in conditions:
        for number in range(1, times + 1):
            print(f"{condition.name}, run {number} of {times}", file=sys.stderr, flush=True)
            busy = every_core_busy(os.cpu_count() or 1) if condition.name == "loaded" else nullcontext()
            with busy:
                condition.add(_run(names, suites, out / condition.name / str(number), quick=quick))
    _print(conditions, as_json=as_json)
    if why := trouble(conditions):
        say(f"not judged: {why}; look at the evidence in {out}, mend it and run again")
        return ExitCode.CANNOT_JUDGE
    return ExitCode.OK if is_stable(conditions) else ExitCode.UNEXPECTED


def _run(names: Sequence[str], suites: tuple[str, ...], out: Path, *, quick: bool) -> list[Record]:
    selection = Selection(
        targets=tuple(load_target(name) for name in names),
        backends=(load_backend("witness"),),
        runtime="process",
        out=out,
        suites=suites,
        quick=quick,
    )
    return records_of(selection)


def _print(conditions: Sequence[Condition], *, as_json: bool) -> None:
    flipped = flips(conditions)
    if as_json:
        shares = {c.name: {"runs": c.runs, "verdicts": c.judged, "inconclusive": c.inconclusive} for c in conditions}
        print_json({"conditions": shares, "flips": [item.to_json() for item in flipped]})
        return
    rows = [
        (c.name, str(c.runs), str(c.judged), f"{c.inconclusive:.2%}", f"{c.allowed:.0%}", _flips_in(c))
        for c in conditions
    ]
    heads = ("condition", "runs", "verdicts", "inconclusive", "allowed", "places that flipped")
    print_table("stability", heads, rows)
    for item in flipped:
        target, backend, scenario, rule = item.place
        counts = "; ".join(
            f"{name}: " + ", ".join(f"{count} {verdict}" for verdict, count in sorted(seen.items()))
            for name, seen in item.counts.items()
        )
        say(f"{rule} flips on {target} before {backend} in {scenario}: {counts}")
    say("no verdict flipped" if not flipped else f"{len(flipped)} verdicts flipped")


def _flips_in(condition: Condition) -> str:
    return str(len(flips([condition])))
