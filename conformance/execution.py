"""`run` from selection to exit code: drive and judge with live progress, diagnose, write every report, sum up."""

from __future__ import annotations

import hashlib
import platform
import signal
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from conformance import __version__
from conformance.diagnosis.rootcause import Diagnosis, diagnose
from conformance.errors import ExitCode
from conformance.evidence.events import JSON
from conformance.evidence.transcript import Transcript
from conformance.expectations import COUNTED, Unmet
from conformance.judging import Judgement, judge_files, transcript
from conformance.paths import SCHEMAS
from conformance.progress import Record
from conformance.report.files import REPORT, clear, write_reports
from conformance.report.github import annotate, commands_stopped
from conformance.report.jsonl import ReportWriter, read_report
from conformance.report.progress import LiveProgress
from conformance.report.records import Header
from conformance.report.records import Selection as SelectionRecord
from conformance.report.terminal import make_console, render
from conformance.rules.all import rule_named
from conformance.running import Judged, Selection, cells_of, drive_and_judge
from conformance.spec.revisions import Revision
from conformance.stage.engine import connect
from conformance.stage.manifest import BackendManifest, TargetManifest
from conformance.stage.plan import Cell
from conformance.stage.scenario import SUITES, scenarios

INCONCLUSIVE_SHARE = 0.02
"""Share of inconclusive verdicts from which a run could not judge (DESIGN: Exit codes)."""
PROFILED = (Revision.V2025_11_25,)
"""Revisions whose MUST rows are frozen as a profile that a badge counts."""
_SEED = 0
"""No scenario draws at random; the search over generated interleavings will record its own."""


def execute(selection: Selection) -> ExitCode:
    """Drive and judge a selection and write every report under `selection.out`; return the exit code.

    Raises NothingRanError when the selection is empty. Results so far are kept whatever happens.
    """
    out = selection.out.resolve()
    known = scenarios()
    waits = {cell.id: known[cell.scenario].seconds for cell in cells_of(selection)}
    out.mkdir(parents=True, exist_ok=True)
    clear(out)
    console = make_console()
    with ReportWriter(out / REPORT) as writer, _terminated_like_interrupted():
        writer.header(_header(selection))
        with commands_stopped(sys.stdout), LiveProgress(console, waits) as live:

            def take(record: Record) -> None:
                writer.result(record)
                live.result(record)

            judged = drive_and_judge(selection, on_result=take, on_progress=live.engine)
        for diagnosis in diagnoses(judged.records, out):
            writer.diagnosis(diagnosis.to_json())
        standard = _is_standard(selection) and not selection.quick
        unmet = selection.expectations.unmet(judged.records, whole=standard)
        status = exit_code(judged, unmet)
        whole = not judged.interrupted and not judged.trouble
        writer.footer(exit_code=status, complete=whole, unmet=[item.to_json() for item in unmet])
    report = read_report(out / REPORT)
    badges = write_reports(report, out)
    with commands_stopped(sys.stdout):
        render(report, badges, out, console)
    annotate(report, sys.stdout)
    for line in judged.trouble:
        print(f"the harness could not judge: {line}", file=sys.stderr)
    return status


def diagnoses(records: Iterable[Record], out: Path) -> tuple[Diagnosis, ...]:
    """Return the root causes of the failed results, judged again from their evidence under `out`."""
    return diagnose(
        (item for record in records if record["verdict"] == "fail" for item in _again(record, out)),
        lambda evidence: _read(out, evidence),
    )


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
    verdicts = [str(record["verdict"]) for record in judged.records]
    if judged.interrupted:
        return ExitCode.INTERRUPTED
    if any(record["expectation"] in COUNTED for record in judged.records) or any(
        item.state == "stale" for item in unmet
    ):
        return ExitCode.UNEXPECTED
    undecided = verdicts.count("inconclusive") > INCONCLUSIVE_SHARE * len(verdicts)
    if judged.trouble or "harness-error" in verdicts or undecided:
        return ExitCode.CANNOT_JUDGE
    if not any(verdict in ("pass", "fail") for verdict in verdicts):
        return ExitCode.NOTHING_RAN
    return ExitCode.OK


def _header(selection: Selection) -> Header:
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
            partial=not _is_standard(selection),
        ),
        started=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _is_standard(selection: Selection) -> bool:
    """Whether nothing of the standard run is left out: every suite and rule, before both standard backends."""
    backends = {"witness", "everything"} <= {item.name for item in selection.backends}
    return selection.url is None and not selection.rules and set(SUITES) <= set(selection.suites) and backends


def _digests(selection: Selection) -> dict[str, JSON]:
    """Return SHA-256 of what decides a run: the evidence schema, and each manifest folder with its lock files."""
    found: dict[str, JSON] = {"evidence-schema": _sha256([SCHEMAS / "evidence.schema.json"])}
    manifests: tuple[TargetManifest | BackendManifest, ...] = (*selection.targets, *selection.backends)
    for item in manifests:
        if item.folder is not None:
            files = sorted(path for path in item.folder.iterdir() if path.suffix in {".toml", ".txt", ".json", ".py"})
            found[item.name] = _sha256(files)
    return found


def _sha256(files: Sequence[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _engine_version() -> str:
    client = connect()
    try:
        return str(client.version()["Version"])
    finally:
        client.close()


@contextmanager
def _terminated_like_interrupted() -> Iterator[None]:
    """Within, SIGTERM ends the run as Ctrl-C does: in order, with what was judged so far reported.

    Also where SIGINT itself is ignored, as a shell without job control has it for what it starts with `&`.
    """
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
