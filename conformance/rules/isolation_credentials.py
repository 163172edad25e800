"""Family isolation: credentials."""

from __future__ import annotations
