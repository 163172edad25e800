"""Drives of suite isolation: credentials."""

from __future__ import annotations

from typing import Final

SUITE: Final = "isolation"
