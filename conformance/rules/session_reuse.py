"""Family session_reuse: session ids, how sessions end, and which backend session serves which client.

The rules stand in `session_reuse_ids` (MGC201 to 206 and 212), `session_reuse_backend` (207 to 211),
`session_reuse_messages` (213 to 215), `session_reuse_restarts` (216 to 221), `session_reuse_departures` (240) and
`session_reuse_two` (250, 251); what they read from the evidence, in `session_reuse_evidence`.
"""

from __future__ import annotations

from conformance.rules import (
    session_reuse_backend,
    session_reuse_departures,
    session_reuse_ids,
    session_reuse_messages,
    session_reuse_restarts,
    session_reuse_two,
)
from conformance.rules.session_reuse_evidence import SUITE

__all__ = [
    "SUITE",
    "session_reuse_backend",
    "session_reuse_departures",
    "session_reuse_ids",
    "session_reuse_messages",
    "session_reuse_restarts",
    "session_reuse_two",
]
