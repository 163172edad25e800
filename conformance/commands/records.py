"""What `list` lists, as records: the machine-readable shapes, whose field names are part of the contract."""

from __future__ import annotations

from typing import TYPE_CHECKING

from conformance.coverage import coverage_of, covering_mutants
from conformance.diagnosis.failure_classes import failure_classes
from conformance.rules.all import rules
from conformance.spec.catalogue import excuses, requirements
from conformance.stage.manifest import (
    MUTANT_PREFIX,
    known_clients,
    known_edges,
    known_targets,
    load_client,
    load_edge,
    load_target,
)
from conformance.stage.mutants import mutants
from conformance.stage.scenario import SUITES, scenarios

if TYPE_CHECKING:
    from pathlib import Path

    from conformance.evidence.events import JSON
    from conformance.stage.manifest import TargetManifest

REFERENCE_GATEWAYS = ("passthrough", "terminating", "terminating-stdio")
"""The harness's own gateways: targets, but no gateway that anybody deploys."""

REFERENCE_CLIENT = "reference"
"""The harness's own client: it does every step as the specification says."""


def baseline_of(target: TargetManifest) -> Path | None:
    """Return the file beside the target's manifest that says what it is known to fail, None when there is none."""
    file = target.folder / "baseline.toml" if target.folder else None
    return file if file and file.is_file() else None


def gateways_with_baseline() -> tuple[str, ...]:
    """Return the names of the real gateways that come with a baseline: what `--target all` means."""
    return tuple(item["id"] for item in target_records() if item["real"] and item["baseline"])


def target_records() -> list[dict[str, JSON]]:
    """Return the gateways that come with the harness; mutants are listed by themselves."""
    targets = [load_target(name) for name in known_targets() if not name.startswith(MUTANT_PREFIX)]
    return [
        {
            "id": target.name,
            "title": target.title,
            "version": target.version,
            "licence": target.licence,
            "homepage": target.homepage,
            "fronts": list(target.fronts),
            "spin_up": target.container.spin_up,
            "real": target.name not in REFERENCE_GATEWAYS,
            "baseline": baseline_of(target) is not None,
        }
        for target in targets
    ]


def client_records() -> list[dict[str, JSON]]:
    """Return the real clients, and our own, with the steps of the contract that each can do."""
    return [
        {
            "id": client.name,
            "title": client.title,
            "version": client.version,
            "licence": client.licence,
            "homepage": client.homepage,
            "steps": list(client.driver.steps),
            "revisions": list(client.driver.revisions),
            "real": client.name != REFERENCE_CLIENT,
        }
        for client in map(load_client, known_clients())
    ]


def edge_records() -> list[dict[str, JSON]]:
    """Return the edges with where each comes from and what of a variant each lacks."""
    return [
        {
            "id": edge.name,
            "title": edge.title,
            "version": edge.version,
            "licence": edge.licence,
            "homepage": edge.homepage,
            "from": f"Debian: {edge.install.debian}" if edge.install.debian else ", ".join(edge.install.pypi),
            "cannot": sorted(edge.cannot),
        }
        for edge in map(load_edge, known_edges())
    ]


def suite_records() -> list[dict[str, JSON]]:
    """Return the suites with their rules and scenarios."""
    return [
        {
            "id": suite,
            "rules": [rule.id for rule in rules() if rule.suite == suite],
            "scenarios": [
                {
                    "id": scenario.name,
                    "title": scenario.doc,
                    "kind": str(scenario.kind),
                    "seconds": scenario.seconds,
                    "revisions": [str(revision) for revision in scenario.revisions],
                }
                for scenario in scenarios().values()
                if scenario.suite == suite
            ],
        }
        for suite in SUITES
    ]


def rule_records() -> list[dict[str, JSON]]:
    """Return every rule with the mutants that it must catch."""
    return [
        {
            "id": rule.id,
            "title": rule.title,
            "level": str(rule.level),
            "side": str(rule.side),
            "requirements": list(rule.requirements),
            "suite": rule.suite,
            "revisions": [str(revision) for revision in rule.revisions],
            "mutants": [mutant.id for mutant in mutants() if rule.id in mutant.rules],
            "failure_classes": list(rule.failure_classes),
        }
        for rule in rules()
    ]


def requirement_records() -> list[dict[str, JSON]]:
    """Return every row of the catalogue with the rules that cite it and how it stands: covered, excused or open."""
    return [
        {
            "id": row.id,
            "level": str(row.level),
            "revisions": [str(revision) for revision in row.revisions],
            "rules": [rule.id for rule in rules() if row.id in rule.requirements],
            "coverage": str(coverage_of(row)),
            "mutants": list(covering_mutants().get(row.id, ())),
            "excused": excuses().get(row.id),
            "text": row.text,
            "source": row.source,
        }
        for row in requirements()
    ]


def failure_class_records() -> list[dict[str, JSON]]:
    """Return every failure class with the mutants that show it."""
    return [
        {
            "id": known.id,
            "title": known.title,
            "hop": str(known.hop),
            "mutants": [mutant.id for mutant in mutants() if mutant.failure_class == known.id],
            "family": str(known.family),
            "severity": str(known.severity),
        }
        for known in failure_classes()
    ]


def mutant_records() -> list[dict[str, JSON]]:
    """Return every mutant with what must be said of it; the failure class of a benign one is null."""
    return [
        {
            "id": mutant.id,
            "title": mutant.title,
            "benign": mutant.benign,
            "rules": list(mutant.rules),
            "failure_class": mutant.failure_class,
            "base": str(mutant.base),
            "requirements": list(mutant.requirements),
            "target": mutant.target,
        }
        for mutant in mutants()
    ]
