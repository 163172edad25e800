"""HTTP clients of the harness: each is new, so that none shares a connection, and all share one TLS context."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import h11
import httpx

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping


_QUOTES: Final = re.compile(r": | b['\"]")
"""What h11 puts before the bytes that it quotes: a header's value may be among them."""


def http_client(**settings: Any) -> httpx.AsyncClient:
    """Return a client that takes nothing from the environment, follows no redirect, and bounds no wait of its own.

    settings: as for `httpx.AsyncClient`; they prevail.
    """
    ours: dict[str, Any] = {"verify": _tls_context(), "trust_env": False, "timeout": None, "follow_redirects": False}
    return httpx.AsyncClient(**ours | settings)


def said_of(error: Exception) -> str:
    """Return the name of a transport's trouble and what it says, without what it quotes of the messages."""
    said = str(error)
    quotes = isinstance(error, (httpx.ProtocolError, h11.ProtocolError))
    return f"{type(error).__name__}: {_QUOTES.split(said)[0] if quotes else said}"


def as_sent(headers: Mapping[str, str]) -> dict[bytes, bytes]:
    """Return headers in bytes: one that a server made up is sent back as it came, whatever characters it holds."""
    return {name.encode(): value.encode("utf-8", "surrogatepass") for name, value in headers.items()}


@cache
def _tls_context() -> ssl.SSLContext:
    """Return the one TLS context: making it reads all certificate authorities, and nothing else runs meanwhile."""
    return httpx.create_ssl_context(trust_env=False)
