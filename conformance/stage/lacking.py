"""What a scenario needs and a target's manifest, its edge or the runtime lacks: it is then not exercised."""

from __future__ import annotations

from conformance.stage.manifest import TargetManifest, load_edge
from conformance.stage.scenario import NEEDS_CONTAINERS, NetworkFault, Scenario, SpinUp


def lacks(scenario: Scenario, target: TargetManifest | None, runtime: str) -> str:
    """Return what keeps a scenario from being driven with this target in this runtime; empty when nothing does."""
    if scenario.http_sse and (target is None or target.endpoint.sse_path is None):
        return "HTTP+SSE at the gateway: its manifest names no endpoint.sse_path"
    if scenario.edge is not None and (lacking := load_edge(scenario.edge.name).lacks(scenario.edge.variant)):
        return lacking
    if scenario.second_backend is not None and target is not None and target.two_backends is None:
        return "two backends behind one gateway: its manifest has no [two_backends]"
    if scenario.late_registration and target is not None and not target.registration:
        return "a gateway that is told its backend while it runs: its manifest has no [[registration]]"
    if scenario.published and runtime == "process":
        return NEEDS_CONTAINERS[NetworkFault.PORT_UNPUBLISHED]
    if scenario.network is not None and runtime == "process":
        return NEEDS_CONTAINERS.get(scenario.network, "")
    return _lacks_spin_up(scenario, target) if scenario.spin_up is not None else ""


def _lacks_spin_up(scenario: Scenario, target: TargetManifest | None) -> str:
    """Return the same of a scenario whose gateway starts its backend's container."""
    spun = target.spin_up if target is not None else None
    if scenario.spin_up is SpinUp.NOT_ENABLED and (spun is None or spun.not_enabled is None):
        return "a backend that is known and not enabled: its manifest has no spin_up.not_enabled"
    if scenario.revokes and (spun is None or not spun.revoke):
        return "a backend that is revoked: its manifest has no [[spin_up.revoke]]"
    if scenario.spin_up is SpinUp.MEMORY_SHORT and spun is not None and not spun.takes_command:
        return "a container with little memory: the gateway is told an image alone, not how to run it"
    return ""
