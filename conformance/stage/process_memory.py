"""How much memory a program of this machine holds."""

from __future__ import annotations

from contextlib import suppress

import psutil


def resident(pid: int) -> int:
    """Return the resident memory of a process and of all it started, in bytes; 0 where there is no such process."""
    held = 0
    with suppress(psutil.Error):  # it has ended: it holds nothing
        root = psutil.Process(pid)
        for process in (root, *root.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):
                held += int(process.memory_info().rss)
    return held
