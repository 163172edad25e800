"""`fleet-latest`: the newest releases of the pinned gateways, and what they do otherwise than their baselines say."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import typer

from conformance.commands import teaching
from conformance.commands.choosing import ALL, chosen_backends, chosen_expectations, chosen_suites, chosen_targets
from conformance.commands.console import print_json, print_table, say
from conformance.commands.driving import records_of
from conformance.errors import ExitCode, HarnessError
from conformance.evidence.events import JSON
from conformance.expectations import COUNTED, Expectations, Unmet
from conformance.progress import Record
from conformance.report.files import usable_folder
from conformance.rules.verdicts import HarnessFault
from conformance.running import Selection
from conformance.stage.manifest import TargetManifest
from conformance.stage.newest import Newest, newest

EPILOG = teaching.epilog(
    ("fleet-latest", "every gateway with a baseline; the newest releases are installed on first use"),
    ("fleet-latest --target mcp-proxy --suite get_sse", "one suite on one of them"),
    codes=(0, 1, 2, 3, 4),
)
_SAYS: Final = {
    "unexpected-failure": "fails now",
    "unexpected-pass": "passes now",
    "wrong-class": "fails otherwise",
}


@dataclass(frozen=True, slots=True)
class Change:
    """What one gateway's newest release does otherwise. trouble: why it was not judged, empty where it was."""

    target: str
    pinned: str
    newest: str
    differences: tuple[Record, ...] = ()
    stale: tuple[Unmet, ...] = ()
    trouble: str = ""

    def to_json(self) -> dict[str, JSON]:
        """Return the record of `fleet-latest --json`."""
        return {
            "target": self.target,
            "pinned": self.pinned,
            "newest": self.newest,
            "differences": [dict(item) for item in self.differences],
            "stale": [item.to_json() for item in self.stale],
            "trouble": self.trouble,
        }


def fleet_latest(
    target: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME|FILE.toml", help="gateway to look at; repeatable; default: every one pinned"),
    ] = None,
    suite: Annotated[list[str] | None, typer.Option(metavar="NAME", help="this suite only; repeatable")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="no wait over 2 s")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON array")] = False,
    out: Annotated[Path, typer.Option(metavar="DIR", help="folder for the evidence")] = Path(
        "reports/latest/fleet-latest"
    ),
) -> ExitCode:
    """Judge the newest releases of the pinned gateways, as processes, and print what changed.

    Each is installed without its lock file and held against its baseline: what fails now, what passes now. A gateway
    whose newest release is the pinned one is judged too, for what it depends on may be newer.
    """
    chosen = chosen_targets(target or [ALL])
    suites = chosen_suites(suite or ())
    usable_folder(out)
    with tempfile.TemporaryDirectory(prefix="fleet-latest-") as folder:
        changes = [_change(item, suites, Path(folder) / item.name, out / item.name, quick=quick) for item in chosen]
    _print(changes, as_json=as_json)
    if any(item.differences or item.stale for item in changes):
        return ExitCode.UNEXPECTED
    return ExitCode.CANNOT_JUDGE if any(item.trouble for item in changes) else ExitCode.OK


def _change(target: TargetManifest, suites: tuple[str, ...], folder: Path, out: Path, *, quick: bool) -> Change:
    """Return what a target's newest release does otherwise; what keeps one from being judged leaves the others be."""
    if not (target.install.pypi or target.install.npm):
        return Change(target.name, target.version, "", trouble="no package of a registry is pinned in its manifest")
    try:
        found = newest(target, folder)
        say(f"{target.name}: {found.pinned} → {found.target.version}" + ("" if found.changed else " (the pinned one)"))
        # The baseline stands beside the pinned manifest; its ranges of versions are held against the newest one.
        known = chosen_expectations((target,), None, "practice")
        return _judged(found, known, suites, out, quick=quick)
    except HarnessError as error:
        return Change(target.name, target.version, "", trouble=str(error))


def _judged(found: Newest, known: Expectations, suites: tuple[str, ...], out: Path, *, quick: bool) -> Change:
    version = found.target.version
    entries = (*known.known, *known.outside)
    expectations = Expectations(tuple(entry for entry in entries if entry.speaks_of(version)))
    selection = Selection(
        targets=(found.target,),
        backends=chosen_backends(()),
        runtime="process",
        out=out,
        suites=suites,
        quick=quick,
        expectations=expectations,
    )
    records = records_of(selection)
    errors = [item for item in records if item["verdict"] == HarnessFault.name]
    return Change(
        target=found.target.name,
        pinned=found.pinned,
        newest=version,
        differences=tuple(item for item in records if item["expectation"] in COUNTED),
        stale=tuple(item for item in expectations.unmet(records, whole=not quick) if item.state == "stale"),
        trouble=str(errors[0]["observed"]) if errors else "",
    )


def _print(changes: Sequence[Change], *, as_json: bool) -> None:
    if as_json:
        print_json([item.to_json() for item in changes])
        return
    rows = [(item.target, item.pinned, item.newest or "?", _summary(item)) for item in changes]
    print_table("newest releases", ["target", "pinned", "newest", "what changed"], rows)
    for item in changes:
        for says, differences in _by_kind(item.differences).items():
            named = [f"{one['rule']} {one['title']} ({one['failure_class'] or one['observed']})" for one in differences]
            for name, count in {name: named.count(name) for name in named}.items():
                say(f"{item.target} {item.newest}: {says}, in {count} cell(s): {name}")
        for entry in item.stale:
            say(f"{item.target} {item.newest}: {entry.rule} {entry.why}")


def _summary(item: Change) -> str:
    counts = [f"{len(found)} {says}" for says, found in _by_kind(item.differences).items()]
    counts += [f"{len(item.stale)} stale entries"] if item.stale else []
    counts += [f"not judged: {item.trouble}"] if item.trouble else []
    return "; ".join(counts) or "nothing"


def _by_kind(differences: Sequence[Record]) -> Mapping[str, list[Record]]:
    found: dict[str, list[Record]] = defaultdict(list)
    for item in differences:
        found[_SAYS[str(item["expectation"])]].append(item)
    return found
