"""Shard files: what one part of a matrix came to, and putting the parts together again.

JSON lines: a `shard` line that says which part of which plan this is, an `excerpt` line for each failure (the bytes it
rests on), and then the lines of the part's report.jsonl, whose footer shows that nothing was cut off.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from conformance.errors import CannotJudgeError, EvidenceError, UsageError
from conformance.evidence.events import JSON
from conformance.report.jsonl import parse_report
from conformance.report.records import Report, Result
from conformance.sharding import Shard

SHARD_SCHEMA_VERSION: Final = 1
"""Version of the shard file; a reader refuses any other."""
DRIVER: Final = "driver"
"""Name of the client that the harness itself is."""
CLIENTS: Final = "clients"
"""What a fleet calls everything that real clients bring to light, whichever suite's rule judges it."""
_MALFORMED: Final = (KeyError, TypeError, ValueError, AttributeError, UsageError)


@dataclass(frozen=True, slots=True)
class Product:
    """A gateway, a backend or a client as a fleet's pages name it. fronts: how a gateway reaches its backend."""

    name: str
    title: str
    version: str
    licence: str = ""
    homepage: str = ""
    fronts: tuple[str, ...] = ()

    def to_json(self) -> dict[str, JSON]:
        """Return its record."""
        return {
            "name": self.name,
            "title": self.title,
            "version": self.version,
            "licence": self.licence,
            "homepage": self.homepage,
            "fronts": list(self.fronts),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, JSON]) -> Product:
        """Return what `to_json` gave; raises KeyError or TypeError for anything else."""
        named = {name: str(data[name]) for name in ("name", "title", "version", "licence", "homepage")}
        return cls(**named, fronts=tuple(data["fronts"]))


@dataclass(frozen=True, slots=True)
class MatrixPlan:
    """The whole matrix that a shard is a part of; the same in every shard.

    parts: digests of what decides what is driven and how it is judged, by what they are of. shares: names of the
    targets of each shard, in the order of the shards. driven_by: the client of each scenario that a real one drives.
    driven_once: scenarios driven on the newest revision alone; their verdicts count for the older ones too.
    standard: whether the matrix leaves no suite, rule or standard backend out; a badge needs that.
    """

    digest: str
    parts: Mapping[str, str]
    shares: tuple[tuple[str, ...], ...]
    gateways: tuple[Product, ...]
    backends: tuple[Product, ...]
    clients: tuple[Product, ...]
    driven_by: Mapping[str, str]
    driven_once: tuple[str, ...]
    standard: bool

    def counts_for(self, result: Result, revision: str) -> bool:
        """Whether a verdict says something about a revision: found on it, or once for it and others."""
        return result.revision == revision or (result.scenario in self.driven_once and revision < result.revision)

    def client_of(self, scenario: str) -> str:
        """Return the name of the client that drives a scenario."""
        return self.driven_by.get(scenario, DRIVER)

    def to_json(self) -> dict[str, JSON]:
        """Return the plan's part of the `shard` line."""
        return {
            "plan": self.digest,
            "parts": dict(self.parts),
            "shares": [list(share) for share in self.shares],
            "gateways": [item.to_json() for item in self.gateways],
            "backends": [item.to_json() for item in self.backends],
            "clients": [item.to_json() for item in self.clients],
            "driven_by": dict(self.driven_by),
            "driven_once": list(self.driven_once),
            "standard": self.standard,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, JSON]) -> MatrixPlan:
        """Return what `to_json` gave; raises KeyError or TypeError for anything else."""
        return cls(
            digest=str(data["plan"]),
            parts=dict(data["parts"]),
            shares=tuple(tuple(share) for share in data["shares"]),
            gateways=tuple(map(Product.from_json, data["gateways"])),
            backends=tuple(map(Product.from_json, data["backends"])),
            clients=tuple(map(Product.from_json, data["clients"])),
            driven_by=dict(data["driven_by"]),
            driven_once=tuple(data["driven_once"]),
            standard=bool(data["standard"]),
        )


@dataclass(frozen=True, slots=True)
class ShardReport:
    """One shard. excerpts: pieces of the wire by result id."""

    path: Path
    shard: Shard
    plan: MatrixPlan
    excerpts: Mapping[str, Sequence[Mapping[str, JSON]]]
    report: Report


def shard_file(out: Path, shard: Shard) -> Path:
    """Return where a shard's file stands in its output folder."""
    return out / f"shard-{shard.part}-of-{shard.parts}.jsonl"


