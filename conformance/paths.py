"""Where the suites, the fixtures and the schemas are: beside the package in a checkout, inside it in a wheel."""

from __future__ import annotations

import os
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
_BUNDLED = _PACKAGE / "_bundled"

ROOT: Path = _BUNDLED if _BUNDLED.is_dir() else _PACKAGE.parent
"""Folder that holds `scenarios/`, `fixtures/` and `reports/schema/`."""

SCENARIOS: Path = ROOT / "scenarios"
FIXTURES: Path = ROOT / "fixtures"
SCHEMAS: Path = ROOT / "reports" / "schema"

STDIO_TAP: Path = _PACKAGE / "wire" / "stdio_tap.py"
"""Program of the stdio tap, for any Python from 3.9."""


def cache_dir() -> Path:
    """Return the folder for installed gateways and backends, shared by all runs.

    `MCP_GATEWAY_CONFORMANCE_CACHE` overrides the default (`$XDG_CACHE_HOME` or `~/.cache`).
    """
    override = os.environ.get("MCP_GATEWAY_CONFORMANCE_CACHE")
    if override:
        return Path(override)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "mcp-gateway-conformance"
