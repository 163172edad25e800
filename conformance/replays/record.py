"""The record of a replay as JSON: the story, and of each cause both sides, what was asserted, named and seen.

Pages are made from this alone; it lies beside them for programs.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Final

from conformance.diagnosis.failure_classes import failure_classes
from conformance.diagnosis.timeline import timeline
from conformance.errors import EvidenceError
from conformance.evidence.events import JSON
from conformance.replays.catalogue import Cause, Replay, Side
from conformance.replays.driving import SIDES, driven, load_measured, what_came
from conformance.replays.findings import Asserted, Driven
from conformance.rules.verdicts import Fail, Pass
from conformance.stage.scenario import scenarios

SCHEMA: Final = 1
"""Version of the record."""


def replay_record(
    replay: Replay, found: Mapping[str, Sequence[Asserted]], evidence: Mapping[str, Path], out: Path
) -> dict[str, JSON]:
    """Return the record of a replay.

    found: the assertions on each cause that was driven, by the cause's name. evidence: folder of evidence by runtime.
    out: folder of the record, from which evidence files are named.
    """
    titles = {item.id: item.title for item in failure_classes()}
    causes = [cause for cause in replay.causes if cause.name in found]
    return {
        "schema": SCHEMA,
        "id": replay.id,
        "name": replay.name,
        "title": replay.title,
        "story": replay.story,
        "said": list(replay.said),
        "parts": [{"what": item.what, "real": item.real} for item in replay.parts],
        "absent": [{"what": item.what, "because": item.because} for item in replay.absent],
        "tried": _tried(replay, evidence),
        "left_out": [cause.name for cause in replay.causes if cause.name not in found],
        "causes": [_cause(cause, found[cause.name], evidence[cause.runtime], out, titles) for cause in causes],
    }


def _tried(replay: Replay, evidence: Mapping[str, Path]) -> list[JSON]:
    """Return what was seen under each condition; those that were not driven, or not to their end, are left out."""
    found: list[JSON] = []
    for condition in replay.tried if "process" in evidence else ():
        with suppress(EvidenceError):  # why, pytest has reported
            found.append(what_came(replay, condition, evidence["process"]).to_json())
    return found


def _cause(
    cause: Cause, found: Sequence[Asserted], evidence: Path, out: Path, titles: Mapping[str, str]
) -> dict[str, JSON]:
    return {
        "id": cause.id,
        "name": cause.name,
        "title": cause.title,
        "story": cause.story,
        "runtime": cause.runtime,
        "rules": list(cause.rules),
        "words": list(cause.words),
        "true": {
            "failure_class": cause.failure_class,
            "title": titles[cause.failure_class],
            "hop": cause.hop,
        },
        **{name: [asdict(item) for item in getattr(cause, name)] for name in ("also", "tempting", "besides")},
        "remedy": cause.remedy,
        "assertions": [item.to_json() for item in found],
        "criteria": _criteria(cause, evidence),
        "sides": {str(side): _side(cause, side, evidence, out) for side in SIDES},
    }


def _edge(scenario: str) -> str:
    """Return in words which edge stands before the gateway, empty for none: what differs from what is recommended."""
    setup = scenarios()[scenario].edge
    if setup is None:
        return ""
    changed = ", ".join(setup.variant.features()) or "as recommended"
    return f"{setup.name}, {changed}; replicas: {setup.replicas}"


def _criteria(cause: Cause, evidence: Path) -> list[JSON]:
    """Return the success criteria as measured; none where the cause has none, or they could not be measured."""
    if not cause.load:
        return []
    try:
        return [item.to_json() for item in load_measured(cause, evidence)]
    except EvidenceError:
        return []  # why, the assertion says


def _side(cause: Cause, side: Side, evidence: Path, out: Path) -> dict[str, JSON]:
    topology, cell = cause.topology(side), cause.cell(side)
    file = evidence / f"{cell.slug}.jsonl"
    about: dict[str, JSON] = {
        "cell": cell.id,
        "scenario": topology.scenario,
        "drive": scenarios()[topology.scenario].doc,
        "edge": _edge(topology.scenario),
        "client": scenarios()[topology.scenario].client,
        "target": topology.target.title,
        "backend": topology.backend,
        "command": list(topology.target.start.command),
        "env": dict(topology.target.start.env),
        "evidence": os.path.relpath(file, out),
        "trouble": "",
        "results": [],
        "diagnoses": [],
        "timeline": [],
    }
    try:
        seen = driven(cell, file)
    except EvidenceError as error:
        return {**about, "trouble": str(error)}
    return {
        **about,
        "results": [item.to_json() for item in seen.judgements],
        "diagnoses": [item.to_json() for item in seen.diagnoses],
        "timeline": [item.to_json() for item in timeline(seen.transcript, _decisive(cause, side, seen))],
    }


def _decisive(cause: Cause, side: Side, seen: Driven) -> tuple[int, ...]:
    """Return the events that the verdicts of the cause's rules rest on; with the remedy also what a client got last."""
    verdicts = [found.verdict for rule in cause.rules if (found := seen.verdict(rule)) is not None]
    events = {seq for item in verdicts if isinstance(item, Fail | Pass) for seq in item.events}
    asked = [item for item in seen.transcript.client() if item.rpc_method is not None]
    if side is Side.REMEDIED and asked:
        events.update(asked[-1].events)
    return tuple(sorted(events))
