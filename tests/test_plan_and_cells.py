"""Cells, the plan file that carries them to the engine child, and which cells a selection has."""

from pathlib import Path

import pytest

from conformance import timing
from conformance.errors import NothingRanError, UsageError
from conformance.running import Selection, begin, cells_of
from conformance.stage.manifest import load_backend, load_target
from conformance.stage.plan import DIRECT, Cell, Plan, UrlTarget
from conformance.stage.scenario import ScenarioKind, scenarios

REVISION = "2025-11-25"
CELL = Cell("mutant:x", "process", "witness", REVISION, "2025-06-18", "idle-get")


def cells(*targets, backends=("witness",), **more):
    chosen = {"runtime": "process", "out": Path("out"), **more}
    return cells_of(Selection(tuple(map(load_target, targets)), tuple(map(load_backend, backends)), **chosen))


def names(found, target=None):
    return {cell.scenario for cell in found if target is None or cell.target == target}


def backends_of(found, scenario, target):
    return {cell.backend for cell in found if (cell.scenario, cell.target) == (scenario, target)}


def test_a_cells_id_names_it_and_comes_back():
    assert CELL.id == "mutant:x/process/witness/2025-11-25/2025-06-18/idle-get"
    assert Cell.parse(CELL.id) == CELL


@pytest.mark.parametrize("text", ["", "a/b/c/d/e", "a/b/c/d/e/f/g"])
def test_what_is_no_cell_id_is_refused(text):
    with pytest.raises(ValueError, match="unpack"):
        Cell.parse(text)


def test_a_slug_is_a_file_name():
    assert CELL.slug == "mutant_x__process__witness__2025-11-25__2025-06-18__idle-get"
    assert "/" not in Cell("../../etc", *(["a b\n"] * 5)).slug


def test_a_control_cell_differs_by_its_target_only():
    assert CELL.control == Cell(DIRECT, *CELL.id.split("/")[1:])


@pytest.mark.parametrize("url", [None, UrlTarget("http://127.0.0.1:1/mcp", {"Authorization": "NAME"})])
def test_a_plan_comes_back_as_it_was_written(tmp_path, url):
    plan = Plan("id", "out", "work", "process", (CELL, CELL.control), {"t": {"name": "t"}}, {"t": "/f"}, url, ("A",))
    plan.write(tmp_path / "plan.json")
    assert Plan.read(tmp_path / "plan.json") == plan


@pytest.mark.parametrize("name", [DIRECT, "url"])
def test_no_target_is_called_as_the_cells_without_one(tmp_path, name):
    file = tmp_path / "target.toml"
    file.write_text(f'name = "{name}"\ntitle = "t"\nversion = "1"\n[start]\ncommand = ["gw", "{{backend_url}}"]\n')
    with pytest.raises(UsageError, match="means"):
        load_target(file)


def test_cells_are_in_a_stable_order_and_each_is_there_once():
    found = cells("terminating", "passthrough", backends=("everything", "witness"))
    assert list(found) == sorted(set(found))


def test_quick_leaves_out_what_waits_or_wants_a_gateway_of_its_own():
    quick = [scenarios()[name] for name in names(cells("passthrough", quick=True))]
    assert quick
    assert all(item.seconds <= timing.QUICK_LIMIT and item.kind is not ScenarioKind.DESTRUCTIVE for item in quick)
    assert {"idle-get", "malformed-initialize"} <= names(cells("passthrough"))


@pytest.mark.parametrize(
    ("given", "kept"), [(("everything", "witness"), {"witness"}), (("everything",), {"everything"})]
)
def test_quick_keeps_to_the_witness_where_there_is_one(given, kept):
    assert {cell.backend for cell in cells("passthrough", backends=given, quick=True)} == kept


def test_a_suite_and_a_rule_narrow_the_scenarios():
    assert {scenarios()[name].suite for name in names(cells("passthrough", suites=("get_sse",)))} == {"get_sse"}
    assert names(cells("passthrough", rules=("MGC305",))) == {"second-get"}
    assert cells("passthrough", rules=("MGC305",), suites=("keep_alive",)) == ()


def test_an_empty_selection_is_not_driven():
    selection = Selection((load_target("passthrough"),), (), "process", Path("out"))
    with pytest.raises(NothingRanError, match="nothing to drive"):
        begin(selection)


def test_a_target_meets_the_backends_whose_face_it_fronts():
    scenario, three = "get-in-session", ("witness", "everything", "time")
    assert backends_of(cells("passthrough", backends=three), scenario, "passthrough") == {"witness", "everything"}
    assert backends_of(cells("supergateway", backends=three), scenario, "supergateway") == set(three)


def test_a_target_that_fronts_both_faces_is_not_driven_with_half_of_them():
    assert cells("terminating", backends=("time",), suites=("get_sse",)) == ()
    assert backends_of(cells("terminating-stdio", backends=("time",)), "get-in-session", "terminating-stdio") == {
        "time"
    }


def test_a_backend_that_speaks_stdio_alone_is_not_driven_straight():
    found = cells("supergateway", backends=("time", "witness"))
    assert {cell.backend for cell in found if cell.target == DIRECT} == {"witness"}


