"""`replay`: stored evidence judged again, and evidence that cannot be."""

import json
import socket

import pytest
from cli_setup import cli
from evidence_builder import Story

from conformance.errors import ExitCode
from conformance.judging import transcript

CELL = "gateway/process/witness/2025-11-25/2025-11-25/get-in-session"


@pytest.fixture(autouse=True)
def _no_network_and_no_memory(monkeypatch):
    def refused(*_):
        raise AssertionError("replay must not use the network")

    monkeypatch.setattr(socket.socket, "connect", refused)
    transcript.cache_clear()


def story(get_status=200):
    told = Story()
    told.connect(backend=True, session="b-1")
    told.connect()
    if get_status == 200:
        stream = told.exchange(method="GET", session="s-1", sse=[], how=None)
        told.listing()
        told.leave(stream)
        told.end(stream, "abandoned")
    else:
        told.exchange(method="GET", session="s-1", status=get_status, body="Missing session ID")
        told.listing()
    told.listing()
    return told


def write(folder, told, cell=CELL, **header):
    slug = cell.replace("/", "__")
    return told.write(folder / f"{slug}.jsonl", cell=cell, scenario=cell.rpartition("/")[2], **header)


def verdicts(shown):
    return {record["rule"]: record["verdict"] for record in shown.json}


def test_a_failure_is_exit_code_1_with_its_class(tmp_path, capsys):
    file = write(tmp_path, story(400))
    shown = cli(capsys, "replay", str(file), "--json")
    assert shown.code == ExitCode.UNEXPECTED
    failed = [record for record in shown.json if record["verdict"] == "fail"]
    assert [(record["rule"], record["failure_class"]) for record in failed] == [("MGC301", "get-sse-wrong-status")]
    people = cli(capsys, "replay", str(file)).out
    assert "failure class: get-sse-wrong-status" in people
    assert "charged to: gateway" in people


def test_a_pass_is_exit_code_0(tmp_path, capsys):
    shown = cli(capsys, "replay", str(write(tmp_path, story())), "--rule", "MGC301", "--rule", "MGC303", "--json")
    assert verdicts(shown) == {"MGC301": "pass", "MGC303": "pass"}
    assert shown.code == ExitCode.OK


def test_every_rule_that_the_scenario_exercises_is_judged(tmp_path, capsys):
    judged = verdicts(cli(capsys, "replay", str(write(tmp_path, story())), "--json"))
    assert {"MGC301", "MGC302", "MGC303", "MGC307"} <= set(judged)


def test_evidence_of_no_known_scenario_is_judged_by_what_it_holds(tmp_path, capsys):
    file = write(tmp_path, story(400), cell=CELL.replace("get-in-session", "recorded-live"))
    shown = cli(capsys, "replay", str(file), "--json")
    assert verdicts(shown)["MGC301"] == "fail"
    assert "not-exercised" not in verdicts(shown).values()


def test_nothing_to_judge_is_exit_code_5(tmp_path, capsys):
    told = Story()
    told.stimulus("nothing")
    file = write(tmp_path, told, cell=CELL.replace("get-in-session", "recorded-live"))
    assert "No rule applies" in cli(capsys, "replay", str(file)).err
    assert cli(capsys, "replay", str(file)).code == ExitCode.NOTHING_RAN


def test_a_drive_that_did_not_complete_cannot_be_judged(tmp_path, capsys):
    file = write(tmp_path, story(), footer={"complete": False, "error": "the gateway never got ready"})
    shown = cli(capsys, "replay", str(file), "--rule", "MGC301")
    assert shown.code == ExitCode.CANNOT_JUDGE
    assert "the gateway never got ready" in shown.out


def test_a_folder_is_judged_without_its_control_runs(tmp_path, capsys):
    write(tmp_path, story())
    write(tmp_path, story(), cell=CELL.replace("gateway/", "direct/", 1))
    shown = cli(capsys, "replay", str(tmp_path), "--rule", "MGC301", "--json")
    assert [record["target"] for record in shown.json] == ["gateway"]


def test_a_broken_control_beside_it_is_named(tmp_path, capsys):
    file = write(tmp_path, story())
    control = write(tmp_path, story(), cell=CELL.replace("gateway/", "direct/", 1))
    control.write_text("no evidence\n")
    assert control.name in cli(capsys, "replay", str(file), "--rule", "MGC301").err


def test_a_truncated_file_is_named_and_the_others_are_judged(tmp_path, capsys):
    whole = write(tmp_path, story())
    cut = write(tmp_path, story(), cell=CELL.replace("witness", "everything", 1))
    cut.write_bytes(cut.read_bytes()[:-40])
    shown = cli(capsys, "replay", str(whole), str(cut), "--rule", "MGC301", "--json")
    assert verdicts(shown) == {"MGC301": "pass"}
    assert cut.name in shown.err
    assert shown.err.count("\n") == 1
    assert shown.code == ExitCode.CANNOT_JUDGE


@pytest.mark.parametrize("content", ["", "not evidence\n", '{"hello": 1}\n', "[1, 2]\n", "null\n"])
def test_a_foreign_file_is_one_sentence(tmp_path, capsys, content):
    file = tmp_path / "foreign.jsonl"
    file.write_text(content)
    shown = cli(capsys, "replay", str(file))
    assert (shown.code, shown.err.count("\n")) == (ExitCode.CANNOT_JUDGE, 1)
    assert str(file) in shown.err


def test_a_missing_file_is_one_sentence(tmp_path, capsys):
    assert "does not exist" in cli(capsys, "replay", str(tmp_path / "none.jsonl")).err


def test_an_empty_folder_is_one_sentence(tmp_path, capsys):
    assert "holds no evidence" in cli(capsys, "replay", str(tmp_path)).sentence(ExitCode.CANNOT_JUDGE)


def test_an_unknown_rule_is_a_usage_error(tmp_path, capsys):
    shown = cli(capsys, "replay", str(write(tmp_path, story())), "--rule", "MGC3001")
    assert "did you mean" in shown.sentence(ExitCode.USAGE)


def test_one_control_goes_with_one_file(tmp_path, capsys):
    first, second = write(tmp_path, story()), write(tmp_path, story(), cell=CELL.replace("witness", "everything", 1))
    shown = cli(capsys, "replay", str(first), str(second), "--control", str(first))
    assert "--control goes with one" in shown.sentence(ExitCode.USAGE)


def test_what_a_gateway_sent_is_escaped(tmp_path, capsys):
    told = Story()
    told.connect(backend=True, session="b-1")
    told.connect()
    told.exchange(method="GET", session="s-1", status=200, response_headers={"Content-Type": "\x1b[2Jtext/html"})
    shown = cli(capsys, "replay", str(write(tmp_path, told)), "--rule", "MGC301")
    assert shown.code == ExitCode.UNEXPECTED
    assert "\x1b" not in shown.out
    assert json.dumps("\\x1b[2jtext/html")[1:-1].replace("\\\\", "\\") in shown.out
