"""Family get_sse: the standalone GET stream (2025-11-25 basic/transports, Listening for Messages from the Server)."""

from __future__ import annotations

from conformance.rules import get_sse_http_sse, get_sse_messages, get_sse_opening, get_sse_polling

__all__ = ["get_sse_http_sse", "get_sse_messages", "get_sse_opening", "get_sse_polling"]
