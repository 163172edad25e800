"""A gateway that comes as a ready image: of this machine's engine, else pulled. Nothing is built upon it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docker.errors import DockerException
from requests.exceptions import RequestException

from conformance.errors import NotExercisedError
from conformance.stage.image_build import image_exists

if TYPE_CHECKING:
    import docker

    from conformance.stage.base_image import Progress


def ensure_ready_image(client: docker.DockerClient, image: str, on_progress: Progress) -> str:
    """Return `image` once the engine has it, pulling it if it must. Blocks.

    Raises NotExercisedError when it cannot be pulled: that says nothing about the gateway in it.
    """
    if image_exists(client, image):
        return image
    on_progress(f"pulling {image}")
    try:
        client.images.pull(image)
    except (DockerException, RequestException) as error:
        raise NotExercisedError(
            f"image not available: the engine has no {image} and cannot pull it ({error}); `docker pull {image}` where "
            "its registry answers, or load it with `docker load`."
        ) from error
    return image
