"""The records of report.jsonl as dataclasses: what a reader gets and every renderer works on.

The shapes are published in `reports/schema/report.schema.json`. Members that this version does not know are ignored.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, get_args

from conformance.evidence.events import JSON
from conformance.expectations import Expectation, Unmet
from conformance.rules.verdicts import Fail, HarnessFault, Inconclusive, NotApplicable, NotExercised, Pass

REPORT_SCHEMA_VERSION: Final = 1
"""Version of the report format; a reader refuses any other."""

VERDICTS: Final = tuple(
    verdict.name for verdict in (Pass, Fail, NotApplicable, NotExercised, Inconclusive, HarnessFault)
)
"""The six spellings, in the order in which reports count them."""


@dataclass(frozen=True, slots=True)
class Selection:
    """What a run was asked for. partial: a suite, rule or backend of the standard run was left out."""

    suites: tuple[str, ...]
    revisions: tuple[str, ...]
    runtime: str
    quick: bool = False
    partial: bool = False

    def to_json(self) -> dict[str, JSON]:
        """Return the header's `selection`."""
        return {
            "suites": list(self.suites),
            "revisions": list(self.revisions),
            "runtime": self.runtime,
            "quick": self.quick,
            "partial": self.partial,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, JSON]) -> Selection:
        """Return what `to_json` gave."""
        return cls(
            suites=tuple(data["suites"]),
            revisions=tuple(data["revisions"]),
            runtime=str(data["runtime"]),
            quick=bool(data["quick"]),
            partial=bool(data["partial"]),
        )


@dataclass(frozen=True, slots=True)
class Run:
    """One of the runs that drove what a report judges: several where an interrupted one was resumed.

    started: ISO 8601, UTC.
    """

    id: str
    started: str


@dataclass(frozen=True, slots=True)
class Header:
    """What a run ran on.

    harness, python: versions. targets, backends, clients: version by name; clients are the real ones that drove.
    digests: SHA-256 by what it is of (images, the evidence schema). engine: version of the container engine, None
    without one. profile: revision of the profile that a badge counts. started: ISO 8601, UTC. runs: those that drove
    the cells, this one last.
    """

    harness: str
    python: str
    targets: Mapping[str, str]
    backends: Mapping[str, str]
    digests: Mapping[str, str]
    seed: int
    engine: str | None
    platform: str
    profile: str | None
    selection: Selection
    started: str
    runs: tuple[Run, ...] = ()
    clients: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, JSON]:
        """Return the `header` record."""
        return {
            "kind": "header",
            "schema": REPORT_SCHEMA_VERSION,
            "versions": {
                "harness": self.harness,
                "python": self.python,
                "targets": dict(self.targets),
                "backends": dict(self.backends),
                "clients": dict(self.clients),
            },
            "digests": dict(self.digests),
            "seed": self.seed,
            "engine": self.engine,
            "platform": self.platform,
            "profile": self.profile,
            "selection": self.selection.to_json(),
            "started": self.started,
            "runs": [{"id": run.id, "started": run.started} for run in self.runs],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, JSON]) -> Header:
        """Return what `to_json` gave; raises KeyError, TypeError or ValueError for anything else."""
        versions = data["versions"]
        return cls(
            harness=str(versions["harness"]),
            python=str(versions["python"]),
            targets=dict(versions["targets"]),
            backends=dict(versions["backends"]),
            clients=dict(versions.get("clients", {})),
            digests=dict(data["digests"]),
            seed=int(data["seed"]),
            engine=data["engine"],
            platform=str(data["platform"]),
            profile=data["profile"],
            selection=Selection.from_json(data["selection"]),
            started=str(data["started"]),
            runs=tuple(Run(str(item["id"]), str(item["started"])) for item in data.get("runs", ())),
        )


@dataclass(frozen=True, slots=True)
class Known:
    """The baseline entry that speaks of a result: the class it expects, the issue that tracks it, what was seen."""

    failure_class: str
    issue: str
    seen: str


@dataclass(frozen=True, slots=True)
class Result:
    """One rule's verdict on one cell.

    expectation: what it means for the run (conformance.expectations). run: id of the run that drove the cell. driven:
    when it did, ISO 8601, UTC; both are empty where no evidence was written.
    """

    id: str
    target: str
    runtime: str
    backend: str
    revision: str
    backend_revision: str
    suite: str
    scenario: str
    rule: str
    title: str
    level: str
    requirements: tuple[str, ...]
    verdict: str
    charged_to: str | None
    expected: str | None
    observed: str
    failure_class: str | None
    events: tuple[int, ...]
    evidence: str
    expectation: str
    known: Known | None = None
    run: str = ""
    driven: str = ""

    @property
    def cell(self) -> str:
        """Id of the cell that was judged."""
        return self.id.removesuffix(f"/{self.rule}")

    @classmethod
    def from_json(cls, data: Mapping[str, JSON]) -> Result:
        """Return a `result` record; raises KeyError, TypeError or ValueError for anything else."""
        verdict = str(data["verdict"])
        if verdict not in VERDICTS:
            raise ValueError(f"no verdict {verdict!r}")
        expectation = str(data["expectation"])
        if expectation not in get_args(Expectation):
            raise ValueError(f"no expectation {expectation!r}")
        known = data.get("known")
        return cls(
            id=str(data["id"]),
            target=str(data["target"]),
            runtime=str(data["runtime"]),
            backend=str(data["backend"]),
            revision=str(data["revision"]),
            backend_revision=str(data["backend_revision"]),
            suite=str(data["suite"]),
            scenario=str(data["scenario"]),
            rule=str(data["rule"]),
            title=str(data["title"]),
            level=str(data["level"]),
            requirements=tuple(data["requirements"]),
            verdict=verdict,
            charged_to=data["charged_to"],
            expected=data["expected"],
            observed=str(data["observed"]),
            failure_class=data["failure_class"],
            events=tuple(data["events"]),
            evidence=str(data["evidence"]),
            expectation=expectation,
            known=Known(str(known["failure_class"]), str(known["issue"]), str(known["seen"])) if known else None,
            run=str(data.get("run", "")),
            driven=str(data.get("driven", "")),
        )


