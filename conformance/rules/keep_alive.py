"""Family keep_alive: streams, calls, sessions and connections over time.

The rules stand in `keep_alive_streams` (MGC401 to 403 and 409 to 411), `keep_alive_calls` (404, 407, 408) and
`keep_alive_connections` (405, 406); what they read from the evidence, in `keep_alive_evidence`.
"""

from __future__ import annotations

from conformance.rules import keep_alive_calls, keep_alive_connections, keep_alive_streams
from conformance.rules.keep_alive_evidence import SUITE

__all__ = ["SUITE", "keep_alive_calls", "keep_alive_connections", "keep_alive_streams"]
