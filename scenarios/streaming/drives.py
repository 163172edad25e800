"""Drives of suite streaming, in a module each topic. They only drive; `conformance/rules/` judges."""

from __future__ import annotations

from scenarios.streaming import drives_events

__all__ = ["drives_events"]
