"""A tool that cannot be stopped, as many cannot: it answers all the same (utilities/cancellation § Behavior)."""

from __future__ import annotations

import asyncio
from typing import Final

from conformance.witness.tools import Call, Specifics, Tool


async def _unstoppable(call: Call) -> Specifics:
    seconds = float(call.arguments["seconds"])
    loop = asyncio.get_running_loop()
    due = loop.time() + seconds
    told = 0
    while loop.time() < due:
        try:
            await asyncio.sleep(due - loop.time())
        except asyncio.CancelledError:
            told += 1
    return {"seconds": seconds, "cancelled": told}


TOOLS: Final = (
    Tool(
        "unstoppable",
        "Answers after the given seconds, also when the call was cancelled meanwhile.",
        _unstoppable,
        {"seconds": {"type": "number", "minimum": 0}},
        ("seconds",),
    ),
)
