"""The matrix: clients x gateways x backends, planned as a whole, driven a shard at a time.

Every shard knows the whole plan, and divides it as every other does: a target's cells stay in one shard wherever there
are enough targets, so that it is installed on one machine only.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from conformance import __version__
from conformance.errors import ExitCode, NothingRanError
from conformance.evidence.events import JSON
from conformance.execution import execute, header_of, is_standard
from conformance.expectations import Expectations
from conformance.judging import transcript
from conformance.report.excerpts import excerpt
from conformance.report.files import REPORT
from conformance.report.jsonl import ReportWriter, read_report
from conformance.report.records import Report
from conformance.report.shards import DRIVER, MatrixPlan, Product, shard_file, write_shard
from conformance.resuming import judging_digest, plan_digest, plan_parts
from conformance.running import Selection, cells_of, clients_of
from conformance.sharding import Shard, partition
from conformance.stage.client_manifest import ClientManifest
from conformance.stage.lanes import cell_seconds
from conformance.stage.manifest import BackendManifest, TargetManifest
from conformance.stage.plan import DIRECT, Cell
from conformance.stage.scenario import ScenarioKind, scenarios


@dataclass(frozen=True, slots=True)
class Matrix:
    """A planned matrix. whole: everything, as one selection. shares: the cells of each shard, controls aside."""

    whole: Selection
    plan: MatrixPlan
    shares: tuple[tuple[Cell, ...], ...]

    def selection(self, shard: Shard) -> Selection:
        """Return what one shard drives."""
        own = self.shares[shard.part - 1]
        names = {cell.target for cell in own}
        targets = tuple(item for item in self.whole.targets if item.name in names)
        everything = self.whole.expectations
        known, outside = (
            tuple(entry for entry in entries if entry.target in names)
            for entries in (everything.known, everything.outside)
        )
        expectations = replace(everything, known=known, outside=outside)
        return replace(self.whole, targets=targets, only=frozenset(own), expectations=expectations)


def plan_matrix(selection: Selection, parts: int) -> Matrix:
    """Plan a matrix in `parts` shards. Raises NothingRanError when there is nothing to drive."""
    chosen = [cell for cell in cells_of(selection) if cell.target != DIRECT]
    if not chosen:
        raise NothingRanError("the matrix has no cell; widen --target, --backend, --client, --suite or --revision")
    targets = {target.name: target for target in selection.targets}
    shares = partition(
        chosen,
        parts,
        (
            lambda cell: (cell.target,),
            lambda cell: (cell.target, cell.revision),
            lambda cell: (cell.target, cell.revision, cell.backend),
            lambda cell: (cell.target, cell.revision, cell.backend, scenarios()[cell.scenario].suite),
        ),
        lambda cell: cell_seconds(cell, targets[cell.target]),
    )
    digests = plan_parts(chosen, selection.targets, selection.backends, clients_of(chosen))
    digests |= {"the rules": judging_digest(), "the baselines": _baselines(selection.expectations)}
    plan = MatrixPlan(
        digest=plan_digest(digests),
        parts=digests,
        shares=tuple(tuple(sorted({cell.target for cell in share})) for share in shares),
        gateways=tuple(_product(item, item.fronts) for item in selection.targets),
        backends=tuple(_product(item) for item in selection.backends),
        clients=tuple(_clients(chosen)),
        driven_by={item.name: item.client for item in scenarios().values() if item.client},
        driven_once=_driven_once(selection, chosen),
        standard=is_standard(selection),
    )
    return Matrix(selection, plan, shares)


def run_shard(matrix: Matrix, shard: Shard) -> tuple[Path, ExitCode]:
    """Drive and judge one shard under the selection's output folder; return its shard file and the run's exit code.

    A shard that has nothing to do, because there are more shards than targets, ends well and says so.
    """
    selection = matrix.selection(shard)
    out = selection.out.resolve()
    if selection.only:
        status = execute(selection)
    else:
        out.mkdir(parents=True, exist_ok=True)
        with ReportWriter(out / REPORT) as writer:
            writer.header(header_of(selection))
            writer.footer(exit_code=ExitCode.OK, complete=True)
        print(f"shard {shard} has nothing to drive: there are more shards than there is to share")
        status = ExitCode.OK
    report = out / REPORT
    file = shard_file(out, shard)
    write_shard(file, shard, matrix.plan, excerpts(read_report(report), out), report)
    return file, status


def excerpts(report: Report, out: Path) -> Mapping[str, Sequence[Mapping[str, JSON]]]:
    """Return the bytes that each failure rests on, by result id, from the evidence under `out`."""
    failed = sorted((item for item in report.results if item.verdict == "fail"), key=lambda item: item.evidence)
    found = ((item.id, excerpt(transcript(out / item.evidence), item.events)) for item in failed)
    return {name: pieces for name, pieces in found if pieces}


def _driven_once(selection: Selection, chosen: Iterable[Cell]) -> tuple[str, ...]:
    """Return the names of the chosen cells' scenarios that are driven on one revision though several were asked for."""
    if not selection.frugal or len(selection.revisions) == 1:
        return ()
    names = {cell.scenario for cell in chosen}
    return tuple(sorted(name for name in names if scenarios()[name].kind is ScenarioKind.DESTRUCTIVE))


def _product(item: TargetManifest | BackendManifest | ClientManifest, fronts: Iterable[str] = ()) -> Product:
    return Product(item.name, item.title, item.version, item.licence, item.homepage, tuple(fronts))


def _clients(cells: Sequence[Cell]) -> Iterator[Product]:
    """Yield the clients of cells, the harness's own driver first."""
    if any(not scenarios()[cell.scenario].client for cell in cells):
        yield Product(DRIVER, "the harness's own driver", __version__)
    yield from map(_product, clients_of(cells))


def _baselines(expectations: Expectations) -> str:
    """Return a digest of everything that is expected of the targets."""
    return plan_digest({"baselines": json.dumps(expectations.to_json(), sort_keys=True)})
