"""The requirement catalogue, its excuses, the revisions and the profiles."""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from conformance.diagnosis.failure_classes import failure_classes
from conformance.errors import CannotJudgeError, UsageError
from conformance.spec import catalogue, profiles
from conformance.spec.catalogue import Excuse, Level, Requirement, Side, excuses, requirement, requirements
from conformance.spec.profiles import profile
from conformance.spec.revisions import LEGACY, MODERN, REVISIONS, STREAMABLE_LEGACY, Revision, is_legacy
from conformance.spec.rows import read

if TYPE_CHECKING:
    from pathlib import Path

PRACTICE_FAMILIES = {"AGG", "CLIENT", "EDGE", "FLOW", "INIT", "ISO", "KEEP", "NET", "ROUTE", "SAME", "SESS", "SPIN"}


def spec_rows() -> list[Requirement]:
    return [row for row in requirements() if row.level is not Level.PRACTICE]


def practice_rows() -> list[Requirement]:
    return [row for row in requirements() if row.level is Level.PRACTICE]


def test_the_catalogue_is_complete() -> None:
    rows = spec_rows()
    assert len(rows) == 232
    assert Counter(row.level for row in rows) == {Level.MUST: 134, Level.SHOULD: 59, Level.MAY: 18, Level.INFO: 21}
    assert Counter(revision for row in rows for revision in row.revisions) == {
        Revision.V2024_11_05: 54,
        Revision.V2025_03_26: 103,
        Revision.V2025_06_18: 111,
        Revision.V2025_11_25: 123,
        Revision.V2026_07_28: 148,
    }
    assert Counter(side for row in rows for side in row.sides) == {
        Side.SERVER: 156,
        Side.CLIENT: 97,
        Side.TRANSPARENCY: 48,
    }


def test_ids_are_unique_and_well_formed() -> None:
    ids = [row.id for row in requirements()]
    assert len(set(ids)) == len(ids)
    assert [row_id for row_id in ids if not re.fullmatch(r"[A-Z][A-Z0-9]*-\d\d", row_id)] == []


def test_the_level_is_the_strongest_keyword_of_the_passage() -> None:
    for row in spec_rows():
        strongest = next(
            (level for level in ("MUST", "SHOULD", "MAY") if re.search(rf"\b{level}\b", row.keyword)), "INFO"
        )
        assert row.level == strongest, row.id


def test_revisions_of_a_row_are_a_range_in_order() -> None:
    for row in requirements():
        first = REVISIONS.index(row.revisions[0])
        assert row.revisions == REVISIONS[first : first + len(row.revisions)], row.id


def test_practice_rows_hold_for_legacy_revisions_and_lead_to_a_failure_class() -> None:
    rows = practice_rows()
    assert {row.id.partition("-")[0] for row in rows} == PRACTICE_FAMILIES
    classes = {known.id for known in failure_classes()}
    assert [row.id for row in rows if row.source not in classes] == []
    assert {row.revisions for row in rows} == {LEGACY}


def test_requirement_finds_by_id_and_says_so_when_there_is_none() -> None:
    assert requirement("GET-03").level is Level.MUST
    with pytest.raises(UsageError, match="no requirement 'GET-99'"):
        requirement("GET-99")


def test_every_excuse_has_a_reason_of_the_vocabulary() -> None:
    assert set(excuses().values()) <= set(Excuse)
    assert set(excuses()) <= {row.id for row in requirements()}


def test_the_meaning_of_every_reason_is_written_down() -> None:
    written = tomllib.loads(catalogue._EXCUSED.read_text(encoding="utf-8"))["reasons"]
    assert set(written) == set(Excuse)


def test_excuses_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        excuses()["GET-03"] = "superseded"  # type: ignore[index]


def test_every_profile_loads_and_lists_only_musts_of_its_revision() -> None:
    files = sorted(profiles._FOLDER.glob("*.toml"))
    assert files
    for file in files:
        revision = Revision(file.stem)
        loaded = profile(revision)
        assert loaded.revision is revision
        for listed in loaded.requirements:
            assert requirement(listed).level is Level.MUST
            assert revision in requirement(listed).revisions
        assert not set(loaded.requirements) & set(excuses())


def test_a_revision_without_profile_is_named() -> None:
    with pytest.raises(UsageError, match="2024-11-05 has no profile"):
        profile(Revision.V2024_11_05)


def test_a_profile_refuses_what_is_not_a_must_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profiles, "_FOLDER", tmp_path)
    text = 'revision = "2025-03-26"\nfrozen = false\nrequirements = ["VER-01"]\n'
    (tmp_path / "2025-03-26.toml").write_text(text, encoding="utf-8")
    with pytest.raises(CannotJudgeError, match="VER-01 is not a MUST of revision 2025-03-26"):
        profile(Revision.V2025_03_26)


def test_eras_and_order_of_revisions() -> None:
    assert LEGACY + MODERN == REVISIONS
    assert set(STREAMABLE_LEGACY) < set(LEGACY)
    assert [is_legacy(revision) for revision in REVISIONS] == [True, True, True, True, False]
    assert sorted(REVISIONS) == list(REVISIONS)


GOOD_ROW = """\
[[requirement]]
id = "GET-03"
revisions = ["2025-11-25"]
level = "MUST"
keyword = "MUST"
sides = ["S"]
text = "t"
source = "s"
check = "c"
"""


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"MUST"', '"MUSTN"', "`level` is 'MUSTN', which is none of MUST, SHOULD"),
        ('"2025-11-25"', '"2025-11-26"', "`revisions` is '2025-11-26'"),
        ('["S"]', '["S", "S"]', "`sides` names something twice"),
        ('["S"]', "[]", "`sides` must be an array of at least one string"),
        ('"t"', '" "', "`text` must be a string that is not empty"),
        ('check = "c"', "", "`check` must be a string"),
        ("check", "cheque", "unknown key `cheque`"),
        ("[[requirement]]", "[requirement]", "`requirement` must be an array of tables"),
        ('level = "MUST"', 'level = "PRACTICE"', "PRACTICE rows belong in practice.toml"),
    ],
)
def test_a_malformed_row_is_named(
    old: str, new: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "requirements.toml"
    file.write_text(GOOD_ROW.replace(old, new, 1), encoding="utf-8")
    monkeypatch.setattr(catalogue, "_REQUIREMENTS", file)
    with pytest.raises(CannotJudgeError, match=re.escape(said)) as caught:
        requirements.__wrapped__()
    assert str(caught.value).startswith("requirements.toml")


def test_a_repeated_id_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "requirements.toml"
    file.write_text(GOOD_ROW * 2, encoding="utf-8")
    monkeypatch.setattr(catalogue, "_REQUIREMENTS", file)
    with pytest.raises(CannotJudgeError, match="the id GET-03 occurs twice"):
        requirements.__wrapped__()


def test_an_excuse_for_no_row_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "excused.toml"
    file.write_text('[[excused]]\nid = "GET-99"\nreason = "superseded"\nwhy = "w"\n', encoding="utf-8")
    monkeypatch.setattr(catalogue, "_EXCUSED", file)
    with pytest.raises(CannotJudgeError, match="excused GET-99: no requirement has this id"):
        excuses.__wrapped__()


def test_a_file_that_is_not_toml_is_named(tmp_path: Path) -> None:
    file = tmp_path / "broken.toml"
    file.write_text("[[requirement]\n", encoding="utf-8")
    with pytest.raises(CannotJudgeError, match=r"broken\.toml: cannot be read as TOML"):
        read(file)
