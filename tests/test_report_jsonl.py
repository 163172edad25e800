"""report.jsonl: what is written is read again; what is cut off or foreign is recognised."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from report_sample import HEADER, HOSTILE, diagnosis, report, result, write

from conformance.errors import EvidenceError
from conformance.report.jsonl import ReportWriter, read_report


def test_what_is_written_is_read_again(tmp_path):
    failed = result(verdict="fail", known={"failure_class": "x", "issue": "a/b#1", "seen": "1"})
    read = report(tmp_path, result("GET-R02"), failed, diagnosis(failed), exit_code=1)
    assert read.header == HEADER
    assert [item.id for item in read.results] == [failed["id"], result("GET-R02")["id"]]
    assert read.results[0].known is not None
    assert read.results[0].cell == "gw/process/witness/2025-11-25/2025-11-25/get-in-session"
    assert read.diagnoses[0].symptoms == (failed["id"],)
    assert [item.made for item in read.diagnoses[0].separations] == [True, False]
    assert read.footer is not None
    assert read.footer.counts["pass"] == read.footer.counts["fail"] == 1
    assert read.footer.exit_code == 1
    assert read.complete


def test_results_are_in_the_order_of_suites_and_ids_in_whichever_they_were_judged(tmp_path):
    judged = (result("B", suite="streaming"), result("C"), result("D", suite="get_sse"), result("A", suite="isolation"))
    header = replace(HEADER, selection=replace(HEADER.selection, suites=("streaming", "get_sse")))
    read = report(tmp_path, *judged, header=header)
    assert [item.rule for item in read.results] == ["B", "C", "D", "A"]


def test_each_record_is_in_the_file_as_soon_as_it_is_written(tmp_path):
    path = tmp_path / "report.jsonl"
    with ReportWriter(path) as writer:
        writer.header(HEADER)
        writer.result(result())
        read = read_report(path)
        assert len(read.results) == 1
        assert not read.complete


def test_hostile_text_survives_the_file(tmp_path):
    assert report(tmp_path, result(observed=HOSTILE)).results[0].observed == HOSTILE


def test_every_cut_behind_the_header_reads_as_truncated(tmp_path):
    whole = write(tmp_path / "whole.jsonl", result(), result("GET-R02")).read_bytes()
    cut = tmp_path / "cut.jsonl"
    for end in range(whole.index(b"\n") + 1, len(whole)):
        cut.write_bytes(whole[:end])
        assert not read_report(cut).complete, f"cut at byte {end}"


def test_a_lost_line_reads_as_truncated(tmp_path):
    path = write(tmp_path / "report.jsonl", result(), result("GET-R02"))
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_text("".join(lines[:1] + lines[2:]), encoding="utf-8")
    assert not read_report(path).complete


def test_an_interrupted_run_is_not_complete(tmp_path):
    assert not report(tmp_path, result(), exit_code=2, complete=False).complete


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "does not begin with a report header"),
        ("hello\n", "does not begin with a report header"),
        ("[1]\n", "does not begin with a report header"),
        ('{"seq":0,"t":0.0,"point":"stage","kind":"header","schema":1}\n', "does not begin with a report header"),
        (json.dumps({**HEADER.to_json(), "schema": 99}) + "\n", "has report schema 99"),
        (json.dumps(HEADER.to_json()) + "\nnoise\n", "line 2 is not a report record"),
        (json.dumps(HEADER.to_json()) + '\n{"kind":"gossip"}\n', "line 2 is of an unknown kind"),
        (json.dumps(HEADER.to_json()) + '\n{"kind":"result"}\n', "line 2 is not a report record"),
    ],
)
def test_foreign_files_are_refused(tmp_path, text, says):
    path = tmp_path / "foreign.jsonl"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(EvidenceError, match=says):
        read_report(path)


def test_two_reports_in_one_file_are_refused(tmp_path):
    path = write(tmp_path / "report.jsonl", result())
    path.write_text(path.read_text(encoding="utf-8") * 2, encoding="utf-8")
    with pytest.raises(EvidenceError, match="follows the footer"):
        read_report(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(EvidenceError, match="does not exist"):
        read_report(tmp_path / "report.jsonl")
