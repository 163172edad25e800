"""An instance of the stage, with real processes on loopback."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from conformance.evidence.events import Kind
from tests.stage_setup import standing
from tests.tap_setup import asynchronous


@asynchronous
async def test_what_is_given_a_stopped_backends_address_is_not_dialled(tmp_path: Path) -> None:
    async with standing("passthrough", tmp_path) as stage:
        assert stage.instance.server is not None
        address = stage.instance.server.address
        await stage.stop_backend()
        with socket.create_server((address.host, address.port)) as another:
            another.settimeout(0)
            refused = await (await stage.client("early")).initialize()
            with pytest.raises(BlockingIOError):
                another.accept()
        await stage.start_backend()
        served = await (await stage.client("late")).initialize()
        failed = [item.data for item in await stage.instance.collect([]) if item.kind is Kind.CONN_FAILED]
    assert refused.result(1) is None
    assert served.result(1) is not None
    assert {item["error"] for item in failed} == {"the stage has stopped it"}
