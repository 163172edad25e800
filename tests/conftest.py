"""What the harness's own tests share: the signals that they and what they start heed, and a missing container engine."""

from __future__ import annotations

import os
import signal
from functools import cache

import docker
import pytest

# A shell without job control starts what runs in the background with SIGINT ignored, and all that tests start would
# inherit that. What this process handles is as usual again for its children.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@cache
def _engine_trouble() -> str:
    """Say why no engine can be used, empty when one can."""
    try:
        client = docker.from_env(timeout=10)
        try:
            client.ping()
        finally:
            client.close()
    except docker.errors.DockerException as error:
        return f"no container engine answers: {error}"
    return ""


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip engine tests where no engine answers; fail them where one is required (CI)."""
    if item.get_closest_marker("engine") is None or not (trouble := _engine_trouble()):
        return
    if os.environ.get("MCP_GATEWAY_CONFORMANCE_REQUIRE_ENGINE"):
        pytest.fail(trouble, pytrace=False)
    pytest.skip(trouble)
