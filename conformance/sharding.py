"""Sharing work between machines: what `--shard K/N` means, and a partition that is the same on every machine."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Self, TypeVar

from conformance.errors import UsageError

_Item = TypeVar("_Item")
_Unit = TypeVar("_Unit", bound=Hashable)


@dataclass(frozen=True, slots=True, order=True)
class Shard:
    """The part-th of `parts` parts, counted from 1."""

    part: int
    parts: int

    def __str__(self) -> str:
        return f"{self.part}/{self.parts}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return what `--shard K/N` names. Raises UsageError for anything but K/N with 1 <= K <= N."""
        part, _, parts = text.partition("/")
        if not (part.isdecimal() and parts.isdecimal() and 1 <= int(part) <= int(parts)):
            raise UsageError(f"--shard {text}: write it as K/N with K from 1 to N, for instance 2/8.")
        return cls(int(part), int(parts))

    def of(self, items: Sequence[_Item]) -> Sequence[_Item]:
        """Return every N-th item from the K-th on: for items that cost about the same."""
        return items[self.part - 1 :: self.parts]


def partition(
    items: Iterable[_Item], parts: int, units: Sequence[Callable[[_Item], _Unit]], seconds: Callable[[_Item], float]
) -> tuple[tuple[_Item, ...], ...]:
    """Return items in `parts` parts of about equal cost, items of one unit in one part.

    units: ways to tell an item's unit, the coarsest first; the first that gives a unit for every part is used, else the
    finest. seconds: what an item costs. The result depends on nothing else, and some parts may be empty.
    """
    found = tuple(items)
    groups: dict[_Unit, list[_Item]] = {}
    for unit in units:
        groups = {}
        for item in found:
            groups.setdefault(unit(item), []).append(item)
        if len(groups) >= parts:
            break
    costs = {name: sum(seconds(item) for item in group) for name, group in groups.items()}
    shares: list[tuple[float, int]] = [(0.0, part) for part in range(parts)]
    members: list[list[_Item]] = [[] for _ in range(parts)]
    # The longest first, each to where least is to be done yet (Graham's LPT rule: at most 4/3 of the best).
    for name in sorted(groups, key=lambda name: (-costs[name], str(name))):
        load, part = heapq.heappop(shares)
        members[part] += groups[name]
        heapq.heappush(shares, (load + costs[name], part))
    return tuple(tuple(member) for member in members)
