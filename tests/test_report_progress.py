"""Live progress: sparse lines without a terminal, a picture of what runs now with one."""

from __future__ import annotations

import io

from report_sample import HOSTILE, result
from rich.console import Console

from conformance.report.escape import shown
from conformance.report.progress import LiveProgress

CELL = "gw/process/witness/2025-11-25/2025-11-25/idle-stream"
LATER = "gw/process/witness/2025-11-25/2025-11-25/long-call"


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def feed(progress, clock):
    progress.engine({"t": 0, "what": "preparing", "target": "gw"})
    progress.engine({"t": 0, "what": "driving", "cell": CELL, "seconds": 33.0})
    for second in range(1, 36):
        clock.now = float(second)
        progress.result(result())
    progress.engine({"t": 0, "what": "done", "cell": CELL, "error": ""})
    progress.engine({"t": 0, "what": "failed", "cell": LATER, "error": HOSTILE})
    progress.engine({"t": 0, "what": "driven"})


def test_without_a_terminal_lines_are_sparse():
    stream, clock = io.StringIO(), Clock()
    with LiveProgress(Console(file=stream, width=80), {CELL: 33.0, LATER: 18.5}, clock) as progress:
        feed(progress, clock)
    assert [line[10:] for line in stream.getvalue().splitlines()] == [
        "preparing gw",
        "driving 2 cells",
        "0/2 cells, 10 results; longest wait left 23 s (gw idle-stream)",
        "0/2 cells, 20 results; longest wait left 18 s (gw long-call)",
        "0/2 cells, 30 results; longest wait left 18 s (gw long-call)",
        f"could not drive {LATER}: {shown(HOSTILE)}",
        "every cell was driven but 1, for the reason given above",
    ]


def test_why_cells_could_not_be_driven_is_said_once_and_of_how_many_it_holds_at_the_end():
    stream = io.StringIO()
    cells = [f"gw/process/witness/2025-11-25/2025-11-25/s{number}" for number in range(4)]
    with LiveProgress(Console(file=stream, width=200), dict.fromkeys(cells, 0.0), Clock()) as progress:
        for number, cell in enumerate(cells):
            progress.engine({"t": 0, "what": "failed", "cell": cell, "error": "no such program" if number else "late"})
        progress.engine({"t": 0, "what": "driven"})
    assert [line[10:] for line in stream.getvalue().splitlines()] == [
        f"could not drive {cells[0]}: late",
        f"could not drive {cells[1]}: no such program",
        "every cell was driven but 4, for the 2 reasons given above",
    ]


def test_an_unexpected_failure_is_told_at_once():
    stream = io.StringIO()
    with LiveProgress(Console(file=stream), {CELL: 0.0}, Clock()) as progress:
        progress.result(result(verdict="fail"))
    assert "unexpected failure: GET-R01 on gw: GET was answered 400" in stream.getvalue()


def test_a_terminal_shows_what_runs_now():
    stream, clock = io.StringIO(), Clock()
    console = Console(file=stream, force_terminal=True, color_system=None, width=120)
    with LiveProgress(console, {CELL: 33.0, LATER: 18.5}, clock) as progress:
        progress.engine({"t": 0, "what": "driving", "cell": CELL, "seconds": 33.0})
        clock.now = 3.0
        progress.result(result())
        with console.capture() as shown:
            console.print(progress._render())
    assert "0/2 cells · 3 s · driving; longest wait left 30 s (gw idle-stream)" in shown.get()
    assert f"{CELL}  3 s" in shown.get()
    assert "1 pass" in shown.get()


def test_many_targets_say_what_is_left_of_each_and_about_how_long():
    stream, clock = io.StringIO(), Clock()
    cells = {f"{name}/process/witness/2025-11-25/2025-11-25/s{n}": 8.5 for name in "abcdef" for n in range(2)}
    with LiveProgress(Console(file=stream, width=200), cells, clock) as progress:
        for number, cell in enumerate(cells, 1):
            progress.engine({"t": 0, "what": "driving", "cell": cell, "seconds": 8.5})
            clock.now = number * 60.0
            progress.engine({"t": 0, "what": "done", "cell": cell, "error": ""})
    lines = [line[10:].partition("; longest")[0] for line in stream.getvalue().splitlines()[1:]]
    assert lines[0] == "1/12 cells, 0 results; left: b 2, c 2, d 2, e 2 and others"
    assert lines[1] == "2/12 cells, 0 results, about 10 min left; left: b 2, c 2, d 2, e 2 and others"
    assert lines[-2:] == ["11/12 cells, 0 results, about 1 min left", "12/12 cells, 0 results"]
