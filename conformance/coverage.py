"""Which rows of the catalogue are covered: a mutant tagged with the row fails a rule that cites it.

`mutants` shows that it really does; here only what the data says is compared.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from functools import cache

from conformance.rules.all import rule_named
from conformance.spec.catalogue import Requirement, excuses, requirements
from conformance.spec.revisions import is_legacy
from conformance.stage.mutants import mutants


class Coverage(StrEnum):
    """How a row stands."""

    COVERED = "covered"
    EXCUSED = "excused"
    OPEN = "open"


@cache
def covering_mutants() -> Mapping[str, tuple[str, ...]]:
    """Return, by row, the mutants that are tagged with it and fail a rule that cites it."""
    found: dict[str, list[str]] = {}
    for mutant in mutants():
        cited = {row for rule in map(rule_named, mutant.rules) if rule is not None for row in rule.requirements}
        for row in cited & set(mutant.requirements):
            found.setdefault(row, []).append(mutant.id)
    return {row: tuple(ids) for row, ids in found.items()}


def coverage_of(row: Requirement) -> Coverage:
    """Return how a row stands; one that is covered needs no excuse."""
    if row.id in covering_mutants():
        return Coverage.COVERED
    return Coverage.EXCUSED if row.id in excuses() else Coverage.OPEN


def legacy_rows() -> tuple[Requirement, ...]:
    """Return the rows of the specification, not of practice, that hold on a revision with a handshake."""
    return tuple(
        row
        for row in requirements()
        if str(row.level) != "PRACTICE" and any(is_legacy(revision) for revision in row.revisions)
    )
