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

_CLIENT_SIDE: Final = (Point.DRIVER, Point.APPLICATION_TAP, Point.CLIENT_TAP)
_BEHIND_EDGE: Final = "behind the edge"
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

    Where an edge stands before the gateway, what passes between the two has a column of its own. A star marks what the
    verdict rests on.
    """
    edged = any(moment.point == Point.EDGE_TAP for moment in moments)
    heads = ("client's side", *((_BEHIND_EDGE,) if edged else ()), "backend's side")
    lines = [_line("seconds", heads), _line("", [""] * len(heads)).replace(" ", "─").replace("│", "┼")]
    for row in rows(moments):
        if row.gap:
            lines.append(_line("", [f"… {row.gap:.1f} s …"] * len(heads)))
        said = textwrap.wrap(_MARK[row.moment.decisive] + shown(row.moment.text), _WIDTH, subsequent_indent="    ")
        column = _column(row.moment.point, heads)
        for number, piece in enumerate(said):
            t = f"{row.moment.t:.3f}" if number == 0 else ""
            lines.append(_line(t, [piece if place == column else "" for place in range(len(heads))]))
    return "\n".join(line.rstrip() for line in lines)


def _column(point: str, heads: Sequence[str]) -> int:
    if point in _CLIENT_SIDE:
        return 0
    return heads.index(_BEHIND_EDGE) if point == Point.EDGE_TAP else len(heads) - 1


def _line(t: str, columns: Iterable[str]) -> str:
    return " │ ".join([f"{t:>9}", *(f"{column:<{_WIDTH}}" for column in columns)])
