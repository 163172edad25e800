"""How the cells of a lane are driven: on which instance, beside what, and what follows a scenario that did harm."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from conformance.errors import CannotJudgeError
from conformance.evidence.events import Kind, Point
from conformance.evidence.log import Observation
from conformance.evidence.redact import Redactor
from conformance.stage.engine_child import Engine
from conformance.stage.manifest import load_target
from conformance.stage.plan import Cell, Plan
from conformance.stage.scenario import ScenarioKind, scenarios

EXCLUSIVE = ("ping", "request-ids", "version-header")
IDLE = ("idle-get", "idle-session")
HARMFUL = ("malformed-initialize", "repeated-initialize")
PATIENCE = 5.0


def cell(scenario: str) -> Cell:
    return Cell("terminating", "process", "witness", "2025-11-25", "2025-11-25", scenario)


LANE = [cell(name) for name in (*EXCLUSIVE, *IDLE, *HARMFUL)]


class Instance:
    def __init__(self) -> None:
        self.stopped = False

    async def stop(self) -> None:
        self.stopped = True


class Driven(Engine):
    """An engine that notes what it drives where. sick: cells that leave an instance broken; mute: gateway after them."""

    def __init__(self, tmp_path: Path, *, sick: tuple[str, ...] = (), mute: tuple[str, ...] = ()) -> None:
        plan = Plan("r", str(tmp_path), str(tmp_path), "process", tuple(LANE))
        super().__init__(plan, SimpleNamespace(name="process"), None, Redactor(), {}, lambda *_, **__: None, None)
        self.instances: list[Instance] = []
        self.seen: list[list[str]] = []
        self.asked: list[str] = []
        self.at_once = asyncio.Barrier(len(IDLE))
        self.sick, self.mute = sick, mute
        self.lost: list[str] = []

    async def started(self, cells, backend):
        self.instances.append(Instance())
        self.seen.append([])
        return self.instances[-1]

    async def cell(self, cell, instance):
        assert not instance.stopped
        if scenarios()[cell.scenario].kind is ScenarioKind.IDLE:
            async with asyncio.timeout(PATIENCE):
                await self.at_once.wait()
        self.seen[self.instances.index(instance)].append(cell.scenario)
        return cell.scenario not in self.sick

    async def _trouble(self, cell, instance):
        self.asked.append(cell.scenario)
        return "it says nothing" if self.seen[-1][-1] in self.mute else ""


def drive(engine: Driven) -> list[list[str]]:
    asyncio.run(engine.lane(LANE, None, 0))
    assert all(instance.stopped for instance in engine.instances)
    return engine.seen


def test_what_leaves_an_instance_whole_shares_it_and_idle_cells_overlap(tmp_path):
    engine = Driven(tmp_path)
    (seen,) = drive(engine)
    assert seen[: len(EXCLUSIVE)] == list(EXCLUSIVE)
    assert set(seen[len(EXCLUSIVE) : -len(HARMFUL)]) == set(IDLE)
    assert seen[-len(HARMFUL) :] == list(HARMFUL)


def test_after_harm_it_is_asked_whether_the_gateway_serves_the_next(tmp_path):
    engine = Driven(tmp_path)
    drive(engine)
    assert engine.asked == list(HARMFUL[1:]), "the first comes after what does no harm, after the last nobody comes"


@pytest.mark.parametrize("last", [EXCLUSIVE[1], IDLE[0]])
def test_what_is_left_when_a_cell_broke_the_instance_gets_a_fresh_one(tmp_path, last):
    first, second = drive(Driven(tmp_path, sick=(last,)))
    assert last in first
    assert sorted(first + second) == sorted(item.scenario for item in LANE)
    assert not set(HARMFUL) & set(first)


def test_after_harm_that_lasts_the_next_gets_a_fresh_instance(tmp_path):
    first, second = drive(Driven(tmp_path, mute=(HARMFUL[0],)))
    assert (first[-1], second) == (HARMFUL[0], [HARMFUL[1]])


class Starting(Driven):
    """One whose starts fail as often as it is told."""

    started = Engine.started

    def __init__(self, tmp_path: Path, failures: int, *, frugal: bool) -> None:
        super().__init__(tmp_path)
        self.plan = replace(self.plan, frugal=frugal)
        self.failures, self.tries = failures, 0

    async def _start(self, cell, backend, recorder):
        self.tries += 1
        if self.tries <= self.failures:
            raise CannotJudgeError("it never got ready")
        return await Driven.started(self, [cell], backend)

    def failed(self, cell, error, recorder=None):
        self.lost.append(cell.scenario)
        assert str(error) == "it never got ready"


@pytest.mark.parametrize(
    ("failures", "frugal", "tries", "lost"),
    [(1, True, 2, 0), (2, True, 2, len(LANE)), (1, False, 1, len(LANE))],
    ids=["fails once", "fails twice", "a run for one gateway"],
)
def test_a_start_that_fails_is_tried_once_more_where_a_fleet_waits_for_it(tmp_path, failures, frugal, tries, lost):
    engine = Starting(tmp_path, failures, frugal=frugal)
    driven = drive(engine)
    assert (engine.tries, len(engine.lost)) == (tries, lost)
    assert sum(map(len, driven)) == len(LANE) - lost


def test_a_drive_that_starts_the_gateway_again_has_the_time_that_takes(tmp_path):
    target = load_target("terminating")
    engine = Driven(tmp_path)
    engine.targets = {target.name: target}
    assert engine._starts_again(cell("gateway-restarts")) == target.ready.seconds
    assert not engine._starts_again(cell("ping"))
    assert not engine._starts_again(replace(cell("gateway-restarts"), target="direct"))


@pytest.mark.parametrize(("kind", "reached"), [(Kind.LAG, False), (Kind.CONN_OPEN, True)])
def test_only_a_connection_shows_that_a_running_gateway_reaches_the_witness(tmp_path, kind, reached):
    async def collect(_mark):
        return [Observation(0, Point.BACKEND_TAP, kind, {"tap": "backend:main"})]

    engine = Driven(tmp_path, mute=("ping",))
    engine.seen = [["ping"]]
    found = asyncio.run(engine._unreached(cell("ping"), SimpleNamespace(collect=collect, healthy=False)))
    assert ("does speak to" in found) is reached
    assert ("nothing arrived" in found) is not reached


class Asked:
    """A stage whose sentinel exchange takes a moment; notes how many there were, and how many at one time."""

    def __init__(self, *, refused: bool = False) -> None:
        self.instance = SimpleNamespace(turn=asyncio.Lock(), refused=None, healthy=False)
        self.refused, self.times, self.now, self.most = refused, 0, 0, 0

    async def sentinel(self, _when):
        self.times, self.now = self.times + 1, self.now + 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(0.01)
        self.now -= 1
        if self.refused:
            raise CannotJudgeError(f"refused {self.times}")


def asked_together(engine: Driven, stage: Asked, *, times: int = 1) -> list[str]:
    """Return what three cells that begin together are told, the last of several times."""

    async def together() -> list[object]:
        asks = (engine._ask_before(stage, scenarios()[IDLE[0]]) for _ in range(3))
        return await asyncio.gather(*asks, return_exceptions=True)

    async def several() -> list[object]:
        return [await together() for _ in range(times)][-1]

    return [str(trouble or "") for trouble in asyncio.run(several())]


def test_cells_that_are_driven_together_begin_one_after_the_other(tmp_path: Path) -> None:
    stage = Asked()
    assert asked_together(Driven(tmp_path), stage) == ["", "", ""]
    assert (stage.times, stage.most) == (3, 1)


def test_what_one_is_refused_stands_for_those_that_waited_and_for_no_later_one(tmp_path: Path) -> None:
    assert asked_together(Driven(tmp_path), Asked(refused=True)) == ["refused 1"] * 3
    assert asked_together(Driven(tmp_path), Asked(refused=True), times=2) == ["refused 2"] * 3


def test_an_instance_that_was_found_well_is_not_asked_again(tmp_path: Path) -> None:
    stage = Asked()
    stage.instance.healthy = True
    assert asked_together(Driven(tmp_path), stage) == ["", "", ""]
    assert stage.times == 0
