"""Drives of suite streaming: resumption."""

from __future__ import annotations

from typing import Final

SUITE: Final = "streaming"
