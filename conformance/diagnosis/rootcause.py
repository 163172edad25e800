"""Root causes over symptoms: the failures of one target, backend and revision, folded into one diagnosis a cause."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from conformance.diagnosis.classify import UNCLASSIFIED, Separation
from conformance.diagnosis.failure_classes import failure_classes
from conformance.diagnosis.reproduce import reproduce
from conformance.diagnosis.timeline import Moment, timeline
from conformance.evidence.events import JSON, Hop
from conformance.evidence.transcript import Transcript
from conformance.judging import Judgement
from conformance.rules.verdicts import Fail

_ORDINARY: Final = ("correct", "works", "engine-read-only")
"""Header values of a witness script and of a spin-up in which nothing is made to go wrong."""
_Cause: TypeAlias = tuple[str, str]
"""A failure class and the hop it is charged to. What no class explains is a cause of its own for each rule."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """One cause with its symptoms folded under it.

    symptoms: ids of the results it explains, its own first. timeline: the decisive events of its clearest failure, both
    sides in time order. reproduce: commands in order. evidence: files, under the output folder.
    """

    id: str
    target: str
    runtime: str
    backend: str
    revision: str
    backend_revision: str
    failure_class: str
    title: str
    hop: str
    confidence: float
    symptoms: tuple[str, ...]
    timeline: tuple[Moment, ...]
    separations: tuple[Separation, ...]
    reproduce: tuple[str, ...]
    remedy: str
    evidence: tuple[str, ...]

    def to_json(self) -> dict[str, JSON]:
        """Return the `diagnosis` record of report.jsonl."""
        return {
            "kind": "diagnosis",
            "id": self.id,
            "target": self.target,
            "runtime": self.runtime,
            "backend": self.backend,
            "revision": self.revision,
            "backend_revision": self.backend_revision,
            "failure_class": self.failure_class,
            "title": self.title,
            "hop": self.hop,
            "confidence": self.confidence,
            "symptoms": list(self.symptoms),
            "reproduce": list(self.reproduce),
            "separations": [item.to_json() for item in self.separations],
            "timeline": [item.to_json() for item in self.timeline],
            "remedy": self.remedy,
            "evidence": list(self.evidence),
        }


def diagnose(judgements: Iterable[Judgement], read: Callable[[str], Transcript]) -> tuple[Diagnosis, ...]:
    """Return the diagnoses of a run, in order of their first failures.

    Failures of one target, runtime, backend and pair of revisions are taken together. read: gives the transcript of a
    judgement's evidence file.
    """
    groups: dict[tuple[str, ...], dict[_Cause, list[Judgement]]] = defaultdict(lambda: defaultdict(list))
    for item in judgements:
        if isinstance(item.verdict, Fail) and item.classified is not None:
            cell, found = item.cell, item.classified
            place = (cell.target, cell.runtime, cell.backend, cell.revision, cell.backend_revision)
            apart = f"/{item.rule.id}" if found.failure_class == UNCLASSIFIED else ""
            groups[place][found.failure_class + apart, str(found.hop)].append(item)
    return tuple(item for causes in groups.values() for item in _folded(causes, read))


def _folded(causes: Mapping[_Cause, list[Judgement]], read: Callable[[str], Transcript]) -> Iterator[Diagnosis]:
    """Yield one diagnosis for each cause that no other explains, with every failure that leads up to it."""
    below: dict[_Cause, list[Judgement]] = {cause: [] for cause in causes}
    roots = {cause: _root(cause, causes, read) for cause in causes}
    for cause, root in roots.items():
        if root != cause:
            below[root] += causes[cause]
    for cause, own in causes.items():
        if roots[cause] == cause:
            yield _diagnosis(cause[1], own, below[cause], read)


def _root(cause: _Cause, causes: Mapping[_Cause, list[Judgement]], read: Callable[[str], Transcript]) -> _Cause:
    """Return the cause at the end of the chain; the catalogue admits no circle."""
    above = [
        other
        for other in causes
        if cause[0] in _explains(other[0])
        and (other[1] != Hop.CLIENT or cause[1] == Hop.CLIENT)  # one real client's fault is nothing that others meet
        and _accounts_for(causes[other], causes[cause], read)
    ]
    if not above:
        return cause
    surest = max(above, key=lambda other: max(_confidence(item) for item in causes[other]))
    return _root(surest, causes, read)


def _explains(name: str) -> tuple[str, ...]:
    return next((known.explains for known in failure_classes() if known.id == name), ())


def _accounts_for(above: list[Judgement], below: list[Judgement], read: Callable[[str], Transcript]) -> bool:
    """Return whether a cause was at work wherever the symptom was seen.

    A cause seen in ordinary circumstances is at work everywhere. One that was only provoked, by a misbehaving backend
    or engine, accounts for what was seen under the same provocation.
    """
    at_work = {_provocation(read(item.evidence)) for item in above}
    return "" in at_work or {_provocation(read(item.evidence)) for item in below} <= at_work


def _provocation(transcript: Transcript) -> str:
    """Return what the scenario had the gateway's surroundings do wrong; empty for nothing."""
    script = str(transcript.header.get("witness_script") or _ORDINARY[0])
    spin_up = str(transcript.header.get("spin_up") or "")
    return "; ".join(item for item in (script, spin_up) if item and item not in _ORDINARY)


def _confidence(item: Judgement) -> float:
    return item.classified.confidence if item.classified is not None else 0.0


def _diagnosis(hop: str, own: list[Judgement], below: list[Judgement], read: Callable[[str], Transcript]) -> Diagnosis:
    clearest = max(own, key=_confidence)
    found, verdict, cell = clearest.classified, clearest.verdict, clearest.cell
    if found is None or not isinstance(verdict, Fail):
        raise TypeError(f"{clearest.id} is no classified failure")
    known = {item.id: item for item in failure_classes()}.get(found.failure_class)
    transcript = read(clearest.evidence)
    return Diagnosis(
        id=f"{cell.target}/{cell.runtime}/{cell.backend}/{cell.revision}/{cell.backend_revision}/{found.failure_class}/{hop}"
        + (f"/{clearest.rule.id}" if known is None else ""),
        target=cell.target,
        runtime=cell.runtime,
        backend=cell.backend,
        revision=cell.revision,
        backend_revision=cell.backend_revision,
        failure_class=found.failure_class,
        title=known.title if known else clearest.rule.title,
        hop=hop,
        confidence=found.confidence,
        symptoms=tuple(item.id for item in (*own, *below)),
        timeline=timeline(transcript, verdict.events),
        separations=found.separations,
        reproduce=reproduce(transcript, verdict.events, clearest.rule.id, clearest.evidence),
        remedy=known.remedy if known else "",
        evidence=tuple(dict.fromkeys(item.evidence for item in (*own, *below))),
    )
