"""What a target is known to fail (its baseline), and what a verdict therefore means for the run.

Known failures still run and must fail with the listed class. A listed rule that passes, an entry that matches nothing
in the catalogue and an unlisted failure all count (habit of connectrpc's conformance runner). Harness errors are never
excused.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from conformance.errors import UsageError
from conformance.evidence.events import JSON, Hop
from conformance.rules.base import Level
from conformance.rules.verdicts import Fail, Pass
from conformance.stage.plan import Cell

if TYPE_CHECKING:
    from conformance.judging import Judgement

Expectation: TypeAlias = Literal[
    "ok",
    "charged-elsewhere",
    "not-judged",
    "known-failure",
    "below-threshold",
    "unexpected-failure",
    "unexpected-pass",
    "wrong-class",
]
NOT_THE_TARGET: Final = (Hop.BACKEND, Hop.CLIENT, Hop.HARNESS)
"""Hops whose failures are shown and diagnosed but do not make a target's run fail."""
COUNTED: Final = ("unexpected-failure", "unexpected-pass", "wrong-class")
"""Expectations that make a run fail."""

_KEYS: Final = frozenset(
    {"rule", "failure_class", "seen", "issue", "scenario", "backend", "runtime", "revision"},
)
_FAIL_ON: Final = {
    "must": (Level.MUST,),
    "should": (Level.MUST, Level.SHOULD, Level.MAY),
    "practice": tuple(Level),
}


@dataclass(frozen=True, slots=True)
class Known:
    """One baseline entry. scenario, backend, runtime and revision are shell-style patterns."""

    target: str
    rule: str
    failure_class: str
    seen: str
    issue: str
    scenario: str = "*"
    backend: str = "*"
    runtime: str = "*"
    revision: str = "*"

    def matches(self, cell: Cell, rule: str) -> bool:
        """Whether the entry speaks of this cell and rule."""
        return (
            self.target == cell.target
            and self.rule == rule
            and fnmatchcase(cell.scenario, self.scenario)
            and fnmatchcase(cell.backend, self.backend)
            and fnmatchcase(cell.runtime, self.runtime)
            and fnmatchcase(cell.revision, self.revision)
        )


@dataclass(frozen=True, slots=True)
class Outcome:
    """A judgement and what it means for the run."""

    judgement: Judgement
    expectation: Expectation
    known: Known | None = None


@dataclass(frozen=True, slots=True)
class Expectations:
    """The baselines of a run's targets and the level from which a failure counts."""

    known: tuple[Known, ...] = ()
    fail_on: str = "practice"

    def outcome(self, judgement: Judgement) -> Outcome:
        """Return what a judgement means for the run."""
        verdict = judgement.verdict
        entry = next((item for item in self.known if item.matches(judgement.cell, judgement.rule.id)), None)
        if isinstance(verdict, Pass):
            return Outcome(judgement, "unexpected-pass" if entry else "ok", entry)
        if not isinstance(verdict, Fail):
            return Outcome(judgement, "not-judged", entry)
        if verdict.charged_to in NOT_THE_TARGET:
            return Outcome(judgement, "charged-elsewhere", entry)
        if entry is not None:
            found = judgement.classified.failure_class if judgement.classified else ""
            return Outcome(judgement, "known-failure" if found == entry.failure_class else "wrong-class", entry)
        if judgement.rule.level not in _FAIL_ON[self.fail_on]:
            return Outcome(judgement, "below-threshold")
        return Outcome(judgement, "unexpected-failure")

    def to_json(self) -> JSON:
        """Return the JSON form for the session file."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, JSON]) -> Expectations:
        """Return what `to_json` gave."""
        return cls(tuple(Known(**item) for item in data["known"]), str(data["fail_on"]))


def load_baseline(
    file: Path,
    target: str,
    rule_ids: Iterable[str],
    failure_classes: Iterable[str],
) -> tuple[Known, ...]:
    """Return the entries of a baseline file for `target`; raises UsageError naming the file and the entry at fault."""
    try:
        data = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(f"{file} does not exist; write a first baseline with --write-baseline {file}") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{file} is not a readable TOML file ({error}); mend that line") from error
    rules, classes = frozenset(rule_ids), frozenset(failure_classes)
    entries = data.get("known", [])
    if not isinstance(entries, list) or set(data) - {"known"}:
        raise UsageError(f"{file}: a baseline holds [[known]] tables and nothing else")
    known = tuple(_known(f"{file}, entry {number}", target, item) for number, item in enumerate(entries, start=1))
    for number, entry in enumerate(known, start=1):
        if entry.rule not in rules:
            raise UsageError(f"{file}, entry {number}: there is no rule {entry.rule!r}; `list rules` shows them")
        if entry.failure_class not in classes:
            raise UsageError(
                f"{file}, entry {number}: no failure class {entry.failure_class!r}; `list failure-classes` shows them"
            )
    return known


def _known(where: str, target: str, item: JSON) -> Known:
    if not isinstance(item, dict) or not all(isinstance(value, str) for value in item.values()):
        raise UsageError(f"{where}: every value is a string")
    unknown = set(item) - _KEYS
    if unknown:
        raise UsageError(f"{where}: unknown key {min(unknown)!r}; known are {', '.join(sorted(_KEYS))}")
    missing = {"rule", "failure_class", "seen", "issue"} - set(item)
    if missing:
        raise UsageError(f"{where}: {min(missing)!r} is missing; an entry says rule, failure_class, seen and issue")
    return Known(target=target, **item)
