"""Family edges. A proxy before the gateway hands on what either side says, and keeps sessions where they are."""

from __future__ import annotations

from conformance.rules import edges_replicas, edges_routes, edges_streams

__all__ = ["edges_replicas", "edges_routes", "edges_streams"]
