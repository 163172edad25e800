"""The gateway under search: started, watched through taps, and replaced by a fresh one when asked."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Generic

from conformance.errors import CannotJudgeError
from conformance.evidence.events import JSON
from conformance.evidence.log import Observation, write_evidence
from conformance.evidence.redact import Redactor
from conformance.evidence.transcript import Transcript
from conformance.evidence.window import within
from conformance.search.departure import Departure
from conformance.search.experiment import Experiment, Step
from conformance.stage.instance import Instance, describe
from conformance.stage.manifest import BackendManifest, TargetManifest
from conformance.stage.plan import Cell, Plan
from conformance.stage.recorder import Recorder
from conformance.stage.runtime import Runtime
from conformance.stage.stage import Stage
from conformance.wire.tap import TapProcess

SEQUENCE_GRACE: Final = 60.0
"""A sequence's deadline beyond its steps' own, in seconds: opening taps, reading them back."""


@dataclass(slots=True)
class Subject(Generic[Step]):
    """A gateway and what stands around it. Use `look` once, then `observe` as often as wanted, then `stop`."""

    plan: Plan
    runtime: Runtime
    taps: TapProcess
    redactor: Redactor
    target: TargetManifest | None
    backend: BackendManifest | None
    experiment: Experiment[Step]
    instance: Instance | None = None
    starts: int = 0
    _used: bool = False

    @property
    def cell(self) -> Cell:
        """The cell that evidence and reports name."""
        return self.plan.cells[0]

    async def fresh(self) -> None:
        """Replace the instance by a new one; one that runs by itself is kept. Raises CannotJudgeError."""
        await self.stop()
        self.instance = await Instance.start(
            self.runtime,
            self.taps,
            self.target,
            self.backend,
            url=self.plan.url,
            script="correct",
            recorder=Recorder(self.redactor),
            redactor=self.redactor,
            registering=self.experiment.registering,
        )
        self.starts += 1
        self._used = False

    async def look(self) -> None:
        """Start the gateway and learn what it does. Raises CannotJudgeError."""
        await self.fresh()
        stage = self._stage()
        try:
            await self.experiment.look(stage)
        finally:
            await self._leave(stage)

    async def observe(self, sequence: tuple[Step, ...], file: Path, *, whole: bool) -> tuple[Departure, ...]:
        """Drive a sequence, write its evidence to `file` and judge it from there.

        whole: take the backend's side into the evidence too; reading it costs as much as the instance is old.
        Raises CannotJudgeError when the gateway cannot be started or a sequence does not come to its end.
        """
        if self.instance is None or (self._used and not await self._clean()):
            await self.fresh()
        self._used = True
        stage = self._stage()
        lag = asyncio.create_task(stage.recorder.watch_lag())
        try:
            async with asyncio.timeout(len(sequence) * self.experiment.step_seconds + SEQUENCE_GRACE):
                await self.experiment.drive(stage, sequence)
            await stage.close()
            seen = await self._collect(stage, whole=whole or self.experiment.whole)
        except TimeoutError as error:
            raise CannotJudgeError(
                "a sequence did not end within its steps' deadlines; is the machine frozen?"
            ) from error
        finally:
            lag.cancel()
            await self._leave(stage)
        write_evidence(file, self._header(), seen, {"complete": True, "error": ""})
        return self.experiment.departures(Transcript.read(file))

    async def stop(self) -> None:
        """Stop the instance."""
        if self.instance is not None:
            instance, self.instance = self.instance, None
            await instance.stop()

    async def _clean(self) -> bool:
        """Take back what the sequence before left; return whether the instance is as good as a fresh one."""
        stage = self._stage()
        try:
            return await self.experiment.clean(stage)
        finally:
            await self._leave(stage)

    def _stage(self) -> Stage:
        assert self.instance is not None
        return Stage(self.cell, self.instance, Recorder(self.redactor))

    async def _collect(self, stage: Stage, *, whole: bool) -> Iterable[Observation]:
        begin = min((item.t_ns for item in stage.recorder.observations), default=0)
        seen = await stage.instance.collect(stage.taps, behind=whole, begin_ns=begin)
        return within([*seen, *stage.recorder.observations], begin)

    async def _leave(self, stage: Stage) -> None:
        await stage.close()
        await stage.instance.close_client_taps(stage.taps)

    def _header(self) -> dict[str, JSON]:
        instance, cell = self.instance, self.cell
        assert instance is not None
        return {
            "cell": cell.id,
            "run": self.plan.run_id,
            "suite": "search",
            "scenario": cell.scenario,
            "revision": cell.revision,
            "backend_revision": cell.backend_revision,
            "runtime": cell.runtime,
            "witness_script": "correct",
            "control": False,
            "spin_up": "",
            "image": "",
            "backend_tapped": bool(instance.backend_tap or instance.stdio),
            "client_tapped": True,
            "backend_face": "http",
            "second_backend": "works" if instance.second else "",
            "sse_path": "",
            "meta_tool": asdict(self.target.meta_tool) if self.target and self.target.meta_tool else None,
            "tools_replaced": self.target.tools.replaced if self.target else {},
            "claims": self.target.claims.model_dump() if self.target else {"sessions": "stateful"},
            "target_version": self.target.version if self.target else "",
            "backend_version": self.backend.version if self.backend else "",
            "gateway": describe(instance.gateway),
            "backend": describe(instance.server),
            "redaction": "foreign" if self.redactor.foreign else "supplied",
            "started": time.time(),
        }
