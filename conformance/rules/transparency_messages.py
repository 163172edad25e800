"""Family transparency, messages: their ids, their form, and what they contain."""

from __future__ import annotations

from conformance.rules import transparency_contents, transparency_forms, transparency_ids

__all__ = ["transparency_contents", "transparency_forms", "transparency_ids"]
