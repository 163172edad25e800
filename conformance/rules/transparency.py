"""Family transparency. What one side says reaches the other unchanged, exactly once."""

from __future__ import annotations

from conformance.rules import (
    transparency_asks,
    transparency_calls,
    transparency_http,
    transparency_messages,
    transparency_negotiation,
    transparency_routes,
)

__all__ = [
    "transparency_asks",
    "transparency_calls",
    "transparency_http",
    "transparency_messages",
    "transparency_negotiation",
    "transparency_routes",
]
