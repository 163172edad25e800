"""A gateway that already runs and is only reached by its URL: where its taps dial, and the user's credentials."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from conformance.errors import CannotJudgeError, UsageError
from conformance.stage.plan import UrlTarget
from conformance.wire.tap_address import TapMode, TcpAddress, TlsOptions

URL_TARGET: Final = "url"
"""Target name of its cells."""
UNSEEN: Final = "unseen"
"""Backend name of its cells: nothing is known of what stands behind it."""
STARTED_SECONDS: Final = 60.0
"""How long a gateway whose upstream is the witness may take until it listens: its user starts it meanwhile."""
_CONNECT_SECONDS: Final = 10.0
_PAUSE_SECONDS: Final = 0.5


@dataclass(frozen=True, slots=True)
class Attached:
    """How clients reach the gateway. headers: the user's, with their values from the environment."""

    address: TcpAddress
    path: str
    mode: TapMode
    tls: TlsOptions
    headers: Mapping[str, str] = field(repr=False)


def parse_url(url: str) -> tuple[TcpAddress, str, bool]:
    """Return address, path with query, and whether TLS is spoken.

    Raises UsageError for what is no HTTP URL, without printing it: nobody knows where in it a secret stands.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        raise UsageError("--url is not a URL, its host is malformed; write it as http://HOST:PORT/mcp") from None
    try:
        port = parts.port
    except ValueError:
        raise UsageError("--url has no usable port (0 to 65535); write it as http://HOST:PORT/mcp") from None
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise UsageError("--url is not an HTTP URL; write it as http://HOST:PORT/mcp")
    secure = parts.scheme == "https"
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return TcpAddress(parts.hostname, port or (443 if secure else 80)), target, secure


async def attach(target: UrlTarget) -> Attached:
    """Return how to reach the gateway, after its port accepted a connection.

    One whose upstream is the witness is waited for: its user starts it once the witness listens.

    Raises CannotJudgeError when it does not, and UsageError for a header whose environment variable is not set.
    """
    address, path, secure = parse_url(target.url)
    headers = {}
    for name, variable in target.header_env.items():
        if variable not in os.environ:
            raise UsageError(f"--header-env {name}={variable}: {variable} is not set; export it first")
        headers[name] = os.environ[variable]
    until = time.monotonic() + (STARTED_SECONDS if target.witness else 0.0)
    while why := await _refusal(address):
        if time.monotonic() >= until:
            raise CannotJudgeError(f"The gateway at {address} cannot be reached ({why}); start it, or correct --url.")
        await asyncio.sleep(_PAUSE_SECONDS)
    tls = TlsOptions(server_name=address.host) if secure else TlsOptions()
    return Attached(address, path, "tls-originate" if secure else "tcp", tls, headers)


async def _refusal(address: TcpAddress) -> str:
    """Try to connect; return why it failed, empty when it did not."""
    try:
        async with asyncio.timeout(_CONNECT_SECONDS):
            _, writer = await asyncio.open_connection(address.host, address.port)
    except (OSError, TimeoutError) as error:
        return str(error) or f"no answer within {_CONNECT_SECONDS:g} s"
    writer.close()
    return ""
