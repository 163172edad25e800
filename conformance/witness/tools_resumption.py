"""Tools about streams whose connection ends before the stream does (transports § Sending Messages 6, Listening 4)."""

from __future__ import annotations

import asyncio
from typing import Final

from conformance.witness.stored_streams import PRIMED_SINCE, Leaving
from conformance.witness.tools import Call, Specifics, Tool, progress

RETRY: Final = 500
"""Milliseconds that a client is to wait where the caller names no time."""

_RETRY_SCHEMA: Final = {"type": "integer", "minimum": 0, "description": "Milliseconds the client is to wait"}


def _may_close(call: Call) -> bool:
    """Whether a server may close the connection of a stream that goes on: not before 2025-11-25."""
    return call.session.revision >= PRIMED_SINCE


async def _resumable(call: Call) -> Specifics:
    seconds = float(call.arguments["seconds"])
    steps = int(call.arguments.get("steps", 0))
    how = call.arguments.get("leave", "stay")
    left = False
    if how == Leaving.CLOSE and _may_close(call):
        left = call.outlet.leave(Leaving.CLOSE, int(call.arguments.get("retry", RETRY)))
    for step in range(1, steps + 1):
        if call.progress_token is not None:
            call.outlet.send(progress(call, step, steps))
        if how == Leaving.CUT and step == 1:
            left = call.outlet.leave(Leaving.CUT, 0)
        await asyncio.sleep(seconds / (steps + 1))
    await asyncio.sleep(seconds / (steps + 1))
    return {"seconds": seconds, "left": left}


async def _close_get(call: Call) -> Specifics:
    listener = call.session.listener
    if listener is None or not _may_close(call):
        return {"closed": False}
    return {"closed": listener.leave(Leaving.CLOSE, int(call.arguments.get("retry", RETRY)))}


TOOLS: Final = (
    Tool(
        "resumable",
        "Answers after the given seconds on a stream with event ids, and may close or cut its connection before.",
        _resumable,
        {
            "seconds": {"type": "number", "minimum": 0},
            "steps": {"type": "integer", "minimum": 0, "description": "Number of progress reports"},
            "leave": {"type": "string", "enum": ["stay", *Leaving]},
            "retry": _RETRY_SCHEMA,
        },
        ("seconds",),
        resumable=True,
    ),
    Tool(
        "close_get",
        "Closes the connection of the session's own stream, which can be resumed.",
        _close_get,
        {"retry": _RETRY_SCHEMA},
    ),
)
