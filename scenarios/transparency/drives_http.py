"""Drives of suite transparency: http."""

from __future__ import annotations

from typing import Final

SUITE: Final = "transparency"
