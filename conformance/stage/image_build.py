"""One image build: the context as a tar in memory, the engine's classic builder, its errors in one sentence."""

from __future__ import annotations

import io
import tarfile
from typing import TYPE_CHECKING, Any, Final

from docker.errors import APIError, ImageNotFound

from conformance.errors import CannotJudgeError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import docker

BUILD_SECONDS: Final = 900
"""Longest silence of the engine during a build, in seconds: npm and pip print nothing while they fetch."""

_TAIL_LINES: Final = 8


def image_exists(client: docker.DockerClient, tag: str) -> bool:
    """Whether the engine has an image of that name."""
    try:
        client.images.get(tag)
    except ImageNotFound:
        return False
    return True


def files_below(folder: Path, *, prefix: str = "", suffixes: tuple[str, ...] = ()) -> dict[str, bytes]:
    """Return the files below `folder` by their path in a build context, sorted; with `suffixes` only those."""
    found: dict[str, bytes] = {}
    for file in sorted(folder.rglob("*")):
        if file.is_file() and "__pycache__" not in file.parts and (not suffixes or file.suffix in suffixes):
            found[f"{prefix}{file.relative_to(folder).as_posix()}"] = file.read_bytes()
    return found


def build_image(
    client: docker.DockerClient,
    *,
    tag: str,
    files: Mapping[str, bytes],
    arguments: Mapping[str, str],
    labels: Mapping[str, str],
) -> str:
    """Build `tag` from a context of `files` (path to content; one is `Dockerfile`), blocking, and return the tag.

    arguments: the Dockerfile's ARGs. Raises CannotJudgeError with the failing step's last lines.
    """
    try:
        output = client.api.build(
            fileobj=_tar(files),
            custom_context=True,
            tag=tag,
            buildargs=dict(arguments),
            labels=dict(labels),
            rm=True,
            forcerm=True,
            decode=True,
            timeout=BUILD_SECONDS,
        )
        _follow(tag, output)
    except APIError as error:
        raise CannotJudgeError(f"The engine refused to build {tag}: {error.explanation}") from error
    return tag


def _follow(tag: str, output: Iterator[dict[str, Any]]) -> None:
    lines: list[str] = []
    for part in output:
        if "error" in part:
            tail = "\n".join([*lines[-_TAIL_LINES:], str(part["error"]).rstrip()])
            raise CannotJudgeError(
                f"Building the image {tag} failed; see that the package registries are reachable from a container "
                f"(`docker run --rm IMAGE`), then run again:\n{tail}"
            )
        lines.extend(line for line in str(part.get("stream", "")).splitlines() if line.strip())


def _tar(files: Mapping[str, bytes]) -> io.BytesIO:
    """Return the context; a name that ends in a slash is an empty folder."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name.rstrip("/"))
            if name.endswith("/"):
                entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            else:
                entry.size, entry.mode = len(content), 0o644
            archive.addfile(entry, io.BytesIO(content))
    packed.seek(0)
    return packed
