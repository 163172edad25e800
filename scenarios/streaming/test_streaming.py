"""Suite streaming. What stands on a stream arrives when it was sent, as it was sent, and to its end.

One item per cell and rule; the drives are in `drives.py` and the modules it imports.
"""

from __future__ import annotations

from conformance.expectations import Outcome
from conformance.plugin import enforce

SUITE = "streaming"


def test_rule(judgement: Outcome) -> None:
    """Judge one rule on one cell's evidence."""
    enforce(judgement)
