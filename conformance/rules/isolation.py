"""Family isolation. What one client does is neither seen nor felt by another."""

from __future__ import annotations

from conformance.rules import (
    isolation_bystanders,
    isolation_caches,
    isolation_clients,
    isolation_credentials,
    isolation_exposure,
    isolation_pages,
    isolation_session_ids,
    isolation_two,
)

__all__ = [
    "isolation_bystanders",
    "isolation_caches",
    "isolation_clients",
    "isolation_credentials",
    "isolation_exposure",
    "isolation_pages",
    "isolation_session_ids",
    "isolation_two",
]
