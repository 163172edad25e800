"""A stage with real processes on the loopback address, for tests of the stage itself."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from conformance.evidence.redact import Redactor
from conformance.stage.edge_variant import EdgeSetup
from conformance.stage.instance import Instance
from conformance.stage.manifest import load_backend, load_target
from conformance.stage.plan import Cell, Plan
from conformance.stage.process_runtime import ProcessRuntime
from conformance.stage.recorder import Recorder
from conformance.stage.stage import Stage
from conformance.wire.tap import TapProcess


@asynccontextmanager
async def standing(target: str, folder: Path, *, edge: EdgeSetup | None = None) -> AsyncIterator[Stage]:
    """Yield a stage with a gateway of ours before the witness; its clients are closed, and all of it is stopped."""
    cell = Cell(target, "process", "witness", "2025-11-25", "2025-11-25", "test")
    plan = Plan(run_id="run-1", out=str(folder), work=str(folder / "work"), runtime="process", cells=(cell,))
    taps = await TapProcess.start(folder / "spool")
    recorder = Recorder(Redactor())
    try:
        instance = await Instance.start(
            ProcessRuntime(plan),
            taps,
            load_target(target),
            load_backend("witness"),
            script="correct",
            recorder=recorder,
            redactor=Redactor(),
            edge=edge,
        )
        stage = Stage(cell, instance, recorder)
        try:
            yield stage
            await stage.close()
        finally:
            await instance.stop()
    finally:
        await taps.stop()
