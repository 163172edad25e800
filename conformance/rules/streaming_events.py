"""Family streaming: events."""

from __future__ import annotations
