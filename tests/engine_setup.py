"""What the engine tests share: a client, a run that is removed afterwards, and the base image or a reason to skip."""

from __future__ import annotations

import os
import secrets
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from conformance.errors import CannotJudgeError
from conformance.stage.base_image import ensure_base
from conformance.stage.engine import connect
from conformance.stage.engine_cleanup import remove_run

if TYPE_CHECKING:
    from collections.abc import Iterator

    import docker

# The engine's client drops the sockets of streams that are closed under way; the warning comes out of the collector.
engine_test = [pytest.mark.engine, pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")]


@contextmanager
def engine_run() -> Iterator[tuple[docker.DockerClient, str, str]]:
    """Yield a client, a run id and the base image; remove the run afterwards."""
    client = connect()
    run_id = f"test-{secrets.token_hex(4)}"
    try:
        try:
            base = ensure_base(client, print)
        except CannotJudgeError as error:
            if os.environ.get("MCP_GATEWAY_CONFORMANCE_REQUIRE_ENGINE"):
                raise
            pytest.skip(str(error))
        yield client, run_id, base
    finally:
        remove_run(run_id)
        client.close()
