"""Family transparency: calls."""

from __future__ import annotations
