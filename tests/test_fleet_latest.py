"""The newest releases of pinned packages, and what a gateway's newest release does otherwise."""

import subprocess

import pytest
from cli_setup import cli

from conformance.commands import fleet_latest
from conformance.errors import CannotJudgeError, ExitCode
from conformance.stage import newest
from conformance.stage.manifest import load_target

TARGET = """\
name = "mine"
title = "Mine"
version = "1.0"
[install]
pypi = ["mine[extra]==1.0"]
npm = ["@scope/helper@2.0.0"]
[start]
command = ["mine", "{backend_url}"]
"""
BASELINE = """\
[[known]]
rule = "MGC301"
failure_class = "get-sse-wrong-status"
seen = "400"
issue = "not reported"
versions = ">=1,<2"
"""


@pytest.fixture
def target(tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "target.toml").write_text(TARGET)
    (folder / "baseline.toml").write_text(BASELINE)
    (folder / "constraints.txt").write_text("anyio==4\n")
    return folder / "target.toml"


@pytest.fixture
def registry(monkeypatch):
    """What the registries' clients print, by package."""
    told = {"mine": "mine (1.5)\nAvailable versions: 1.5, 1.0\n", "@scope/helper": "2.0.0\n"}

    def run(command, **_):
        package = next(name for name in told if name in command)
        return subprocess.CompletedProcess(command, 0 if told[package] else 1, told[package], "no such package\n")

    monkeypatch.setattr(newest.subprocess, "run", run)
    monkeypatch.setattr(newest, "npm_command", lambda _: ("npm",))
    return told


def test_each_pin_becomes_the_newest_and_the_lock_is_left_behind(target, registry, tmp_path):
    found = newest.newest(load_target(target), tmp_path / "moved")
    assert found.target.install.pypi == ("mine[extra]==1.5",)
    assert found.target.install.npm == ("@scope/helper@2.0.0",)
    assert (found.pinned, found.target.version, found.changed) == ("1.0", "1.5", True)
    assert sorted(path.name for path in found.target.folder.iterdir()) == ["baseline.toml", "target.toml"]


def test_a_registry_without_the_package_is_one_sentence(target, registry, tmp_path):
    registry["mine"] = ""
    with pytest.raises(CannotJudgeError, match=r"no version of mine \(no such package\)"):
        newest.newest(load_target(target), tmp_path / "moved")


def record(expectation, verdict):
    return {
        "id": "mine/process/witness/2025-11-25/2025-11-25/get-in-session/MGC301",
        "rule": "MGC301",
        "title": "GET is a stream or 405",
        "verdict": verdict,
        "expectation": expectation,
        "failure_class": "accept-406" if verdict == "fail" else None,
        "observed": "o",
    }


@pytest.mark.parametrize(
    ("records", "code", "said"),
    [
        ([record("known-failure", "fail")], ExitCode.OK, "nothing"),
        ([record("unexpected-failure", "fail")], ExitCode.UNEXPECTED, "1 fails now"),
        ([record("unexpected-pass", "pass")], ExitCode.UNEXPECTED, "1 passes now"),
        ([record("not-judged", "harness-error")], ExitCode.CANNOT_JUDGE, "not judged: o"),
        ([record("not-judged", "not-applicable")], ExitCode.UNEXPECTED, "1 stale entries"),
    ],
)
def test_what_changed_is_told_and_counts(monkeypatch, capsys, target, registry, records, code, said):
    selections = []
    monkeypatch.setattr(fleet_latest, "records_of", lambda selection: selections.append(selection) or records)
    shown = cli(capsys, "fleet-latest", "--target", str(target))
    assert shown.code == code
    assert said in shown.out
    (selection,) = selections
    assert [item.version for item in selection.targets] == ["1.5"]
    assert [entry.rule for entry in selection.expectations.known] == ["MGC301"]


def test_an_entry_about_older_versions_excuses_nothing(monkeypatch, capsys, target, registry):
    registry["mine"] = "mine (2.0)\n"
    selections = []
    monkeypatch.setattr(fleet_latest, "records_of", lambda selection: selections.append(selection) or [])
    assert cli(capsys, "fleet-latest", "--target", str(target)).code == ExitCode.OK
    assert selections[0].expectations.known == ()


def test_one_that_cannot_be_judged_does_not_keep_the_others_from_it(monkeypatch, capsys, target, registry):
    registry["mine"] = ""
    shown = cli(capsys, "fleet-latest", "--target", str(target))
    assert shown.code == ExitCode.CANNOT_JUDGE
    assert "not judged: The registry names no version of mine" in shown.out
