"""What a person sees while a run lasts: what is driven now, how long that can still take, what was judged so far."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from conformance.evidence.events import JSON
from conformance.report.escape import shown

PLAIN_PERIOD: Final = 10.0
"""Without a terminal, a line that says only how far the run has come is printed at most this often, in seconds."""
_SHOWN_CELLS: Final = 6
_SHOWN_TARGETS: Final = 4
_BESIDE_WAITS: Final = 1.5
"""What a cell takes beside its deliberate waits, in seconds, as far as that matters for saying how far a run is."""
_SHARE_TO_TELL: Final = 0.1
"""Share of the work that must be done before it is said how long the rest takes; before, it would be a guess."""


@dataclass(frozen=True, slots=True)
class _Driving:
    """A cell under way. since: when it began, on the progress's clock. seconds: its longest deliberate wait."""

    cell: str
    since: float
    seconds: float

    def left(self, now: float) -> float:
        """Return how many seconds of deliberate waiting remain at most."""
        return max(0.0, self.since + self.seconds - now)


class LiveProgress:
    """Shows progress while it is entered. Safe to feed from several threads.

    cells: the longest deliberate wait of every cell that is to be driven, in seconds, by cell id. clock: seconds,
    monotonic.
    """

    def __init__(
        self,
        console: Console,
        cells: Mapping[str, float],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._console = console
        self._cells = len(cells)
        self._waiting = dict(cells)
        self._work = {cell: wait + _BESIDE_WAITS for cell, wait in cells.items()}
        self._all_work = sum(self._work.values())
        self._driven_from: float | None = None
        self._clock = clock
        self._lock = threading.Lock()
        self._driving: dict[str, _Driving] = {}
        self._ended = 0
        self._verdicts: Counter[str] = Counter()
        self._undriven: Counter[str] = Counter()
        self._doing = "starting"
        self._begun = self._printed = clock()
        self._live: Live | None = None

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live = Live(console=self._console, get_renderable=self._render, transient=True, refresh_per_second=4)
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def engine(self, line: Mapping[str, JSON]) -> None:
        """Take one line of the engine child's progress file: {t, what, cell?, target?, seconds?, error?, …}."""
        with self._lock:
            news = self._take(line)
        if news:
            self._say(news)
        else:
            self._say_sparsely()

    def result(self, record: Mapping[str, JSON]) -> None:
        """Take one `result` record."""
        with self._lock:
            self._verdicts[str(record["verdict"])] += 1
            first = record.get("expectation") == "unexpected-failure"
        if first:
            self._say(f"unexpected failure: {record['rule']} on {record['target']}: {record['observed']}")
        else:
            self._say_sparsely()

    def _take(self, line: Mapping[str, JSON]) -> str:
        """Note one line; return what is worth a line of its own, empty when nothing is."""
        cell = str(line.get("cell", ""))
        match line["what"]:
            case "preparing":
                self._doing = f"preparing {line.get('target', '')}"
                return self._doing
            case "driving":
                first, self._doing = self._doing != "driving", "driving"
                if self._driven_from is None:
                    self._driven_from = self._clock()
                wait = float(line.get("seconds", self._waiting.get(cell, 0.0)))
                self._driving[cell] = _Driving(cell, self._clock(), wait)
                self._waiting.pop(cell, None)
                return f"driving {self._cells} cells" if first else ""
            case "done":
                self._end(cell)
            case "failed":
                self._end(cell)
                why = str(line.get("error", ""))
                self._undriven[why] += 1
                return f"could not drive {cell}: {why}" if self._undriven[why] == 1 else ""
            case "kept":
                return f"kept up: {line['target']} before {line['backend']}: {line['url']} (log: {line['log']})"
            case "driven":
                self._doing = "judging what is left"
                return f"every cell was driven{self._but()}"
        return ""

    def _end(self, cell: str) -> None:
        self._driving.pop(cell, None)
        self._waiting.pop(cell, None)  # a cell whose instance did not start was never driven
        self._work.pop(cell, None)
        self._ended += 1

    def _but(self) -> str:
        """Say how many cells were not driven: why, was said with the first of each reason."""
        cells, reasons = self._undriven.total(), len(self._undriven)
        given = "the reason given above" if reasons == 1 else f"the {reasons} reasons given above"
        return f" but {cells}, for {given}" if cells else ""

    def _say(self, text: str) -> None:
        """Print a line that does not wait."""
        self._printed = self._clock()
        line = Text(f"{self._printed - self._begun:6.1f} s  {shown(text)}")
        self._console.print(line, soft_wrap=self._live is None)

    def _say_sparsely(self) -> None:
        if self._live is None and self._clock() - self._printed >= PLAIN_PERIOD:
            judged = sum(self._verdicts.values())
            self._say(f"{self._ended}/{self._cells} cells, {judged} results{self._estimate()}{self._waits()}")

    def _estimate(self) -> str:
        """Say about how long the rest takes, at the pace so far, and of which targets most is left."""
        now = self._clock()
        with self._lock:
            left, begun = sum(self._work.values()), self._driven_from
            targets = Counter(cell.partition("/")[0] for cell in self._work)
        done = self._all_work - left
        said = ""
        if begun is not None and left and done >= _SHARE_TO_TELL * self._all_work:
            said = f", about {max(1, round((now - begun) * left / done / 60))} min left"
        if len(targets) > 1:
            most = ", ".join(f"{shown(name)} {number}" for name, number in targets.most_common(_SHOWN_TARGETS))
            said += f"; left: {most}" + (" and others" if len(targets) > _SHOWN_TARGETS else "")
        return said

    def _waits(self) -> str:
        """Say how long the longest wait still to come lasts, of cells under way and of those not begun."""
        now = self._clock()
        with self._lock:
            left = {cell: item.left(now) for cell, item in self._driving.items()} | self._waiting
        cell = max(left, key=lambda item: left[item], default=None)
        if cell is None or left[cell] == 0.0:
            return ""
        return f"; longest wait left {left[cell]:.0f} s ({_short(cell)})"

    def _render(self) -> RenderableType:
        now = self._clock()
        waits = self._estimate() + self._waits()
        with self._lock:
            running = sorted(self._driving.values(), key=lambda item: -item.left(now))
            counts = ", ".join(f"{number} {verdict}" for verdict, number in sorted(self._verdicts.items()))
            head = Table.grid(padding=(0, 1))
            head.add_row(
                ProgressBar(total=max(1, self._cells), completed=self._ended, width=24),
                Text(f"{self._ended}/{self._cells} cells · {now - self._begun:.0f} s · {shown(self._doing)}{waits}"),
            )
            lines = [Text(f"  {shown(item.cell)}  {now - item.since:.0f} s", "dim") for item in running[:_SHOWN_CELLS]]
        if len(running) > _SHOWN_CELLS:
            lines.append(Text(f"  and {len(running) - _SHOWN_CELLS} more", "dim"))
        return Group(head, *lines, Text(f"  {counts}"))


def _short(cell: str) -> str:
    """Return target and scenario of a cell id."""
    return f"{cell.partition('/')[0]} {cell.rpartition('/')[2]}"
