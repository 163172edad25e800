"""Family transparency: messages."""

from __future__ import annotations
