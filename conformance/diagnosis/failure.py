"""One failure with the evidence it was found in, and what many facts need of both."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

from conformance.evidence.events import Event, Point
from conformance.evidence.links import Link, links
from conformance.evidence.transcript import BackendSession, Exchange, Transcript
from conformance.rules.base import Inputs
from conformance.rules.verdicts import Fail

_HANDSHAKE = (None, "initialize", "notifications/initialized")


@dataclass(frozen=True)
class Failure:
    """A failed verdict with the evidence it was reached on."""

    verdict: Fail
    inputs: Inputs

    @property
    def through(self) -> Transcript:
        """The evidence of the drive through the gateway."""
        return self.inputs.through

    @cached_property
    def decisive(self) -> tuple[Event, ...]:
        """The decisive events, in order."""
        wanted = frozenset(self.verdict.events)
        return tuple(event for event in self.through.events if event.seq in wanted)

    @cached_property
    def subject(self) -> Exchange | None:
        """The client's exchange that failed: the last one among the decisive events."""
        wanted = frozenset(self.verdict.events)
        return next((item for item in reversed(self.through.client()) if wanted & frozenset(item.events)), None)

    @cached_property
    def behind(self) -> BackendSession | None:
        """The backend session that holds a decisive event, where the failure lies on the gateway's other side."""
        wanted = frozenset(self.verdict.events)
        for session in self.through.backend_sessions:
            seqs = {m.seq for m in session.messages} | {seq for item in session.exchanges for seq in item.events}
            if wanted & seqs:
                return session
        return None

    @cached_property
    def until(self) -> float:
        """When the failing exchange was over: its end, else the last decisive event, else the end of the evidence."""
        if self.subject is not None:
            return self.through.end_of(self.subject)
        return self.decisive[-1].t if self.decisive else self.through.end

    @cached_property
    def fronts(self) -> tuple[Exchange, ...]:
        """Every exchange between a client and the gateway, the sentinel's included."""
        return tuple(item for item in self.through.exchanges if item.point is Point.CLIENT_TAP)

    @cached_property
    def opened(self) -> Exchange | None:
        """The initialize that the subject's client had answered before the subject began."""
        subject = self.subject
        if subject is None:
            return None
        earlier = (i for i in self.through.client() if i.tap == subject.tap and i.rpc_method == "initialize")
        return next((i for i in earlier if i.id != subject.id and has_result(i) and answered_at(i) <= subject.t), None)

    @cached_property
    def others(self) -> tuple[Exchange, ...]:
        """What other clients requested after the subject began, the sentinel included; handshakes are not counted."""
        subject = self.subject
        if subject is None:
            return ()
        return tuple(
            item
            for item in self.fronts
            if item.tap != subject.tap and item.t >= subject.t and item.rpc_method not in _HANDSHAKE
        )

    @cached_property
    def later_initializes(self) -> tuple[Exchange, ...]:
        """Initializes of clients, the sentinel included, after the subject began."""
        subject = self.subject
        if subject is None:
            return ()
        return tuple(item for item in self.fronts if item.rpc_method == "initialize" and item.t > subject.t)

    @cached_property
    def links(self) -> tuple[Link, ...]:
        """Every link between the two sides."""
        return links(self.through)


Fact: TypeAlias = Callable[[Failure], bool | None]
"""Reads one statement off the evidence: true, false, or None when nothing that could tell was observed. The docstring
is the statement."""
Separations: TypeAlias = Mapping[str, Mapping[str, tuple[Fact, bool]]]
"""The fact and its value that tell a failure class (the first name) from a neighbour of it (the second)."""


def has_result(exchange: Exchange) -> bool:
    """Return whether the posted request was answered with a result."""
    answer = exchange.answer()
    return answer is not None and answer.result is not None


def answered_at(exchange: Exchange) -> float:
    """Return when the posted request was answered, in seconds; infinity when it was not."""
    answer = exchange.answer()
    return answer.t if answer is not None else float("inf")


def listed(exchange: Exchange) -> list[object] | None:
    """Return the tools that a tools/list was answered with, None when it was not answered with a list."""
    answer = exchange.answer() if exchange.rpc_method == "tools/list" else None
    tools = answer.result.get("tools") if answer is not None and answer.result is not None else None
    return tools if isinstance(tools, list) else None
