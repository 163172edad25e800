"""HTTP clients of the harness: each is new, so that none shares a connection, and all share one TLS context."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import httpx

if TYPE_CHECKING:
    import ssl


def http_client(**settings: Any) -> httpx.AsyncClient:
    """Return a client that takes nothing from the environment, follows no redirect, and bounds no wait of its own.

    settings: as for `httpx.AsyncClient`; they prevail.
    """
    ours: dict[str, Any] = {"verify": _tls_context(), "trust_env": False, "timeout": None, "follow_redirects": False}
    return httpx.AsyncClient(**ours | settings)


@cache
def _tls_context() -> ssl.SSLContext:
    """Return the one TLS context: making it reads all certificate authorities, and nothing else runs meanwhile."""
    return httpx.create_ssl_context(trust_env=False)
