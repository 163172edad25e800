"""The decisive events of both sides in time order: as aligned text, and as rows for the HTML page."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from conformance.evidence.events import Point
from conformance.report.escape import shown
from conformance.report.records import Moment

GAP: Final = 1.0
"""Silence between two decisive events that a timeline points out, in seconds."""

_CLIENT_SIDE: Final = (Point.DRIVER, Point.CLIENT_TAP, Point.EDGE_TAP)
_WIDTH: Final = 46
_MARK: Final = {False: "  ", True: "* "}


@dataclass(frozen=True, slots=True)
class Row:
    """One moment. gap: seconds of silence before it, 0.0 when there is nothing to point out."""

    moment: Moment
    gap: float


def rows(moments: Iterable[Moment]) -> tuple[Row, ...]:
    """Return the moments in time order, each with the silence before it."""
    ordered = sorted(moments, key=lambda item: item.t)
    gaps = [0.0, *(later.t - earlier.t for earlier, later in pairwise(ordered))]
    return tuple(Row(item, gap if gap >= GAP else 0.0) for item, gap in zip(ordered, gaps, strict=True))


def lanes(moments: Iterable[Moment]) -> tuple[str, ...]:
    """Return the points that occur, from the client's side to the backend's."""
    seen = {moment.point for moment in moments}
    return tuple(str(point) for point in Point if str(point) in seen)


def two_sided(moments: Sequence[Moment]) -> str:
    """Return a timeline as aligned text: the client's side on the left, everything behind the gateway on the right.

    A star marks what the verdict rests on.
    """
    lines = [_line("seconds", "client's side", "backend's side"), _line("", "", "").replace(" ", "─").replace("│", "┼")]
    for row in rows(moments):
        if row.gap:
            lines.append(_line("", f"… {row.gap:.1f} s …", f"… {row.gap:.1f} s …"))
        said = textwrap.wrap(_MARK[row.moment.decisive] + shown(row.moment.text), _WIDTH, subsequent_indent="    ")
        left = row.moment.point in _CLIENT_SIDE
        for number, piece in enumerate(said):
            t = f"{row.moment.t:.3f}" if number == 0 else ""
            lines.append(_line(t, piece if left else "", "" if left else piece))
    return "\n".join(line.rstrip() for line in lines)


def _line(t: str, left: str, right: str) -> str:
    return f"{t:>9} │ {left:<{_WIDTH}} │ {right:<{_WIDTH}}"
