"""Where a program of this machine listens, read from the system's table of its sockets."""

from __future__ import annotations

from contextlib import suppress

import psutil


def listening(pid: int, port: int) -> tuple[str, ...]:
    """Return the addresses on which a process or one started by it listens on a TCP port, sorted.

    Empty where there is no such process, or its sockets may not be looked at.
    """
    found: set[str] = set()
    with suppress(psutil.Error):  # it has ended: it listens nowhere
        root = psutil.Process(pid)
        for process in (root, *root.children(recursive=True)):
            found |= _own(process, port)
    return tuple(sorted(found))


def _own(process: psutil.Process, port: int) -> set[str]:
    """Return the addresses of one process; none if it ended meanwhile, as children do."""
    try:
        sockets = process.net_connections(kind="tcp")
    except psutil.Error:
        return set()
    return {item.laddr.ip for item in sockets if item.status == psutil.CONN_LISTEN and item.laddr.port == port}
