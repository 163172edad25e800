"""Reports for people: what they show, and that nothing a server sent does anything but be shown."""

from __future__ import annotations

import io
import re
import sys
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from report_sample import HEADER, HOSTILE, diagnosis, report, result
from rich.console import Console

from conformance.errors import UsageError
from conformance.program import typed_again
from conformance.report import escape, files, github, summary, terminal
from conformance.report.badge import Badge, NoBadge
from conformance.report.classes import class_reports, render_html, render_markdown
from conformance.report.overview import Meaning, counted, overview
from conformance.report.records import Moment
from conformance.report.timeline import rows, two_sided

KNOWN = {"failure_class": "idle-stream-no-heartbeat", "issue": "a/b#12", "seen": "1.2.3"}
UNEXPECTED = result(verdict="fail")
SECOND = result("GET-R02", "fail")
KNOWN_FAILURE = result(
    "KEEP-R01", "fail", expectation="known-failure", known=KNOWN, failure_class="idle-stream-no-heartbeat"
)
EVERYTHING = (
    result("GET-R03"),
    UNEXPECTED,
    SECOND,
    KNOWN_FAILURE,
    result("GET-R04", expectation="unexpected-pass", known=KNOWN),
    result("GET-R05", "not-exercised", observed="the control run"),
    result("GET-R06", "not-exercised", observed="the control run"),
    result("GET-R07", "harness-error", observed="no tap"),
    result("GET-R08", "inconclusive", observed="the harness was late"),
    result("GET-R09", "fail", charged_to="backend", expectation="charged-elsewhere", failure_class="unclassified"),
    diagnosis(UNEXPECTED, SECOND),
)
DRIVING = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e]")


def hostile_records():
    failed = result(verdict="fail", title=HOSTILE, observed=HOSTILE, expected=HOSTILE)
    moment = {"t": 1.0, "point": "backend-tap", "text": HOSTILE}
    return (
        failed,
        result("GET-R02", "harness-error", observed=HOSTILE),
        result("GET-R03", "not-exercised", observed=HOSTILE),
        diagnosis(failed, title=HOSTILE, remedy=HOSTILE, timeline=[moment], reproduce=[HOSTILE]),
    )


def shown_on_terminal(read, tmp_path, badges=(), **how):
    stream = io.StringIO()
    terminal.render(read, badges, tmp_path, Console(file=stream, markup=False, emoji=False, highlight=False, **how))
    return stream.getvalue()


# the overview ----------------------------------------------------------------------------------------------------------


def test_symptoms_are_folded_under_their_cause(tmp_path):
    (target,) = overview(report(tmp_path, *EVERYTHING, exit_code=1))
    (cause,) = target.unexpected
    assert cause.rules == ("GET-R01", "GET-R02")
    assert cause.diagnosis is not None
    assert [item.rules for item in target.not_exercised] == [("GET-R05", "GET-R06")]
    assert [item.failure_class for item in target.known] == ["idle-stream-no-heartbeat"]
    assert dict(target.suites[0].counts)[Meaning.UNEXPECTED_FAILURE] == 2


def test_unclassified_failures_of_different_rules_are_not_one_cause(tmp_path):
    failures = [result(rule, "fail", failure_class="unclassified") for rule in ("GET-R01", "GET-R02")]
    (target,) = overview(report(tmp_path, *failures))
    assert len(target.unexpected) == 2


def test_a_cause_seen_with_two_backends_is_one_and_what_follows_from_it_comes_last(tmp_path):
    follows = result("GET-R03", "fail", failure_class="server-messages-not-relayed")
    elsewhere = result(verdict="fail", backend="everything")
    surest = diagnosis(elsewhere, confidence=0.9)
    less_sure = diagnosis(follows, UNEXPECTED, confidence=0.5)
    (target,) = overview(report(tmp_path, follows, UNEXPECTED, elsewhere, less_sure, surest))
    (cause,) = target.unexpected
    assert cause.diagnosis is not None
    assert cause.diagnosis.confidence == 0.9
    assert [item.rule for item in cause.results] == ["GET-R01", "GET-R01", "GET-R03"]


