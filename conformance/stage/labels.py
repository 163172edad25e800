"""The labels that every container, network and image of a run carries, and whose run a label belongs to."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Final

import psutil

if TYPE_CHECKING:
    from collections.abc import Mapping

RUN_LABEL: Final = "mcp-gateway-conformance.run"
"""Value: the run's id. All that carries it is removed with the run."""

OWNER_LABEL: Final = "mcp-gateway-conformance.owner"
"""Value: host, boot, process id and start of the process that drives the run, so that a later run can tell that it is
dead."""

IMAGE_LABEL: Final = "mcp-gateway-conformance.image"
"""Value: hash of what the image is made of. On images kept between runs."""

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_START_TOLERANCE = 2.0
"""Seconds by which two readings of one process's start may differ where the wall clock was set in between."""


def run_labels(run_id: str) -> dict[str, str]:
    """Return the labels of what belongs to the run driven by this process."""
    return {RUN_LABEL: run_id, OWNER_LABEL: owner_of(os.getpid())}


def owner_of(pid: int) -> str:
    """Return the value of OWNER_LABEL for a living process. Raises psutil.NoSuchProcess."""
    return f"{socket.gethostname()} {_boot()} {pid} {psutil.Process(pid).create_time():.2f}"


def is_dead(labels: Mapping[str, str]) -> bool:
    """Whether the labels' run surely has no process any more.

    A run driven from another host through the same engine is never called dead: its processes cannot be seen from here.
    """
    parts = labels.get(OWNER_LABEL, "").split(" ")
    if len(parts) != 4 or parts[0] != socket.gethostname():
        return False
    _, boot, pid, started = parts
    if boot != _boot():
        return True
    try:
        return abs(psutil.Process(int(pid)).create_time() - float(started)) > _START_TOLERANCE
    except psutil.NoSuchProcess:
        return True


def _boot() -> str:
    """Return what identifies this boot of the machine; where the kernel gives no id, the minute of its start."""
    if _BOOT_ID.is_file():
        return _BOOT_ID.read_text(encoding="ascii").strip()
    return str(int(psutil.boot_time() / 60))
