"""The witness: a scripted MCP server, correct by default, misbehaving only as its script says.

It stands behind a gateway and answers over Streamable HTTP or stdio. Every tool result names the nonce it was called
with, the session, request and connection it arrived on, so that the two sides of a gateway can be linked.
Needs the standard library and h11 only, so that the package can be copied alone into an image.
"""

from __future__ import annotations

from conformance.witness.runner import parse_listen, run_http, run_stdio
from conformance.witness.scripts import SCRIPTS, Face, Script, find_script

__all__ = ["SCRIPTS", "Face", "Script", "find_script", "parse_listen", "run_http", "run_stdio"]
