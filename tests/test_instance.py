"""An instance of the stage, with real processes on loopback."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from conformance.evidence.events import Kind
from conformance.evidence.redact import Redactor
from conformance.stage.instance import Instance
from conformance.stage.manifest import load_backend, load_target
from conformance.stage.plan import Cell, Plan
from conformance.stage.process_runtime import ProcessRuntime
from conformance.stage.recorder import Recorder
from conformance.stage.stage import Stage
from conformance.wire.tap import TapProcess
from tests.tap_setup import asynchronous

CELL = Cell("passthrough", "process", "witness", "2025-11-25", "2025-11-25", "restart")


@asynchronous
async def test_what_is_given_a_stopped_backends_address_is_not_dialled(tmp_path: Path) -> None:
    plan = Plan(run_id="run-1", out=str(tmp_path), work=str(tmp_path / "work"), runtime="process", cells=(CELL,))
    taps = await TapProcess.start(tmp_path / "spool")
    recorder = Recorder(Redactor())
    instance = await Instance.start(
        ProcessRuntime(plan),
        taps,
        load_target("passthrough"),
        load_backend("witness"),
        script="correct",
        recorder=recorder,
        redactor=Redactor(),
    )
    stage = Stage(CELL, instance, recorder)
    try:
        assert instance.server is not None
        address = instance.server.address
        await stage.stop_backend()
        with socket.create_server((address.host, address.port)) as another:
            another.settimeout(0)
            refused = await (await stage.client("early")).initialize()
            with pytest.raises(BlockingIOError):
                another.accept()
        await stage.start_backend()
        served = await (await stage.client("late")).initialize()
        failed = [item.data for item in await instance.collect([]) if item.kind is Kind.CONN_FAILED]
        await stage.close()
    finally:
        await instance.stop()
        await taps.stop()
    assert refused.result(1) is None
    assert served.result(1) is not None
    assert {item["error"] for item in failed} == {"the stage has stopped it"}
