"""Drives of suite transparency: messages."""

from __future__ import annotations

from typing import Final

SUITE: Final = "transparency"
