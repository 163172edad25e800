"""Which runtime a run gets: containers where an engine can really serve, else processes, with one line saying why.

And what the containers of a run may do that a user should know before it starts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from conformance.errors import HarnessError
from conformance.running import Selection, cells_of
from conformance.stage.plan import RuntimeName
from conformance.stage.scenario import scenarios


def choose_runtime(say: Callable[[str], None]) -> RuntimeName:
    """Return `containers` where an engine answers, has (or can make) the base image and lets taps stand in between."""
    why = engine_trouble(say)
    if not why:
        return "containers"
    say(f"runtime: process, because {why}; what only containers can show is not exercised")
    return "process"


def engine_trouble(say: Callable[[str], None]) -> str:
    """Return why no containers can be used on this machine, empty when they can. Makes the base image if it must."""
    # Only a run that may use containers pays for importing the engine's client.
    from conformance.stage.base_image import ensure_base  # noqa: PLC0415
    from conformance.stage.engine import connect  # noqa: PLC0415
    from conformance.stage.engine_probe import probe_engine  # noqa: PLC0415

    try:
        client = connect()
        try:
            ensure_base(client, say)
        finally:
            client.close()
    except HarnessError as error:
        return _clause(str(error))
    failing = next((check for check in asyncio.run(probe_engine()).checks if not check.ok), None)
    return f"{failing.what}: {_clause(failing.seen)}" if failing else ""


def warn_of_engine_access(selection: Selection, say: Callable[[str], None]) -> None:
    """Name the targets that get the engine's socket in this run: with it a program can do anything on the machine."""
    if selection.runtime != "containers":
        return
    known = scenarios()
    given = {cell.target for cell in cells_of(selection) if known[cell.scenario].spin_up is not None}
    for target in selection.targets:
        if target.name in given:
            say(
                f"warning: {target.title} gets this engine's socket in suite spin_up, as its manifest asks "
                "(container.engine_socket); what it does there is recorded, not prevented"
            )


def _clause(sentence: str) -> str:
    """Return the first half of an error sentence, as part of another."""
    first = sentence.partition("; ")[0].rstrip(".")
    return first[:1].lower() + first[1:]
