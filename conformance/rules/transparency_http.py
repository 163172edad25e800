"""Family transparency: http."""

from __future__ import annotations
