"""`run`: select cells, hand them to pytest and the engine child, render what came of it, say how it ended."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from conformance import timing
from conformance.errors import NothingRanError
from conformance.expectations import Expectations
from conformance.paths import SCENARIOS
from conformance.plugin import Collector, judged_items
from conformance.progress import Follower, Record
from conformance.resuming import Start, plan_parts, start
from conformance.rules.all import rules
from conformance.spec.revisions import STREAMABLE_LEGACY
from conformance.stage.attached import UNSEEN, URL_TARGET
from conformance.stage.client_manifest import ClientManifest
from conformance.stage.manifest import BackendManifest, TargetManifest, load_client
from conformance.stage.plan import Cell, Plan, RuntimeName, UrlTarget
from conformance.stage.scenario import DEFAULT_SUITES, EDGES, Scenario, ScenarioKind, scenarios
from conformance.witness import SCRIPTS

WITNESS = "witness"


@dataclass(frozen=True, slots=True)
class Selection:
    """What a run is asked to do, after the command line was understood.

    targets and backends by manifest. rules: ids, empty for all. clients: names of those that suite clients is driven
    with, empty for all; edges: the same of suite edges, where the clients are only those named. quick: no deliberate
    wait above QUICK_LIMIT seconds, no scenario with a gateway of its own, and the witness alone where it is among the
    backends. long: also waits above LONG_LIMIT seconds. resume: keep what an interrupted run of the same plan left
    under `out`. only: of the cells that are selected by all this, those alone. frugal: as few instances as can be, each
    for longer, as becomes a fleet, which has more work than the machine has cores: a destructive scenario is driven on
    the newest of the revisions alone, and before one backend; a real server is asked on the newest revision alone; what
    may follow each other does so on one instance.
    """

    targets: tuple[TargetManifest, ...]
    backends: tuple[BackendManifest, ...]
    runtime: RuntimeName
    out: Path
    revisions: tuple[str, ...] = ("2025-11-25",)
    suites: tuple[str, ...] = DEFAULT_SUITES
    rules: tuple[str, ...] = ()
    quick: bool = False
    long: bool = False
    url: UrlTarget | None = None
    secret_env: tuple[str, ...] = ()
    allow_destructive: bool = False
    keep: bool = False
    resume: bool = False
    only: frozenset[Cell] | None = None
    frugal: bool = False
    expectations: Expectations = field(default_factory=Expectations)
    spin_up_backend: str = "time"
    """Name of the backend that gateways start as a container in suite spin_up."""
    clients: tuple[str, ...] = ()
    edges: tuple[str, ...] = ()


def cells_of(selection: Selection) -> tuple[Cell, ...]:
    """Return the cells of a selection, control cells included, in a stable order.

    Suite spin_up has cells in every runtime: where the runtime starts no containers they say that they were not
    exercised, and why.
    """
    cells: set[Cell] = set(_url_cells(selection, selection.url)) if selection.url is not None else set()
    for target in selection.targets:
        for revision in selection.revisions:
            for scenario in scenarios().values():
                if _selected(selection, revision, scenario) and _speaks(target, revision):
                    for backend in _backends(selection, target, scenario):
                        cells.add(Cell(target.name, selection.runtime, backend, revision, revision, scenario.name))
    if selection.frugal:
        cells = set(_frugal(cells))
    if selection.only is not None:
        cells &= selection.only
    # A backend that speaks stdio alone cannot be driven straight: the driving client speaks HTTP.
    straight = {backend.name for backend in selection.backends if "http" in backend.offers}
    controls = {cell.control for cell in cells if scenarios()[cell.scenario].control and cell.backend in straight}
    return tuple(sorted(cells | controls))


def _frugal(cells: Iterable[Cell]) -> Iterator[Cell]:
    """Yield of the cells of each target one for a destructive scenario, and before a real server the newest revision.

    What a revision changes shows with the witness, which alone tells of everything that reaches it.
    """
    groups: dict[tuple[str, ...], list[Cell]] = defaultdict(list)
    for cell in cells:
        if scenarios()[cell.scenario].kind is ScenarioKind.DESTRUCTIVE:
            groups[cell.target, cell.scenario].append(cell)
        elif cell.backend != WITNESS:
            groups[cell.target, cell.scenario, cell.backend].append(cell)
        else:
            yield cell
    for group in groups.values():
        yield max(group, key=lambda cell: (cell.revision, cell.backend == WITNESS, cell))


def _url_cells(selection: Selection, url: UrlTarget) -> Iterator[Cell]:
    """Yield the cells for a gateway that already runs: what asks nothing of its start and, unless allowed, no harm.

    The witness behind it is there where the user pointed its upstream at it, and then always well-behaved.
    """
    for revision in selection.revisions:
        for scenario in scenarios().values():
            scripted = scenario.witness_script != "correct" or scenario.backend_face != "http"
            started = scenario.late_backend or scenario.http_sse or scenario.credentials or scenario.stdio_backend
            started = started or scenario.edge is not None or scenario.spin_up is not None
            started = started or scenario.network is not None
            if scripted or started or not _selected(selection, revision, scenario):
                continue
            if (scenario.needs_witness or scenario.http_backend) and not url.witness:
                continue
            if scenario.kind is not ScenarioKind.DESTRUCTIVE or selection.allow_destructive:
                backend = WITNESS if url.witness else UNSEEN
                yield Cell(URL_TARGET, selection.runtime, backend, revision, revision, scenario.name)


def _selected(selection: Selection, revision: str, scenario: Scenario) -> bool:
    if scenario.suite not in selection.suites or revision not in scenario.revisions:
        return False
    if selection.rules and not any(rule.when.name in scenario.brings for rule in rules() if rule.id in selection.rules):
        return False
    if not _wants_client(selection, scenario):
        return False
    if scenario.edge and selection.edges and scenario.edge.name not in selection.edges:
        return False
    if scenario.seconds > timing.LONG_LIMIT and not selection.long:
        return False
    return not (selection.quick and _is_slow(scenario))


def _wants_client(selection: Selection, scenario: Scenario) -> bool:
    """Whether a scenario's real client, if it has one, is asked for: in suite edges only by name, for they are many."""
    named = scenario.client in selection.clients
    return not scenario.client or named or (not selection.clients and scenario.suite != EDGES)


