"""What a run drives: cells, and the file that tells the engine child about them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final, Literal, TypeAlias

from conformance.evidence.events import JSON

RuntimeName: TypeAlias = Literal["containers", "process"]

DIRECT: Final = "direct"
"""Target name of control cells: the same scenario straight at the backend."""


@dataclass(frozen=True, slots=True, order=True)
class Cell:
    """One drive: (target, runtime, backend, client revision, backend revision, scenario)."""

    target: str
    runtime: str
    backend: str
    revision: str
    backend_revision: str
    scenario: str

    @property
    def id(self) -> str:
        """The name used in evidence, results and baselines."""
        return f"{self.target}/{self.runtime}/{self.backend}/{self.revision}/{self.backend_revision}/{self.scenario}"

    @property
    def slug(self) -> str:
        """The id as a file name."""
        return re.sub(r"[^A-Za-z0-9._-]", "_", self.id.replace("/", "__"))

    @property
    def control(self) -> Cell:
        """The cell of the control run."""
        return Cell(DIRECT, self.runtime, self.backend, self.revision, self.backend_revision, self.scenario)

    @classmethod
    def parse(cls, text: str) -> Cell:
        """Return the cell of an id; raises ValueError for anything else."""
        target, runtime, backend, revision, backend_revision, scenario = text.split("/")
        return cls(target, runtime, backend, revision, backend_revision, scenario)


@dataclass(frozen=True, slots=True)
class UrlTarget:
    """A gateway that already runs.

    header_env: header names and the environment variables that hold their values. witness: HOST:PORT where the tap
    before the witness listens, for a gateway whose upstream is pointed there; empty where nothing is known of what
    stands behind it.
    """

    url: str
    header_env: Mapping[str, str] = field(default_factory=dict)
    witness: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything the engine child needs, as one JSON file.

    targets: manifests by name (as data, with the folder they came from). secret_env: environment variables whose
    values the user supplied and which are redacted wherever they appear. frugal: as few instances as there can be are
    started (`lanes.py`). engine: the module that the supervisor runs.
    """

    run_id: str
    out: str
    work: str
    runtime: RuntimeName
    cells: tuple[Cell, ...]
    targets: Mapping[str, Mapping[str, JSON]] = field(default_factory=dict)
    folders: Mapping[str, str] = field(default_factory=dict)
    url: UrlTarget | None = None
    secret_env: tuple[str, ...] = ()
    keep: bool = False
    frugal: bool = False
    engine: str = "conformance.stage.engine_child"

    @property
    def left(self) -> tuple[Cell, ...]:
        """The cells that have no evidence: at the beginning all, or in a resumed run those to be driven."""
        return tuple(cell for cell in self.cells if not self.evidence_file(cell).exists())

    @property
    def evidence_dir(self) -> Path:
        """Where evidence files appear, one per cell."""
        return Path(self.out) / "evidence"

    @property
    def progress_file(self) -> Path:
        """Where the engine child says what it is doing, one JSON object a line."""
        return Path(self.work) / "progress.jsonl"

    def evidence_file(self, cell: Cell) -> Path:
        """Return the file that holds a cell's evidence once it was driven."""
        return self.evidence_dir / f"{cell.slug}.jsonl"

    def write(self, path: Path) -> None:
        """Write the plan as JSON."""
        path.write_text(json.dumps(asdict(self), indent=1), encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Plan:
        """Read a plan that `write` wrote."""
        data = json.loads(path.read_text(encoding="utf-8"))
        data["cells"] = tuple(Cell(**cell) for cell in data["cells"])
        data["url"] = UrlTarget(**data["url"]) if data["url"] else None
        data["secret_env"] = tuple(data["secret_env"])
        return cls(**data)
