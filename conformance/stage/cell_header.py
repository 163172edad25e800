"""What the header of a cell's evidence says: which cell, what it was driven on, and what its target claims."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict

from conformance.evidence.events import JSON
from conformance.evidence.log import Observation
from conformance.stage.instance import Instance, describe
from conformance.stage.manifest import TargetManifest, load_client, load_edge
from conformance.stage.plan import DIRECT, Cell
from conformance.stage.scenario import Scenario


def cell_facts(cell: Cell, scenario: Scenario, target: TargetManifest | None) -> dict[str, JSON]:
    """Return what is known of a cell before anything starts. target: None for the control, straight at the backend."""
    return {
        "cell": cell.id,
        "suite": scenario.suite,
        "scenario": scenario.name,
        "revision": cell.revision,
        "backend_revision": cell.backend_revision,
        "runtime": cell.runtime,
        "witness_script": scenario.witness_script,
        "about_start": scenario.about_start,
        "control": cell.target == DIRECT,
        "client_tapped": True,
        "backend_face": scenario.backend_face,
        "second_backend": str(scenario.second_backend) if scenario.second_backend else "",
        "network_fault": str(scenario.network) if scenario.network and not scenario.untold else "",
        "client": scenario.client,
        "client_version": load_client(scenario.client).version if scenario.client else "",
        "sse_path": (target.endpoint.sse_path or "") if target else "",
        "meta_tool": asdict(target.meta_tool) if target and target.meta_tool else None,
        "not_enabled_log": target.spin_up.not_enabled_log if target and target.spin_up else "",
        "tools_replaced": target.tools.replaced if target else {},
        "claims": target.claims.model_dump() if target else {"sessions": "stateful"},
        "target_version": target.version if target else "",
    }


def instance_facts(scenario: Scenario, instance: Instance | None) -> dict[str, JSON]:
    """Return what was started for a cell; instance: None where nothing was."""
    backend = instance.backend if instance else None
    return {
        "image": instance.engine.image if instance and instance.engine else "",
        "backend_tapped": bool(instance and (instance.backend_tap or instance.stdio)),
        "backend_version": backend.version if backend else "",
        "gateway": describe(instance.gateway) if instance else {},
        "edge": _edge(scenario, instance),
        "backend": describe(instance.server) if instance else {},
    }


def begun(observations: Sequence[Observation]) -> float:
    """Return when the first observation was made, in seconds of the wall clock; now, where there is none."""
    now_ns = time.monotonic_ns()
    first_ns = min((item.t_ns for item in observations), default=now_ns)
    return time.time() - (now_ns - first_ns) / 1e9


def _edge(scenario: Scenario, instance: Instance | None) -> JSON:
    """Return what the header says of the edge, None where none was asked for."""
    if instance is not None and instance.edge is not None:
        return instance.edge.header()
    return {**scenario.edge.to_json(), "title": load_edge(scenario.edge.name).title} if scenario.edge else None
