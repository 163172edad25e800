"""Family streaming. What stands on a stream arrives when it was sent, as it was sent, and to its end."""

from __future__ import annotations

from conformance.rules import streaming_events, streaming_flow

__all__ = ["streaming_events", "streaming_flow"]
