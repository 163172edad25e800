"""The field replays: failures from write-ups, rebuilt from real parts, each cause with its remedy.

Each has a folder `scenarios/replays/NAME` with `replay.toml` (the story, its causes, what each must be diagnosed as)
and `drives.py` (its scenarios). Gateways that stand there for no product have their manifests in
`fixtures/replays/NAME`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any, Final, get_args

from conformance.diagnosis.failure_classes import failure_classes
from conformance.evidence.events import Hop
from conformance.paths import FIXTURES, SCENARIOS
from conformance.rules.all import rule_named
from conformance.spec.rows import Row, read, refuse_duplicates
from conformance.stage.manifest import TargetManifest, load_target
from conformance.stage.manifest_tables import Container, Two
from conformance.stage.plan import Cell, RuntimeName

REVISION: Final = "2025-11-25"
"""Revision that the replays speak: the write-ups are of its time."""

ANY: Final = ""
"""A wrong guess that names no failure class, or no hop, is wrong with every one."""


_SHARED: Final = ("target", "backend", "scenario", "fault", "two_backends")
"""What a cause may say of both its sides at once."""
_TOPOLOGY: Final = (*_SHARED, "arguments", "env")


class Side(StrEnum):
    """Which of a cause's two topologies is driven."""

    FAILING = "failing"
    REMEDIED = "remedied"


@dataclass(frozen=True, slots=True)
class Topology:
    """What is driven: a target, changed by further arguments and variables, before a backend.

    scenario: with the same drive on both sides; it says which edge and which client there are.
    """

    target: TargetManifest
    backend: str
    scenario: str


@dataclass(frozen=True, slots=True)
class Named:
    """A failure class at a hop, each ANY where that does not matter. why: what makes one think of it, or excuses it."""

    failure_class: str
    hop: str
    why: str

    def fits(self, failure_class: str, hop: str) -> bool:
        """Whether a diagnosis is what this names."""
        return self.failure_class in (ANY, failure_class) and self.hop in (ANY, hop)


@dataclass(frozen=True, slots=True)
class Cause:
    """One separate cause of a field failure.

    rules: those that must fail under it and pass without it. failure_class and hop: what the diagnosis must name. also:
    what it must name beside that, where several causes are at work together. tempting: what it must not name. besides:
    what it may name as well: known defects of the parts themselves, which the remedy does not touch, and what follows
    from the cause. words: what the write-up quotes and the failing evidence must hold. load: scenario in which the
    write-up's success criteria are measured, on both sides and straight at the backend; empty for none.
    """

    replay: str
    id: str
    title: str
    story: str
    runtime: RuntimeName
    rules: tuple[str, ...]
    failure_class: str
    hop: str
    also: tuple[Named, ...]
    tempting: tuple[Named, ...]
    besides: tuple[Named, ...]
    words: tuple[str, ...]
    load: str
    remedy: str
    failing: Topology
    remedied: Topology

    @property
    def name(self) -> str:
        """Replay and cause, as `--replay` takes it: R1a."""
        return f"{self.replay}{self.id}"

    def topology(self, side: Side) -> Topology:
        """Return what is driven on one side."""
        return self.failing if side is Side.FAILING else self.remedied

    def cell(self, side: Side, scenario: str = "") -> Cell:
        """Return the cell of one side, of the topology's own scenario if no other is named."""
        topology = self.topology(side)
        return _cell(topology, self.runtime, scenario or topology.scenario)

    def cells(self) -> tuple[Cell, ...]:
        """Return every cell of the cause, control cells aside."""
        loads = tuple(self.cell(side, self.load) for side in Side) if self.load else ()
        return (*(self.cell(side) for side in Side), *loads)


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition under which the failure is looked for. title: in what it differs from the others, in words."""

    replay: str
    id: str
    title: str
    topology: Topology

    @property
    def name(self) -> str:
        """Replay and condition: R3-slow."""
        return f"{self.replay}-{self.id}"

    @property
    def cell(self) -> Cell:
        """The cell that is driven."""
        return _cell(self.topology, "process", self.topology.scenario)


@dataclass(frozen=True, slots=True)
class Part:
    """What stands in the replay for a part of the write-up's system."""

    what: str
    real: str


@dataclass(frozen=True, slots=True)
class Absent:
    """Something of the write-up that is not exercised, and why."""

    what: str
    because: str


@dataclass(frozen=True, slots=True)
class Replay:
    """A field failure. said: error strings as its write-up quotes them, first the one that it is known by.

    tried: the conditions under which that one is looked for, where it is not known which of them it needs.
    """

    id: str
    name: str
    title: str
    story: str
    said: tuple[str, ...]
    parts: tuple[Part, ...]
    causes: tuple[Cause, ...]
    absent: tuple[Absent, ...]
    tried: tuple[Condition, ...]


def _cell(topology: Topology, runtime: RuntimeName, scenario: str) -> Cell:
    return Cell(topology.target.name, runtime, topology.backend, REVISION, REVISION, scenario)


