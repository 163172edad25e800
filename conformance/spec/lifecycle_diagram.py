"""The lifecycle tables as docs/lifecycle.md: two Mermaid state diagrams and the rows in full.

`python -m conformance.spec.lifecycle_diagram` writes the file anew; a test holds it up to date.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from conformance.spec.lifecycle import LIFECYCLE, STREAMS, Answer, Event, Row, State, Stream, StreamRow

DOCUMENT: Final = Path("docs/lifecycle.md")
"""Where the document stands in the checkout."""

_HEAD: Final = """# The lifecycle of a session

Generated from `conformance/spec/lifecycle.py` by `python -m conformance.spec.lifecycle_diagram`; do not edit.

A request is judged by the state of the session whose id it names. An answer that no arrow of its event leads along
departs from the lifecycle; 429 and 503 are tolerated everywhere. Answers that leave the state as it is are left out of
the diagrams and stand in the tables.
"""


def document() -> str:
    """Return the whole document."""
    parts = [
        _HEAD,
        "## The session\n",
        _diagram(LIFECYCLE, first=(State.STRANGER, State.UNKNOWN, State.SESSIONLESS)),
        *_tables(LIFECYCLE),
        "## Its GET stream\n\nJudged while the session is opened or ready; it ends with the session.\n",
        _diagram(STREAMS, first=(Stream.EARLY, Stream.NONE)),
        *_tables(STREAMS),
    ]
    return "\n".join(parts)


def _diagram(
    table: Mapping[State, Mapping[Event, Row]] | Mapping[Stream, Mapping[Event, StreamRow]],
    first: tuple[State | Stream, ...],
) -> str:
    """Return a Mermaid state diagram of the transitions that change the state."""
    arrows: dict[tuple[str, str], dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for state, rows in table.items():
        for event, row in rows.items():
            for answer, moved in row.answers.items():
                if moved != state:
                    arrows[state, moved][event].append(answer)
    lines = ["```mermaid", "stateDiagram-v2", *(f"    [*] --> {begin}" for begin in first)]
    for (before, after), events in arrows.items():
        label = "<br/>".join(f"{event} / {', '.join(answers)}" for event, answers in events.items())
        lines.append(f"    {before} --> {after}: {label}")
    return "\n".join([*lines, "```\n"])


def _tables(table: Mapping[State, Mapping[Event, Row]] | Mapping[Stream, Mapping[Event, StreamRow]]) -> Iterator[str]:
    """Yield a Markdown table for each state."""
    for state, rows in table.items():
        lines = [f"### {state}\n", "| event | tolerated answers | level | rows | source | note |", "|---" * 6 + "|"]
        for event, row in rows.items():
            answers = ", ".join(_led(answer, moved, state) for answer, moved in row.answers.items())
            lines.append(f"| {event} | {answers} | {row.level} | {', '.join(row.rows)} | {row.source} | {row.note} |")
        yield "\n".join([*lines, ""])


def _led(answer: Answer, moved: State | Stream, state: State | Stream) -> str:
    return str(answer) if moved == state else f"{answer} → {moved}"


if __name__ == "__main__":
    DOCUMENT.parent.mkdir(exist_ok=True)
    DOCUMENT.write_text(document(), encoding="utf-8")
