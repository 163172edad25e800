"""The alphabet of the search: what a client can do next, legal or not, and the sequences drawn from it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import permutations
from typing import Final, TypeAlias

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from conformance.evidence.events import JSON
from conformance.search.experiment import Alphabet

CLIENTS: Final = ("a", "b", "c")
LONGEST: Final = 14
"""Most steps of a sequence: enough for two whole lifecycles that interleave."""
_DEEP: Final = 7
"""Least steps of most sequences: a list draws few by itself, and what comes late needs many."""


class Act(StrEnum):
    """What one step does. Where nothing else is said it carries the client's own session id, if it has one."""

    INITIALIZE = "initialize"  # without a session id, also when the client has one
    INITIALIZED = "initialized"
    LIST = "list"
    PING = "ping"
    CALL = "call"
    DELETE = "delete"
    GET = "get"
    CLOSE = "close"  # closes the client's GET streams
    INITIALIZE_AGAIN = "initialize-again"  # with the client's session id
    INITIALIZE_MALFORMED = "initialize-malformed"  # without params, without a session id
    MALFORMED = "malformed"  # a body that is not JSON
    LIST_WITHOUT_ID = "list-without-id"
    GET_WITHOUT_ID = "get-without-id"
    DELETE_WITHOUT_ID = "delete-without-id"
    LIST_UNKNOWN_ID = "list-unknown-id"
    GET_UNKNOWN_ID = "get-unknown-id"
    DELETE_UNKNOWN_ID = "delete-unknown-id"


@dataclass(frozen=True, slots=True)
class Step:
    """One client does one thing."""

    client: str
    act: Act

    def __str__(self) -> str:
        return f"{self.client}: {self.act}"


LISTENS: Final = (Act.GET, Act.GET_WITHOUT_ID, Act.GET_UNKNOWN_ID)
"""Acts that may leave a stream open."""

Steps: TypeAlias = tuple[Step, ...]

_ADVANCE: Final = None
"""Drawn in place of an act: whatever brings the client on to a session that is ready."""
_WEIGHED: Final = (
    *(Act.LIST,) * 4,
    *(Act.DELETE,) * 4,
    *(Act.GET,) * 4,
    *(Act.CLOSE,) * 8,  # dropped where no stream is open
    *Act,
    *(_ADVANCE,) * 12,
)
"""Most of a sequence is to be legal, or no session would live long enough to be harmed."""
_LIKELY: Final = ("a", "a", "a", "b", "b", "c")
"""Few clients in most of the steps, or none would come far."""


def alphabet(*, calls: bool) -> Alphabet[Step]:
    """Return the sequences there are. calls: whether to call tools."""
    return Alphabet(sequences(calls=calls), without, renamed)


def sequences(*, calls: bool) -> SearchStrategy[Steps]:
    """Return the strategy of sequences: fewer steps and plainer acts are smaller. calls: whether to call tools."""
    acts = [act for act in _WEIGHED if calls or act is not Act.CALL]
    drawn = st.tuples(st.sampled_from(_LIKELY), st.sampled_from(acts))
    short = st.lists(drawn, min_size=1, max_size=LONGEST)
    deep = st.lists(drawn, min_size=_DEEP, max_size=LONGEST)
    return st.one_of(short, deep, deep).map(_plain)


def without(sequence: Steps, position: int) -> Steps:
    """Return the sequence without one step, in its plain spelling."""
    return _plain([(step.client, step.act) for step in sequence[:position] + sequence[position + 1 :]])


def renamed(sequence: Steps) -> Iterator[Steps]:
    """Yield the sequence with each way to name its clients."""
    for names in permutations(CLIENTS):
        named = dict(zip(CLIENTS, names, strict=True))
        yield tuple(Step(named[step.client], step.act) for step in sequence)


def _plain(drawn: Sequence[tuple[str, Act | None]]) -> Steps:
    """Return a sequence in the one spelling that is driven.

    Clients are named in the order of their first steps, and who has opened no stream closes none.
    """
    names: dict[str, str] = {}
    following: dict[str, Act] = {}
    listening: set[str] = set()
    kept: list[Step] = []
    for drawn_client, drawn_act in drawn:
        if drawn_act is Act.CLOSE and drawn_client not in listening:
            continue
        if drawn_client not in names:
            names[drawn_client] = CLIENTS[len(names)]
        act = drawn_act or following.get(drawn_client, Act.INITIALIZE)
        following[drawn_client] = _AFTER.get(act, following.get(drawn_client, Act.INITIALIZE))
        if act in LISTENS:
            listening.add(drawn_client)
        elif act is Act.CLOSE:
            listening.discard(drawn_client)
        kept.append(Step(names[drawn_client], act))
    return tuple(kept)


_AFTER: Final = {Act.INITIALIZE: Act.INITIALIZED, Act.INITIALIZED: Act.LIST, Act.DELETE: Act.INITIALIZE}
"""What brings a client on after an act; other acts change nothing in that."""


def to_json(sequence: Sequence[Step]) -> list[dict[str, JSON]]:
    """Return the JSON form of a sequence."""
    return [{"client": step.client, "act": str(step.act), "says": str(step)} for step in sequence]
