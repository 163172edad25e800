"""`run` from selection to exit code: drive and judge with live progress, diagnose, write every report, sum up."""

from __future__ import annotations

import hashlib
import platform
import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from conformance import __version__
from conformance.diagnosis.rootcause import Diagnosis, diagnose
from conformance.diagnosis.spin_ups import spin_ups
from conformance.errors import ExitCode
from conformance.evidence.events import JSON
from conformance.evidence.transcript import Transcript
from conformance.expectations import Unmet, status_of
from conformance.judging import Judgement, judge_files, transcript
from conformance.paths import SCHEMAS
from conformance.progress import Record
from conformance.report.escape import shown_lines
from conformance.report.files import REPORT, clear, write_reports
from conformance.report.github import annotate, commands_stopped
from conformance.report.jsonl import ReportWriter, read_report
from conformance.report.progress import LiveProgress
from conformance.report.records import Header, Run, place_of
from conformance.report.records import Selection as SelectionRecord
from conformance.report.terminal import make_console, render
from conformance.resuming import manifest_digest
from conformance.rules.all import rule_named
from conformance.rules.spin_up_start import SUITE as SPIN_UP_SUITE
from conformance.rules.verdicts import HarnessFault, NotExercised
from conformance.running import Judged, Selection, begin, cells_of, drive_and_judge
from conformance.spec.revisions import Revision
from conformance.stage.engine import connect
from conformance.stage.manifest import load_client
from conformance.stage.plan import Cell
from conformance.stage.scenario import DEFAULT_SUITES, scenarios

PROFILED = (Revision.V2025_06_18, Revision.V2025_11_25)
"""Revisions whose MUST rows are frozen as a profile that a badge counts."""
_SEED = 0
"""No scenario draws at random; the search over generated interleavings will record its own."""


def execute(selection: Selection) -> ExitCode:
    """Drive and judge a selection and write every report under `selection.out`; return the exit code.

    Raises NothingRanError when the selection is empty, UsageError when what is in `selection.out` cannot be resumed.
    Results so far are kept whatever happens.
    """
    out = selection.out.resolve()
    begun = begin(selection)
    waits = {cell.id: scenarios()[cell.scenario].seconds for cell in begun.driven}
    clear(out)
    if begun.kept:
        print(f"resumed: {len(begun.kept)} of {len(begun.cells)} cells are kept as earlier runs recorded them")
    console = make_console()
    with ReportWriter(out / REPORT) as writer:
        writer.header(header_of(selection, begun.runs))
        with commands_stopped(sys.stdout), LiveProgress(console, waits) as live:

            def take(record: Record) -> None:
                writer.result(record)
                live.result(record)

            judged = drive_and_judge(selection, begun, on_result=take, on_progress=live.engine)
        place = place_of(selection.suites)
        records = sorted(judged.records, key=lambda record: place(str(record["suite"]), str(record["id"])))
        for diagnosis in diagnoses(records, out):
            writer.diagnosis(diagnosis.to_json())
        for evidence in started_containers(records):
            for spin_up in spin_ups(_read(out, evidence)):
                writer.spin_up(spin_up)
        standard = is_standard(selection) and not selection.quick
        unmet = selection.expectations.unmet(records, whole=standard)
        status = exit_code(judged, unmet)
        whole = not judged.interrupted and not judged.trouble
        writer.footer(exit_code=status, complete=whole, unmet=[item.to_json() for item in unmet])
    report = read_report(out / REPORT)
    badges = write_reports(report, out)
    with commands_stopped(sys.stdout):
        render(report, badges, out, console)
    annotate(report, sys.stdout)
    for line in judged.trouble:
        print(shown_lines(f"the harness could not judge: {line}"), file=sys.stderr)
    return status


def diagnoses(records: Iterable[Record], out: Path) -> tuple[Diagnosis, ...]:
    """Return the root causes of the failed results, judged again from their evidence under `out`."""
    return diagnose(
        (item for record in records if record["verdict"] == "fail" for item in _again(record, out)),
        lambda evidence: _read(out, evidence),
    )


def started_containers(records: Iterable[Record]) -> tuple[str, ...]:
    """Return the evidence files, under the output folder, of the cells in which a gateway may have started containers.

    Cells that were not driven, or broke, have nothing to show.
    """
    undriven = (NotExercised.name, HarnessFault.name)
    driven = (item for item in records if item["suite"] == SPIN_UP_SUITE and item["verdict"] not in undriven)
    return tuple(dict.fromkeys(str(item["evidence"]) for item in driven))


def _read(out: Path, evidence: str) -> Transcript:
    return transcript(out / evidence)


def _again(record: Record, out: Path) -> Iterable[Judgement]:
    rule = rule_named(str(record["rule"]))
    cell = Cell.parse(str(record["id"]).rpartition("/")[0])
    if rule is not None:
        control = out / "evidence" / f"{cell.control.slug}.jsonl"
        yield judge_files(cell, rule, out / str(record["evidence"]), control if control.exists() else None)


def exit_code(judged: Judged, unmet: Sequence[Unmet] = ()) -> ExitCode:
    """Return what a run's results mean, the first that applies (DESIGN: Exit codes).

    unmet: baseline entries that the results do not bear out; a stale one is as unexpected as a failure.
    """
    return status_of(
        ((str(record["verdict"]), str(record["expectation"])) for record in judged.records),
        interrupted=judged.interrupted,
        stale=any(item.state == "stale" for item in unmet),
        trouble=bool(judged.trouble),
    )


def header_of(selection: Selection, runs: tuple[Run, ...] = ()) -> Header:
    """Return what the report of a run of this selection begins with; runs: those that drove its cells."""
    only = selection.revisions[0] if len(selection.revisions) == 1 else None
    return Header(
        harness=__version__,
        python=platform.python_version(),
        targets={item.name: item.version for item in selection.targets},
        backends={item.name: item.version for item in selection.backends},
        digests=_digests(selection),
        seed=_SEED,
        engine=_engine_version() if selection.runtime == "containers" else None,
        platform=platform.platform(),
        profile=only if only in PROFILED else None,
        selection=SelectionRecord(
            suites=selection.suites,
            revisions=selection.revisions,
            runtime=selection.runtime,
            quick=selection.quick,
            partial=not is_standard(selection),
        ),
        started=datetime.now(UTC).isoformat(timespec="seconds"),
        runs=runs,
        clients=_clients(selection),
    )


def _clients(selection: Selection) -> dict[str, str]:
    """Return the versions of the real clients that drive cells of a selection."""
    used = {scenarios()[cell.scenario].client for cell in cells_of(selection)} - {""}
    return {name: load_client(name).version for name in sorted(used)}


def is_standard(selection: Selection) -> bool:
    """Whether nothing of the standard run is left out: every suite and rule, before both standard backends."""
    if selection.only is not None and cells_of(selection) != cells_of(replace(selection, only=None)):
        return False
    backends = {"witness", "everything"} <= {item.name for item in selection.backends}
    return selection.url is None and not selection.rules and set(DEFAULT_SUITES) <= set(selection.suites) and backends


def _digests(selection: Selection) -> dict[str, JSON]:
    """Return SHA-256 of what decides a run: the evidence schema, and each manifest with what lies beside it."""
    schema = hashlib.sha256((SCHEMAS / "evidence.schema.json").read_bytes()).hexdigest()
    manifests = (*selection.targets, *selection.backends)
    return {"evidence-schema": schema, **{item.name: manifest_digest(item) for item in manifests}}


def _engine_version() -> str:
    client = connect()
    try:
        return str(client.version()["Version"])
    finally:
        client.close()
