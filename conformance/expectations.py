"""What a target is known to fail (its baseline), and what a verdict therefore means for the run.

Known failures still run and must fail with the listed class. A listed rule that passes (unless its entry names the race
that decides it), an entry that matches nothing in the catalogue and an unlisted failure all count (as in connectrpc's
runner, which knows failing and flaky cases). Harness errors are never excused.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion

from conformance.errors import ExitCode, UsageError
from conformance.evidence.events import JSON, Hop
from conformance.rules.base import Level
from conformance.rules.verdicts import Fail, NotApplicable, Pass
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
NOT_THE_TARGET: Final = (Hop.BACKEND, Hop.CLIENT, Hop.EDGE, Hop.NETWORK, Hop.CONFIGURATION, Hop.HARNESS)
"""Hops whose failures are shown and diagnosed but do not make a target's run fail."""
COUNTED: Final = ("unexpected-failure", "unexpected-pass", "wrong-class")
"""Expectations that make a run fail."""

INCONCLUSIVE_SHARE: Final = 0.02
"""Share of inconclusive verdicts from which a run could not judge (DESIGN: Exit codes)."""

_KEYS: Final = frozenset(
    {"rule", "failure_class", "seen", "issue", "sometimes", "versions", "scenario", "backend", "runtime", "revision"},
)
_FAIL_ON: Final = {
    "must": (Level.MUST,),
    "should": (Level.MUST, Level.SHOULD, Level.MAY),
    "practice": tuple(Level),
}


@dataclass(frozen=True, slots=True)
class Known:
    """One baseline entry.

    sometimes: what decides whether it fails, where that is a race of the target's own; then a pass is no surprise
    either. versions: of the target, as `>=1.2,<2` (PEP 440); empty for all. scenario, backend, runtime and revision are
    shell-style patterns.
    """

    target: str
    rule: str
    failure_class: str
    seen: str
    issue: str
    sometimes: str = ""
    versions: str = ""
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

    def speaks_of(self, version: str) -> bool:
        """Whether the entry is about that version of its target; one that cannot be compared is in no range."""
        try:
            return not self.versions or SpecifierSet(self.versions).contains(version, prereleases=True)
        except InvalidVersion:
            return False


@dataclass(frozen=True, slots=True)
class Unmet:
    """A baseline entry that a run did not bear out, as the report's footer holds it.

    state: `stale` (nothing that could fail so is left: it counts as unexpected), or `unchecked` (the run did not
    drive or could not judge what it speaks of). why: in a clause.
    """

    target: str
    rule: str
    failure_class: str
    issue: str
    state: str
    why: str

    @classmethod
    def of(cls, entry: Known, state: Literal["stale", "unchecked"], why: str) -> Unmet:
        """Return what is to be said of an entry."""
        return cls(entry.target, entry.rule, entry.failure_class, entry.issue, state, why)

    def to_json(self) -> dict[str, JSON]:
        """Return the JSON form for the report's footer."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, JSON]) -> Unmet:
        """Return what `to_json` gave; raises KeyError or TypeError for anything else."""
        return cls(*(str(data[item.name]) for item in fields(cls)))


@dataclass(frozen=True, slots=True)
class Outcome:
    """A judgement and what it means for the run."""

    judgement: Judgement
    expectation: Expectation
    known: Known | None = None


@dataclass(frozen=True, slots=True)
class Expectations:
    """The baselines of a run's targets and the level from which a failure counts.

    outside: entries about other versions of the targets than those that run; they excuse nothing.
    """

    known: tuple[Known, ...] = ()
    fail_on: str = "practice"
    outside: tuple[Known, ...] = ()

    def outcome(self, judgement: Judgement) -> Outcome:
        """Return what a judgement means for the run."""
        verdict = judgement.verdict
        entry = next((item for item in self.known if item.matches(judgement.cell, judgement.rule.id)), None)
        if isinstance(verdict, Pass):
            return Outcome(judgement, "unexpected-pass" if entry and not entry.sometimes else "ok", entry)
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

    def unmet(self, records: Iterable[Mapping[str, JSON]], *, whole: bool) -> tuple[Unmet, ...]:
        """Return the entries that a run's result records do not bear out.

        whole: the run left nothing of the standard selection out; only then is an entry stale whose rule no longer
        applies anywhere.
        """
        found = [Unmet.of(entry, "unchecked", f"it speaks of versions {entry.versions}") for entry in self.outside]
        judged = [(Cell.parse(str(item["id"]).rpartition("/")[0]), item) for item in records]
        for entry in self.known:
            verdicts = {str(item["verdict"]) for cell, item in judged if entry.matches(cell, str(item["rule"]))}
            if verdicts & {Fail.name, Pass.name}:
                continue
            if not verdicts:
                found.append(Unmet.of(entry, "unchecked", "this run drove no cell that it matches"))
            elif whole and verdicts == {NotApplicable.name}:
                found.append(
                    Unmet.of(entry, "stale", "the rule does not apply to the target any more: remove the entry")
                )
            else:
                found.append(Unmet.of(entry, "unchecked", f"what it matches was {' and '.join(sorted(verdicts))}"))
        return tuple(found)

    def to_json(self) -> JSON:
        """Return the JSON form for the session file."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, JSON]) -> Expectations:
        """Return what `to_json` gave."""
        known, outside = (tuple(Known(**item) for item in data[name]) for name in ("known", "outside"))
        return cls(known, str(data["fail_on"]), outside)


def status_of(
    results: Iterable[tuple[str, str]], *, interrupted: bool = False, stale: bool = False, trouble: bool = False
) -> ExitCode:
    """Return what results (verdict and expectation each) mean for a run, the first that applies (DESIGN: Exit codes).

    stale: a baseline entry is. trouble: something kept the harness from judging all that was selected.
    """
    found = tuple(results)
    verdicts = [verdict for verdict, _ in found]
    if interrupted:
        return ExitCode.INTERRUPTED
    if stale or any(expectation in COUNTED for _, expectation in found):
        return ExitCode.UNEXPECTED
    undecided = verdicts.count("inconclusive") > INCONCLUSIVE_SHARE * len(verdicts)
    if trouble or "harness-error" in verdicts or undecided:
        return ExitCode.CANNOT_JUDGE
    if not any(verdict in ("pass", "fail") for verdict in verdicts):
        return ExitCode.NOTHING_RAN
    return ExitCode.OK


def load_baseline(
    file: Path,
    target: str,
    rule_ids: Iterable[str],
    failure_classes: Iterable[str],
) -> tuple[Known, ...]:
    """Return the entries of a baseline file for `target`; raises UsageError naming the file and the entry at fault."""
    try:
        data = tomllib.loads(file.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise UsageError(f"{file} does not exist; write a first baseline with --write-baseline {file}") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{file} is not a readable TOML file ({error}); mend that line") from error
    except RecursionError:
        raise UsageError(f"{file} is nested too deeply to be a baseline; it holds [[known]] tables alone") from None
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
    try:
        SpecifierSet(item.get("versions", ""))
    except InvalidSpecifier:
        raise UsageError(f"{where}: versions {item['versions']!r} is no range; write it as '>=1.2,<2'") from None
    return Known(target=target, **item)
