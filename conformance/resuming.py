"""`run --resume`: what an interrupted run left in its folder, and which of it the next run may keep.

A run writes down in `plan.json` what decides its evidence, before anything is started. The next one keeps a cell's
evidence file only if that is still the same, and if the file is whole, of that cell and of one of the runs named there.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Final

from conformance import __version__, timing
from conformance.errors import EvidenceError, UsageError
from conformance.evidence.log import read_ends
from conformance.paths import FIXTURES, SCENARIOS
from conformance.report.files import usable_folder
from conformance.report.records import Run
from conformance.stage.client_manifest import ClientManifest
from conformance.stage.manifest import BackendManifest, TargetManifest
from conformance.stage.manifest_tables import Manifest
from conformance.stage.plan import Cell

PLAN: Final = "plan.json"
_SCHEMA: Final = 1
_PACKAGE: Final = Path(timing.__file__).parent
_DRIVING: Final = (
    *(_PACKAGE / name for name in ("evidence", "wire", "stage", "witness", "timing.py")),
    SCENARIOS,
    *(FIXTURES / name for name in ("gateways", "backends", "clients", "edges")),
)
"""What drives, and so decides what evidence says. Rules do not: kept evidence is judged by the rules of today."""
_JUDGING: Final = (
    *(_PACKAGE / name for name in ("evidence", "rules", "spec", "diagnosis")),
    *(_PACKAGE / name for name in ("timing.py", "judging.py", "expectations.py")),
)
"""What judges, and so decides what is made of evidence."""
_RECORDED: Final = ("*.jsonl", "*.jsonl.partial")
"""The files that a run writes into its folder of evidence."""
_NOT_DRIVING: Final = "baseline.toml"
"""The file of a manifest's folder that says what verdicts mean, and nothing of what is driven."""


@dataclass(frozen=True, slots=True)
class Start:
    """How a run begins. runs: those whose evidence is in the folder, this one last. kept: cells not driven again."""

    cells: tuple[Cell, ...]
    kept: tuple[Cell, ...]
    runs: tuple[Run, ...]

    @property
    def run_id(self) -> str:
        """Id of the run that begins."""
        return self.runs[-1].id

    @property
    def driven(self) -> tuple[Cell, ...]:
        """The cells that this run drives."""
        kept = frozenset(self.kept)
        return tuple(cell for cell in self.cells if cell not in kept)


def start(out: Path, cells: Iterable[Cell], parts: Mapping[str, str], *, resume: bool) -> Start:
    """Make `out` ready for a run over `cells` and return how it begins.

    parts: digests of what decides the evidence, by what they are of (`plan_parts`). Without `resume` nothing of an
    earlier run is kept; with it, what can be. Raises UsageError when `out` cannot be written into, or the earlier run
    was planned otherwise; the folder is then left as it was.
    """
    usable_folder(out)
    chosen, evidence = tuple(cells), out / "evidence"
    earlier = _earlier(out, parts) if resume else ()
    runs = frozenset(item.id for item in earlier)
    kept = tuple(cell for cell in chosen if runs and _is_whole(evidence / f"{cell.slug}.jsonl", cell, runs))
    _clear(evidence, keeping={f"{cell.slug}.jsonl" for cell in kept})
    this = Run(secrets.token_hex(6), datetime.now(UTC).isoformat(timespec="seconds"))
    runs_now = (*(earlier if kept else ()), this)
    partial = out / f"{PLAN}.partial"
    record = {"schema": _SCHEMA, "parts": dict(parts), "runs": [asdict(item) for item in runs_now]}
    partial.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    partial.rename(out / PLAN)
    return Start(chosen, kept, runs_now)


def _clear(evidence: Path, keeping: Collection[str]) -> None:
    """Remove what earlier runs recorded, but for the files named; what no run wrote stays."""
    for pattern in _RECORDED:
        for file in evidence.glob(pattern):
            if file.name not in keeping:
                file.unlink(missing_ok=True)  # the supervisor of a killed run may still be putting its own away
    with suppress(OSError):
        evidence.rmdir()  # only where nothing is left in it


def plan_parts(
    cells: Iterable[Cell],
    targets: Iterable[TargetManifest],
    backends: Iterable[BackendManifest],
    clients: Iterable[ClientManifest] = (),
) -> dict[str, str]:
    """Return digests of what decides the evidence of a run, by what they are of."""
    found = {
        f"the harness ({__version__})": driving_digest(),
        "the cells": _digest(*sorted(cell.id for cell in cells)),
    }
    found |= {f"target {item.name}": manifest_digest(item) for item in targets}
    found |= {f"backend {item.name}": manifest_digest(item) for item in backends}
    return found | {f"client {item.name}": manifest_digest(item) for item in clients}


def plan_digest(parts: Mapping[str, str]) -> str:
    """Return one SHA-256 over the parts of a plan."""
    return _digest(*(f"{name}={digest}" for name, digest in sorted(parts.items())))


def manifest_digest(item: Manifest) -> str:
    """Return the SHA-256 of a manifest and of what lies beside it: lock files, programs, Dockerfile."""
    files = sorted(path for path in item.folder.iterdir() if path.is_file()) if item.folder else []
    return _digest(item.model_dump_json(), *(file.read_bytes() for file in files if file.name != _NOT_DRIVING))


@cache
def driving_digest() -> str:
    """Return the SHA-256 of the sources that drive and record."""
    return _sources(_DRIVING, "*.py", "*.cjs")


@cache
def judging_digest() -> str:
    """Return the SHA-256 of the sources and tables that judge."""
    return _sources(_JUDGING, "*.py", "*.toml")


def _sources(paths: Iterable[Path], *patterns: str) -> str:
    found: list[Path] = []
    for path in paths:
        found += [path] if path.is_file() else sorted(file for pattern in patterns for file in path.rglob(pattern))
    return _digest(*(file.read_bytes() for file in found))


def _digest(*pieces: str | bytes) -> str:
    digest = hashlib.sha256()
    for piece in pieces:
        data = piece.encode() if isinstance(piece, str) else piece
        digest.update(b"%d:" % len(data))
        digest.update(data)
    return digest.hexdigest()


def _earlier(out: Path, parts: Mapping[str, str]) -> tuple[Run, ...]:
    """Return the runs whose evidence may be kept; none when no run left a plan. Raises UsageError."""
    file = out / PLAN
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
        before, runs = dict(record["parts"]), tuple(Run(**item) for item in record["runs"])
        known = record["schema"] == _SCHEMA
    except FileNotFoundError:
        return ()
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise UsageError(f"--resume: {file} is no run's plan ({error}); leave out --resume to begin anew.") from error
    changed = sorted(name for name in before.keys() | parts.keys() if before.get(name) != parts.get(name))
    if changed or not known:
        what = ", ".join(changed) or "its format"
        raise UsageError(
            f"--resume: the run in {out} was planned otherwise ({what}); leave out --resume to begin anew, "
            "or name another folder with --out."
        )
    return runs


def _is_whole(file: Path, cell: Cell, runs: frozenset[str]) -> bool:
    """Whether a file holds all that one of `runs` recorded of `cell`, and that drive ended in order."""
    try:
        header, footer = read_ends(file)
    except EvidenceError:
        return False
    return header.data.get("cell") == cell.id and header.data.get("run") in runs and footer.data.get("complete") is True
