"""What stands under each command's options in its `--help`: worked examples and what the exit status means."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Final

from rich.markup import escape

from conformance.program import PROGRAM

_EXIT_CODES: Final = {
    0: "as expected",
    1: "an unexpected failure, or an unexpected pass",
    2: "interrupted",
    3: "could not judge: the harness, the engine, an installation, a start-up or a stored file",
    4: "the command line, a target file or a baseline is wrong",
    5: "nothing to judge",
}


def epilog(*examples: tuple[str, str], codes: Sequence[int] = (0, 4)) -> str:
    """Return the closing part of a help page. examples: arguments after the program's name, and what they do."""
    shown = "\n".join(f"  {PROGRAM} {arguments}\n      {what}" for arguments, what in examples)
    meanings = "\n".join(f"  {code}  {_EXIT_CODES[code]}" for code in codes)
    return f"[bold]Examples[/bold]\n{escape(shown)}\n\n[bold]Exit codes[/bold]\n{escape(meanings)}"


def nearest(word: str, known: Sequence[str], otherwise: str) -> str:
    """Return `did you mean 'X'?` for the known word nearest to `word` in any capitals, else `otherwise`."""
    folded = {item.casefold(): item for item in known}
    near = get_close_matches(word.casefold(), list(folded), n=1)
    return f"did you mean {folded[near[0]]!r}?" if near else otherwise