def write_shard(
    path: Path,
    shard: Shard,
    plan: MatrixPlan,
    excerpts: Mapping[str, Sequence[Mapping[str, JSON]]],
    report: Path,
) -> None:
    """Write a shard file from the report.jsonl of its run; it appears under its name only when it is whole."""
    partial = path.with_suffix(".partial")
    with partial.open("w", encoding="ascii") as file:
        head = {"kind": "shard", "schema": SHARD_SCHEMA_VERSION, "shard": str(shard), **plan.to_json()}
        pieces = ({"kind": "excerpt", "id": name, "pieces": list(found)} for name, found in excerpts.items())
        for record in (head, *pieces):
            file.write(json.dumps(record, separators=(",", ":")) + "\n")
        file.write(report.read_text(encoding="ascii"))
    partial.rename(path)


def read_shard(path: Path) -> ShardReport:
    """Return the shard in a file.

    Raises EvidenceError when it is missing, foreign, of another version or cut off, or its run did not end in order.
    """
    try:
        lines = path.read_text(encoding="utf-8").split("\n")[:-1]
    except FileNotFoundError:
        raise EvidenceError(f"{path} does not exist; name a file that `matrix --shard K/N` wrote") from None
    except (OSError, UnicodeDecodeError) as error:
        raise EvidenceError(f"{path} cannot be read as a shard ({error}); name one that `matrix` wrote") from error
    foreign = EvidenceError(f"{path} does not begin with a shard's header; it was not written by `matrix`")
    try:
        head = json.loads(lines[0])
        if head["kind"] != "shard":
            raise foreign
        if head["schema"] != SHARD_SCHEMA_VERSION:
            raise EvidenceError(
                f"{path} has shard schema {head['schema']!r} and this program reads {SHARD_SCHEMA_VERSION}; "
                "merge it with the version that wrote it"
            )
        shard, plan = Shard.parse(str(head["shard"])), MatrixPlan.from_json(head)
        excerpts = _excerpts(lines[1:])
    except (IndexError, *_MALFORMED):
        raise foreign from None
    before = 1 + len(excerpts)
    cut = EvidenceError(
        f"{path} is not whole: shard {shard} was cut off or did not end in order; run it again with --resume"
    )
    if len(lines) <= before:
        raise cut
    report = parse_report(path, lines[before:], before)
    if report.footer is None or report.complete is False:
        raise cut
    return ShardReport(path, shard, plan, excerpts, report)


def _excerpts(lines: Iterable[str]) -> dict[str, list[Mapping[str, JSON]]]:
    found: dict[str, list[Mapping[str, JSON]]] = {}
    for line in lines:
        record = json.loads(line)
        if record["kind"] != "excerpt":
            return found
        found[str(record["id"])] = list(record["pieces"])
    return found


def whole(shards: Sequence[ShardReport]) -> tuple[ShardReport, ...]:
    """Return the shards of one matrix in their order, none missing and none twice.

    Raises UsageError for shards that overlap or are of different plans, CannotJudgeError naming those that are missing.
    """
    first = shards[0]
    for other in shards[1:]:
        if (other.plan.digest, other.shard.parts) != (first.plan.digest, first.shard.parts):
            raise UsageError(
                f"{other.path} and {first.path} are parts of different matrices ({_difference(first, other)}); "
                "merge shards of one plan only."
            )
    by_part: dict[int, ShardReport] = {}
    for item in shards:
        if item.shard.part in by_part:
            other = by_part[item.shard.part]
            raise UsageError(f"{other.path} and {item.path} are both shard {item.shard}; leave one of them out.")
        by_part[item.shard.part] = item
    seen = Counter(result.id for item in shards for result in item.report.results)
    if twice := [name for name, number in seen.items() if number > 1]:
        raise UsageError(f"{len(twice)} results stand in more than one shard ({twice[0]}); the shards overlap.")
    parts = range(1, first.shard.parts + 1)
    if missing := [part for part in parts if part not in by_part]:
        named = "; ".join(
            f"{part}/{first.shard.parts} ({', '.join(first.plan.shares[part - 1]) or 'nothing'})" for part in missing
        )
        raise CannotJudgeError(
            f"{len(missing)} of {first.shard.parts} shards are missing: {named}; run them with --shard and merge again."
        )
    return tuple(by_part[part] for part in parts)


def _difference(first: ShardReport, other: ShardReport) -> str:
    if first.shard.parts != other.shard.parts:
        return f"one of {other.shard.parts} parts and one of {first.shard.parts}"
    names = sorted(first.plan.parts.keys() | other.plan.parts.keys())
    return ", ".join(name for name in names if first.plan.parts.get(name) != other.plan.parts.get(name)) or "their plan"
