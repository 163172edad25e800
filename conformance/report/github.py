"""What GitHub Actions reads from a job's output: annotations, and a guard around everything else that is printed.

Workflow commands are lines of the job's output that begin with `::` (GitHub documentation, Workflow commands for GitHub
Actions). A gateway's words are shown in that output, so they are printed between `::stop-commands::` and its token.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, TextIO

from conformance.report.escape import command_data, command_property
from conformance.report.overview import overview
from conformance.report.records import Report

_MOST: Final = 10
"""Error annotations that GitHub shows of one step."""


def on_github() -> bool:
    """Whether this process runs in a GitHub Actions job."""
    return os.environ.get("GITHUB_ACTIONS") == "true"


@contextmanager
def commands_stopped(stream: TextIO) -> Iterator[None]:
    """Keep GitHub from obeying what is printed meanwhile; does nothing elsewhere."""
    if not on_github():
        yield
        return
    token = secrets.token_hex(16)
    print(f"::stop-commands::{token}", file=stream, flush=True)
    try:
        yield
    finally:
        print(f"::{token}::", file=stream, flush=True)


def error_lines(report: Report) -> tuple[str, ...]:
    """Return the workflow commands that annotate a job: what was unexpected, and what kept the harness from judging."""
    lines: list[str] = []
    for target in overview(report):
        for cause in target.unexpected:
            first = cause.results[0]
            title = f"{target.target}: {cause.title}"
            said = f"{cause.failure_class} at {cause.hop}. Expected: {first.expected}. Observed: {first.observed}"
            lines.append(_error(title, said))
        lines += [
            _error(f"{target.target}: {result.rule} passes unexpectedly", f"{result.cell}: remove the baseline entry")
            for result in target.unexpected_passes
        ]
        lines += [_error(f"{target.target}: stale baseline entry {item.rule}", item.why) for item in target.stale]
        lines += [_error(f"{target.target}: harness error", reason.text) for reason in target.harness_errors]
    if len(lines) > _MOST:
        more = f"{len(lines) - _MOST + 1} more findings"
        lines = [*lines[: _MOST - 1], _error(more, "the job summary has all of them")]
    return tuple(lines)


def _error(title: str, message: str) -> str:
    return f"::error title={command_property(title)}::{command_data(message)}"


def annotate(report: Report, stream: TextIO) -> None:
    """Print the annotations of a run in a GitHub Actions job; does nothing elsewhere."""
    if on_github():
        for line in error_lines(report):
            print(line, file=stream, flush=True)
