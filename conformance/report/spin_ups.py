"""spin_up.md and spin_up.html: from each client's trigger to its first result, as a table and as bars."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from conformance.report.records import Report, SpinUp
from conformance.report.templates import html_templates, markdown_templates

NAME: Final = "spin_up"
"""Name of both files, without their endings."""

STEPS: Final = {
    "asked": "engine asked",
    "created": "created",
    "started": "started",
    "spoke": "first byte",
    "backend_initialized": "server's initialize",
    "initialized": "initialize",
    "listed": "tools/list",
    "first_result": "first result",
    "ended": "session ended",
    "died": "container ended",
    "removed": "removed",
}
"""Heading of each step after the trigger, in the usual order."""

_SERVED: Final = tuple(STEPS)[: tuple(STEPS).index("first_result") + 1]
"""The steps until a client is served: those that the bars show."""


@dataclass(frozen=True, slots=True)
class Bar:
    """One step's part of a bar: begin and width in percent of the page's longest start."""

    name: str
    begin: float
    width: float
    t: float


def write_spin_ups(report: Report, out: Path) -> None:
    """Write both files into `out` where the run saw a gateway start containers."""
    if not report.spin_ups:
        return
    values = {
        "rows": report.spin_ups,
        "steps": STEPS,
        "served": _SERVED,
        "bars": list(bars(report.spin_ups)),
        "name": NAME,
    }
    for environment, ending in ((markdown_templates(), "md"), (html_templates(), "html")):
        text = environment.get_template(f"{NAME}.{ending}.j2").render(**values)
        (out / f"{NAME}.{ending}").write_text(text, encoding="utf-8")


def bars(rows: Iterable[SpinUp]) -> Iterator[tuple[SpinUp, tuple[Bar, ...]]]:
    """Yield each start with its bar: the time from each step to the next, until the client was served."""
    seen = [(row, sorted((t, name) for name, t in row.steps.items() if name in _SERVED)) for row in rows]
    longest = max((steps[-1][0] for _, steps in seen if steps), default=0.0) or 1.0
    for row, steps in seen:
        begins = [0.0, *(t for t, _ in steps)]
        pieces = zip(begins, steps, strict=False)
        yield row, tuple(Bar(STEPS[name], 100 * b / longest, 100 * (t - b) / longest, t) for b, (t, name) in pieces)
