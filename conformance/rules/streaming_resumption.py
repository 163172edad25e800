"""Family streaming: resumption."""

from __future__ import annotations
