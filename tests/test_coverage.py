"""The catalogue is closed for the revisions with a handshake: each row is covered, or excused for a reason."""

import pytest

from conformance.coverage import Coverage, coverage_of, covering_mutants, legacy_rows
from conformance.spec.catalogue import excuses, requirements
from conformance.stage.mutants import mutants

MOST_EXCUSED = 25


@pytest.mark.parametrize("row", legacy_rows(), ids=[row.id for row in legacy_rows()])
def test_a_legacy_row_is_covered_or_excused(row):
    assert coverage_of(row) is not Coverage.OPEN


def test_few_are_excused():
    assert sum(coverage_of(row) is Coverage.EXCUSED for row in legacy_rows()) <= MOST_EXCUSED


def test_nothing_is_excused_that_is_covered():
    assert set(excuses()) & set(covering_mutants()) == set()


def test_no_practice_row_is_open():
    rows = {row.id for row in requirements() if str(row.level) == "PRACTICE" and coverage_of(row) is Coverage.OPEN}
    assert rows == set()


def test_mutants_name_rows_that_a_rule_of_theirs_cites():
    stray = [(m.id, row) for m in mutants() for row in m.requirements if m.id not in covering_mutants().get(row, ())]
    assert stray == []
