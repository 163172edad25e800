"""Every rule, registered. Importing this module is what makes `rules()` complete."""

from __future__ import annotations

import importlib
from typing import Final

from conformance.rules.base import Rule, rules

FAMILIES: Final = (
    "initialize_ordering",
    "session_reuse",
    "get_sse",
    "keep_alive",
    "streaming",
    "transparency",
    "transparency_cancellation",
    "transparency_cancellation_limits",
    "transparency_cancellation_timeouts",
    "isolation",
    "spin_up",
    "clients",
    "edges",
    "network",
)

for _family in FAMILIES:
    importlib.import_module(f"conformance.rules.{_family}")


def rule_named(rule_id: str) -> Rule | None:
    """Return the rule of that id, None when there is none."""
    return next((rule for rule in rules() if rule.id == rule_id), None)


__all__ = ["FAMILIES", "rule_named", "rules"]
