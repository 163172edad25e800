"""What all images stand on: the public Debian image, or debootstrap where none can be pulled, with packages."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

from docker.errors import DockerException, ImageNotFound

from conformance.errors import CannotJudgeError
from conformance.paths import FIXTURES
from conformance.stage.engine import connect
from conformance.stage.image_build import build_image
from conformance.stage.labels import IMAGE_LABEL

if TYPE_CHECKING:
    import docker

Progress: TypeAlias = Callable[[str], None]
"""Told one line for each step that really happens."""

SUITE: Final = "trixie"
"""Debian 13: Python 3.13 and Node 20."""

BASE_TAG: Final = f"mcp-gateway-conformance/base:{SUITE}"
BUILD_COMMAND: Final = "mcp-gateway-conformance build-base"

_DEBIAN_TAG: Final = f"mcp-gateway-conformance/debian:{SUITE}"
_PUBLIC_IMAGE: Final = f"debian:{SUITE}-slim"
_BOOTSTRAP_SECONDS: Final = 900.0
"""Longest debootstrap, in seconds. Seen: 23 s on 2 cores with a near mirror."""

_LEFT_OUT: Final = (
    "./dev/*",
    "./proc/*",
    "./sys/*",
    "./var/cache/apt",
    "./var/lib/apt/lists/*",
    "./var/log/*",
    "./usr/share/doc",
    "./usr/share/info",
    "./usr/share/locale",
    "./usr/share/man",
)
_TAIL_LINES: Final = 5


def ensure_base(client: docker.DockerClient, on_progress: Progress) -> str:
    """Return the tag of the base image, built from the public Debian image if it is not there. Blocks.

    Raises CannotJudgeError saying what to type where the public image cannot be had.
    """
    if is_current(client, BASE_TAG):
        return BASE_TAG
    try:
        client.images.get(_PUBLIC_IMAGE)
    except ImageNotFound:
        on_progress(f"pulling {_PUBLIC_IMAGE}")
        try:
            client.images.pull(_PUBLIC_IMAGE)
        except DockerException as error:
            raise CannotJudgeError(
                f"There is no base image, and the engine cannot pull {_PUBLIC_IMAGE} ({error}); "
                f"build one from Debian packages with `{BUILD_COMMAND}` (as root, with debootstrap installed)."
            ) from error
    return _add_packages(client, BASE_TAG, _PUBLIC_IMAGE, on_progress)


def build_base(tag: str = BASE_TAG, *, on_progress: Progress = print) -> str:
    """Build the base image with debootstrap, unless `tag` is there and current, and return its tag. Blocks.

    Needs root and debootstrap, and a mirror of Debian's packages. Raises CannotJudgeError with what to mend.
    """
    client = connect()
    try:
        if is_current(client, tag):
            return tag
        with tempfile.TemporaryDirectory(prefix="mcp-gateway-conformance-", dir="/var/tmp") as folder:
            root = Path(folder) / "root"
            _bootstrap(root, on_progress)
            _import(client, root, on_progress)
        return _add_packages(client, tag, _DEBIAN_TAG, on_progress)
    finally:
        client.close()


def is_current(client: docker.DockerClient, tag: str) -> bool:
    """Whether the base image is there and was made from the Dockerfile as it is now."""
    try:
        return client.images.get(tag).labels.get(IMAGE_LABEL) == _recipe()
    except ImageNotFound:
        return False


def _dockerfile() -> bytes:
    return (FIXTURES / "base" / "Dockerfile").read_bytes()


def _recipe() -> str:
    return sha256(_dockerfile()).hexdigest()[:16]


def _add_packages(client: docker.DockerClient, tag: str, debian: str, on_progress: Progress) -> str:
    on_progress(f"installing Python, Node and the engine's command line into {tag}")
    return build_image(
        client,
        tag=tag,
        files={"Dockerfile": _dockerfile()},
        arguments={"BASE_IMAGE": debian},
        labels={IMAGE_LABEL: _recipe()},
    )


def _bootstrap(root: Path, on_progress: Progress) -> None:
    """Install a minimal Debian into `root`, in a mount namespace of its own: what it mounts there cannot outlive it."""
    program = shutil.which("debootstrap")
    if program is None:
        raise CannotJudgeError("debootstrap is not installed; type `apt-get install debootstrap`.")
    if os.geteuid() != 0:
        raise CannotJudgeError(f"Building the base image needs root; type `sudo {BUILD_COMMAND}`.")
    on_progress(f"bootstrapping Debian {SUITE}")
    command = ["unshare", "--mount", "--", program, "--variant=minbase", SUITE, str(root)]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
            timeout=_BOOTSTRAP_SECONDS,
        )
    except subprocess.TimeoutExpired as error:
        raise CannotJudgeError(
            f"debootstrap took over {_BOOTSTRAP_SECONDS:.0f} s; see that its mirror answers: {' '.join(command)}"
        ) from error
    if done.returncode != 0:
        tail = "\n".join(done.stdout.strip().splitlines()[-_TAIL_LINES:])
        raise CannotJudgeError(f"debootstrap failed; see it again with `{' '.join(command)}`:\n{tail}")


def _import(client: docker.DockerClient, root: Path, on_progress: Progress) -> None:
    on_progress(f"importing {_DEBIAN_TAG}")
    excluded = [f"--exclude={pattern}" for pattern in _LEFT_OUT]
    command = ["tar", "--create", "--numeric-owner", *excluded, f"--directory={root}", "."]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as tar:
        assert tar.stdout is not None
        repository, _, name = _DEBIAN_TAG.partition(":")
        client.api.import_image_from_stream(tar.stdout, repository=repository, tag=name)
    if tar.returncode != 0:
        raise CannotJudgeError(f"Packing the base image failed (tar ended with {tar.returncode}); is the disk full?")
