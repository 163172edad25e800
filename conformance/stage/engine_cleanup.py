"""Removing what a run left in the container engine: containers (also those a gateway started), networks, images."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from docker.errors import APIError, NotFound

from conformance.errors import CannotJudgeError
from conformance.stage.engine import connect
from conformance.stage.labels import RUN_LABEL, is_dead

if TYPE_CHECKING:
    from collections.abc import Callable

    import docker

ROUNDS: Final = 5
"""How often removal is repeated while it finds something: a gateway that is being removed may just have started a
container."""

_CONFLICT: Final = 409
_IN_USE: Final = 403
"""Answer for a network that still has a container (Engine API, DELETE /networks/{id})."""


def run_containers(client: docker.DockerClient, run_id: str) -> list[str]:
    """Return the ids of the run's containers, running or not."""
    listed = client.api.containers(all=True, filters=_of(run_id))
    return [str(one["Id"]) for one in listed]


def remove_run(run_id: str) -> None:
    """Remove every container, network and image that carries the run's label. Blocks; what is gone already is fine.

    Raises CannotJudgeError when no engine answers or something cannot be removed.
    """
    client = connect()
    try:
        remove_run_with(client, run_id)
    finally:
        client.close()


def remove_run_with(client: docker.DockerClient, run_id: str) -> None:
    """Do as `remove_run`, and raise as it does, through a client that stays open."""
    api = client.api
    for _ in range(ROUNDS):
        containers = run_containers(client, run_id)
        for one in containers:
            _gone(partial(api.remove_container, one, force=True, v=True))
        networks = [str(one["Id"]) for one in api.networks(filters=_of(run_id))]
        for one in networks:
            _gone(partial(api.remove_network, one))
        images = [str(one["Id"]) for one in api.images(filters=_of(run_id))]
        for one in images:
            _gone(partial(api.remove_image, one, force=True))
        if not containers and not networks and not images:
            return
    raise CannotJudgeError(
        f"The engine still has things of run {run_id}; see what holds them with "
        f"`docker ps --all --filter label={RUN_LABEL}={run_id}`."
    )


def sweep_dead_runs() -> tuple[str, ...]:
    """Remove what runs left whose process is gone, and return their ids. Blocks. Raises as `remove_run` does."""
    client = connect()
    try:
        dead = sorted({labels[RUN_LABEL] for labels in _labelled(client) if is_dead(labels)})
        for run_id in dead:
            remove_run_with(client, run_id)
        return tuple(dead)
    finally:
        client.close()


def _labelled(client: docker.DockerClient) -> list[dict[str, str]]:
    filters = {"label": RUN_LABEL}
    api = client.api
    found: list[dict[str, Any]] = [
        *api.containers(all=True, filters=filters),
        *api.networks(filters=filters),
        *api.images(filters=filters),
    ]
    return [one["Labels"] for one in found]


def _of(run_id: str) -> dict[str, str]:
    return {"label": f"{RUN_LABEL}={run_id}"}


def _gone(remove: Callable[[], object]) -> None:
    """Call `remove`; fine when the thing is gone, and left to the next round when its removal is under way already."""
    try:
        remove()
    except NotFound:
        return
    except APIError as error:
        if error.status_code not in {_CONFLICT, _IN_USE}:
            raise CannotJudgeError(f"The engine could not remove something of a run ({error.explanation}).") from error
