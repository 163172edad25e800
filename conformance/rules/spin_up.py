"""Family spin_up: backends that the gateway starts as containers, watched from both sides and at the engine.

The rules stand in the modules imported here: from the trigger to the listed tools, what becomes of a container when its
session or its gateway ends, what of those that die or whose client vanishes, whom each serves where several come, why
one serves nobody, what is said when none can be started, and what follows when the engine or the backend is taken away.
"""

from __future__ import annotations

from conformance.rules import (
    spin_up_changes,
    spin_up_departures,
    spin_up_faults,
    spin_up_mishaps,
    spin_up_removal,
    spin_up_serving,
    spin_up_sharing,
    spin_up_start,
)

__all__ = [
    "spin_up_changes",
    "spin_up_departures",
    "spin_up_faults",
    "spin_up_mishaps",
    "spin_up_removal",
    "spin_up_serving",
    "spin_up_sharing",
    "spin_up_start",
]
