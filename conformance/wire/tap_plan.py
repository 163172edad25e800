"""From toxics to what a connection does: the stages of each direction, read rates and the idle limit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from conformance.wire.spool import Direction
from conformance.wire.tap_stages import BlackholeStage, HalfCloseStage, LatencyStage, ResetStage, Stage
from conformance.wire.toxics import (
    Blackhole,
    HalfClose,
    IdleCut,
    Latency,
    Reset,
    SlowRead,
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


def plan(toxics: Sequence[Toxic]) -> Plan:
    """Return a new plan; toxics act in the order given."""
    made = Plan(LegPlan(), LegPlan())
    for toxic in toxics:
        _add(made, toxic)
    return made


def _add(made: Plan, toxic: Toxic) -> None:
    match toxic:
        case IdleCut(seconds, how):
            made.idle = (seconds, how)
        case SlowRead(rate, direction):
            _leg(made, direction).rate = rate
        case Latency(seconds, direction):
            _leg(made, direction).stages.append(LatencyStage(seconds))
        case Blackhole(direction):
            _leg(made, direction).stages.append(BlackholeStage())
        case Reset(after_bytes, direction):
            _leg(made, direction).stages.append(ResetStage(after_bytes))
        case HalfClose(direction):
            _leg(made, direction).stages.append(HalfCloseStage())
        case _:
            raise NotImplementedError(toxic)


def _leg(made: Plan, direction: Direction) -> LegPlan:
    return made.up if direction is Direction.UP else made.down
