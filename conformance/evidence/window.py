"""Which of an instance's observations belong to one cell."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from conformance.evidence.events import Kind, Point
from conformance.evidence.log import Observation

_KEPT_ALWAYS: Final = frozenset(
    (
        *(Kind.PROCESS_START, Kind.READINESS, Kind.PROCESS_EXIT, Kind.STDIO_START, Kind.STDIO_EXIT),
        *(Kind.CONTAINER_INSPECT, Kind.CONTAINER_LOG),
    )
)


def within(observations: Iterable[Observation], begin_ns: int) -> list[Observation]:
    """Return what belongs to a cell that began at `begin_ns`.

    Everything from then on does. Of the instance's earlier life, what is still in use does too: the exchanges, sessions
    and stdio processes that appear in the window, from their beginning, so that a rule on "the first message of every
    backend session" sees that first message; how the instance started, what it logged then and the container engine's
    part included; and of every stdio process its start and its end, so that none that is gone looks as if it still ran.
    """
    seen = sorted(observations, key=lambda item: item.t_ns)
    sessions = _sessions(seen)
    owned = [(item, _keys(item, sessions)) for item in seen]
    used = {key for item, keys in owned if item.t_ns >= begin_ns for key in keys}
    ready_ns = max((item.t_ns for item in seen if item.kind is Kind.READINESS), default=0)
    return [
        item
        for item, keys in owned
        if item.t_ns >= begin_ns
        or not used.isdisjoint(keys)
        or item.kind in _KEPT_ALWAYS
        or (item.kind is Kind.LOG and item.t_ns <= ready_ns)
        or item.point in (Point.ENGINE, Point.ENGINE_TAP)
    ]


def _sessions(seen: Iterable[Observation]) -> dict[str, str]:
    """Return the MCP session of each HTTP exchange, from its request's or its response's header."""
    found: dict[str, str] = {}
    for item in seen:
        if item.kind in (Kind.HTTP_REQUEST, Kind.HTTP_RESPONSE):
            for name, value in item.data["headers"]:
                if name.lower() == "mcp-session-id":
                    found.setdefault(item.data["exchange"], value)
    return found


def _keys(item: Observation, sessions: dict[str, str]) -> tuple[tuple[str, ...], ...]:
    """Return what an observation belongs to: its stdio process; its exchange and that exchange's session."""
    if item.point is Point.STDIO_TAP:
        return (("process", str(item.data.get("process"))),)
    exchange = item.data.get("exchange")
    if exchange is None:
        return ()
    keys: tuple[tuple[str, ...], ...] = (("exchange", exchange),)
    session = sessions.get(exchange)
    return (*keys, ("session", str(item.data.get("tap")), session)) if session else keys
