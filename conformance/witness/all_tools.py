"""Every tool of the witness, in the order of its list."""

from __future__ import annotations

from typing import Final

from conformance.witness import (
    tools,
    tools_calls,
    tools_cancellation,
    tools_http,
    tools_isolation,
    tools_messages,
    tools_resumption,
)

ALL_TOOLS: Final = (
    *tools.TOOLS,
    *tools_calls.TOOLS,
    *tools_cancellation.TOOLS,
    *tools_http.TOOLS,
    *tools_isolation.TOOLS,
    *tools_messages.TOOLS,
    *tools_resumption.TOOLS,
)
