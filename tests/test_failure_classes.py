"""The failure classes as data."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from conformance.diagnosis import failure_classes as module
from conformance.diagnosis.failure_classes import Family, Severity, failure_class, failure_classes
from conformance.errors import CannotJudgeError, UsageError
from conformance.evidence.events import Hop

if TYPE_CHECKING:
    from pathlib import Path


def test_all_classes_are_there_and_unique() -> None:
    ids = [known.id for known in failure_classes()]
    assert len(ids) >= 70
    assert len(set(ids)) == len(ids)
    assert [class_id for class_id in ids if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", class_id)] == []
    assert len({known.title for known in failure_classes()}) == len(ids)


def test_the_vocabularies_are_closed_and_used() -> None:
    assert {known.family for known in failure_classes()} == set(Family)
    assert {known.severity for known in failure_classes()} == set(Severity)
    assert all(known.hop in known.hops for known in failure_classes())


def test_the_harness_is_never_a_class_s_hop() -> None:
    assert [known.id for known in failure_classes() if Hop.HARNESS in known.hops] == []


def test_every_class_is_separated_from_a_neighbour_and_from_none_twice() -> None:
    for known in failure_classes():
        neighbours = [neighbour.id for neighbour in known.neighbours]
        assert neighbours, known.id
        assert len(set(neighbours)) == len(neighbours), known.id
        assert known.id not in neighbours


def test_confusion_is_mutual() -> None:
    pairs = {(known.id, neighbour.id) for known in failure_classes() for neighbour in known.neighbours}
    assert {pair for pair in pairs if pair[::-1] not in pairs} == set()


def test_each_separation_is_one_sentence_about_both_classes() -> None:
    for known in failure_classes():
        for neighbour in known.neighbours:
            sentence = neighbour.separated_by
            assert sentence.startswith("Here "), (known.id, neighbour.id)
            assert "; there" in sentence, (known.id, neighbour.id)
            assert re.search(r"\. [A-Z]", sentence) is None, (known.id, neighbour.id)
            assert sentence.endswith("."), (known.id, neighbour.id)


def test_public_reports_are_named_once_per_class() -> None:
    for known in failure_classes():
        assert len(set(known.seen)) == len(known.seen), known.id


def test_failure_class_finds_by_id_and_says_so_when_there_is_none() -> None:
    assert failure_class("initialize-hang").severity is Severity.CRITICAL
    with pytest.raises(UsageError, match="no failure class 'bad-luck'"):
        failure_class("bad-luck")


GOOD_CLASS = """\
[[class]]
id = "one"
family = "session"
title = "t"
hop = "gateway"
hops = ["gateway"]
severity = "low"
symptoms = ["s"]
why = "w"
signature = "s"
remedy = "r"
seen = ["owner/repository#1"]
neighbours = [{ id = "two", separated_by = "Here a; there b." }]
"""
OTHER_CLASS = GOOD_CLASS.replace('"one"', '"two"').replace('{ id = "two"', '{ id = "one"')


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('hop = "gateway"', 'hop = "proxy"', "`hop` is 'proxy', which is none of client, edge"),
        ('hop = "gateway"', 'hop = "edge"', "`hop` is edge, which `hops` does not list"),
        ('{ id = "two"', '{ id = "three"', "the neighbour 'three' is not another class"),
        ('{ id = "two"', '{ id = "one"', "the neighbour 'one' is not another class"),
        ('id = "one"', 'id = "two"', "the id two occurs twice"),
        ("separated_by", "because", "unknown key `because`"),
        ('severity = "low"', 'severity = "mild"', "`severity` is 'mild'"),
    ],
)
def test_a_malformed_class_is_named(
    old: str, new: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "failure_classes.toml"
    file.write_text(GOOD_CLASS.replace(old, new, 1) + OTHER_CLASS, encoding="utf-8")
    monkeypatch.setattr(module, "_FILE", file)
    with pytest.raises(CannotJudgeError, match=re.escape(said)) as caught:
        failure_classes.__wrapped__()
    assert str(caught.value).startswith("failure_classes.toml")
