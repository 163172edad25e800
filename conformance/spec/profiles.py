"""Profiles: the MUST rows of one revision that a badge counts.

A badge says "required 41/41 · 2025-11-25"; so that two badges mean the same, the list behind it is frozen in
`profiles/REVISION.toml` and not computed from what happens to have a rule.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from conformance.errors import UsageError
from conformance.spec.catalogue import Level, requirement
from conformance.spec.revisions import Revision
from conformance.spec.rows import Row, read

_FOLDER = Path(__file__).resolve().parent / "profiles"


@dataclass(frozen=True, slots=True)
class Profile:
    """What the badge of one revision counts. frozen: whether the list is final; a badge needs that."""

    revision: Revision
    frozen: bool
    requirements: tuple[str, ...]


@cache
def profile(revision: Revision) -> Profile:
    """Return the profile of a revision.

    Raises UsageError when the revision has none, CannotJudgeError when it names a row that is no MUST of it.
    """
    path = _FOLDER / f"{revision}.toml"
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in _FOLDER.glob("*.toml")))
        raise UsageError(f"Revision {revision} has no profile; there is one for {known}.")
    row = read(path)
    row.allow_only("revision", "frozen", "requirements")
    if row.member("revision", Revision) != revision:
        raise row.error("`revision` and the file's name disagree")
    listed = row.texts("requirements")
    for requirement_id in listed:
        _check(row, revision, requirement_id)
    return Profile(revision=revision, frozen=row.flag("frozen"), requirements=listed)


def _check(row: Row, revision: Revision, requirement_id: str) -> None:
    listed = requirement(requirement_id)
    if listed.level is not Level.MUST or revision not in listed.revisions:
        raise row.error(f"{requirement_id} is not a MUST of revision {revision}")
