"""The field replays: for each cause three assertions; what is driven stands in each replay's folder."""

from __future__ import annotations

from conformance.replays.findings import Asserted
from conformance.replays.items import enforce

SUITE = "replays"


def test_failure_is_seen(seen: Asserted) -> None:
    """The failure is seen on real parts."""
    enforce(seen)


def test_diagnosis_names_the_cause(diagnosed: Asserted) -> None:
    """The diagnosis names the true cause and its hop, and not the wrong one that comes to mind."""
    enforce(diagnosed)


def test_remedy_mends_it(remedied: Asserted) -> None:
    """With the remedy the same scenario passes."""
    enforce(remedied)


def test_condition_is_tried(tried: Asserted) -> None:
    """What becomes of the client under a condition is on record, whether or not the failure comes with it."""
    enforce(tried)


def test_success_criteria_hold(measured: Asserted) -> None:
    """Under load the write-up's own success criteria hold, as ratios to a control run."""
    enforce(measured)
