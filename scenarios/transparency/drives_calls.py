"""Drives of suite transparency: calls."""

from __future__ import annotations

from typing import Final

SUITE: Final = "transparency"
