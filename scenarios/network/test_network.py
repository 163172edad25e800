"""Suite network: faults of the network and of addresses. One item per cell and rule; the drives are in `drives.py`."""

from __future__ import annotations

from conformance.expectations import Outcome
from conformance.plugin import enforce

SUITE = "network"


def test_rule(judgement: Outcome) -> None:
    """Judge one rule on one cell's evidence."""
    enforce(judgement)
