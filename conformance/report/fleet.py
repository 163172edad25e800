"""The fleet: what a matrix of clients, gateways and backends came to, arranged for its pages and for fleet.json.

What a peer sent is made printable here, once, so that every page and every reader of fleet.json gets it harmless.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from conformance.evidence.events import JSON
from conformance.expectations import Unmet
from conformance.report.escape import shown, shown_lines
from conformance.report.overview import Meaning, meaning
from conformance.report.records import Diagnosis, Report, Result
from conformance.report.shards import CLIENTS, DRIVER, MatrixPlan, ShardReport

FLEET_SCHEMA_VERSION: Final = 1
"""Version of fleet.json."""
UNCHECKED: Final = "unchecked"
"""A baseline entry speaks of the result, and what was seen decides nothing: the known failure was not checked."""
IN_PART: Final = "pass in part"
"""Standing of a cell in which something passes, nothing fails, and not everything could be judged."""

_WORST_FIRST: Final = (
    *(str(item) for item in (Meaning.UNEXPECTED_FAILURE, Meaning.WRONG_CLASS, Meaning.UNEXPECTED_PASS)),
    *(str(item) for item in (Meaning.HARNESS_ERROR, Meaning.KNOWN_FAILURE, Meaning.CHARGED_ELSEWHERE)),
    *(str(item) for item in (Meaning.BELOW_THRESHOLD, Meaning.INCONCLUSIVE)),
    *(UNCHECKED, str(Meaning.NOT_EXERCISED), str(Meaning.PASS), str(Meaning.NOT_APPLICABLE)),
)
_UNDECIDED: Final = (str(Meaning.INCONCLUSIVE), UNCHECKED, str(Meaning.NOT_EXERCISED))
STANDINGS: Final = (*_WORST_FIRST[:-2], IN_PART, *_WORST_FIRST[-2:])
"""What a cell or a result can be, the worst first."""


@dataclass(frozen=True, slots=True)
class FleetResult:
    """One rule's verdict in one cell. standing: what it means, of STANDINGS. cause: index of its diagnosis, or None."""

    result: Result
    standing: str
    cause: int | None
    excerpt: tuple[Mapping[str, JSON], ...]

    def to_json(self) -> dict[str, JSON]:
        """Return its record in fleet.json; members that say nothing are left out."""
        result, known = self.result, self.result.known
        record: dict[str, JSON] = {
            "rule": result.rule,
            "scenario": result.scenario,
            "standing": self.standing,
            "observed": shown(result.observed),
        }
        if result.verdict == "fail":
            record |= {"expected": shown(result.expected or ""), "charged_to": result.charged_to}
            record |= {"failure_class": result.failure_class, "evidence": result.evidence}
        if known:
            record["known"] = {"failure_class": known.failure_class, "issue": known.issue, "seen": shown(known.seen)}
        if self.cause is not None:
            record["cause"] = self.cause
        if self.excerpt:
            record["excerpt"] = [{**piece, "text": shown_lines(str(piece["text"]))} for piece in self.excerpt]
        return record


@dataclass(frozen=True, slots=True)
class FleetCell:
    """Everything that one suite says of one gateway behind one client and before one backend, on one revision.

    What a real client brings to light is one suite, whichever the rules that judge it are of.
    """

    gateway: str
    client: str
    backend: str
    revision: str
    suite: str
    results: tuple[FleetResult, ...]

    @property
    def counts(self) -> dict[str, int]:
        """Results by standing, the worst first."""
        found = Counter(item.standing for item in self.results)
        return {name: found[name] for name in STANDINGS if found[name]}

    @property
    def standing(self) -> str:
        """What the cell comes to: never better than the worst in it."""
        counts = self.counts
        worst = next(iter(counts))
        return IN_PART if worst in _UNDECIDED and counts.get(str(Meaning.PASS)) else worst

    @property
    def driven(self) -> str:
        """When the last of it was driven, ISO 8601, UTC; empty where nothing was."""
        return max(item.result.driven for item in self.results)

    def to_json(self) -> dict[str, JSON]:
        """Return its record in fleet.json."""
        return {
            "gateway": self.gateway,
            "client": self.client,
            "backend": self.backend,
            "revision": self.revision,
            "suite": self.suite,
            "standing": self.standing,
            "counts": self.counts,
            "driven": self.driven,
            "results": [item.to_json() for item in self.results],
        }


@dataclass(frozen=True, slots=True)
class Fleet:
    """A whole matrix. cells: in the order of the page. unmet: baseline entries that no shard bore out."""

    plan: MatrixPlan
    shards: tuple[ShardReport, ...]
    cells: tuple[FleetCell, ...]
    causes: tuple[Diagnosis, ...]
    unmet: tuple[Unmet, ...]

    @property
    def revisions(self) -> tuple[str, ...]:
        """The revisions that clients spoke, the newest first."""
        return tuple(sorted({cell.revision for cell in self.cells}, reverse=True))

    @property
    def suites(self) -> tuple[str, ...]:
        """The suites, in the order in which they were judged."""
        suites = dict.fromkeys(result.suite for shard in self.shards for result in shard.report.results)
        found = {cell.suite for cell in self.cells}
        return tuple(suite for suite in dict.fromkeys((*suites, CLIENTS)) if suite in found)

    @property
    def results(self) -> tuple[Result, ...]:
        """Every result."""
        return tuple(item.result for cell in self.cells for item in cell.results)

    def of(self, gateway: str) -> tuple[FleetCell, ...]:
        """Return one gateway's cells."""
        return tuple(cell for cell in self.cells if cell.gateway == gateway)

    def report_of(self, gateway: str) -> Report | None:
        """Return the report of the shard that judged a gateway, None where none did; of several the first."""
        found = (item.report for item in self.shards if gateway in item.report.targets)
        return next(found, None)


