"""A timeline as a drawing: a lifeline for each participant, an arrow for each message, time running down.

Only positions are computed here; the template draws and escapes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from conformance.diagnosis.timeline import sent
from conformance.report.records import Moment
from conformance.report.timeline import rows

ORDER: Final[tuple[str, ...]] = ("application", "client", "edge", "gateway", "backend", "engine")
"""Participants from the left to the right."""
LEFT: Final = 96
"""Room for the times, in the drawing's units (CSS pixels at full size)."""
APART: Final = 360
"""Between two lifelines."""
HEAD: Final = 44
STEP: Final = 30
GAP: Final = 26
_CHARACTER: Final = 6.9
"""Width of a character of a label."""


@dataclass(frozen=True, slots=True)
class Line:
    """One moment. y: its height. x1, x2: where its arrow begins and ends, equal for a note. label: cut to fit."""

    moment: Moment
    y: int
    x1: int
    x2: int
    label: str

    @property
    def is_note(self) -> bool:
        """Whether it is no message between two participants."""
        return self.x1 == self.x2

    @property
    def middle(self) -> float:
        """Where an arrow's label stands."""
        return (self.x1 + self.x2) / 2


@dataclass(frozen=True, slots=True)
class Silence:
    """Seconds in which nothing that is shown happened, pointed out at height y."""

    y: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Sequence:
    """A drawing. lifelines: participant and x. width, height: of the whole."""

    lifelines: tuple[tuple[str, int], ...]
    lines: tuple[Line, ...]
    silences: tuple[Silence, ...]
    width: int
    height: int


def sequence(moments: Iterable[Moment]) -> Sequence:
    """Return the drawing of a timeline; what is no message becomes a note across all lifelines."""
    ordered = rows(moments)
    messages = {id(row.moment): found for row in ordered if (found := sent(row.moment.text)) is not None}
    present = {name for message in messages.values() for name in (message.near, message.far)} | {"client", "gateway"}
    lifelines = {name: LEFT + number * APART + 40 for number, name in enumerate(n for n in ORDER if n in present)}
    width = max(lifelines.values()) + 80
    lines: list[Line] = []
    silences: list[Silence] = []
    y = HEAD
    for row in ordered:
        if row.gap:
            y += GAP
            silences.append(Silence(y, row.gap))
        y += STEP
        message = messages.get(id(row.moment))
        if message is None:
            room = width - LEFT
            lines.append(Line(row.moment, y, LEFT, LEFT, _cut(row.moment.text, room)))
            continue
        near, far = lifelines[message.near], lifelines[message.far]
        begin, end = (near, far) if message.outward else (far, near)
        lines.append(Line(row.moment, y, begin, end, _cut(message.what, abs(far - near) - 24)))
    return Sequence(tuple(lifelines.items()), tuple(lines), tuple(silences), width, y + STEP)


def _cut(text: str, room: float) -> str:
    fits = int(room / _CHARACTER)
    return text if len(text) <= fits else text[: fits - 1] + "…"
