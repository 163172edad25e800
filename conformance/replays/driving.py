"""From the causes that are to be replayed to what was driven of each: cells, selections, evidence judged."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Final

from conformance.errors import EvidenceError
from conformance.judging import applicable, judge_files, transcript
from conformance.replays.catalogue import REVISION, Cause, Side
from conformance.replays.criteria import Criterion, Measured, criteria, measured
from conformance.replays.findings import Driven
from conformance.rules.all import rules
from conformance.running import Selection
from conformance.stage.manifest import load_backend
from conformance.stage.plan import Cell, RuntimeName
from conformance.stage.scenario import REPLAYS, scenarios

SIDES: Final = tuple(Side)


def selection_of(causes: Sequence[Cause], runtime: RuntimeName, out: Path) -> Selection:
    """Return the selection that drives both sides of causes that are replayed in one runtime."""
    topologies = [cause.topology(side) for cause in causes for side in SIDES]
    return Selection(
        targets=tuple(item.target for item in topologies),
        backends=tuple(load_backend(name) for name in sorted({item.backend for item in topologies})),
        runtime=runtime,
        out=out,
        revisions=(REVISION,),
        suites=(REPLAYS,),
        long=True,
        only=frozenset(cell for cause in causes for cell in cause.cells()),
    )


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
