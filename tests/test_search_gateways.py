"""The search on real gateways (`nox -s search`): nothing on the healthy ones, the shortest sequence on faulty ones."""

import pytest
from cli_setup import cli

from conformance.errors import ExitCode

pytestmark = [pytest.mark.search, pytest.mark.timeout(900)]

STRANGER = {"request in state stranger: 5xx": 1, "initialized in state stranger: 5xx": 1}
UNKNOWN = {"request in state unknown: 400": 1, "DELETE in state unknown: 400": 1}
SHORTEST = {
    "init_stranger_gets_500": STRANGER | {"ping in state stranger: 5xx": 1, "DELETE in state stranger: 5xx": 1},
    "session_unknown_400": UNKNOWN,
    "get_without_session_opens": {"GET in state stranger: stream": 1},
    "session_outlives_delete": {
        "request in state ended: result": 3,
        "ping in state ended: result": 3,
        "initialized in state ended: 2xx": 3,
        "DELETE in state ended: 2xx": 3,
        "GET in state ended: stream": 3,
    },
    "init_malformed_ends_all": {
        "request in state opened: 404": 3,
        "initialized in state opened: 404": 3,
        "request in state ready: 404": 4,
        "ping in state opened: 404": 3,
        "initialize in state opened: 404": 3,
    },
}
"""Mutants, each with the steps that the shortest sequence of a kind of departure takes; which are met is chance."""


def searched(capsys, tmp_path, target, *more):
    return cli(capsys, "search", "--target", target, "--runtime", "process", "--out", str(tmp_path), "--json", *more)


@pytest.mark.parametrize("target", ["passthrough", "terminating", "mutant:stateless_json"])
@pytest.mark.parametrize("seed", ["1", "2", "3"])
def test_healthy_gateways_are_clean(capsys, tmp_path, target, seed):
    shown = searched(capsys, tmp_path, target, "--seed", seed, "--examples", "100")
    assert shown.code == ExitCode.OK, shown.out
    assert shown.json["found"] == shown.json["unrepeated"] == []


@pytest.mark.parametrize("mutant", SHORTEST)
def test_faults_are_found_and_shrunk(capsys, tmp_path, mutant):
    shown = searched(capsys, tmp_path, f"mutant:{mutant}", "--seed", "3", "--examples", "100")
    assert shown.code == ExitCode.UNEXPECTED, shown.out
    steps = {item["kind"]: len(item["steps"]) for item in shown.json["found"]}
    assert steps
    assert steps == {kind: SHORTEST[mutant].get(kind) for kind in steps}
