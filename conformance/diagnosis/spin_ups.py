"""The start of each client's container, step by step, as reports show it."""

from __future__ import annotations

from collections.abc import Iterator

from conformance.evidence.events import JSON
from conformance.evidence.transcript import Transcript
from conformance.rules.spin_up_times import client_times


def spin_ups(transcript: Transcript) -> Iterator[dict[str, JSON]]:
    """Yield the `spin-up` record of each client of a cell whose gateway starts containers.

    Times are seconds after the trigger: the client's initialize, or the gateway's own start where one container serves
    all. Those of the engine are uncertain by `uncertainty` seconds.
    """
    if not transcript.header.get("spin_up"):
        return
    for tap, times in client_times(transcript):
        begin = times.trigger
        if begin is None:
            continue
        yield {
            "kind": "spin-up",
            "cell": transcript.header["cell"],
            "client": tap.partition(":")[2],
            "shared": times.shared,
            "uncertainty": times.uncertainty,
            "steps": [{"name": name, "t": round(t - begin, 6)} for name, t in times.steps()],
        }
