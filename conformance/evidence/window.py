"""Which of an instance's observations belong to one cell."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from conformance.evidence.events import Kind, Point
from conformance.evidence.log import Observation

_KEPT_ALWAYS: Final = frozenset(
    (
        *(Kind.PROCESS_START, Kind.READINESS, Kind.PROCESS_EXIT, Kind.STDIO_START, Kind.STDIO_EXIT),
        *(Kind.CONTAINER_INSPECT, Kind.CONTAINER_LOG),
    )
)

_Session: TypeAlias = tuple[str, str]
"""A tap, and an MCP session id that it saw: the same id at another backend is another session."""


@dataclass(slots=True)
class History:
    """Observations by what they belong to: what a cell needs of them is found without a look at all the others.

    Each is known by its place, the number in which it was added.
    """

    _seen: list[Observation] = field(default_factory=list)
    _moments: list[tuple[int, int]] = field(default_factory=list)
    """When each was, and its place, in order of time."""
    _of: defaultdict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    """Places by exchange, or by stdio process."""
    _session: dict[str, _Session] = field(default_factory=dict)
    """The MCP session of each HTTP exchange, from its request's or its response's header."""
    _exchanges: defaultdict[_Session, list[str]] = field(default_factory=lambda: defaultdict(list))
    _always: list[int] = field(default_factory=list)
    _logs: list[int] = field(default_factory=list)
    _ready_ns: int = 0

    def add(self, observations: Iterable[Observation]) -> None:
        """Add what was seen next; its moments may lie before those of what was added earlier."""
        for place, item in enumerate(observations, start=len(self._seen)):
            self._seen.append(item)
            insort(self._moments, (item.t_ns, place))
            if (group := _group(item)) is not None:
                self._of[group].append(place)
            if item.kind in (Kind.HTTP_REQUEST, Kind.HTTP_RESPONSE):
                self._note_session(item)
            if item.kind in _KEPT_ALWAYS or item.point in (Point.ENGINE, Point.ENGINE_TAP):
                self._always.append(place)
            if item.kind is Kind.READINESS:
                self._ready_ns = max(self._ready_ns, item.t_ns)
            if item.kind is Kind.LOG:
                self._logs.append(place)

    def within(self, begin_ns: int) -> list[Observation]:
        """Return what belongs to a cell that began at `begin_ns`, in the order in which it was added."""
        later = {place for _, place in self._moments[bisect_left(self._moments, (begin_ns,)) :]}
        used = {group for place in later if (group := _group(self._seen[place])) is not None}
        sessions = {session for group in used if (session := self._session.get(group)) is not None}
        used.update(exchange for session in sessions for exchange in self._exchanges[session])
        early_logs = (place for place in self._logs if self._seen[place].t_ns <= self._ready_ns)
        places = later.union(self._always, early_logs, *(self._of[group] for group in used))
        return [self._seen[place] for place in sorted(places)]

    def _note_session(self, item: Observation) -> None:
        exchange = item.data["exchange"]
        for name, value in item.data["headers"]:
            if name.lower() == "mcp-session-id" and exchange not in self._session:
                session = (str(item.data.get("tap")), value)
                self._session[exchange] = session
                self._exchanges[session].append(exchange)


def within(observations: Iterable[Observation], begin_ns: int) -> list[Observation]:
    """Return what belongs to a cell that began at `begin_ns`, in order of time.

    Everything from then on does. Of the instance's earlier life, what is still in use does too: the exchanges, sessions
    and stdio processes that appear in the window, from their beginning, so that a rule on "the first message of every
    backend session" sees that first message; how the instance started, what it logged then and the container engine's
    part included; and of every stdio process its start and its end, so that none that is gone looks as if it still ran.
    """
    history = History()
    history.add(sorted(observations, key=lambda item: item.t_ns))
    return history.within(begin_ns)


def _group(item: Observation) -> str | None:
    """Return what an observation belongs to: its stdio process, or its exchange, if it has one."""
    if item.point is Point.STDIO_TAP:
        return f"process {item.data.get('process')}"
    exchange: str | None = item.data.get("exchange")
    return exchange