def _speaks(target: TargetManifest, revision: str) -> bool:
    """Whether a target serves a transport of that revision."""
    return target.endpoint.streamable or revision not in STREAMABLE_LEGACY


def _is_slow(scenario: Scenario) -> bool:
    """Whether --quick leaves a scenario out: for its own wait, or for the gateway it wants started for itself alone."""
    return scenario.seconds > timing.QUICK_LIMIT or scenario.kind is ScenarioKind.DESTRUCTIVE


def _backends(selection: Selection, target: TargetManifest, scenario: Scenario) -> tuple[str, ...]:
    """Return the names of the backends a scenario is driven with before `target`."""
    if scenario.spin_up is not None:
        if not target.container.spin_up:
            return ()
        return ("witness",) if scenario.needs_witness else (selection.spin_up_backend,)
    if scenario.second_backend is not None:  # where the target fronts one alone, the cell says so
        return (WITNESS,) if any(backend.name == WITNESS for backend in selection.backends) else ()
    if scenario.credentials and not target.endpoint.other_headers:
        return ()
    faces = set(target.fronts)
    if scenario.late_backend or scenario.http_backend:
        faces &= {"http"}  # a stdio backend is the gateway's own child: it cannot come later, and speaks no HTTP
    if scenario.stdio_backend:
        faces &= {"stdio"}
    if scenario.needs_witness and scenario.backend_face == "http":
        faces &= {str(face) for face in SCRIPTS[scenario.witness_script].faces}
    backends = selection.backends
    if selection.quick and any(backend.name == WITNESS for backend in backends):
        backends = tuple(backend for backend in backends if backend.name == WITNESS)
    return tuple(
        backend.name
        for backend in backends
        if (faces & set(backend.offers) and set(target.fronts) <= set(backend.offers))
        and (backend.name == WITNESS or not scenario.needs_witness)
        and (scenario.backend_face == "http" or backend.faces.sse is not None)
    )


@dataclass(frozen=True, slots=True)
class Judged:
    """What came of driving and judging a selection: the result records, and what kept pytest from doing its part.

    records: in the order of the suites, cells and rules, in whichever they were judged.
    """

    run_id: str
    cells: tuple[Cell, ...]
    records: tuple[Record, ...]
    trouble: tuple[str, ...]
    interrupted: bool


