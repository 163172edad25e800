"""Drives of suite isolation: clients."""

from __future__ import annotations

from typing import Final

SUITE: Final = "isolation"
