"""Suite isolation. What one client does is neither seen nor felt by another.

One item per cell and rule; the drives are in `drives.py` and the modules it imports.
"""

from __future__ import annotations

from conformance.expectations import Outcome
from conformance.plugin import enforce

SUITE = "isolation"


def test_rule(judgement: Outcome) -> None:
    """Judge one rule on one cell's evidence."""
    enforce(judgement)
