"""Where a program of this machine listens, read from the system's table of its sockets."""

from __future__ import annotations

import psutil


def listening(pid: int, port: int) -> tuple[str, ...]:
    """Return the addresses on which a process or one started by it listens on a TCP port, sorted.

    Empty where there is no such process, or its sockets may not be looked at.
    """
    try:
        root = psutil.Process(pid)
        found = {
            connection.laddr.ip
            for process in (root, *root.children(recursive=True))
            for connection in process.net_connections(kind="tcp")
            if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port
        }
    except psutil.Error:
        return ()
    return tuple(sorted(found))