@pytest.mark.parametrize(
    ("item", "number", "said"),
    [
        (Meaning.PASS, 2, "2 pass"),
        (Meaning.UNEXPECTED_FAILURE, 1, "1 unexpected failure"),
        (Meaning.CHARGED_ELSEWHERE, 2, "2 failures charged elsewhere"),
        (Meaning.UNEXPECTED_PASS, 3, "3 unexpected passes"),
    ],
)
def test_counts_in_words(item, number, said):
    assert counted(item, number) == said


# the terminal ----------------------------------------------------------------------------------------------------------


def test_the_summary_says_what_where_why_and_how_to_see_it_again(tmp_path):
    badges = (Badge("gw", "2025-11-25", 14, 16),)
    text = shown_on_terminal(report(tmp_path, *EVERYTHING, exit_code=1), tmp_path, badges, width=100)
    for said in (
        "gw 1.2.3 · process · 2025-11-25",
        "2 unexpected failures",
        "✗ GET is answered 400 (get-sse-wrong-status)",
        "gateway, confidence 0.90",
        "GET was answered 400",
        "2 results of GET-R01, GET-R02",
        f"{tmp_path}/classes/get-sse-wrong-status.md",
        f"{sys.executable} -m conformance replay {tmp_path}/evidence/gw.jsonl --rule GET-R01\n",
        "a/b#12",
        "remove that entry",
        "the control run",
        "no tap",
        "required 14/16 · 2025-11-25",
        "exit code 1: there are unexpected failures or passes, or stale baseline entries",
    ):
        assert said in text
    assert text.index("✗") < text.index("known failures\n")


@pytest.mark.parametrize(
    ("started", "found", "said"),
    [
        ("/opt/bin/mcp-gateway-conformance", "/opt/bin/mcp-gateway-conformance", "mcp-gateway-conformance"),
        ("/opt/bin/mcp-gateway-conformance", None, "'/a folder/python' -m conformance"),
        ("/src/conformance/__main__.py", "/nox/bin/mcp-gateway-conformance", "'/a folder/python' -m conformance"),
    ],
)
def test_a_command_to_copy_begins_with_what_was_typed_or_with_this_interpreter(monkeypatch, started, found, said):
    monkeypatch.setattr("sys.argv", [started, "run"])
    monkeypatch.setattr("sys.executable", "/a folder/python")
    monkeypatch.setattr("shutil.which", lambda _: found)
    assert typed_again() == said


UNMET = tuple(
    {"target": "gw", "rule": rule, "failure_class": "accept-406", "issue": "a/b#1", "state": state, "why": HOSTILE}
    for rule, state in (("MGC311", "stale"), ("MGC301", "unchecked"))
)


def test_baseline_entries_that_were_not_borne_out_are_shown(tmp_path):
    found = report(tmp_path, result(), unmet=UNMET)
    text = shown_on_terminal(found, tmp_path, (), width=100)
    assert text.index("stale baseline entries") < text.index("accept-406: ")
    assert text.index("baseline entries that this run did not check") < text.rindex("accept-406: ")
    text = summary.render(found, ())
    assert "**stale baseline entry:** `MGC311` `accept-406`" in text
    assert "baseline entries that this run did not check (1)" in text
    assert "<script>" not in text
    assert any("stale baseline entry MGC311" in line for line in github.error_lines(found))


def test_without_a_badge_it_says_why(tmp_path):
    text = shown_on_terminal(report(tmp_path, result()), tmp_path, (NoBadge("gw", "a --quick run"),), width=80)
    assert "no badge: a --quick run" in text


def test_a_run_that_can_have_no_badge_says_so(tmp_path):
    text = shown_on_terminal(report(tmp_path, result(), header=replace(HEADER, profile=None)), tmp_path, width=80)
    assert "no badge: " in text


def test_a_cut_off_report_says_so(tmp_path):
    text = shown_on_terminal(report(tmp_path, result(), complete=False, exit_code=2), tmp_path, width=80)
    assert "not complete" in text
    assert "interrupted" in text


def test_narrow_terminals_fold_words_but_never_commands(tmp_path):
    text = shown_on_terminal(report(tmp_path, *EVERYTHING), tmp_path, width=40)
    assert f"{sys.executable} -m conformance replay {tmp_path}/evidence/gw.jsonl --rule GET-R01\n" in text
    assert "…" not in text


