"""From the causes that are to be replayed to what was driven of each: cells, selections, evidence judged."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Final

from conformance.errors import EvidenceError
from conformance.judging import applicable, judge_files, transcript
from conformance.replays.catalogue import REVISION, Cause, Condition, Replay, Side
from conformance.replays.conditions import Tried, tried
from conformance.replays.criteria import Criterion, Measured, criteria, measured
from conformance.replays.findings import Driven
from conformance.rules.all import rules
from conformance.running import Selection
from conformance.stage.manifest import load_backend
from conformance.stage.plan import Cell, RuntimeName
from conformance.stage.scenario import REPLAYS, scenarios

SIDES: Final = tuple(Side)


def selection_of(
    causes: Sequence[Cause], runtime: RuntimeName, out: Path, conditions: Sequence[Condition] = ()
) -> Selection:
    """Return the selection that drives both sides of causes that are replayed in one runtime, and conditions."""
    topologies = [cause.topology(side) for cause in causes for side in SIDES]
    topologies += [condition.topology for condition in conditions]
    return Selection(
        targets=tuple(item.target for item in topologies),
        backends=tuple(load_backend(name) for name in sorted({item.backend for item in topologies})),
        runtime=runtime,
        out=out,
        revisions=(REVISION,),
        suites=(REPLAYS,),
        long=True,
        only=frozenset((*(c for cause in causes for c in cause.cells()), *(item.cell for item in conditions))),
    )


def what_came(replay: Replay, condition: Condition, evidence: Path) -> Tried:
    """Return what was seen under a condition, from its evidence in a folder.

    Raises EvidenceError when that cannot be read, or the client was not driven there.
    """
    file = evidence / f"{condition.cell.slug}.jsonl"
    seen = transcript(file)
    found = tried(condition, seen, replay.said[0])
    if found is None:
        why = seen.footer.get("error") or seen.footer.get("not_exercised") or "the client was not asked to connect"
        raise EvidenceError(f"{file}: {why}")
    return found


def load_measured(cause: Cause, evidence: Path) -> tuple[Criterion, ...]:
    """Return the success criteria of a cause that names a load, from the evidence of its three drives in a folder.

    Raises EvidenceError when one cannot be read, or holds no complete drive.
    """
    cells = [cause.cell(side, cause.load) for side in SIDES]
    return criteria(*(_measured(evidence / f"{cell.slug}.jsonl") for cell in (*cells, cells[1].control)))


@lru_cache(maxsize=16)
def _measured(file: Path) -> Measured:
    seen = transcript(file)
    if not seen.footer.get("complete") or seen.footer.get("not_exercised"):
        raise EvidenceError(f"{file}: {seen.footer.get('error') or seen.footer.get('not_exercised')}")
    return measured(seen)


@lru_cache(maxsize=16)
def driven(cell: Cell, evidence: Path) -> Driven:
    """Return one side of a cause, judged from its evidence file. Raises EvidenceError when that cannot be read.

    The control run's file, where there is one, lies beside it.
    """
    control = evidence.with_name(f"{cell.control.slug}.jsonl")
    judged = (
        judge_files(cell, rule, evidence, control if control.exists() else None)
        for rule in applicable(rules(), scenarios()[cell.scenario].brings, cell.revision)
    )
    return Driven(tuple(judged), transcript(evidence))