def fleet(shards: Sequence[ShardReport]) -> Fleet:
    """Return the fleet that whole shards of one matrix make up, in their order (`shards.whole`)."""
    plan = shards[0].plan
    causes = tuple(item for shard in shards for item in shard.report.diagnoses)
    cause_of = {symptom: number for number, item in enumerate(causes) for symptom in item.symptoms}
    grouped: dict[tuple[str, str, str, str, str], list[FleetResult]] = defaultdict(list)
    for shard in shards:
        for result in shard.report.results:
            client = plan.client_of(result.scenario)
            suite = result.suite if client == DRIVER else CLIENTS
            place = (result.target, client, result.backend, result.revision, suite)
            pieces = tuple(shard.excerpts.get(result.id, ()))
            grouped[place].append(FleetResult(result, standing(result), cause_of.get(result.id), pieces))
    order = {item.name: number for number, item in enumerate((*plan.gateways, *plan.clients))}
    cells = [
        FleetCell(*place, tuple(sorted(found, key=lambda item: (STANDINGS.index(item.standing), item.result.id))))
        for place, found in grouped.items()
    ]
    cells.sort(key=lambda cell: (order[cell.gateway], order[cell.client], cell.backend, cell.revision))
    return Fleet(plan, tuple(shards), tuple(cells), causes, tuple(_unmet(shards)))


def standing(result: Result) -> str:
    """Return what a result means: as reports say it, and `unchecked` where a known failure was not decided."""
    decided = result.verdict in ("pass", "fail")
    return UNCHECKED if result.known is not None and not decided else str(meaning(result))


def _unmet(shards: Sequence[ShardReport]) -> Iterable[Unmet]:
    """Yield the baseline entries that are unmet; of a target that several shards share, those unmet in every one."""
    sharing = Counter(target for shard in shards for target in shard.report.header.targets)
    seen: Counter[tuple[str, ...]] = Counter()
    for shard in shards:
        for entry in shard.report.footer.unmet if shard.report.footer else ():
            name = (entry.target, entry.rule, entry.failure_class, entry.issue)
            seen[name] += 1
            if seen[name] >= sharing[entry.target]:
                yield entry


def fleet_json(found: Fleet, badges: Mapping[str, Sequence[Mapping[str, JSON]]]) -> dict[str, JSON]:
    """Return fleet.json. badges: of each gateway, a record for each revision."""
    reports = [shard.report for shard in found.shards]
    rules = {item.rule: item for item in found.results}
    return {
        "schema": FLEET_SCHEMA_VERSION,
        "plan": found.plan.digest,
        "harness": reports[0].header.harness,
        "revisions": list(found.revisions),
        "runtimes": sorted({item.header.selection.runtime for item in reports}),
        "shards": [_shard_json(shard) for shard in found.shards],
        "gateways": [
            {
                **item.to_json(),
                "badges": [dict(badge) for badge in badges[item.name]],
                "unmet": [_unmet_json(entry) for entry in found.unmet if entry.target == item.name],
            }
            for item in found.plan.gateways
        ],
        "backends": [item.to_json() for item in found.plan.backends],
        "clients": [item.to_json() for item in found.plan.clients],
        "rules": {
            name: {"title": item.title, "level": item.level, "suite": item.suite, "requirements": [*item.requirements]}
            for name, item in sorted(rules.items())
        },
        "causes": [_cause_json(item) for item in found.causes],
        "cells": [cell.to_json() for cell in found.cells],
    }


def _shard_json(shard: ShardReport) -> dict[str, JSON]:
    header = shard.report.header
    return {
        "shard": str(shard.shard),
        "runtime": header.selection.runtime,
        "engine": header.engine,
        "platform": header.platform,
        "python": header.python,
        "runs": [{"id": run.id, "started": run.started} for run in header.runs],
        "ended": max((result.driven for result in shard.report.results), default=header.started),
        "exit_code": shard.report.footer.exit_code if shard.report.footer else None,
    }


def _unmet_json(entry: Unmet) -> dict[str, JSON]:
    named = {name: getattr(entry, name) for name in ("rule", "failure_class", "issue", "state")}
    return {**named, "why": shown(entry.why)}


def _cause_json(item: Diagnosis) -> dict[str, JSON]:
    return {
        "failure_class": item.failure_class,
        "title": shown(item.title),
        "hop": item.hop,
        "confidence": item.confidence,
        "remedy": shown(item.remedy),
        "reproduce": [shown_lines(command) for command in item.reproduce],
    }
