"""From toxics to what a connection does: the stages of each direction, read rates and the idle limit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from conformance.wire.spool import Direction
from conformance.wire.tap_http_stages import (
    DropSseCommentsStage,
    EngineDeniedStage,
    HoldStage,
    RewriteHostStage,
    StripHeaderStage,
)
from conformance.wire.tap_stages import BlackholeStage, HalfCloseStage, LatencyStage, ResetStage, Stage
from conformance.wire.toxics import (
    Blackhole,
    BufferBytes,
    BufferUntilEnd,
    DropSseComments,
    EngineDenied,
    HalfClose,
    IdleCut,
    Latency,
    Reset,
    SlowRead,
    StripHeader,
    Toxic,
)


@dataclass(slots=True)
class LegPlan:
    """Stages in order, and bytes per second at most (None: no limit)."""

    stages: list[Stage] = field(default_factory=list)
    rate: int | None = None


@dataclass(slots=True)
class Plan:
    """What one connection does; stages keep state, so each connection has its own plan."""

    up: LegPlan
    down: LegPlan
    idle: tuple[float, Literal["rst", "fin"]] | None = None


def plan(toxics: Sequence[Toxic], host: str | None = None) -> Plan:
    """Return a new plan; toxics act in the order given. host: what every request's Host becomes first."""
    made = Plan(LegPlan(), LegPlan())
    if host is not None:
        made.up.stages.append(RewriteHostStage(host))
    for toxic in toxics:
        _add(made, toxic)
    return made


def _add(made: Plan, toxic: Toxic) -> None:
    match toxic:
        case IdleCut(seconds, how):
            made.idle = (seconds, how)
        case SlowRead(rate, direction):
            _leg(made, direction).rate = rate
        case DropSseComments():
            made.down.stages.append(DropSseCommentsStage())
        case EngineDenied():
            made.up.stages.append(EngineDeniedStage())
        case _:
            _leg(made, toxic.direction).stages.append(_stage(toxic))


def _stage(toxic: Latency | Blackhole | Reset | HalfClose | BufferUntilEnd | BufferBytes | StripHeader) -> Stage:
    match toxic:
        case Latency(seconds):
            return LatencyStage(seconds)
        case Blackhole():
            return BlackholeStage()
        case Reset(after_bytes):
            return ResetStage(after_bytes)
        case HalfClose():
            return HalfCloseStage()
        case BufferUntilEnd(direction):
            return HoldStage(direction)
        case BufferBytes(count, direction):
            return HoldStage(direction, count)
        case StripHeader(name, direction):
            return StripHeaderStage(direction, name)


def _leg(made: Plan, direction: Direction) -> LegPlan:
    return made.up if direction is Direction.UP else made.down
