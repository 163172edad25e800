"""The replays have items of their own: three for each cause, not one for each cell and rule."""

from __future__ import annotations

from conformance.replays.items import diagnosed, measured, pytest_generate_tests, remedied, seen, tried

__all__ = ["diagnosed", "measured", "pytest_generate_tests", "remedied", "seen", "tried"]