def test_the_old_transport_behind_a_gateway_is_driven_with_each_backend_that_serves_it():
    found = cells("passthrough", backends=("witness", "everything", "python-mcp"))
    assert backends_of(found, "backend-of-the-old-transport", "passthrough") == {"witness", "everything"}
    assert backends_of(found, "backend-refuses-for-other-reasons", "passthrough") == {"witness"}


def test_what_needs_the_witness_is_driven_with_nothing_else():
    found = cells("passthrough", backends=("witness", "everything"))
    assert backends_of(found, "long-call", "passthrough") == {"witness"}
    assert "long-call" not in names(cells("passthrough", backends=("everything",)))


def test_a_script_without_the_targets_face_is_left_out():
    assert "backend-forgets-session" in names(cells("passthrough"))
    assert "backend-forgets-session" not in names(cells("supergateway"))


def test_only_an_http_backend_can_come_late():
    assert "late-backend" in names(cells("passthrough"))
    assert "late-backend" not in names(cells("supergateway"))
    assert "late-backend" not in names(cells("terminating", backends=("time",)))


def test_a_target_of_the_old_transport_alone_is_driven_in_its_revision_only():
    assert cells("supergateway-sse", revisions=("2025-06-18", "2025-11-25")) == ()
    found = names(cells("supergateway-sse", revisions=("2024-11-05",)))
    assert found >= {"http-sse-session", "http-sse-two-clients"}
    assert "backend-of-the-old-transport" not in found


@pytest.mark.parametrize("runtime", ["process", "containers"])
def test_spin_up_has_cells_in_every_runtime_for_gateways_that_start_containers(runtime):
    found = cells("terminating", "passthrough", suites=("spin_up",), runtime=runtime, spin_up_backend="time")
    assert {cell.target for cell in found} == {"terminating"}
    assert backends_of(found, "spin-up-session", "terminating") == {"time"}
    assert backends_of(found, "spin-up-exits-at-once", "terminating") == {"witness"}


def test_controls_are_shared_and_only_where_the_scenario_has_one():
    found = cells("passthrough", "terminating")
    known = scenarios()
    assert names(found, DIRECT) == {name for name in names(found) if known[name].control}
    assert sum(cell.target == DIRECT and cell.scenario == "get-in-session" for cell in found) == 1


def test_a_url_is_driven_without_our_backend_and_without_harm():
    url = {"url": UrlTarget("http://127.0.0.1:1/mcp")}
    known, found = scenarios(), cells(backends=(), **url)
    assert {(cell.target, cell.backend) for cell in found} == {("url", "unseen")}
    driven = [known[name] for name in names(found)]
    assert driven
    assert not any(item.needs_witness or item.late_backend or item.spin_up for item in driven)
    assert not any(item.kind is ScenarioKind.DESTRUCTIVE for item in driven)
    more = names(cells(backends=(), allow_destructive=True, **url)) - names(found)
    assert more
    assert {known[name].kind for name in more} == {ScenarioKind.DESTRUCTIVE}


def test_credentials_are_tried_where_the_target_names_those_of_two_users():
    assert "credentials" in names(cells("mutant:bearer_tokens"))
    assert "credentials" not in names(cells("terminating"))
    assert "credentials" not in names(cells(backends=(), url=UrlTarget("http://127.0.0.1:1/mcp")))


def test_real_clients_are_driven_only_where_they_are_asked_for():
    suite = {"suites": ("clients",)}
    assert not any(scenarios()[name].client for name in names(cells("passthrough")))
    assert names(cells("passthrough", clients=("reference",), **suite)) == {
        "client-reference",
        "client-reference-lasting",
    }
    assert "client-claude-code-2.1.49" in names(cells("passthrough", **suite))


def test_a_client_is_driven_in_the_revisions_that_it_proposes():
    older = names(cells("passthrough", suites=("clients",), revisions=("2025-06-18",)))
    assert "client-reference" in older
    assert "client-python-mcp" not in older


def test_harm_is_done_once_on_the_newest_revision_and_before_the_witness():
    asked = {"backends": ("witness", "everything"), "revisions": ("2025-06-18", "2025-11-25")}
    every, once = cells("terminating", **asked), cells("terminating", **asked, frugal=True)
    harmful = {name for name, item in scenarios().items() if item.kind is ScenarioKind.DESTRUCTIVE}
    done = [cell for cell in once if cell.scenario in harmful and cell.target != DIRECT]
    older = {cell for cell in every if (cell.backend, cell.revision) == ("everything", "2025-06-18")}
    assert {cell for cell in every if cell.scenario not in harmful} - set(once) == {
        cell for cell in older if cell.scenario not in harmful
    }
    assert names(once) == names(every)
    assert len(done) == len({cell.scenario for cell in done}) == len(names(every, "terminating") & harmful)
    assert {cell.revision for cell in done} == {"2025-11-25"}
    assert "everything" not in {cell.backend for cell in done}


def test_a_scenario_says_whether_it_is_about_a_start():
    about = {name for name, item in scenarios().items() if item.about_start}
    assert {"spin-up-session", "second-backend-silent"} <= about
    assert not {"get-in-session", "tools-of-two-backends"} & about
