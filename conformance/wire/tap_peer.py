"""Who is at the other end of a Unix socket, as the kernel and the control groups tell it (Linux)."""

from __future__ import annotations

import re
import socket
import struct
from pathlib import Path
from typing import Any, Final

_CREDENTIALS: Final = struct.Struct("3i")
_CONTAINER: Final = re.compile(r"[0-9a-f]{64}")
"""A container's id in the path of a control group: `/docker/ID`, `/system.slice/docker-ID.scope` and the like."""


def peer_facts(sock: socket.socket) -> dict[str, Any]:
    """Return `pid` and `container` (None outside one, or when it has gone) of a Unix socket's peer; empty for TCP.

    The pid is the one that connected (unix(7), SO_PEERCRED), as this process's own namespace numbers it.
    """
    if sock.family != socket.AF_UNIX or not hasattr(socket, "SO_PEERCRED"):
        return {}
    pid, _, _ = _CREDENTIALS.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
    return {"pid": pid, "container": container_of(pid)}


def container_of(pid: int) -> str | None:
    """Return the id of the container that a process runs in, None for one that runs in none or is not there."""
    try:
        groups = Path(f"/proc/{pid}/cgroup").read_text(encoding="utf-8")
    except OSError:
        return None
    found = _CONTAINER.search(groups)
    return found.group() if found else None
