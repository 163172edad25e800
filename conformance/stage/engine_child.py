"""The engine child: drives every cell of a plan and writes one evidence file for each. It never judges.

`python -m conformance.stage.engine_child PLAN`. Cells of one (target, backend, revisions) form a group. Within a group
idle scenarios overlap on one instance, exclusive ones follow each other on a second, destructive ones get a fresh
instance each, a few at a time; groups run side by side as far as memory allows. In a fleet fewer instances do more each
(`lanes.py`).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
import time
import traceback
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from conformance.errors import CannotJudgeError, HarnessError, NotExercisedError
from conformance.evidence.events import JSON, Kind, Point
from conformance.evidence.log import Observation, write_evidence
from conformance.evidence.redact import Redactor
from conformance.evidence.window import within
from conformance.stage.attached import UNSEEN, URL_TARGET
from conformance.stage.cell_header import begun, cell_facts, instance_facts
from conformance.stage.edge_side import EDGE_MB
from conformance.stage.engine_cleanup import sweep_dead_runs
from conformance.stage.engine_log import EngineLog
from conformance.stage.engine_probe import engine_answers
from conformance.stage.engine_vigil import EngineVigil
from conformance.stage.instance import Instance
from conformance.stage.lacking import lacks
from conformance.stage.lanes import HARMED_AT_ONCE, batches, lanes
from conformance.stage.manifest import BackendManifest, TargetManifest, load_backend, load_client, load_edge, target_of
from conformance.stage.memory import BACKEND_MB, FRUGAL_MB, SPUN_UP_MB, MemoryBudget
from conformance.stage.plan import DIRECT, Cell, Plan
from conformance.stage.real_client import ClientHost
from conformance.stage.recorder import Recorder
from conformance.stage.redaction import redactor_for
from conformance.stage.runtime import Runtime
from conformance.stage.runtimes import make_runtime
from conformance.stage.scenario import Scenario, ScenarioKind, SpinUp, deployed, scenarios
from conformance.stage.stage import Stage
from conformance.wire.tap import TapProcess

STARTING_INSTANCES: Final = 3
"""Instances starting at one time: start-up costs processor time and waits in turn, and so this keeps two cores busy."""
CELL_GRACE: Final = 90.0
"""Added to a scenario's own waits to give a cell's deadline, in seconds: sentinels, slow initializes, give-ups."""


@dataclass(slots=True)
class Engine:
    """The state of one run: plan, runtime, taps, and the limits on what lives and starts at once."""

    plan: Plan
    runtime: Runtime
    taps: TapProcess
    redactor: Redactor
    targets: dict[str, TargetManifest]
    say: Callable[..., None]
    host: ClientHost
    memory: MemoryBudget = field(default_factory=MemoryBudget)
    starting: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(STARTING_INSTANCES))
    harming: dict[str, asyncio.Semaphore] = field(
        default_factory=lambda: defaultdict(lambda: asyncio.Semaphore(HARMED_AT_ONCE))
    )
    watch: EngineLog | None = None
    vigil: EngineVigil | None = None
    kept: list[Instance] = field(default_factory=list)

    # groups ---------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Prepare what the plan needs, then drive every cell that has no evidence yet: resumed runs begin with some."""
        if not self.plan.left:
            self.say("driven")
            return
        await self._install_clients()
        await self._install_edges()
        backends = await self._prepare()
        left = self.plan.left
        spins_up = any(scenarios()[cell.scenario].spin_up for cell in left)
        if spins_up and self.runtime.name == "containers":
            self.watch = await EngineLog.start(self.plan.run_id, self.redactor)
        attached = [cell for cell in left if cell.target == URL_TARGET]
        async with asyncio.TaskGroup() as tasks:
            if attached:
                tasks.create_task(self._attached(attached, backends.get(attached[0].backend)))
            for rank, lane in enumerate(lanes(self._startable(), self.targets, frugal=self.plan.frugal)):
                tasks.create_task(self.lane(lane, backends[lane[0].backend], rank))
        if self.watch is not None:
            await self.watch.stop()
        self.say("driven")

    def _startable(self) -> Iterator[Cell]:
        """Yield the cells of what is started here; those that then cannot be driven say so."""
        for cell in self.plan.left:
            if lacking := lacks(scenarios()[cell.scenario], self.targets.get(cell.target), cell.runtime):
                self.not_exercised(cell, lacking)
            elif cell.target != URL_TARGET:
                yield cell

    async def _prepare(self) -> dict[str, BackendManifest]:
        """Install what the plan needs and return its backends.

        What cannot be installed fails its own cells, which then are no longer left, and none of the others. What this
        machine cannot have leaves them not exercised.
        """
        backends: dict[str, BackendManifest] = {}
        absent: set[str] = set()
        for name in sorted({cell.backend for cell in self.plan.cells} - {UNSEEN}):
            backend = load_backend(name)
            if await self._prepared([cell for cell in self.plan.left if cell.backend == name], None, [backend]):
                backends[name] = backend
        for name, target in self.targets.items():
            own = [cell for cell in self.plan.left if cell.target == name]
            if own and not await self._prepared(own, target, tuple(backends.values())):
                absent.add(name)
        if absent:
            compared = {cell.control for cell in self.plan.cells if cell.target not in {*absent, DIRECT}}
            for cell in self.plan.left:
                if cell.target == DIRECT and cell not in compared:
                    self.not_exercised(cell, "a gateway to compare with: none that was asked for can be had here")
        return backends

    async def _prepared(
        self, cells: Sequence[Cell], target: TargetManifest | None, backends: Sequence[BackendManifest]
    ) -> bool:
        """Install a target, or backends; return whether that went well. If it did not, no cell of `cells` is driven."""
        self.say("preparing", target=target.name if target else backends[0].name)
        try:
            await self.runtime.prepare(target, backends)
        except NotExercisedError as error:
            for cell in cells:
                self.not_exercised(cell, str(error))
            return False
        except HarnessError as error:
            for cell in cells:
                self.failed(cell, error)
            return False
        return True

    async def _install_clients(self) -> None:
        """Install the real clients that the cells use; one that cannot be installed fails its own cells only."""
        for name in sorted({scenarios()[cell.scenario].client for cell in self.plan.left} - {""}):
            try:
                await self.host.install(load_client(name))
            except HarnessError as error:
                for cell in self.plan.left:
                    if scenarios()[cell.scenario].client == name:
                        self.failed(cell, error)

    async def _install_edges(self) -> None:
        """Install the edges that the cells use; what this machine cannot have leaves its own cells not exercised."""
        edges = {cell: edge.name for cell in self.plan.left if (edge := scenarios()[cell.scenario].edge) is not None}
        for name in sorted(set(edges.values())):
            own = [cell for cell in edges if edges[cell] == name]
            self.say("preparing", target=name)
            try:
                await self.runtime.prepare_edge(load_edge(name))
            except NotExercisedError as error:
                for cell in own:
                    self.not_exercised(cell, str(error))
            except HarnessError as error:
                for cell in own:
                    self.failed(cell, error)

    def _deployed(self, cell: Cell) -> SpinUp | None:
        """Return how the gateway of a cell is to start its backend's container, None where it is not to."""
        target = self.targets.get(cell.target)
        return deployed(scenarios()[cell.scenario].spin_up, target.container.fault if target else None)

    async def _attached(self, cells: list[Cell], backend: BackendManifest | None) -> None:
        """Drive a gateway that already runs: its cells one after another, the idle ones last and at once.

        It is somebody's: nothing else may be going on there because of us while a scenario runs alone. backend: the
        witness, where the gateway's upstream points at it; None where nothing is known of what stands behind.
        """
        async with self.memory.take(BACKEND_MB):
            instance = await self.started(cells, backend)
            if instance is None:
                return
            try:
                if backend is not None and (trouble := await self._unreached(cells[0], instance)):
                    for cell in cells:
                        self.failed(cell, CannotJudgeError(trouble))
                    return
                idle = [cell for cell in cells if scenarios()[cell.scenario].kind is ScenarioKind.IDLE]
                for cell in cells:
                    if cell not in idle:
                        await self.cell(cell, instance)
                await asyncio.gather(*(self.cell(cell, instance) for cell in idle))
            finally:
                await instance.stop()

    async def _unreached(self, cell: Cell, instance: Instance) -> str:
        """Return what keeps calls through a gateway that already runs from the witness; empty when one arrives."""
        trouble = f"{said}; " if (said := await self._trouble(cell, instance)) else ""
        instance.healthy = not trouble
        witness = f"the witness at http://{self.plan.url.witness if self.plan.url else ''}/mcp"
        # Connections only: a tap tells of its own lag, too.
        arrived = (seen for seen in await instance.collect(()) if seen.kind is Kind.CONN_OPEN)
        if not any(seen.point is Point.BACKEND_TAP for seen in arrived):
            return f"{trouble}nothing arrived at {witness}: point the gateway's upstream there."
        return trouble and f"{trouble}the gateway does speak to {witness}: see there what it makes of this."

    async def _trouble(self, cell: Cell, instance: Instance) -> str:
        """Return what is wrong with an instance between two cells; empty when it serves. No cell's evidence tells."""
        stage = Stage(cell, instance, Recorder(self.redactor))
        try:
            await stage.sentinel("before")
        except CannotJudgeError as error:
            return str(error)
        finally:
            await stage.close()
            await instance.close_client_taps(stage.taps)
        return ""

    async def lane(self, cells: list[Cell], backend: BackendManifest | None, rank: int) -> None:
        """Drive cells that share an instance, and have a fresh one for those left when it fails. rank: among lanes."""
        kind = scenarios()[cells[0].scenario].kind
        async with self.harming[cells[0].target] if kind is ScenarioKind.DESTRUCTIVE else contextlib.nullcontext():
            left = list(cells)
            while left:
                left = await self.on_instance(left, backend, rank)

    async def on_instance(self, cells: list[Cell], backend: BackendManifest | None, rank: int) -> list[Cell]:
        """Start an instance and drive cells on it; return those left when the instance stopped being healthy."""
        scenario = scenarios()[cells[0].scenario]
        if scenario.spin_up is not None and self.runtime.name == "process":
            for cell in cells:
                self.not_exercised(cell, "containers that the gateway starts: the process runtime starts none")
            return []
        async with self.memory.take(self._memory_mb(cells[0]), rank):
            instance = await self.started(cells, backend)
            if instance is None:
                return []
            left = list(cells)
            try:
                for batch in batches(cells):
                    del left[: len(batch)]
                    healthy = all(await asyncio.gather(*(self.cell(cell, instance) for cell in batch)))
                    harmful = scenarios()[batch[-1].scenario].kind is ScenarioKind.DESTRUCTIVE
                    if not healthy or (left and harmful and await self._trouble(left[0], instance)):
                        break
                return left
            finally:
                if self.plan.keep and scenario.kind is ScenarioKind.EXCLUSIVE:
                    self.keep(instance, cells[0])
                else:
                    await instance.stop()

    def _memory_mb(self, cell: Cell) -> int:
        """Return what an instance for a cell takes of the machine's memory, in MB."""
        target, scenario = self.targets.get(cell.target), scenarios()[cell.scenario]
        edge = scenario.edge
        gateways = (target.needs.memory_mb if target else 0) * (edge.replicas if edge else 1)
        taken = BACKEND_MB + gateways + (EDGE_MB if edge else 0) + (SPUN_UP_MB if scenario.spin_up else 0)
        return max(taken, FRUGAL_MB) if self.plan.frugal else taken

    async def started(self, cells: Sequence[Cell], backend: BackendManifest | None) -> Instance | None:
        """Start an instance for cells that share it; None when it does not start, which each one's evidence says.

        In a frugal run so many may share it that a start which fails on a crowded machine is tried once more.
        """
        recorder = Recorder(self.redactor)
        try:
            try:
                return await self._start(cells[0], backend, recorder)
            except CannotJudgeError as error:
                if not self.plan.frugal or len(cells) == 1:
                    raise
                recorder.stimulus("start.again", why=str(error))
                return await self._start(cells[0], backend, recorder)
        except NotExercisedError as error:
            for cell in cells:
                self.not_exercised(cell, self.redactor.text(str(error)))
        except Exception as error:  # noqa: BLE001 - whatever kept it from starting is told for every cell
            for cell in cells:
                self.failed(cell, error, recorder)
        return None

    async def _start(self, cell: Cell, backend: BackendManifest | None, recorder: Recorder) -> Instance:
        """Start an instance as a cell's scenario needs it. Raises HarnessError, and whatever else keeps it from it."""
        scenario = scenarios()[cell.scenario]
        async with self.starting:
            return await Instance.start(
                self.runtime,
                self.taps,
                self.targets.get(cell.target),
                backend,
                url=self.plan.url if cell.target == URL_TARGET else None,
                script=scenario.witness_script,
                recorder=recorder,
                redactor=self.redactor,
                spin_up=self._deployed(cell),
                late_backend=scenario.late_backend,
                late_registration=scenario.late_registration,
                any_start=scenario.any_start,
                second_backend=scenario.second_backend,
                network=scenario.network,
                published=scenario.published,
                backend_face=scenario.backend_face,
                edge=scenario.edge,
            )

    def keep(self, instance: Instance, cell: Cell) -> None:
        """Leave an instance up and say where it is and where its log so far stands."""
        self.kept.append(instance)
        log = Path(self.plan.out) / "logs" / f"{cell.target}-{cell.backend}.log".replace(":", "-")
        log.parent.mkdir(exist_ok=True)
        lines = [str(item.data["line"]) for item in instance.recorder.observations if item.kind is Kind.LOG]
        log.write_text("\n".join(lines), encoding="utf-8")
        url = f"http://{instance.front}{instance.path}"
        self.say("kept", target=cell.target, backend=cell.backend, url=url, log=str(log))

    async def hold(self) -> None:
        """Keep what is left up until this process is told to end, then stop it."""
        if not self.kept:
            return
        try:
            await asyncio.Event().wait()
        finally:
            for instance in self.kept:
                await instance.stop()

    # one cell -------------------------------------------------------------------------------------------------------

    async def cell(self, cell: Cell, instance: Instance) -> bool:
        """Drive one cell and write its evidence; return whether the instance is still healthy."""
        scenario = scenarios()[cell.scenario]
        recorder = Recorder(self.redactor)
        stage = Stage(cell, instance, recorder, self.watch, self.host)
        lag = asyncio.create_task(recorder.watch_lag())
        error, healthy = "", True
        deadline = scenario.seconds + CELL_GRACE + self._starts_again(cell)
        try:
            await self._ask_before(stage, scenario)
            self.say("driving", cell=cell.id, seconds=scenario.seconds)
            async with asyncio.timeout(deadline):
                healthy = await self._drive(stage, scenario)
        except TimeoutError:
            error, healthy = f"the drive did not end within {deadline:g} s", False
        except HarnessError as trouble:
            error, healthy = str(trouble), False
        except Exception:  # noqa: BLE001 - a scenario that breaks is ours, and the evidence so far is kept
            error, healthy = f"the scenario broke: {traceback.format_exc(limit=-3)}", False
        finally:
            lag.cancel()
            await stage.close()
        error = self.redactor.text(await asyncio.to_thread(self._cause, error) if error else "")
        try:
            await self._write(stage, scenario, error)
        except Exception as trouble:  # noqa: BLE001 - what one cell saw must not end the others
            self.failed(cell, trouble, recorder)
            return False
        self.say("done" if not error else "failed", cell=cell.id, error=error)
        return healthy

    async def _ask_before(self, stage: Stage, scenario: Scenario) -> None:
        """Make the sentinel exchange before a drive where nothing has shown since the last one that all is up.

        Cells that are driven together ask in turn, so that they do not begin as a crowd of clients, which a gateway may
        refuse; what one of them is refused stands for those that waited for it. Raises CannotJudgeError.
        """
        instance = stage.instance
        if not scenario.guarded or instance.healthy:
            return
        known = instance.refused
        async with instance.turn:
            if instance.refused is not known:
                raise CannotJudgeError(str(instance.refused))
            try:
                await stage.sentinel("before")
            except CannotJudgeError as error:
                instance.refused = error
                raise

    async def _drive(self, stage: Stage, scenario: Scenario) -> bool:
        """Drive, with a sentinel afterwards; return whether that succeeded."""
        stage.step("scenario.begin", scenario=scenario.name)
        await scenario.drive(stage)
        stage.step("scenario.end", scenario=scenario.name)
        stage.instance.healthy = False
        if not scenario.guarded or scenario.kind is ScenarioKind.DESTRUCTIVE:
            return True
        try:
            await stage.sentinel("after")
        except CannotJudgeError:
            return False  # recorded as a stimulus; the instance is replaced, this cell's evidence stands
        stage.instance.healthy = True  # and the next scenario on it needs no sentinel of its own before
        return True

    def _starts_again(self, cell: Cell) -> float:
        """Return how long starts may take, in seconds, that are part of a drive: of replicas, or of the gateway."""
        target, scenario = self.targets.get(cell.target), scenarios()[cell.scenario]
        if target is None or scenario.kind is not ScenarioKind.DESTRUCTIVE:
            return 0.0
        replicas = scenario.edge.replicas if scenario.edge is not None else int(scenario.renews)
        return replicas * target.ready.seconds

    async def _write(self, stage: Stage, scenario: Scenario, error: str) -> None:
        instance = stage.instance
        begin = min((item.t_ns for item in stage.recorder.observations), default=0)
        seen = [*await instance.collect(stage.taps, begin_ns=begin), *stage.recorder.observations]
        if self.watch is not None and instance.engine is not None:
            seen += self.watch.of(instance.engine.image)
        await instance.close_client_taps(stage.taps)
        observations = await asyncio.to_thread(within, seen, begin)
        header = self._header(stage.cell, scenario, instance, observations)
        footer = {"complete": not error, "error": error}
        await asyncio.to_thread(write_evidence, self.plan.evidence_file(stage.cell), header, observations, footer)

    def _header(
        self, cell: Cell, scenario: Scenario, instance: Instance | None, observations: Sequence[Observation] = ()
    ) -> dict[str, JSON]:
        return {
            "run": self.plan.run_id,
            **cell_facts(cell, scenario, self.targets.get(cell.target)),
            **instance_facts(scenario, instance),
            "spin_up": str(self._deployed(cell) or ""),
            "redaction": "foreign" if self.redactor.foreign else "supplied",
            "started": begun(observations),
        }

    def not_exercised(self, cell: Cell, why: str) -> None:
        """Write the evidence of a cell that this runtime cannot drive."""
        footer = {"complete": True, "not_exercised": self.redactor.text(why)}
        write_evidence(self.plan.evidence_file(cell), self._header(cell, scenarios()[cell.scenario], None), (), footer)
        self.say("done", cell=cell.id, error="")

    def failed(self, cell: Cell, error: BaseException, recorder: Recorder | None = None) -> None:
        """Write a cell's failed marker: evidence that says why nothing was driven, and how far the start came."""
        said = str(error) if isinstance(error, HarnessError) else f"{type(error).__name__}: {error}"
        said = self.redactor.text(self._cause(said))
        observations = recorder.observations if recorder else ()
        header = self._header(cell, scenarios()[cell.scenario], None, observations)
        write_evidence(self.plan.evidence_file(cell), header, observations, {"complete": False, "error": said})
        self.say("failed", cell=cell.id, error=said)

    def _cause(self, trouble: str) -> str:
        """Return why a cell could not be driven. Blocks, for the container engine is asked, where there is one."""
        return self.vigil.cause(trouble) if self.vigil is not None else trouble


