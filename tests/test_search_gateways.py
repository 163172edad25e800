"""The search on real gateways (`nox -s search`): nothing on the healthy ones, the shortest sequence on faulty ones."""

import pytest
from cli_setup import cli

from conformance.errors import ExitCode

pytestmark = [pytest.mark.search, pytest.mark.timeout(900)]

SHORTEST = {
    "init_stranger_gets_500": {"stranger: 5xx": 1},
    "session_unknown_400": {"unknown: 400": 1},
    "get_without_session_opens": {"stranger: stream": 1},
    "session_outlives_delete": {"ended: result": 3, "ended: 2xx": 3, "ended: stream": 3},
    "init_malformed_ends_all": {"opened: 404": 3, "ready: 404": 4},
    "get_close_ends_session": {"opened: 404": 4, "ready: 404": 5},
}
"""Mutants: by the state and the answer that departs, how many steps it takes; which event meets it is chance."""


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
    shown = searched(capsys, tmp_path, f"mutant:{mutant}", "--seed", "3", "--examples", "200")
    assert shown.code == ExitCode.UNEXPECTED, shown.out
    assert shown.json["found"]
    for item in shown.json["found"]:
        assert len(item["steps"]) == SHORTEST[mutant][item["kind"].partition(" in state ")[2]], item["steps"]
