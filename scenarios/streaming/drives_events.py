"""Drives of suite streaming: events."""

from __future__ import annotations

from typing import Final

SUITE: Final = "streaming"
