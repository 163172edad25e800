"""The alphabet of the search: what a client can do next, legal or not, and the sequences drawn from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeAlias

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from conformance.errors import UsageError
from conformance.evidence.events import JSON

CLIENTS: Final = ("a", "b", "c")
LONGEST: Final = 14
"""Most steps of a sequence: enough for two whole lifecycles that interleave."""
_DEEP: Final = 7
"""Least steps of half of the sequences: a list draws few by itself, and what comes late needs many."""


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


Steps: TypeAlias = tuple[Step, ...]

_LEGAL: Final = (
    *(Act.INITIALIZE,) * 6,
    *(Act.INITIALIZED,) * 4,
    *(Act.LIST,) * 4,
    Act.PING,
    Act.CALL,
    *(Act.DELETE,) * 3,
    *(Act.GET,) * 3,
    *(Act.CLOSE,) * 2,
)
"""Weights: most of a sequence is to be legal, or no session would live long enough to be harmed."""


def sequences(*, calls: bool) -> SearchStrategy[Steps]:
    """Return the strategy of sequences; a shorter one and a plainer act count as smaller. calls: whether tools can be
    called.
    """
    weighed = [act for act in (*_LEGAL, *Act) if calls or act is not Act.CALL]
    step = st.builds(Step, st.sampled_from(CLIENTS), st.sampled_from(weighed))
    short = st.lists(step, min_size=1, max_size=LONGEST)
    deep = st.lists(step, min_size=_DEEP, max_size=LONGEST)
    return st.one_of(short, deep).map(plain)


def plain(drawn: Sequence[Step]) -> Steps:
    """Return the same sequence in the one spelling that is driven.

    Clients are named in the order of their first steps, and who has opened no stream closes none.
    """
    names: dict[str, str] = {}
    listening: set[str] = set()
    kept: list[Step] = []
    for step in drawn:
        if step.act is Act.CLOSE and step.client not in listening:
            continue
        if step.act in (Act.GET, Act.GET_WITHOUT_ID, Act.GET_UNKNOWN_ID):
            listening.add(step.client)
        elif step.act is Act.CLOSE:
            listening.discard(step.client)
        if step.client not in names:
            names[step.client] = CLIENTS[len(names)]
        kept.append(Step(names[step.client], step.act))
    return tuple(kept)


def to_json(sequence: Sequence[Step]) -> list[dict[str, JSON]]:
    """Return the JSON form of a sequence."""
    return [{"client": step.client, "act": str(step.act)} for step in sequence]


def from_json(listed: JSON) -> Steps:
    """Return the sequence that `to_json` gave. Raises UsageError for anything else."""
    try:
        return tuple(Step(str(item["client"]), Act(item["act"])) for item in listed)
    except (TypeError, KeyError, ValueError) as error:
        raise UsageError(
            f"the sequence is not one that a search wrote ({error!r}); write steps of client and act"
        ) from error
