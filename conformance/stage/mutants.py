"""The mutants: variants of the reference gateways with exactly one fault, or with none that matters (benign).

Each has a folder `fixtures/mutants/ID` with `target.toml` (the target `mutant:ID`) and `mutant.toml` (what is wrong
with it, and which rules must say so). Where the fault is that of an edge, `scenario` names the one that puts it before
the gateway, and without a `target.toml` that is the reference gateway itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Final

from conformance.paths import FIXTURES
from conformance.spec.revisions import STREAMABLE_LEGACY
from conformance.spec.rows import read
from conformance.stage.manifest import MUTANT_PREFIX

LATEST: Final = STREAMABLE_LEGACY[-1]
"""Revision a mutant is driven with unless it says otherwise."""


class Base(StrEnum):
    """The healthy gateway that a mutant is a variant of."""

    PASSTHROUGH = "passthrough"
    TERMINATING = "terminating"


@dataclass(frozen=True, slots=True)
class Mutant:
    """One variant.

    rules: ids that must fail on it; requirements: the rows it violates; failure_class: what it must be classified as.
    revision: the one it is driven with, where its fault is one of an older revision. scenario: the only one that it is
    judged by, empty for all. own_target: whether it has a gateway of its own.
    A benign one must fail nothing: its rules and requirements are empty and its failure class is None.
    """

    id: str
    title: str
    benign: bool
    base: Base
    rules: tuple[str, ...]
    failure_class: str | None
    requirements: tuple[str, ...]
    revision: str
    scenario: str = ""
    own_target: bool = True

    @property
    def name(self) -> str:
        """What it is called beside gateways."""
        return f"{MUTANT_PREFIX}{self.id}"

    @property
    def target(self) -> str:
        """Name of the target it is started as."""
        return self.name if self.own_target else str(self.base)


@cache
def mutants() -> tuple[Mutant, ...]:
    """Return every mutant, by id. Raises CannotJudgeError naming file and key when one is malformed."""
    return tuple(_mutant(file) for file in sorted(FIXTURES.glob("mutants/*/mutant.toml")))


def _mutant(file: Path) -> Mutant:
    row = read(file)
    row.allow_only("id", "title", "benign", "base", "rules", "failure_class", "requirements", "revision", "scenario")
    benign = row.flag("benign")
    if row.text("id") != file.parent.name:
        raise row.error(f"{file}: `id` must be {file.parent.name!r}, after its folder")
    faults = ("rules", "failure_class", "requirements")
    if benign and any(row.cells.get(key) for key in faults):
        raise row.error(f"{file}: a benign mutant fails nothing, so it names no {', '.join(faults)}")
    return Mutant(
        id=row.text("id"),
        title=row.text("title"),
        benign=benign,
        base=row.member("base", Base),
        rules=() if benign else row.texts("rules"),
        failure_class=None if benign else row.text("failure_class"),
        requirements=() if benign else row.texts("requirements"),
        revision=row.text("revision") if "revision" in row.cells else LATEST,
        scenario=row.text("scenario") if "scenario" in row.cells else "",
        own_target=(file.parent / "target.toml").is_file(),
    )
