"""What a Streamable HTTP server checks before it looks at a message, and how it refuses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final
from urllib.parse import urlsplit

from conformance.witness import jsonrpc
from conformance.witness.jsonrpc import RpcError
from conformance.witness.sessions import REVISIONS

LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
JSON_TYPE: Final = "application/json"
STREAM_TYPE: Final = "text/event-stream"


class Refusal(Exception):  # noqa: N818 - it is an answer, and named as one
    """An HTTP error status whose body is a JSON-RPC error."""

    def __init__(self, status: int, code: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.error = RpcError(code, message)
        self.headers = headers or {}


def check_origin(headers: Mapping[str, str]) -> None:
    """Refuse a page of another origin with 403 (transports § Security Warning, 2025-11-25); no Origin is no browser."""
    origin = headers.get("origin")
    if origin is not None and not _is_loopback(origin):
        raise Refusal(403, jsonrpc.SERVER_ERROR, "Forbidden: invalid Origin header")


def _is_loopback(origin: str) -> bool:
    try:
        return urlsplit(origin).hostname in LOOPBACK
    except ValueError:  # urlsplit refuses malformed IPv6 hosts
        return False


def check_version(headers: Mapping[str, str]) -> None:
    """Refuse an MCP-Protocol-Version that is not spoken here with 400 (transports § Protocol Version Header)."""
    version = headers.get("mcp-protocol-version")
    if version is not None and version not in REVISIONS:
        known = ", ".join(REVISIONS)
        message = f"Bad Request: Unsupported protocol version: {version} (supported versions: {known})"
        raise Refusal(400, jsonrpc.SERVER_ERROR, message)


def check_accept(headers: Mapping[str, str], wanted: Iterable[str]) -> None:
    """Refuse a client that does not accept every type in `wanted` with 406, as the SDKs do; wildcards accept."""
    ranges = {part.partition(";")[0].strip().lower() for part in headers.get("accept", "").split(",")}
    for media_type in wanted:
        if not ranges & {media_type, media_type.partition("/")[0] + "/*", "*/*"}:
            raise Refusal(406, jsonrpc.SERVER_ERROR, f"Not Acceptable: Client must accept {media_type}")


def check_content_type(headers: Mapping[str, str]) -> None:
    """Refuse a body that is not declared JSON with 415."""
    if headers.get("content-type", "").partition(";")[0].strip().lower() != JSON_TYPE:
        raise Refusal(415, jsonrpc.SERVER_ERROR, f"Unsupported Media Type: Content-Type must be {JSON_TYPE}")
