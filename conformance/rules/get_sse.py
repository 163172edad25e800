"""Family get_sse: the standalone GET stream (2025-11-25 basic/transports, Listening for Messages from the Server)."""

from __future__ import annotations

from conformance.rules import (
    get_sse_early_close,
    get_sse_event_ids,
    get_sse_http_sse,
    get_sse_http_sse_backend,
    get_sse_http_sse_messages,
    get_sse_messages,
    get_sse_opening,
    get_sse_polling,
    get_sse_resumption,
    get_sse_several,
)

__all__ = [
    "get_sse_early_close",
    "get_sse_event_ids",
    "get_sse_http_sse",
    "get_sse_http_sse_backend",
    "get_sse_http_sse_messages",
    "get_sse_messages",
    "get_sse_opening",
    "get_sse_polling",
    "get_sse_resumption",
    "get_sse_several",
]
