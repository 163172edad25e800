"""`list` and `explain`: the machine-readable shapes and what people are told."""

import pytest
from cli_setup import cli

from conformance.commands.explain import doc_sections
from conformance.diagnosis.classify import UNCLASSIFIED
from conformance.diagnosis.failure_classes import failure_classes
from conformance.errors import CannotJudgeError, ExitCode
from conformance.rules.all import rules
from conformance.rules.base import DOCSTRING_HEADINGS
from conformance.spec.catalogue import Excuse, requirements
from conformance.stage import mutants as mutants_module
from conformance.stage.mutants import mutants

SHAPES = {
    "rules": {
        "id": str,
        "title": str,
        "level": str,
        "requirements": list,
        "suite": str,
        "revisions": list,
        "mutants": list,
        "failure_classes": list,
    },
    "requirements": {
        "id": str,
        "level": str,
        "revisions": list,
        "rules": list,
        "excused": (str, type(None)),
    },
    "failure-classes": {"id": str, "title": str, "hop": str, "mutants": list},
    "mutants": {"id": str, "title": str, "benign": bool, "rules": list, "failure_class": (str, type(None))},
    "targets": {"id": str, "title": str, "version": str, "fronts": list, "baseline": bool},
    "suites": {"id": str, "rules": list, "scenarios": list},
    "edges": {"id": str, "title": str, "version": str, "from": str, "cannot": list},
    "clients": {"id": str, "title": str, "version": str, "steps": list, "real": bool},
}


@pytest.mark.parametrize("what", SHAPES)
def test_json_is_one_array_of_the_published_shape(capsys, what):
    records = cli(capsys, "list", what, "--json").json
    assert isinstance(records, list)
    assert records
    for record in records:
        for name, kind in SHAPES[what].items():
            assert isinstance(record[name], kind), (name, record)
    ids = [record["id"] for record in records]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("what", SHAPES)
def test_the_table_names_every_id(capsys, what):
    ids = [record["id"] for record in cli(capsys, "list", what, "--json").json]
    shown = cli(capsys, "list", what)
    assert shown.code == 0
    assert [name for name in ids if name not in shown.out] == []


def test_records_agree_with_each_other(capsys):
    by = {what: {item["id"]: item for item in cli(capsys, "list", what, "--json").json} for what in SHAPES}
    for rule in by["rules"].values():
        assert set(rule["requirements"]) <= set(by["requirements"])
        assert set(rule["failure_classes"]) <= set(by["failure-classes"])
        assert all(rule["id"] in by["requirements"][row]["rules"] for row in rule["requirements"])
        assert all(rule["id"] in by["mutants"][mutant]["rules"] for mutant in rule["mutants"])
    for mutant in by["mutants"].values():
        assert set(mutant["rules"]) <= set(by["rules"])
        if mutant["failure_class"] not in {None, UNCLASSIFIED}:
            assert mutant["id"] in by["failure-classes"][mutant["failure_class"]]["mutants"]
    assert {row["excused"] for row in by["requirements"].values()} <= {None, *map(str, Excuse)}


def test_unknown_list(capsys):
    assert "did you mean 'rules'?" in cli(capsys, "list", "rulez").sentence(ExitCode.USAGE)


def test_mutants_are_loaded_with_their_targets(capsys):
    assert {mutant.name for mutant in mutants()} == {f"mutant:{mutant.id}" for mutant in mutants()}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('id = "other"\ntitle = "t"\nbenign = true\nbase = "passthrough"', "after its folder"),
        (
            'id = "m"\ntitle = "t"\nbenign = true\nbase = "passthrough"\nrules = ["MGC301"]',
            "benign mutant fails nothing",
        ),
        ('id = "m"\ntitle = "t"\nbenign = false\nbase = "passthrough"', "rules"),
        ('id = "m"\ntitle = "t"\nbenign = true\nbase = "nginx"', "nginx"),
        ('id = "m"\ntitle = "t"\nbenign = true\nbase = "passthrough"\nrule = "x"', "unknown key"),
    ],
)
def test_a_malformed_mutant_is_named(tmp_path, monkeypatch, text, said):
    folder = tmp_path / "mutants" / "m"
    folder.mkdir(parents=True)
    (folder / "mutant.toml").write_text(text)
    monkeypatch.setattr(mutants_module, "FIXTURES", tmp_path)
    with pytest.raises(CannotJudgeError, match=said):
        mutants.__wrapped__()


def test_explain_a_rule_shows_its_docstring(capsys):
    for rule in rules():
        shown = cli(capsys, "explain", rule.id)
        assert shown.code == 0
        assert rule.title in shown.out
        assert all(heading in shown.out for heading, _ in doc_sections(rule.doc))


def test_every_section_of_a_docstring_is_found():
    doc = "Judge.\n\n" + "\n".join(f"{heading}: one\ntwo: three" for heading in DOCSTRING_HEADINGS)
    assert doc_sections(doc) == [(heading, "one\ntwo: three") for heading in DOCSTRING_HEADINGS]


def test_explain_a_requirement(capsys):
    row = next(row for row in requirements() if row.id == "GET-03")
    shown = cli(capsys, "explain", row.id).out
    assert row.text in shown
    assert row.source in shown
    assert "MGC301" in shown


def test_explain_a_failure_class(capsys):
    known = next(item for item in failure_classes() if item.id == "get-sse-dead-stream")
    shown = cli(capsys, "explain", known.id).out
    assert known.remedy in shown
    assert all(neighbour.separated_by in shown for neighbour in known.neighbours)


def test_explain_something_unknown(capsys):
    assert "did you mean 'MGC301'?" in cli(capsys, "explain", "mgc-301").sentence(ExitCode.USAGE)
    assert "`list rules`" in cli(capsys, "explain", "zzzzzzzz").sentence(ExitCode.USAGE)
