"""Family isolation: clients."""

from __future__ import annotations
