"""Root causes over symptoms: the failures of one target, backend and revision, folded into one diagnosis a cause."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from conformance.diagnosis.classify import UNCLASSIFIED, Separation
from conformance.diagnosis.failure_classes import failure_classes
from conformance.diagnosis.reproduce import reproduce
from conformance.diagnosis.timeline import Moment, timeline
from conformance.evidence.events import JSON
from conformance.evidence.transcript import Transcript
from conformance.judging import Judgement
from conformance.rules.verdicts import Fail

EXPLAINS: Final[Mapping[str, frozenset[str]]] = {
    # an initialize that is never answered leaves no session, no tools and no stream to judge
    "initialize-hang": frozenset({"empty-tools-startup-race", "get-sse-dead-stream", "silent-partial-aggregate"}),
    # where every client goes down, each of their requests fails in its own way
    "one-client-kills-all": frozenset({"empty-200-stream", "initialize-hang", "stale-session-after-restart"}),
    # a gateway that never initialized its backend gets refused, and lists nothing
    "request-before-initialize": frozenset({"reinitialize-rejected", "empty-tools-startup-race", "init-race-rejected"}),
    # each call in a session of its own leaves as many sessions behind
    "upstream-session-per-call": frozenset({"session-leak", "ephemeral-state-loss"}),
    # the engine cannot be used: nothing is started, so nothing answers
    "docker-socket-unusable": frozenset({"enabled-but-not-started", "container-not-ready", "initialize-hang"}),
    # no container: nothing to list or to call
    "enabled-but-not-started": frozenset({"empty-tools-startup-race", "silent-partial-aggregate"}),
    # a buffering hop holds headers, heartbeats and messages alike
    "proxy-buffers-sse": frozenset({"idle-stream-no-heartbeat", "server-messages-not-relayed"}),
    # without a stream that carries anything, no message is relayed
    "get-sse-dead-stream": frozenset({"list-changed-not-propagated", "server-messages-not-relayed"}),
    "server-messages-not-relayed": frozenset({"list-changed-not-propagated"}),
}
"""Which classes' symptoms a cause accounts for, when both are seen on one target, backend and revision."""


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
    """Return the diagnoses of a run. read: gives the transcript of a judgement's evidence file."""
    groups: dict[tuple[str, ...], dict[tuple[str, str], list[Judgement]]] = defaultdict(lambda: defaultdict(list))
    for item in judgements:
        if isinstance(item.verdict, Fail) and item.classified is not None:
            cell, found = item.cell, item.classified
            place = (cell.target, cell.runtime, cell.backend, cell.revision)
            # what no class explains is not one cause: each rule stays by itself
            apart = item.rule.id if found.failure_class == UNCLASSIFIED else ""
            groups[place][found.failure_class + apart, str(found.hop)].append(item)
    return tuple(item for causes in groups.values() for item in _folded(causes, read))


def _folded(
    causes: Mapping[tuple[str, str], list[Judgement]], read: Callable[[str], Transcript]
) -> Iterable[Diagnosis]:
    present = {name for name, _ in causes}
    explained = {
        symptom: cause for cause in present for symptom in EXPLAINS.get(cause, frozenset()) if symptom in present
    }
    for (name, hop), own in causes.items():
        if name in explained and explained[name] not in explained:
            continue
        below = [
            item
            for (other, _), items in causes.items()
            if explained.get(other) == name and explained.get(name) != other
            for item in items
        ]
        yield _diagnosis(hop, own, below, read)


def _diagnosis(hop: str, own: list[Judgement], below: list[Judgement], read: Callable[[str], Transcript]) -> Diagnosis:
    clearest = max(own, key=lambda item: item.classified.confidence if item.classified else 0.0)
    found, verdict, cell = clearest.classified, clearest.verdict, clearest.cell
    if found is None or not isinstance(verdict, Fail):
        raise TypeError(f"{clearest.id} is no classified failure")
    known = {item.id: item for item in failure_classes()}.get(found.failure_class)
    transcript = read(clearest.evidence)
    return Diagnosis(
        id=f"{cell.target}/{cell.runtime}/{cell.backend}/{cell.revision}/{found.failure_class}/{hop}"
        + (f"/{clearest.rule.id}" if known is None else ""),
        target=cell.target,
        runtime=cell.runtime,
        backend=cell.backend,
        revision=cell.revision,
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
