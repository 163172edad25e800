"""The search over registrations on real gateways (`nox -s search`): nothing on the healthy one, each fault shrunk."""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from cli_setup import Outcome, cli

from conformance.errors import ExitCode
from conformance.paths import FIXTURES

pytestmark = [pytest.mark.search, pytest.mark.timeout(900)]

SHORTEST = {
    "repeats-add": ("the tools of no such server are listed", ["add one", "add one"]),
    "adds-for-anybody": ("answered 201", ["add one"]),
    "reaches-out": ("the server was spoken to", ["add one"]),
    "sessions-keep": ("its tools are listed in an open session", ["add one", "* one"]),
    "disabled-serves": ("its tool is served in an open session", ["add one", "* one"]),
    "removes-all": ("the other server's tools are missing in an open session", ["add one", "add two", "remove *"]),
}
"""Faults of the reference gateway: what departs, and the changes of the shortest sequence; * is chance."""


def searched(capsys: pytest.CaptureFixture[str], tmp_path: Path, target: str, *more: str) -> Outcome:
    given = ("--over", "registration", "--runtime", "process", "--out", str(tmp_path), "--json")
    return cli(capsys, "search", "--target", target, *given, *more)


def test_the_healthy_gateway_is_clean(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    shown = searched(capsys, tmp_path, "registering", "--seed", "1", "--examples", "40")
    assert shown.code == ExitCode.OK, shown.out
    assert shown.json["found"] == shown.json["unrepeated"] == []


@pytest.mark.parametrize("fault", SHORTEST)
def test_each_fault_is_found_and_shrunk(capsys: pytest.CaptureFixture[str], tmp_path: Path, fault: str) -> None:
    target = (FIXTURES / "gateways" / "registering" / "target.toml").read_text(encoding="utf-8")
    faulty = target.replace('"{VISITOR}",', f'"{{VISITOR}}", "--fault", "{fault}",')
    (tmp_path / "faulty.toml").write_text(faulty.replace('"registering"', f'"{fault}"'), encoding="utf-8")
    shown = searched(
        capsys, tmp_path, str(tmp_path / "faulty.toml"), "--seed", "1", "--examples", "40", "--seconds", "60"
    )
    assert shown.code == ExitCode.UNEXPECTED, shown.out
    what, changes = SHORTEST[fault]
    found = [item for item in shown.json["found"] if item["kind"].partition(": ")[2] == what]
    assert found, shown.json["found"]
    for item in found:
        assert len(item["steps"]) == len(changes), item["steps"]
        for step, change in zip(item["steps"], changes, strict=True):
            assert fnmatchcase(f"{step['change']} {step['server']}", change), item["steps"]
