"""Family transparency, HTTP: what the transport carries for the messages, in modules each topic."""

from __future__ import annotations

from conformance.rules import transparency_http_lists

__all__ = ["transparency_http_lists"]
