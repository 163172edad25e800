"""`search` from command line to exit code, against a gateway in this process that is only known by its URL."""

import json
import re

import pytest
from cli_setup import cli
from fake_gateway import fake_gateway

from conformance.commands import search
from conformance.errors import ExitCode


def searched(capsys, url, tmp_path, *more):
    return cli(capsys, "search", "--url", url, "--seed", "1", "--out", str(tmp_path), *more)


def test_a_healthy_gateway(capsys, tmp_path):
    with fake_gateway() as url:
        shown = searched(capsys, url, tmp_path, "--examples", "40")
    assert shown.code == ExitCode.OK, shown.out
    assert "seed: 1" in shown.err
    outcome = json.loads((tmp_path / "search.json").read_text())
    assert outcome["found"] == outcome["unrepeated"] == []
    assert outcome["examined"] > 20


def test_an_ended_session_that_is_served(capsys, tmp_path):
    with fake_gateway("ended-served") as url:
        shown = searched(capsys, url, tmp_path, "--examples", "60", "--json")
    assert shown.code == ExitCode.UNEXPECTED
    assert shown.json == json.loads((tmp_path / "search.json").read_text())
    found = shown.json["found"]
    assert found
    assert all("in state ended: " in item["kind"] for item in found)
    for item in found:
        assert [step["act"] for step in item["steps"]][:2] == ["initialize", "delete"]
        assert len(item["steps"]) == 3
        assert len([line for line in item["reproduction"] if "curl" in line]) == 3
        assert (tmp_path / item["evidence"]).is_file()


def test_the_shortest_sequence_is_printed_as_commands(capsys, tmp_path):
    with fake_gateway("ended-served") as url:
        shown = searched(capsys, url, tmp_path, "--examples", "60")
    assert re.search(r"1\. a: initialize\n +2\. a: delete\n +3\. a: ", shown.out)
    assert "SESSION_A_1=$(curl" in shown.out
    assert '-X DELETE "$GATEWAY"' in shown.out


def test_what_comes_only_once_is_held_against_nobody(capsys, tmp_path, monkeypatch):
    with fake_gateway() as url:
        outcome = json.loads(searched(capsys, url, tmp_path, "--examples", "1", "--json").out)
        unrepeated = {**outcome, "unrepeated": [{"steps": [], "kinds": ["ping in state ready: 5xx"]}]}
        monkeypatch.setattr(search, "run_search", lambda *_: unrepeated)
        shown = searched(capsys, url, tmp_path)
    assert shown.code == ExitCode.CANNOT_JUDGE
    assert "did not come again on a fresh instance: ping in state ready: 5xx" in shown.out


def test_a_gateway_that_serves_nobody_is_no_finding(capsys, tmp_path):
    with fake_gateway(stops=0) as url:
        shown = searched(capsys, url, tmp_path)
    assert shown.code == ExitCode.CANNOT_JUDGE
    assert "initialize was not answered (500)" in shown.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "Give one of"),
        (("--target", "passthrough", "--url", "http://127.0.0.1:1/mcp"), "Give one of"),
        (("--target", "no-such-gateway"), "no-such-gateway"),
        (("--target", "passthrough", "--header-env", "A=B"), "goes with --url"),
        (("--target", "passthrough", "--backend", "nothing"), "nothing"),
        (("--target", "passthrough", "--revision", "1999-01-01"), "1999-01-01"),
        (("--target", "passthrough", "--revision", "2026-07-28"), "Nothing judges revision 2026-07-28 yet"),
        (("--url", "http://127.0.0.1:1/mcp", "--backend", "witness"), "leave out --backend"),
        (("--command", "gateway {port}", "--runtime", "containers"), "leave out --runtime"),
    ],
)
def test_usage(capsys, arguments, said):
    assert said in cli(capsys, "search", *arguments).sentence(ExitCode.USAGE)


def test_nobody_there(capsys):
    assert "refuses connections" in cli(capsys, "search", "--url", "http://127.0.0.1:1/mcp").sentence(
        ExitCode.CANNOT_JUDGE
    )
