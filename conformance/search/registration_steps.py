"""The alphabet of the search over registrations: who asks for what change of which server, in any order."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import permutations
from typing import Final, TypeAlias

from hypothesis import strategies as st

from conformance.evidence.events import JSON
from conformance.search.experiment import Alphabet

SERVERS: Final = ("one", "two")
LONGEST: Final = 10
"""Most steps of a sequence: each server registered, disabled, enabled and removed, and registered again."""
_DEEP: Final = 4
"""Least steps of most sequences."""


class Change(StrEnum):
    """What is asked for; the values are the keys of a manifest's [registry]."""

    ADD = "add"
    DISABLE = "disable"
    ENABLE = "enable"
    REMOVE = "remove"


class By(StrEnum):
    """Who asks."""

    OWNER = "the owner"
    NOBODY = "nobody"  # without credentials
    OTHER = "another user"  # one who may not


@dataclass(frozen=True, slots=True)
class Step:
    """Somebody asks for one change of one server."""

    server: str
    change: Change
    by: By

    def __str__(self) -> str:
        return f"{self.by}: {self.change} {self.server}"


Steps: TypeAlias = tuple[Step, ...]

_LIKELY: Final = (By.OWNER, By.OWNER, By.OWNER, By.OWNER)
"""Most changes are made by who may, or nothing would ever be registered."""


def alphabet(changes: Collection[str], *, others: bool) -> Alphabet[Step]:
    """Return the sequences there are.

    changes: those that the gateway has a request for. others: whether there is a user who may make none.
    """
    whats = [*(Change.ADD,) * 2, *(change for change in Change if change in changes)]
    whos = [*_LIKELY, By.NOBODY, *((By.OTHER,) if others else ())]
    drawn = st.tuples(st.sampled_from(SERVERS), st.sampled_from(whats), st.sampled_from(whos))
    short = st.lists(drawn, min_size=1, max_size=LONGEST)
    deep = st.lists(drawn, min_size=_DEEP, max_size=LONGEST)
    return Alphabet(st.one_of(short, deep, deep).map(_plain), without, renamed)


def without(sequence: Steps, position: int) -> Steps:
    """Return the sequence without one step, in its plain spelling."""
    return _plain([(step.server, step.change, step.by) for step in sequence[:position] + sequence[position + 1 :]])


def renamed(sequence: Steps) -> Iterator[Steps]:
    """Yield the sequence with each way to name its servers."""
    for names in permutations(SERVERS):
        named = dict(zip(SERVERS, names, strict=True))
        yield tuple(Step(named[step.server], step.change, step.by) for step in sequence)


def to_json(sequence: Sequence[Step]) -> list[dict[str, JSON]]:
    """Return the JSON form of a sequence."""
    return [
        {"server": step.server, "change": str(step.change), "by": str(step.by), "says": str(step)} for step in sequence
    ]


def _plain(drawn: Sequence[tuple[str, Change, By]]) -> Steps:
    """Return a sequence in the one spelling that is driven: servers are named in the order of their first steps."""
    names: dict[str, str] = {}
    for server, _, _ in drawn:
        if server not in names:
            names[server] = SERVERS[len(names)]
    return tuple(Step(names[server], change, by) for server, change, by in drawn)
