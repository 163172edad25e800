"""The requirement catalogue: what is asked of a gateway, one row per demand.

`requirements.toml` holds the specification's demands (all revisions, paraphrased), `practice.toml` what deployments
need beyond it. `excused.toml` says which rows no rule will ever judge, and why.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from types import MappingProxyType

from conformance.errors import UsageError
from conformance.spec.revisions import LEGACY, Revision
from conformance.spec.rows import Row, read, refuse_duplicates

_FOLDER = Path(__file__).resolve().parent
_REQUIREMENTS = _FOLDER / "requirements.toml"
_PRACTICE = _FOLDER / "practice.toml"
_EXCUSED = _FOLDER / "excused.toml"


class Level(StrEnum):
    """How strongly a row binds.

    The first three are BCP 14 keywords of the specification. INFO: the passage has none in capitals. PRACTICE: not
    demanded by the specification, needed by deployments.
    """

    MUST = "MUST"
    SHOULD = "SHOULD"
    MAY = "MAY"
    INFO = "INFO"
    PRACTICE = "PRACTICE"


class Side(StrEnum):
    """What a row looks at: the gateway as a server, the gateway as a client, or both at once (transparency)."""

    SERVER = "S"
    CLIENT = "C"
    TRANSPARENCY = "T"


class Excuse(StrEnum):
    """Why a row is not judged. A closed vocabulary; excused.toml says what each means."""

    NOT_OBSERVABLE = "not-observable-from-outside"
    NO_GATEWAY_BEHAVIOUR = "no-gateway-behaviour"
    SUPERSEDED = "superseded"
    NEEDS_AUTHORIZATION_SERVER = "needs-authorization-server"


@dataclass(frozen=True, slots=True)
class Requirement:
    """One row.

    revisions: where it holds, oldest first. keyword: the passage's own keywords, or in brackets what it is instead;
    empty for PRACTICE. source: page and section of the specification; for PRACTICE the id of a failure class.
    check: how it shows from outside. note: what changed between revisions, how known servers differ; may be empty.
    """

    id: str
    revisions: tuple[Revision, ...]
    level: Level
    keyword: str
    sides: tuple[Side, ...]
    text: str
    source: str
    check: str
    note: str


@cache
def requirements() -> tuple[Requirement, ...]:
    """Return every row: the specification's in catalogue order, then PRACTICE.

    Raises CannotJudgeError naming file, row and key when the data is malformed.
    """
    spec = tuple(_spec_row(row) for row in read(_REQUIREMENTS).rows("requirement"))
    practice = tuple(_practice_row(row) for row in read(_PRACTICE).rows("requirement"))
    refuse_duplicates("requirement catalogue", (row.id for row in (*spec, *practice)))
    return (*spec, *practice)


def requirement(requirement_id: str) -> Requirement:
    """Return the row with this id. Raises UsageError when there is none."""
    try:
        return _by_id()[requirement_id]
    except KeyError:
        raise UsageError(f"There is no requirement {requirement_id!r}; `list requirements` shows every id.") from None


@cache
def excuses() -> Mapping[str, str]:
    """Return the reason for each excused row, by requirement id.

    Raises CannotJudgeError when an entry names no row, or a reason outside the vocabulary.
    """
    entries = read(_EXCUSED).rows("excused")
    refuse_duplicates(_EXCUSED.name, (entry.text("id") for entry in entries))
    reasons: dict[str, str] = {}
    for entry in entries:
        entry.allow_only("id", "reason", "why")
        entry.text("why")
        if entry.text("id") not in _by_id():
            raise entry.error("no requirement has this id")
        reasons[entry.text("id")] = str(entry.member("reason", Excuse))
    return MappingProxyType(reasons)


@cache
def _by_id() -> Mapping[str, Requirement]:
    return {row.id: row for row in requirements()}


def _spec_row(row: Row) -> Requirement:
    row.allow_only("id", "revisions", "level", "keyword", "sides", "text", "source", "check", "note")
    level = row.member("level", Level)
    if level is Level.PRACTICE:
        raise row.error(f"PRACTICE rows belong in {_PRACTICE.name}")
    return Requirement(
        id=row.text("id"),
        revisions=row.members("revisions", Revision),
        level=level,
        keyword=row.text("keyword"),
        sides=row.members("sides", Side),
        text=row.text("text"),
        source=row.text("source"),
        check=row.text("check"),
        note=row.text("note", default=""),
    )


def _practice_row(row: Row) -> Requirement:
    row.allow_only("id", "sides", "text", "source", "check")
    return Requirement(
        id=row.text("id"),
        revisions=LEGACY,
        level=Level.PRACTICE,
        keyword="",
        sides=row.members("sides", Side),
        text=row.text("text"),
        source=row.text("source"),
        check=row.text("check"),
        note="",
    )
