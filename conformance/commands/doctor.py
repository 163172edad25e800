"""`doctor`: what this machine can run, and what to type for what it cannot."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import platform
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated, Final

import typer

from conformance.commands import teaching
from conformance.commands.console import print_json, print_line, print_table
from conformance.errors import ExitCode
from conformance.paths import cache_dir
from conformance.stage.edge_manifest import EdgeManifest
from conformance.stage.engine_probe import Check, probe_engine
from conformance.stage.manifest import known_edges, load_edge
from conformance.stage.packages import NODE_FROM_PYPI, OLDEST_NODE, machine_program

EPILOG = teaching.epilog(
    ("doctor", "look at this machine; nothing is installed or downloaded"),
    ("doctor --online --json", "also ask the package registries, and answer in JSON"),
    codes=(0, 3, 4),
)
GIGABYTE: Final = 1_000_000_000
CACHE_NEEDS: Final = 2 * GIGABYTE
"""Free bytes wanted in the cache folder: the largest gateway on record takes 574 MB, the pinned three and two backends
together less than 1 GB."""

WORK_NEEDS: Final = GIGABYTE // 2
"""Free bytes wanted for temporary files: what the taps record until it has been parsed."""

REGISTRY_SECONDS: Final = 60.0
"""Longest question to a package registry, in seconds."""

_NEEDED: Final = ("Python", "virtual environments", "cache folder", "temporary folder", "ports")
"""Without one of these no gateway can be started as a process."""


def doctor(
    online: Annotated[bool, typer.Option("--online", help="also ask the package registries")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="the checks as one JSON object")] = False,
) -> ExitCode:
    """Say what this machine can run, and what to type for what is missing.

    Starts one small container, where an engine answers, to see whether containers and taps reach each other.
    """
    engine = asyncio.run(probe_engine())
    local = [check() for check in LOCAL_CHECKS]
    checks = [*local, *engine.checks, *([pypi(), npm()] if online else [])]
    process = all(check.ok for check in local if check.what in _NEEDED)
    runtimes = {"containers": process and engine.usable, "process": process}
    if as_json:
        print_json({"runtimes": runtimes, "engine": engine.version, "checks": [asdict(check) for check in checks]})
    else:
        rows = [(check.what, _mark(check), check.seen, "" if check.ok else check.remedy) for check in checks]
        print_table("This machine", ["what", "", "seen", "what to do"], rows)
        able = [name for name, can in runtimes.items() if can]
        print_line(f"runtimes that can run: {', '.join(able) or 'none'}")
    return ExitCode.OK if process else ExitCode.CANNOT_JUDGE


def python() -> Check:
    """Look at the interpreter."""
    return Check("Python", ok=True, seen=f"{platform.python_version()} at {sys.executable}")


def virtual_environments() -> Check:
    """Look whether environments for gateways can be made: Debian ships `venv` without what it needs."""
    if importlib.util.find_spec("ensurepip") and importlib.util.find_spec("venv"):
        return Check("virtual environments", ok=True, seen="venv and ensurepip are there")
    major, minor = sys.version_info[:2]
    remedy = f"apt-get install python{major}.{minor}-venv (or your system's package of that name)"
    return Check("virtual environments", ok=False, seen="Python's ensurepip is missing", remedy=remedy)


def node() -> Check:
    """Look for Node and npm; a machine without them gets them from PyPI."""
    found = shutil.which("node")
    told = subprocess.run([found, "--version"], capture_output=True, text=True, check=False).stdout if found else ""
    version = re.match(r"v(\d+)\.", told)
    if shutil.which("npm") is None or version is None or int(version[1]) < OLDEST_NODE:
        seen = f"no Node {OLDEST_NODE} or later with npm on PATH; runs take {NODE_FROM_PYPI} from PyPI"
        return Check("Node", ok=True, seen=seen)
    return Check("Node", ok=True, seen=f"{told.strip()} at {found}")


def cache_folder() -> Check:
    """Look whether installed gateways can be kept."""
    return _folder("cache folder", cache_dir(), CACHE_NEEDS, "MCP_GATEWAY_CONFORMANCE_CACHE")


def temporary_folder() -> Check:
    """Look whether recordings can be kept while a run lasts."""
    return _folder("temporary folder", Path(tempfile.gettempdir()), WORK_NEEDS, "TMPDIR")


def ports() -> Check:
    """Look whether a port of the loopback address can be listened on."""
    try:
        with socket.create_server(("127.0.0.1", 0)) as server:
            return Check("ports", ok=True, seen=f"127.0.0.1:{server.getsockname()[1]} was free")
    except OSError as error:
        remedy = "allow this user to listen on 127.0.0.1, or end what uses up the ports"
        return Check("ports", ok=False, seen=str(error), remedy=remedy)


def pypi() -> Check:
    """Ask the registry that pip is set up for; downloads nothing."""
    pip = [sys.executable, "-m", "pip", "install", "--dry-run", "--no-deps", "--ignore-installed", "--quiet"]
    return _registry("PyPI", [*pip, NODE_FROM_PYPI], "see `python -m pip config list`, or set PIP_INDEX_URL")


def npm() -> Check:
    """Ask the registry that npm is set up for; downloads nothing."""
    if shutil.which("npm") is None:
        return Check("npm registry", ok=None, seen="there is no npm on this machine", remedy="install Node to ask it")
    return _registry("npm registry", ["npm", "view", "npm", "version"], "see `npm config get registry`")


def edge(manifest: EdgeManifest) -> Check:
    """Look for an edge that comes from Debian; the others are installed from PyPI."""
    what = f"edge {manifest.name}"
    if manifest.install.pypi:
        return Check(what, ok=True, seen=f"runs take {', '.join(manifest.install.pypi)} from PyPI")
    found = machine_program(manifest.program)
    if found is not None:
        return Check(what, ok=True, seen=str(found))
    remedy = f"apt-get install {manifest.install.debian}, for suite edges in the process runtime"
    return Check(what, ok=False, seen="not installed", remedy=remedy)


LOCAL_CHECKS: Final[tuple[Callable[[], Check], ...]] = (
    python,
    virtual_environments,
    node,
    cache_folder,
    temporary_folder,
    ports,
    *(partial(edge, load_edge(name)) for name in known_edges()),
)


def _registry(what: str, command: Sequence[str], remedy: str) -> Check:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=REGISTRY_SECONDS, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return Check(what, ok=False, seen=f"no answer ({error})", remedy=remedy)
    if done.returncode == 0:
        return Check(what, ok=True, seen="answers")
    last = (done.stderr.strip().splitlines() or ["no message"])[-1]
    return Check(what, ok=False, seen=last, remedy=remedy)


def _folder(what: str, folder: Path, wanted: int, variable: str) -> Check:
    """Look at the folder, or where it is not there yet at the nearest parent that is, and at the space on its disk."""
    remedy = f"set {variable} to a folder that this user can write to, on a disk with space"
    existing = next((one for one in (folder, *folder.parents) if one.exists()), folder)
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        return Check(what, ok=False, seen=f"{folder} cannot be written to", remedy=remedy)
    free = shutil.disk_usage(existing).free
    seen = f"{folder}, {free / GIGABYTE:.1f} GB free"
    if free < wanted:
        return Check(what, ok=False, seen=f"{seen}, {wanted / GIGABYTE:.1f} GB are needed", remedy=remedy)
    return Check(what, ok=True, seen=seen)


def _mark(check: Check) -> str:
    return {True: "ok", False: "missing", None: "unknown"}[check.ok]
