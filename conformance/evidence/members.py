"""Members of JSON values by the path that leads to them."""

from __future__ import annotations

from collections.abc import Mapping

from conformance.evidence.events import JSON


def member(value: JSON, path: str) -> JSON:
    """Return what a path leads to in a JSON value, `a.b` being member b of member a; None where there is no such."""
    found = value
    for name in path.split("."):
        found = found.get(name) if isinstance(found, Mapping) else None
    return found


def text_at(value: JSON, path: str) -> str:
    """Return the string, or the integer as text, that a path leads to; empty where there is neither."""
    found = member(value, path)
    return str(found) if isinstance(found, str | int) and not isinstance(found, bool) else ""
