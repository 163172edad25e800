"""Writing to the terminal: tables for people, JSON for programs, and nothing that a gateway could smuggle in."""

from __future__ import annotations

import io
import json
import os
import sys
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from conformance.report.escape import shown_lines

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from conformance.evidence.events import JSON

_PIPED_WIDTH: Final = 140
"""Columns of output that is not read on a terminal: wide enough that ids stay in one piece."""


def print_json(value: JSON) -> None:
    """Print one JSON document on standard output, in ASCII: what a gateway sent stays inside its strings."""
    print(json.dumps(value, indent=2))


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table whose first column is never wrapped; cells are plain text, no markup."""
    table = Table(header_style="bold", pad_edge=False, box=None)
    for position, column in enumerate(columns):
        table.add_column(column, no_wrap=position == 0, overflow="fold")
    for row in rows:
        table.add_row(*(Text(shown_lines(cell)) for cell in row))
    print_line(title, "bold")
    _console().print(table)


def print_section(heading: str, body: str) -> None:
    """Print an indented paragraph under a heading."""
    console = _console()
    console.print(Text(heading, style="bold"))
    for line in shown_lines(body).split("\n"):
        console.print(Text(f"  {line}"), soft_wrap=not console.is_terminal)


def print_line(text: str, style: str = "") -> None:
    """Print plain text."""
    _console().print(Text(shown_lines(text), style=style), soft_wrap=True)


def say(text: str) -> None:
    """Print for the person on standard error, so that standard output stays the result."""
    print(shown_lines(text), file=sys.stderr)


def _console() -> Console:
    """Return a console for standard output as it is now. Colours only on a terminal, and never under NO_COLOR."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # what it cannot encode is spelled out, and ends nothing
    width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else _PIPED_WIDTH
    return Console(width=width, highlight=False)