@dataclass(frozen=True, slots=True)
class Separation:
    """Whether the observation that rules out a neighbouring failure class was made, and what it says."""

    neighbour: str
    made: bool
    says: str


@dataclass(frozen=True, slots=True)
class Moment:
    """One event of a timeline. t: seconds since the cell's first event. decisive: the verdict rests on it."""

    t: float
    point: str
    text: str
    decisive: bool = False


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """One root cause with its symptoms.

    symptoms: ids of the results it explains. reproduce: commands, in order. evidence: files under the output folder.
    """

    id: str
    target: str
    backend: str
    revision: str
    runtime: str
    failure_class: str
    title: str
    hop: str
    confidence: float
    symptoms: tuple[str, ...]
    reproduce: tuple[str, ...]
    separations: tuple[Separation, ...] = ()
    timeline: tuple[Moment, ...] = ()
    remedy: str = ""
    evidence: tuple[str, ...] = ()

    @classmethod
    def from_json(cls, data: Mapping[str, JSON]) -> Diagnosis:
        """Return a `diagnosis` record; raises KeyError, TypeError or ValueError for anything else."""
        return cls(
            id=str(data["id"]),
            target=str(data["target"]),
            backend=str(data["backend"]),
            revision=str(data["revision"]),
            runtime=str(data["runtime"]),
            failure_class=str(data["failure_class"]),
            title=str(data["title"]),
            hop=str(data["hop"]),
            confidence=float(data["confidence"]),
            symptoms=tuple(data["symptoms"]),
            reproduce=tuple(data["reproduce"]),
            separations=tuple(
                Separation(str(item["neighbour"]), bool(item["made"]), str(item["says"]))
                for item in data["separations"]
            ),
            timeline=tuple(
                Moment(float(item["t"]), str(item["point"]), str(item["text"]), bool(item.get("decisive", False)))
                for item in data["timeline"]
            ),
            remedy=str(data["remedy"]),
            evidence=tuple(data["evidence"]),
        )


@dataclass(frozen=True, slots=True)
class SpinUp:
    """How a container came up for one client. steps: seconds after the trigger, by name (`SpinUpTimes`).

    shared: it serves all clients. uncertainty: of the steps that the container engine told, in seconds.
    """

    cell: str
    client: str
    shared: bool
    uncertainty: float
    steps: Mapping[str, float]

    @classmethod
    def from_json(cls, data: Mapping[str, JSON]) -> SpinUp:
        """Return a `spin-up` record; raises KeyError, TypeError or ValueError for anything else."""
        steps = {str(item["name"]): float(item["t"]) for item in data["steps"]}
        return cls(str(data["cell"]), str(data["client"]), bool(data["shared"]), float(data["uncertainty"]), steps)


@dataclass(frozen=True, slots=True)
class Footer:
    """How a run ended.

    counts: results by verdict. complete: every selected cell was judged or said why not. unmet: baseline entries that
    were not borne out.
    """

    counts: Mapping[str, int]
    exit_code: int
    complete: bool
    unmet: tuple[Unmet, ...] = ()

    @classmethod
    def from_json(cls, data: Mapping[str, JSON]) -> Footer:
        """Return a `footer` record; raises KeyError, TypeError or ValueError for anything else."""
        counts = {str(name): int(number) for name, number in data["counts"].items()}
        unmet = tuple(Unmet.from_json(item) for item in data.get("baseline", ()))
        return cls(counts, int(data["exit_code"]), bool(data["complete"]), unmet)


@dataclass(frozen=True, slots=True)
class Report:
    """A whole report, or what is left of one. complete: it ends in a footer that fits and says so."""

    header: Header
    results: tuple[Result, ...] = field(default=())
    diagnoses: tuple[Diagnosis, ...] = ()
    footer: Footer | None = None
    complete: bool = False
    spin_ups: tuple[SpinUp, ...] = ()

    @property
    def targets(self) -> tuple[str, ...]:
        """The targets with results, in the order of their first."""
        return tuple(dict.fromkeys(result.target for result in self.results))


def place_of(suites: Sequence[str]) -> Callable[[str, str], tuple[int, str]]:
    """Return what gives a result, by its suite and id, its place in a report, in whichever order results were judged.

    suites: as they were selected. By rules of others, which come last, a real client's cells are judged too.
    """
    order = {suite: number for number, suite in enumerate(suites)}
    return lambda suite, identity: (order.get(suite, len(order)), identity)


def count_verdicts(verdicts: Iterable[str]) -> dict[str, int]:
    """Return how often each verdict occurs, all six named."""
    seen = Counter(verdicts)
    return {name: seen[name] for name in VERDICTS}
