"""Drives of suite transparency, in a module each topic. They only drive; `conformance/rules/` judges."""

from __future__ import annotations

from scenarios.transparency import drives_calls, drives_cancellation, drives_http, drives_messages, drives_routes

__all__ = ["drives_calls", "drives_cancellation", "drives_http", "drives_messages", "drives_routes"]
