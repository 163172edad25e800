"""`run --resume`: what an interrupted run left is kept if it is whole and of the same plan; nothing else is."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from cli_setup import cli
from report_sample import HEADER, report, result

from conformance.errors import ExitCode, UsageError
from conformance.evidence.log import write_evidence
from conformance.report import summary
from conformance.report.jsonl import read_report
from conformance.report.overview import driven_in
from conformance.report.records import Run
from conformance.resuming import PLAN, driving_digest, manifest_digest, plan_parts, start
from conformance.stage.manifest import load_backend, load_client, load_target
from conformance.stage.plan import Cell, Plan

REVISION = "2025-11-25"
CELLS = tuple(Cell("gw", "process", "witness", REVISION, REVISION, name) for name in ("one", "two", "three"))
PARTS = {"the harness (1)": "a", "target gw": "b"}


def record(out: Path, cell: Cell, run: str, *, complete: bool = True, of: Cell | None = None) -> Path:
    file = out / "evidence" / f"{cell.slug}.jsonl"
    write_evidence(file, {"cell": (of or cell).id, "run": run}, (), {"complete": complete})
    return file


def begun(out, *, resume=False, parts=PARTS, cells=CELLS):
    return start(out, cells, parts, resume=resume)


def test_a_first_run_keeps_nothing_and_writes_its_plan_down(tmp_path):
    first = begun(tmp_path)
    assert (first.kept, first.driven) == ((), CELLS)
    assert json.loads((tmp_path / PLAN).read_text())["parts"] == PARTS


def test_what_was_recorded_whole_is_kept_and_the_rest_is_driven(tmp_path):
    first = begun(tmp_path)
    kept = record(tmp_path, CELLS[0], first.run_id)
    (tmp_path / "evidence" / "x.jsonl.partial").write_text("{")
    second = begun(tmp_path, resume=True)
    assert (second.kept, second.driven) == (CELLS[:1], CELLS[1:])
    assert [run.id for run in second.runs] == [first.run_id, second.run_id]
    assert list((tmp_path / "evidence").iterdir()) == [kept]


def test_without_resume_an_earlier_runs_evidence_goes(tmp_path):
    record(tmp_path, CELLS[0], begun(tmp_path).run_id)
    assert begun(tmp_path).kept == ()
    assert not (tmp_path / "evidence").exists()


@pytest.mark.parametrize("resume", [False, True])
def test_what_no_run_wrote_stays_in_the_folder(tmp_path, resume):
    record(tmp_path, CELLS[0], begun(tmp_path).run_id)
    own = tmp_path / "evidence" / "mine.txt"
    own.write_text("notes")
    begun(tmp_path, resume=resume)
    assert own.read_text() == "notes"


def test_a_third_run_keeps_what_the_first_two_recorded(tmp_path):
    record(tmp_path, CELLS[0], begun(tmp_path).run_id)
    record(tmp_path, CELLS[1], begun(tmp_path, resume=True).run_id)
    assert begun(tmp_path, resume=True).kept == CELLS[:2]


def truncate(file):
    file.write_text("\n".join(file.read_text().split("\n")[:-2]) + "\n")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda out, run: truncate(record(out, CELLS[0], run)),
        lambda out, run: record(out, CELLS[0], run).write_text(""),
        lambda out, run: record(out, CELLS[0], run, complete=False),
        lambda out, _: record(out, CELLS[0], "another-run"),
        lambda out, run: record(out, CELLS[0], run, of=CELLS[1]),
    ],
    ids=["truncated", "empty", "of a drive that failed", "of a run that the plan does not name", "of another cell"],
)
def test_a_file_that_is_not_whole_and_its_own_is_driven_again(tmp_path, spoil):
    spoil(tmp_path, begun(tmp_path).run_id)
    second = begun(tmp_path, resume=True)
    assert second.kept == ()
    assert not (tmp_path / "evidence").exists()


@pytest.mark.parametrize("parts", [{**PARTS, "target gw": "c"}, {"target gw": "b"}, {**PARTS, "target x": "d"}])
def test_another_plan_is_refused_and_the_folder_left_as_it_was(tmp_path, parts):
    file = record(tmp_path, CELLS[0], begun(tmp_path).run_id)
    before = (tmp_path / PLAN).read_text()
    with pytest.raises(UsageError, match=r"planned otherwise \((target|the harness).*leave out --resume"):
        begun(tmp_path, resume=True, parts=parts)
    assert file.is_file()
    assert (tmp_path / PLAN).read_text() == before


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"parts": {}, "runs": [{"x": 1}], "schema": 1}', "[" * 5000])
def test_a_foreign_plan_is_refused(tmp_path, text):
    (tmp_path / PLAN).write_text(text)
    with pytest.raises(UsageError, match="no run's plan"):
        begun(tmp_path, resume=True)


@pytest.mark.parametrize("name", ["evidence", "allure-results"])
def test_a_file_where_a_folder_is_to_be_is_told_and_left(tmp_path, name):
    (tmp_path / name).write_text("mine")
    with pytest.raises(UsageError, match="is no folder"):
        begun(tmp_path)
    assert (tmp_path / name).read_text() == "mine"


def test_with_nothing_to_resume_everything_is_driven(tmp_path):
    assert begun(tmp_path, resume=True).driven == CELLS


# what decides the evidence -----------------------------------------------------------------------------------------------


def test_the_plan_names_what_decides_the_evidence():
    targets, backends = (load_target("passthrough"),), (load_backend("witness"),)
    found = plan_parts(CELLS, targets, backends)
    assert [name for name in found if name.startswith(("target", "backend"))] == [
        "target passthrough",
        "backend witness",
    ]
    assert found != plan_parts(CELLS[1:], targets, backends)
    assert "client reference" in plan_parts(CELLS, targets, backends, (load_client("reference"),))
    assert len(driving_digest()) == 64


def test_a_manifest_is_another_when_a_file_beside_it_is_but_not_for_its_baseline(tmp_path):
    text = 'name = "mine"\ntitle = "t"\nversion = "1"\n[start]\ncommand = ["gw", "{backend_url}"]\n'
    (tmp_path / "target.toml").write_text(text)
    before = manifest_digest(load_target(tmp_path / "target.toml"))
    (tmp_path / "baseline.toml").write_text("")
    assert manifest_digest(load_target(tmp_path / "target.toml")) == before
    (tmp_path / "constraints.txt").write_text("gw==1\n")
    assert manifest_digest(load_target(tmp_path / "target.toml")) != before


def test_a_plan_says_which_cells_are_left(tmp_path):
    plan = Plan("id", str(tmp_path), str(tmp_path), "process", CELLS)
    record(tmp_path, CELLS[1], "id")
    assert plan.left == (CELLS[0], CELLS[2])


# what is told ------------------------------------------------------------------------------------------------------------


def test_the_reports_say_which_run_drove_what(tmp_path):
    header = HEADER.__class__(
        **{name: getattr(HEADER, name) for name in HEADER.__dataclass_fields__ if name != "runs"},
        runs=(Run("r1", "2026-01-02T03:04:05Z"), Run("r2", "2026-01-02T04:04:05Z")),
    )
    results = [result(scenario=name, run=run) for name, run in (("a", "r1"), ("b", "r1"), ("c", "r2"))]
    read = report(tmp_path, *results, header=header)
    said = "3 cells with verdicts were driven in 2 runs: 2 by the run begun 2026-01-02T03:04:05Z, 1 by the run begun"
    assert driven_in(read).startswith(said)
    assert driven_in(read).endswith("controls, which drive a backend without a gateway, are not counted")
    assert "3 cells with verdicts were driven in 2 runs" in summary.render(read, ())
    assert driven_in(report(tmp_path, *results)) == ""


def test_a_running_gateway_cannot_be_resumed(capsys):
    shown = cli(capsys, "run", "--url", "http://127.0.0.1:9/mcp", "--resume")
    assert "--resume continues" in shown.sentence(ExitCode.USAGE)


# once for real -----------------------------------------------------------------------------------------------------------


def run(out: Path, *more: str) -> list[str]:
    chosen = ("--target", "passthrough", "--backend", "witness", "--runtime", "process", "--suite", "get_sse")
    return [sys.executable, "-m", "conformance", "run", *chosen, "--out", str(out), *more]


def test_a_killed_run_is_continued(tmp_path):
    evidence = tmp_path / "evidence"
    with subprocess.Popen(
        run(tmp_path), start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as first:
        while first.poll() is None and len(list(evidence.glob("*.jsonl"))) < 4:
            time.sleep(0.05)
        os.kill(first.pid, signal.SIGKILL)
    done = subprocess.run(run(tmp_path, "--resume"), capture_output=True, check=False, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    read = read_report(tmp_path / "report.jsonl")
    assert read.complete
    assert len(read.header.runs) == 2
    assert {item.run for item in read.results} == {item.id for item in read.header.runs}
    assert "cells with verdicts were driven in 2 runs" in done.stdout
    refused = subprocess.run(run(tmp_path, "--resume", "--quick"), capture_output=True, check=False, text=True)
    assert refused.returncode == ExitCode.USAGE
    assert "planned otherwise (the cells" in refused.stderr
    assert read_report(tmp_path / "report.jsonl") == read
