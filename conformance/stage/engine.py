"""The connection to the container engine."""

from __future__ import annotations

from typing import Final

import docker
from docker.errors import DockerException

from conformance.errors import CannotJudgeError

ENGINE_SECONDS: Final = 60
"""Longest wait for the engine's answer to one request, in seconds; removing a container may take its 10 s of grace."""

START_ENGINE: Final = "start Docker (`systemctl start docker`, or `dockerd` as root), or set DOCKER_HOST to where it is"


def connect() -> docker.DockerClient:
    """Return a client of the engine that the environment names (DOCKER_HOST, else the local socket).

    The caller closes it. Raises CannotJudgeError when no engine answers.
    """
    try:
        return docker.from_env(version="auto", timeout=ENGINE_SECONDS)
    except (DockerException, OSError) as error:
        raise CannotJudgeError(f"No container engine answers ({_reason(error)}); {START_ENGINE}.") from error


def _reason(error: BaseException) -> str:
    """Return the innermost cause: the outer layers all say only that the version could not be fetched."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return str(error) or type(error).__name__
