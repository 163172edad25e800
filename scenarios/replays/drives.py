"""The scenarios of every replay."""

from __future__ import annotations

from scenarios.replays.buffered_stream import drives as buffered_stream
from scenarios.replays.local_tool_discovery import drives as local_tool_discovery

__all__ = ["buffered_stream", "local_tool_discovery"]