def clients_of(cells: Iterable[Cell]) -> tuple[ClientManifest, ...]:
    """Return the real clients that cells are driven with, by name."""
    return tuple(load_client(name) for name in sorted({scenarios()[cell.scenario].client for cell in cells} - {""}))


def begin(selection: Selection) -> Start:
    """Make the output folder ready for a selection and say which cells are driven; see `conformance.resuming.start`.

    Raises NothingRanError when there are no cells, UsageError when what was left there cannot be resumed.
    """
    cells = cells_of(selection)
    if not cells:
        raise NothingRanError("the selection leaves nothing to drive; widen --suite, --rule, --revision or --backend")
    parts = plan_parts(cells, selection.targets, selection.backends, clients_of(cells))
    return start(selection.out.resolve(), cells, parts, resume=selection.resume)


def drive_and_judge(
    selection: Selection,
    begun: Start,
    *,
    on_result: Callable[[Record], None],
    on_progress: Callable[[Record], None],
) -> Judged:
    """Drive and judge a selection as it was begun, with evidence, JUnit and Allure files under `selection.out`.

    on_result: told of each result as it is judged. on_progress: told of what the engine child does, from a thread.
    Whatever happens, nothing that was started is left when this returns.
    """
    run_id = begun.run_id
    out = selection.out.resolve()
    shutil.rmtree(out / "allure-results", ignore_errors=True)
    work = Path(tempfile.mkdtemp(prefix=f"mcp-gateway-conformance-{run_id}-"))
    plan = Plan(
        run_id=run_id,
        out=str(out),
        work=str(work),
        runtime=selection.runtime,
        cells=begun.cells,
        targets={target.name: target.model_dump(mode="json") for target in selection.targets},
        folders={target.name: str(target.folder) for target in selection.targets if target.folder},
        url=selection.url,
        secret_env=selection.secret_env,
        keep=selection.keep,
        frugal=selection.frugal,
    )
    plan.write(work / "plan.json")
    session = work / "session.json"
    session.write_text(
        json.dumps(
            {
                "plan": str(work / "plan.json"),
                "rules": list(selection.rules),
                "expectations": selection.expectations.to_json(),
            }
        ),
        encoding="utf-8",
    )
    records: list[Record] = []

    def take(record: Record) -> None:
        records.append(record)
        on_result(record)

    collector = Collector(take)
    supervisor = subprocess.Popen(
        [sys.executable, "-m", "conformance.stage.supervisor", str(work / "plan.json")],
        stdin=subprocess.PIPE,
        start_new_session=True,
    )
    with Follower(plan.progress_file, on_progress):
        try:
            status = pytest.main(_pytest_arguments(session, selection, plan, out), plugins=[collector])
            if selection.keep and status != pytest.ExitCode.INTERRUPTED:
                _wait_for_interrupt()
        finally:
            if supervisor.stdin is not None:
                supervisor.stdin.close()
            supervisor.wait()
    interrupted = status == pytest.ExitCode.INTERRUPTED
    return Judged(run_id, begun.cells, tuple(records), tuple(collector.trouble), interrupted)


def _wait_for_interrupt() -> None:
    """Return when the user presses Ctrl-C: until then the stage stays up."""
    print("the stage is up; press Ctrl-C to end it", file=sys.stderr)
    with suppress(KeyboardInterrupt):
        threading.Event().wait()


def _pytest_arguments(session: Path, selection: Selection, plan: Plan, out: Path) -> list[str]:
    # a suite without items would make pytest invent a skipped one
    suites = [str(SCENARIOS / name) for name in selection.suites if any(judged_items(plan, selection.rules, name))]
    # The first item waits while other targets' cells are driven, which in a large fleet takes long.
    backstop = timing.ITEM_BACKSTOP * max(1, len(plan.targets))
    return [
        *suites,
        f"--rootdir={SCENARIOS.parent}",
        "-c",
        os.devnull,
        "-p",
        "no:cacheprovider",
        "-p",
        "conformance.plugin",
        f"--conformance-session={session}",
        f"--junit-xml={out / 'junit.xml'}",
        f"--alluredir={out / 'allure-results'}",
        f"--timeout={backstop:g}",
        "--import-mode=importlib",
        "-o",
        "junit_family=xunit1",
        "--capture=no",  # nothing is printed by an item; what is printed meanwhile is the progress
        "-p",
        "no:terminal",  # the console is the live progress's and the summary's
    ]
