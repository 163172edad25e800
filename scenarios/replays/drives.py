"""The scenarios of every replay."""

from __future__ import annotations

from scenarios.replays.buffered_stream import drives as buffered_stream
from scenarios.replays.client_hangs_on_initialize import drives as client_hangs_on_initialize
from scenarios.replays.dynamic_spin_up import drives as dynamic_spin_up
from scenarios.replays.load_balanced_sessions import drives as load_balanced_sessions
from scenarios.replays.local_tool_discovery import drives as local_tool_discovery

__all__ = [
    "buffered_stream",
    "client_hangs_on_initialize",
    "dynamic_spin_up",
    "load_balanced_sessions",
    "local_tool_discovery",
]
