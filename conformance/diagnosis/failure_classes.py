"""The failure classes: known ways in which a gateway, or what stands around it, fails.

`failure_classes.toml` holds them. Each names the observation that tells it apart from every class with the same first
symptoms; a diagnosis may be certain only when those observations were made.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path

from conformance.errors import UsageError
from conformance.evidence.events import Hop
from conformance.spec.rows import Row, read, refuse_duplicates

_FILE = Path(__file__).resolve().parent / "failure_classes.toml"


class Family(StrEnum):
    """What a class is about."""

    LIFECYCLE = "lifecycle"
    SESSION = "session"
    GET_SSE = "get-sse"
    KEEP_ALIVE = "keep-alive"
    BUFFERING = "buffering"
    ROUTING = "routing"
    AUTH = "auth"
    NETWORK = "network"
    DISCOVERY = "discovery"
    SPIN_UP = "spin-up"
    CONCURRENCY = "concurrency"
    RESOURCE_LEAK = "resource-leak"
    PROTOCOL_VERSION = "protocol-version"
    REDIRECTS = "redirects"
    ERROR_MAPPING = "error-mapping"


class Severity(StrEnum):
    """What it costs the people behind the gateway, worst first."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A class that shows the same first symptoms.

    separated_by: one sentence naming the observation that tells the two apart ("here" is the class that has this
    neighbour, "there" the neighbour).
    """

    id: str
    separated_by: str


@dataclass(frozen=True, slots=True)
class FailureClass:
    """One known way of failing.

    hop: who is usually to blame; hops: everyone who can be, `hop` among them. symptoms: what users see, error strings
    quoted. signature: how it shows on the wire. explains: ids of the classes whose failures this one brings about.
    seen: public reports, evidence that it happens.
    """

    id: str
    family: Family
    title: str
    hop: Hop
    hops: tuple[Hop, ...]
    severity: Severity
    symptoms: tuple[str, ...]
    why: str
    signature: str
    remedy: str
    explains: tuple[str, ...]
    seen: tuple[str, ...]
    neighbours: tuple[Neighbour, ...]


@cache
def failure_classes() -> tuple[FailureClass, ...]:
    """Return every class, family by family.

    Raises CannotJudgeError naming file, row and key when the data is malformed or a neighbour does not exist.
    """
    rows = read(_FILE).rows("class")
    classes = tuple(_failure_class(row) for row in rows)
    refuse_duplicates(_FILE.name, (known.id for known in classes))
    ids = {known.id for known in classes}
    for row, known in zip(rows, classes, strict=True):
        for neighbour in known.neighbours:
            if neighbour.id not in ids or neighbour.id == known.id:
                raise row.error(f"the neighbour {neighbour.id!r} is not another class")
        if strangers := set(known.explains) - (ids - {known.id}):
            raise row.error(f"`explains` names {', '.join(sorted(strangers))}, which is not another class")
        if known.id in _brought_about(known.id, classes):
            raise row.error("it would explain itself by way of what it explains")
    return classes


def _brought_about(class_id: str, classes: tuple[FailureClass, ...]) -> frozenset[str]:
    """Return everything that a class explains, directly or by way of others."""
    direct = {known.id: known.explains for known in classes}
    found: set[str] = set()
    left = list(direct[class_id])
    while left:
        name = left.pop()
        if name not in found:
            found.add(name)
            left += direct.get(name, ())
    return frozenset(found)


def failure_class(class_id: str) -> FailureClass:
    """Return the class with this id. Raises UsageError when there is none."""
    try:
        return _by_id()[class_id]
    except KeyError:
        raise UsageError(f"There is no failure class {class_id!r}; `list failure-classes` shows every id.") from None


@cache
def _by_id() -> Mapping[str, FailureClass]:
    return {known.id: known for known in failure_classes()}


def _failure_class(row: Row) -> FailureClass:
    row.allow_only(
        "id",
        "family",
        "title",
        "hop",
        "hops",
        "severity",
        "symptoms",
        "why",
        "signature",
        "remedy",
        "explains",
        "seen",
        "neighbours",
    )
    hop, hops = row.member("hop", Hop), row.members("hops", Hop)
    if hop not in hops:
        raise row.error(f"`hop` is {hop}, which `hops` does not list")
    return FailureClass(
        id=row.text("id"),
        family=row.member("family", Family),
        title=row.text("title"),
        hop=hop,
        hops=hops,
        severity=row.member("severity", Severity),
        symptoms=row.texts("symptoms"),
        why=row.text("why"),
        signature=row.text("signature"),
        remedy=row.text("remedy"),
        explains=row.texts("explains") if "explains" in row.cells else (),
        seen=row.texts("seen") if "seen" in row.cells else (),
        neighbours=tuple(_neighbour(entry) for entry in row.rows("neighbours")),
    )


def _neighbour(entry: Row) -> Neighbour:
    entry.allow_only("id", "separated_by")
    return Neighbour(id=entry.text("id"), separated_by=entry.text("separated_by"))
