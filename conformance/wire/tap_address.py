"""Addresses a tap listens on and dials, with their JSON form on the control channel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias


@dataclass(frozen=True, slots=True)
class TcpAddress:
    """A TCP host and port. To listen on, port 0 asks for any free one; `host` is the only address listened on."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class UnixAddress:
    """The path of a Unix stream socket."""

    path: str

    def __str__(self) -> str:
        return f"unix:{self.path}"


Address: TypeAlias = TcpAddress | UnixAddress


@dataclass(frozen=True, slots=True)
class Refusal:
    """In place of an address to dial: clients are reset, as if its port were closed. why: the error on record."""

    why: str


TapMode: TypeAlias = Literal["tcp", "tls-originate", "tls-terminate"]
"""tcp: opaque. tls-originate: plain in, TLS out, Host rewritten. tls-terminate: TLS in, plain out."""


@dataclass(frozen=True, slots=True)
class TlsOptions:
    """What the two TLS modes need; paths are PEM files.

    tls-originate: `server_name` (SNI, certificate check, and the rewritten Host), `ca` (None: the system's).
    tls-terminate: `certificate` (with its chain) and `key`.
    """

    server_name: str | None = None
    ca: str | None = None
    certificate: str | None = None
    key: str | None = None


def address_to_json(address: Address | None) -> dict[str, Any] | None:
    """Return the JSON object for an address."""
    match address:
        case TcpAddress(host, port):
            return {"host": host, "port": port}
        case UnixAddress(path):
            return {"path": path}
        case None:
            return None


def address_from_json(value: dict[str, Any] | None) -> Address | None:
    """Return the address of `address_to_json`."""
    if value is None:
        return None
    return UnixAddress(value["path"]) if "path" in value else TcpAddress(value["host"], value["port"])