def test_no_color_is_respected(tmp_path, monkeypatch):
    read = report(tmp_path, *EVERYTHING)
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b[1;31m" in shown_on_terminal(read, tmp_path, force_terminal=True, color_system="standard")
    monkeypatch.setenv("NO_COLOR", "1")
    coloured = shown_on_terminal(read, tmp_path, force_terminal=True, color_system="standard")
    assert not re.search("\x1b\\[[0-9;]*3[0-7]", coloured)


def test_hostile_text_does_not_drive_the_terminal(tmp_path):
    text = shown_on_terminal(report(tmp_path, *hostile_records()), tmp_path, width=200)
    assert not DRIVING.search(text)
    assert "\\x1b[31mred" in text
    assert "[bold]m[/bold]" in text
    assert "\\ud800" in text
    text.encode()


# Markdown --------------------------------------------------------------------------------------------------------------


def test_hostile_text_is_plain_in_markdown(tmp_path):
    read = report(tmp_path, *hostile_records())
    pages = [summary.render(read, ()), *(render_markdown(item) for item in class_reports(read))]
    for text in pages:
        outside = re.sub(r"(?ms)^(`{3,})\w*\n.*?\n\1$", "", text)
        assert not DRIVING.search(text)
        assert "<script" not in outside
        assert "[bold]" not in outside
        assert "@team" not in outside
        assert "a|b" not in outside
        assert "```" not in outside
        text.encode()


def test_a_fence_cannot_be_ended_from_inside():
    block = escape.fenced("a\n````\n```\nb")
    assert block.startswith("`````text\n")
    assert block.endswith("\n`````")


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("a|b", "a\\|b"),
        ("<b>&", "&lt;b&gt;&amp;"),
        ("[x](http://evil)", "\\[x\\](http&#58;//evil)"),
        ("www.evil.example", "www&#46;evil.example"),
        ("one\ntwo", "one\\\\ntwo"),
    ],
)
def test_markdown_escapes(text, plain):
    assert escape.markdown(text) == plain


def test_code_spans_hold_their_backticks_and_no_table_cell():
    assert escape.code("a`b") == "`` a`b ``"
    assert escape.code("a|b") == "a\\|b"


def test_the_summary_stays_below_githubs_limit(tmp_path):
    long = [result(f"GET-R{number}", "fail", observed=f"{number} {'x' * 500}") for number in range(3000)]
    text = summary.render(report(tmp_path, *long), ())
    assert len(text.encode()) < summary.LIMIT
    assert "3000 unexpected failures" in text


def test_the_summarys_headings_count_results_as_its_table_does(tmp_path):
    known = {"verdict": "fail", "expectation": "known-failure"}
    failures = [result(rule, scenario=rule, **known) for rule in ("GET-R01", "GET-R02")]
    text = summary.render(report(tmp_path, *failures, diagnosis(*failures)), ())
    assert "known failures (2 of 1 cause)" in text


def test_the_summary_is_appended_to_the_steps_own(tmp_path, monkeypatch):
    step = tmp_path / "step.md"
    step.write_text("before\n", encoding="utf-8")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(step))
    path = summary.write_summary(report(tmp_path, *EVERYTHING), (), tmp_path)
    assert step.read_text(encoding="utf-8") == "before\n" + path.read_text(encoding="utf-8")


def test_a_baselines_issue_stays_a_link(tmp_path):
    assert "| a/b#12 |" in summary.render(report(tmp_path, *EVERYTHING), ())


# class reports ---------------------------------------------------------------------------------------------------------


def test_a_class_report_tells_both_sides_and_what_was_ruled_out(tmp_path):
    (item,) = class_reports(report(tmp_path, *EVERYTHING))
    text = render_markdown(item)
    for said in (
        "# GET is neither an event stream nor 405",
        "**Remedy:**",
        "| `get-sse-409-stale` | made |",
        "| `get-sse-dead-stream` | **not made** |",
        "15.0 s",
        "curl -i http://127.0.0.1:8080/mcp",
        "[evidence/gw.jsonl](<../evidence/gw.jsonl>)",
        "gw/process/witness/2025-11-25/2025-11-25/get-in-session",
    ):
        assert said in text


class Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.seen = set()

    def handle_starttag(self, tag, attrs):
        self.seen.add(tag)
        assert not any(name.startswith("on") for name, _ in attrs)


def test_hostile_text_is_text_in_html(tmp_path):
    (item,) = class_reports(report(tmp_path, *hostile_records()))
    page = render_html(item)
    tags = Tags()
    tags.feed(page)
    assert "script" not in tags.seen
    assert "&lt;script&gt;" in page
    assert not DRIVING.search(page)
    page.encode()


