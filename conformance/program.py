"""What this program is called, and how the person who started it starts it again."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path
from typing import Final

PROGRAM: Final = "mcp-gateway-conformance"
"""Its name, where it is installed."""


def typed_again() -> str:
    """Return what begins a command line that works in the shell this one was started from.

    That is the name where the name was typed, else this interpreter: a shell outside nox, or outside an environment
    that is not activated, finds no program of that name, or another one.
    """
    if Path(sys.argv[0]).name == PROGRAM and shutil.which(PROGRAM) is not None:
        return PROGRAM
    return f"{shlex.quote(sys.executable)} -m conformance"
