"""The matrix: the whole is planned alike on every machine, and a shard is a part of it. Nothing is driven here."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from cli_setup import cli
from report_sample import result, write

from conformance import matrix as matrices
from conformance.commands import matrix as commands
from conformance.errors import ExitCode, NothingRanError
from conformance.execution import is_standard
from conformance.expectations import Expectations, Known
from conformance.matrix import plan_matrix, run_shard
from conformance.report.shards import read_shard
from conformance.running import Selection, cells_of
from conformance.sharding import Shard
from conformance.stage.lanes import batches, lanes, start_up
from conformance.stage.manifest import known_clients, load_backend, load_client, load_target
from conformance.stage.plan import DIRECT
from conformance.stage.scenario import CLIENTS, DEFAULT_SUITES, SUITES, ScenarioKind, scenarios

TARGETS = ("passthrough", "terminating", "supergateway")
REVISIONS = ("2025-06-18", "2025-11-25")
IDLE = ScenarioKind.IDLE


def selected(*names, **more):
    chosen = {"runtime": "process", "out": Path("out"), "revisions": REVISIONS, **more}
    return Selection(tuple(map(load_target, names or TARGETS)), (load_backend("witness"),), **chosen)


def driven(selection):
    return {cell for cell in cells_of(selection) if cell.target != DIRECT}


def test_the_shards_are_the_whole_and_do_not_overlap():
    planned = plan_matrix(selected(), 2)
    shares = [driven(planned.selection(Shard(part, 2))) for part in (1, 2)]
    assert shares[0] | shares[1] == driven(selected())
    assert not shares[0] & shares[1]


def test_a_target_is_installed_in_one_shard_where_there_are_enough():
    planned = plan_matrix(selected(), 3)
    assert sorted(share for share in planned.plan.shares) == [("passthrough",), ("supergateway",), ("terminating",)]
    assert [target.name for target in planned.selection(Shard(1, 3)).targets] == list(planned.plan.shares[0])


def test_a_shard_drives_the_control_cells_that_its_own_need_and_no_others():
    planned = plan_matrix(selected(), 3)
    for part in (1, 2, 3):
        cells = cells_of(planned.selection(Shard(part, 3)))
        wanted = {cell.control for cell in cells if cell.target != DIRECT and scenarios()[cell.scenario].control}
        assert {cell for cell in cells if cell.target == DIRECT} == wanted


def test_every_machine_plans_alike():
    first, second = (plan_matrix(selected(*names, out=Path(out)), 2) for names, out in ((TARGETS, "a"), (TARGETS, "b")))
    assert first.plan == second.plan
    assert first.plan.digest != plan_matrix(selected(revisions=REVISIONS[:1]), 2).plan.digest


def test_what_does_harm_is_driven_once_where_several_revisions_are_asked_for():
    once = plan_matrix(selected(frugal=True), 2).plan.driven_once
    assert once
    assert {scenarios()[name].kind for name in once} == {ScenarioKind.DESTRUCTIVE}
    assert not plan_matrix(selected(), 2).plan.driven_once
    assert not plan_matrix(selected(frugal=True, revisions=REVISIONS[:1]), 2).plan.driven_once


def test_other_expectations_are_another_plan():
    known = Expectations((Known("passthrough", "MGC301", "x", "seen", "not reported"),))
    changed = plan_matrix(selected(expectations=known), 2).plan
    assert changed.parts["the baselines"] != plan_matrix(selected(), 2).plan.parts["the baselines"]


def test_a_shard_expects_what_its_own_targets_are_known_for():
    known = Expectations(tuple(Known(name, "MGC301", "x", "seen", "not reported") for name in TARGETS))
    planned = plan_matrix(selected(expectations=known), 3)
    own = planned.selection(Shard(1, 3))
    assert [entry.target for entry in own.expectations.known] == list(planned.plan.shares[0])


def test_a_part_of_a_target_is_no_standard_run_and_a_whole_one_is():
    backends = tuple(map(load_backend, ("witness", "everything")))
    whole = Selection((load_target("passthrough"),), backends, "process", Path("out"), revisions=REVISIONS)
    assert is_standard(plan_matrix(whole, 1).selection(Shard(1, 1)))
    assert plan_matrix(whole, 2).plan.standard
    assert not is_standard(plan_matrix(whole, 2).selection(Shard(1, 2)))


def test_a_matrix_without_cells_is_refused():
    with pytest.raises(NothingRanError, match="widen --target"):
        plan_matrix(selected(suites=()), 1)


@pytest.mark.parametrize(
    ("names", "clients"),
    [((), {"driver", *known_clients()}), (("driver",), {"driver"}), (("reference",), {"reference"})],
)
def test_the_clients_asked_for_decide_which_suites_are_driven(names, clients):
    real, suites = commands._clients(names, SUITES)
    whole = selected("passthrough", suites=suites, clients=real)
    assert {item.name for item in plan_matrix(whole, 1).plan.clients} == clients
    assert set(DEFAULT_SUITES) <= set(suites) or "driver" not in clients


def test_a_real_client_is_named_as_its_manifest_names_it():
    plan = plan_matrix(selected("passthrough", suites=("clients", "get_sse"), clients=("python-mcp",)), 1).plan
    assert [item.name for item in plan.clients] == ["driver", "python-mcp"]
    assert plan.clients[1].version == load_client("python-mcp").version
    assert plan.client_of("client-python-mcp-lasting") == "python-mcp"
    assert plan.client_of("get-in-session") == "driver"
    assert "client python-mcp" in plan.parts


# a shard's run --------------------------------------------------------------------------------------------------------


def test_a_shard_with_nothing_to_do_is_whole(tmp_path, capsys):
    quick = selected("passthrough", out=tmp_path, suites=("keep_alive",), quick=True, revisions=REVISIONS[:1])
    planned = plan_matrix(quick, 9)
    part = next(part for part, share in enumerate(planned.shares, 1) if not share)
    file, status = run_shard(planned, Shard(part, 9))
    assert status is ExitCode.OK
    assert "nothing to drive" in capsys.readouterr().out
    assert read_shard(file).report.results == ()


def test_a_shards_file_holds_the_run_and_the_plan(tmp_path, monkeypatch):
    planned = plan_matrix(selected(out=tmp_path), 2)
    asked = []

    def execute(selection):
        asked.append(selection)
        write(selection.out / "report.jsonl", result(), exit_code=1)
        return ExitCode.UNEXPECTED

    monkeypatch.setattr(matrices, "execute", execute)
    file, status = run_shard(planned, Shard(2, 2))
    assert (status, file.name) == (ExitCode.UNEXPECTED, "shard-2-of-2.jsonl")
    assert asked == [planned.selection(Shard(2, 2))]
    assert read_shard(file).plan == planned.plan


# the command ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def ran(monkeypatch, tmp_path):
    """The shards that would have been run, each of which then has one passing result."""
    taken = []

    def run(planned, shard):
        taken.append((planned, shard))
        selection = planned.selection(shard)
        selection.out.mkdir(parents=True, exist_ok=True)
        write(selection.out / "report.jsonl", result(target=selection.targets[0].name))
        file = matrices.shard_file(selection.out, shard)
        matrices.write_shard(file, shard, planned.plan, {}, selection.out / "report.jsonl")
        return file, ExitCode.OK

    monkeypatch.setattr(commands, "run_shard", run)
    monkeypatch.setattr(commands, "choose_runtime", lambda _: "containers")
    monkeypatch.chdir(tmp_path)
    return taken


def test_without_arguments_every_gateway_is_driven_on_every_revision_of_the_fleet(ran, capsys):
    assert cli(capsys, "matrix").code == 0
    ((planned, shard),) = ran
    assert shard == Shard(1, 1)
    assert {"fastmcp-proxy", "mcp-proxy", "supergateway"} <= {item.name for item in planned.plan.gateways}
    assert planned.whole.revisions == commands.REVISIONS
    assert {target.name for target in planned.whole.targets} == {
        name for share in planned.plan.shares for name in share
    }
    assert [item.name for item in planned.plan.backends] == ["witness", "everything"]
    assert (planned.whole.runtime, planned.whole.resume) == ("containers", False)
    assert json.loads(Path("reports/fleet/fleet.json").read_text())["plan"] == planned.plan.digest


def test_options_reach_the_plan(ran, capsys):
    arguments = (
        *("--target", "passthrough", "--backend", "witness", "--revision", "2025-06-18", "--suite", "get_sse"),
        *("--client", "driver", "--resume", "--quick", "--runtime", "process", "--fail-on", "must"),
        *("--out", "o", "--fleet", "f"),
    )
    assert cli(capsys, "matrix", *arguments).code == 0
    whole = ran[0][0].whole
    assert (whole.resume, whole.quick, whole.runtime, whole.out) == (True, True, "process", Path("o"))
    assert (whole.revisions, whole.suites, whole.expectations.fail_on) == (("2025-06-18",), ("get_sse",), "must")
    assert Path("f/index.html").is_file()


def test_a_shard_leaves_the_fleet_to_merge(ran, capsys):
    assert cli(capsys, "matrix", "--target", "passthrough", "--target", "terminating", "--shard", "1/2").code == 0
    assert not Path("reports/fleet").exists()
    assert Path("reports/latest/matrix/shard-1-of-2.jsonl").is_file()


BAD = {
    "no shard": (("--shard", "9/8"), "write it as K/N"),
    "unknown client": (("--client", "driver", "--client", "pyton-mcp"), "no client named 'pyton-mcp'"),
    "unknown target": (("--target", "mcp-prxy"), "did you mean 'mcp-proxy'?"),
}


@pytest.mark.parametrize(("arguments", "said"), BAD.values(), ids=list(BAD))
def test_bad_input_is_one_sentence(ran, capsys, arguments, said):
    assert said in cli(capsys, "matrix", *arguments).sentence(ExitCode.USAGE)
    assert ran == []


# the order of work ----------------------------------------------------------------------------------------------------


def test_the_longest_work_starts_first_whatever_its_target():
    selection = selected()
    targets = {item.name: item for item in selection.targets}
    found = lanes(cells_of(selection), targets)
    assert sorted(cell for lane in found for cell in lane) == sorted(cells_of(selection))
    shared = [lane for lane in found if scenarios()[lane[0].scenario].kind is not ScenarioKind.DESTRUCTIVE]
    waits = [max(scenarios()[cell.scenario].seconds for cell in lane) for lane in shared]
    assert max(waits) in waits[: 3 * len(TARGETS) * len(REVISIONS)]
    assert len(shared[0]) > 1
    assert len({lane[0].target for lane in shared[: 2 * len(TARGETS) * len(REVISIONS)]}) > 1


def test_controls_start_first_as_verdicts_wait_for_them():
    selection = selected()
    found = lanes(cells_of(selection), {item.name: item for item in selection.targets})
    controls = [lane[0].target == DIRECT for lane in found]
    assert True in controls
    assert controls == sorted(controls, reverse=True)


def test_the_destructive_cells_of_a_target_are_one_chain_of_work():
    selection = selected()
    found = lanes(cells_of(selection), {item.name: item for item in selection.targets})
    harm = [scenarios()[lane[0].scenario].kind is ScenarioKind.DESTRUCTIVE for lane in found]
    assert harm.index(True) < len(harm) - 1 - harm[::-1].index(False), "each alone is shorter than any shared lane"


def test_cells_share_an_instance_only_with_their_like():
    selection = selected()
    for lane in lanes(cells_of(selection), {item.name: item for item in selection.targets}):
        assert len({(cell.target, cell.backend, cell.revision) for cell in lane}) == 1
        kinds = {scenarios()[cell.scenario].kind for cell in lane}
        assert len(kinds) == 1
        assert len(lane) == 1 or ScenarioKind.DESTRUCTIVE not in kinds or all(_renews(cell) for cell in lane)


def test_a_frugal_run_has_one_instance_for_what_leaves_it_whole():
    selection = selected(suites=(*DEFAULT_SUITES, CLIENTS), frugal=True)
    cells, targets = cells_of(selection), {item.name: item for item in selection.targets}
    found = lanes(cells, targets, frugal=True)
    assert sorted(cell for lane in found for cell in lane) == sorted(cells)
    assert len(found) < len(lanes(cells, targets))
    kinds = [[scenarios()[cell.scenario].kind for cell in lane] for lane in found]
    places = Counter(
        (lane[0].target, lane[0].backend, lane[0].revision)
        for lane, kind in zip(found, kinds, strict=True)
        if IDLE in kind or ScenarioKind.EXCLUSIVE in kind
        if scenarios()[lane[0].scenario].spin_up is None
    )
    assert set(places.values()) == {1}
    for lane, kind in zip(found, kinds, strict=True):
        assert kind == sorted(kind, key=(ScenarioKind.EXCLUSIVE, IDLE, ScenarioKind.DESTRUCTIVE).index)
        harm = [
            scenarios()[cell.scenario] for cell in lane if scenarios()[cell.scenario].kind is ScenarioKind.DESTRUCTIVE
        ]
        assert len(lane) == 1 or all(item.follows or item.renews for item in harm)
        assert len({item.renews for item in harm}) <= 1, "those that restart the gateway take long, and are a lane"


def test_what_counts_what_is_left_behind_has_a_fresh_instance_in_a_frugal_run_too():
    selection = selected(frugal=True)
    found = lanes(cells_of(selection), {item.name: item for item in selection.targets}, frugal=True)
    alone = {lane[0].scenario for lane in found if len(lane) == 1}
    assert {"clients-come-and-go", "clients-vanish", "late-backend", "paged-list"} <= alone


def test_idle_cells_of_a_lane_are_driven_at_one_time():
    selection = selected()
    for lane in lanes(cells_of(selection), {item.name: item for item in selection.targets}, frugal=True):
        found = list(batches(lane))
        assert [cell for batch in found for cell in batch] == lane
        assert all(len(batch) == 1 or scenarios()[cell.scenario].kind is IDLE for batch in found for cell in batch)
        assert sum(scenarios()[batch[0].scenario].kind is IDLE for batch in found) <= 1


def test_cells_that_start_the_gateway_anew_follow_each_other_on_one_instance():
    selection = selected(suites=(*DEFAULT_SUITES, CLIENTS))
    found = lanes(cells_of(selection), {item.name: item for item in selection.targets})
    renewing = [lane for lane in found if _renews(lane[0])]
    places = {(lane[0].target, lane[0].backend, lane[0].revision, lane[0].backend_revision) for lane in renewing}
    assert any(len(lane) > 1 for lane in renewing)
    assert len(places) == len(renewing)


def _renews(cell):
    return scenarios()[cell.scenario].renews


def test_a_slow_start_counts():
    slow = load_target("passthrough")
    slow = slow.model_copy(update={"ready": slow.ready.model_copy(update={"seconds": 120.0})})
    assert start_up(slow) > start_up(load_target("passthrough")) > start_up(None)