def test_the_html_page_loads_nothing(tmp_path):
    (item,) = class_reports(report(tmp_path, *EVERYTHING))
    page = render_html(item)
    assert "default-src 'none'" in page
    assert not re.search(r"src=|url\(|@import|<link", page)
    assert "nothing for 15.0 s" in page
    assert "<code>Allow: POST</code>" in page


def test_the_text_timeline_is_aligned_and_points_out_silence():
    moments = (Moment(16.0, "backend-tap", "x" * 200), Moment(0.5, "client-tap", "GET /mcp", decisive=True))
    assert [row.gap for row in rows(moments)] == [0.0, 15.5]
    text = two_sided(moments).splitlines()
    columns = [[at for at, character in enumerate(line) if character in "│┼"] for line in text]
    assert {tuple(found) for found in columns} == {tuple(columns[0])}
    assert text[2].index("* GET /mcp") < columns[0][1] < text[4].index("x")


# the output folder -----------------------------------------------------------------------------------------------------


def test_everything_is_written_and_cleared_again_but_nothing_else(tmp_path):
    mine = tmp_path / "classes" / "notes.md"
    mine.parent.mkdir()
    mine.write_text("mine", encoding="utf-8")
    badges = files.write_reports(report(tmp_path, *EVERYTHING, exit_code=1), tmp_path)
    assert [item.target for item in badges] == ["gw"]
    assert (tmp_path / "summary.md").is_file()
    assert (tmp_path / "classes" / "get-sse-wrong-status.html").is_file()
    files.clear(tmp_path)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [mine]


def test_what_cannot_be_replaced_is_named(tmp_path):
    (tmp_path / "badge.json").mkdir()
    with pytest.raises(UsageError, match=r"badge\.json cannot be replaced"):
        files.clear(tmp_path)


# GitHub ----------------------------------------------------------------------------------------------------------------


def test_annotations_name_what_was_unexpected(tmp_path):
    lines = github.error_lines(report(tmp_path, *EVERYTHING))
    assert lines[0].startswith("::error title=gw%3A GET is answered 400::get-sse-wrong-status at gateway.")
    assert len(lines) == 3


def test_hostile_text_cannot_begin_a_workflow_command(tmp_path, monkeypatch):
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    stream = io.StringIO()
    read = report(tmp_path, *hostile_records())
    github.annotate(read, stream)
    assert all(line.startswith("::error title=") for line in stream.getvalue().splitlines())
    stream = io.StringIO()
    with github.commands_stopped(stream):
        stream.write("::error::mine\n")
    first, *_, last = stream.getvalue().splitlines()
    token = first.removeprefix("::stop-commands::")
    assert token
    assert last == f"::{token}::"


def test_elsewhere_nothing_is_printed_for_github(tmp_path, monkeypatch):
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    stream = io.StringIO()
    github.annotate(report(tmp_path, *EVERYTHING), stream)
    with github.commands_stopped(stream):
        pass
    assert not stream.getvalue()


def test_many_annotations_are_counted(tmp_path):
    many = [result(f"GET-R{number}", "harness-error", observed=str(number)) for number in range(30)]
    lines = github.error_lines(report(tmp_path, *many))
    assert len(lines) == 10
    assert "21 more findings" in lines[-1]


@pytest.mark.parametrize("name", ["../../etc", ".hidden", "-x", "a/b\\c", ""])
def test_file_names_stay_in_their_folder(name):
    assert re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]*", escape.file_name(name))


def test_a_timeline_behind_an_edge_has_three_columns():
    moments = [
        Moment(0.0, "client-tap", "client → edge: POST", decisive=True),
        Moment(0.1, "edge-tap", "edge → gateway 1: POST"),
        Moment(0.2, "backend-tap", "gateway → backend: POST"),
    ]
    head, _, *lines = two_sided(moments).splitlines()
    assert [column.strip() for column in head.split("│")] == [
        "seconds",
        "client's side",
        "behind the edge",
        "backend's side",
    ]
    for number, line in enumerate(lines, 1):
        filled = [place for place, column in enumerate(line.split("│")) if place and column.strip()]
        assert filled == [number]
    assert "behind the edge" not in two_sided(moments[:1])