async def drive(plan: Plan) -> None:
    """Drive a plan: start the tap process, make the runtime, run, stop. Cells that trouble left undriven say so."""
    redactor = redactor_for(plan)
    targets = {name: target_of(data, plan.folders.get(name)) for name, data in plan.targets.items()}
    spool = Path(plan.work) / "spool"
    spool.mkdir(mode=0o700, parents=True, exist_ok=True)

    def say(what: str, **detail: JSON) -> None:
        """Append one line to the progress file."""
        with plan.progress_file.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"t": time.time(), "what": what, **detail}) + "\n")

    taps = await TapProcess.start(spool)
    try:
        if plan.runtime == "containers" and engine_answers():
            await asyncio.to_thread(sweep_dead_runs)
        runtime = make_runtime(plan, lambda line: say("installing", line=line))
        host = ClientHost(plan.run_id, Path(plan.work), lambda line: say("installing", line=line))
        engine = Engine(plan, runtime, taps, redactor, targets, say, host)
        try:
            if plan.runtime == "containers":
                async with EngineVigil.over(plan.run_id) as engine.vigil:
                    await engine.vigil.guard(engine.run())
            else:
                await engine.run()
            await engine.hold()
        except HarnessError as error:
            for cell in plan.left:
                engine.failed(cell, error)
    finally:
        await taps.stop()


def main() -> None:
    """Entry point; SIGTERM ends the drive in order."""
    plan = Plan.read(Path(sys.argv[1]))
    runner = asyncio.Runner()
    with runner:
        loop = runner.get_loop()
        task = loop.create_task(drive(plan))
        loop.add_signal_handler(signal.SIGTERM, task.cancel)
        try:
            loop.run_until_complete(task)
        except asyncio.CancelledError:
            sys.exit(143)


if __name__ == "__main__":
    main()