@cache
def replays() -> tuple[Replay, ...]:
    """Return every replay, by id. Raises CannotJudgeError naming file and key when one is malformed."""
    found = sorted((_replay(file) for file in SCENARIOS.glob("replays/*/replay.toml")), key=lambda item: item.id)
    refuse_duplicates("replays", (item.id for item in found))
    return tuple(found)


def _replay(file: Path) -> Replay:
    row = read(file)
    row.allow_only("id", "title", "story", "said", "part", "cause", "absent", "tried")
    causes = tuple(_cause(row.text("id"), item, file.parent.name) for item in row.rows("cause"))
    refuse_duplicates(str(file), (cause.id for cause in causes))
    return Replay(
        id=row.text("id"),
        name=file.parent.name.replace("_", "-"),
        title=row.text("title"),
        story=row.text("story"),
        said=row.texts("said"),
        parts=tuple(Part(item.text("what"), item.text("real")) for item in row.rows("part")),
        causes=causes,
        absent=tuple(Absent(item.text("what"), item.text("because")) for item in row.rows("absent")),
        tried=tuple(_condition(row.text("id"), item, file.parent.name) for item in row.rows("tried")),
    )


def _cause(replay: str, row: Row, folder: str) -> Cause:
    row.allow_only(
        "id", "title", "story", "scenario", "backend", "runtime", "rules", "failure_class", "hop", "also", "tempting",
        "besides", "words", "load", "remedy", "target", "fault", "two_backends", "failing", "remedied",
    )  # fmt: skip
    rules = row.texts("rules")
    if unknown := [item for item in rules if rule_named(item) is None]:
        raise row.error(f"there is no rule {unknown[0]}")
    runtime = row.text("runtime", default="process")
    if runtime not in get_args(RuntimeName):
        raise row.error(f"`runtime` is {runtime!r}, which is none of {', '.join(get_args(RuntimeName))}")
    return Cause(
        replay=replay,
        id=row.text("id"),
        title=row.text("title"),
        story=row.text("story"),
        runtime="containers" if runtime == "containers" else "process",
        rules=rules,
        failure_class=_failure_class(row),
        hop=str(row.member("hop", Hop)),
        also=tuple(_named(item) for item in row.rows("also")),
        tempting=tuple(_named(item) for item in row.rows("tempting")),
        besides=tuple(_named(item) for item in row.rows("besides")),
        words=row.texts("words") if "words" in row.cells else (),
        load=row.text("load", default=""),
        remedy=row.text("remedy"),
        failing=_side(replay, row, Side.FAILING, folder),
        remedied=_side(replay, row, Side.REMEDIED, folder),
    )


def _condition(replay: str, row: Row, folder: str) -> Condition:
    row.allow_only("id", "title", *_TOPOLOGY)
    name = f"{replay.lower()}-{row.text('id')}"
    given = Row(row.where, {key: row.cells[key] for key in _TOPOLOGY if key in row.cells})
    return Condition(replay, row.text("id"), row.text("title"), _topology(name, given, folder))


def _failure_class(row: Row) -> str:
    name = row.text("failure_class")
    if name not in {item.id for item in failure_classes()}:
        raise row.error(f"there is no failure class {name}")
    return name


def _named(row: Row) -> Named:
    row.allow_only("failure_class", "hop", "why")
    failure_class = _failure_class(row) if "failure_class" in row.cells else ANY
    hop = str(row.member("hop", Hop)) if "hop" in row.cells else ANY
    if failure_class == hop == ANY:
        raise row.error("give `failure_class`, `hop` or both")
    return Named(failure_class, hop, row.text("why"))


def _side(replay: str, row: Row, side: Side, folder: str) -> Topology:
    """Return one side's topology: what the cause says of both, unless the side says its own."""
    cells: dict[str, Any] = {name: row.cells[name] for name in _SHARED if name in row.cells}
    own = Row(f"{row.where}, {side}", {**cells, **dict(row.cells.get(side, {}))})
    own.allow_only(*_TOPOLOGY)
    return _topology(f"{replay.lower()}{row.text('id')}-{side}", own, folder)


def _topology(name: str, row: Row, folder: str) -> Topology:
    """Return a topology whose target is called so.

    two_backends: how the target is started before two, where its manifest does not say.
    """
    named = row.text("target")
    base = load_target((FIXTURES / "replays" / folder / named).resolve() if named.endswith(".toml") else named)
    arguments = row.texts("arguments") if "arguments" in row.cells else ()
    start = base.start.model_copy(
        update={
            "command": (*base.start.command, *arguments),
            "env": {**base.start.env, **row.cells.get("env", {})},
        }
    )
    fault = {"fault": row.text("fault")} if "fault" in row.cells else {}
    container = Container.model_validate({**base.container.model_dump(), "built_as": base.name, **fault})
    changed: dict[str, Any] = {"name": name, "start": start, "container": container}
    if "two_backends" in row.cells:
        changed["two_backends"] = Two.model_validate(row.cells["two_backends"])
    return Topology(base.model_copy(update=changed), row.text("backend"), row.text("scenario"))
