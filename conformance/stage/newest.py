"""The newest release of what a manifest pins, as the package registries serve it today."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from conformance.errors import CannotJudgeError
from conformance.stage.manifest import TargetManifest
from conformance.stage.packages import find_python, npm_command

LOCKS: Final = ("constraints.txt", "package-lock.json")
"""Files beside a manifest that pin what its packages depend on: those of the pinned release, not of the newest."""
_SECONDS: Final = 60.0
"""How long a registry may take to name a version."""


@dataclass(frozen=True, slots=True)
class Newest:
    """A target at the newest release of its packages. changed: whether that is another than the pinned one."""

    target: TargetManifest
    pinned: str
    changed: bool


def newest(target: TargetManifest, folder: Path) -> Newest:
    """Return `target` at the newest release of each package that it pins, without its lock files.

    folder: an empty one, which becomes the target's. Raises CannotJudgeError when a registry names no version.
    """
    install = target.install
    versions = {pin: _newest_on_pypi(pin, install.python) for pin in install.pypi}
    versions |= {pin: _newest_on_npm(pin) for pin in install.npm}
    own = next((pin for pin in versions if _version(pin) == target.version), next(iter(versions), None))
    if target.folder is not None:
        shutil.copytree(target.folder, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns(*LOCKS, "__pycache__"))
    changed = {
        "pypi": tuple(f"{_name(pin)}=={versions[pin]}" for pin in install.pypi),
        "npm": tuple(f"{_name(pin)}@{versions[pin]}" for pin in install.npm),
    }
    moved = target.model_copy(
        update={
            "install": install.model_copy(update=changed),
            "version": versions[own] if own is not None else target.version,
        }
    )
    moved._folder = folder  # noqa: SLF001 - set once, as the manifest's loader does
    return Newest(moved, target.version, any(_version(pin) != version for pin, version in versions.items()))


def _name(pin: str) -> str:
    return pin.partition("==")[0] if "==" in pin else pin.rpartition("@")[0]


def _version(pin: str) -> str:
    return pin.partition("==")[2] if "==" in pin else pin.rpartition("@")[2]


def _newest_on_pypi(pin: str, python: str) -> str:
    """Return the newest final release that runs on the interpreter the target would get."""
    name = _name(pin).partition("[")[0]
    command = [str(find_python(python)), "-m", "pip", "index", "versions", name, "--disable-pip-version-check"]
    return _named(name, command, r"\((\S+)\)")


def _newest_on_npm(pin: str) -> str:
    command = [*npm_command(print), "view", _name(pin), "version"]
    return _named(_name(pin), command, r"^\s*(\S+)\s*$")


def _named(package: str, command: list[str], pattern: str) -> str:
    """Return the version that a registry's client names. Raises CannotJudgeError."""
    try:
        told = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_SECONDS)
    except subprocess.TimeoutExpired:
        raise CannotJudgeError(
            f"The registry named no version of {package} within {_SECONDS:g} s; try again."
        ) from None
    found = re.search(pattern, told.stdout.partition("\n")[0])
    if told.returncode or found is None:
        last = (told.stderr.strip().splitlines() or ["no output"])[-1]
        raise CannotJudgeError(f"The registry names no version of {package} ({last}); is it reachable?")
    return found[1]
