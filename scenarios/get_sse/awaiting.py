"""What drives of suite get_sse wait for."""

from __future__ import annotations

from typing import Final

from conformance import timing
from conformance.stage.stage import Stage
from conformance.wire.driver import Listening, Reply

_LIST_CHANGED: Final = "notifications/tools/list_changed"
_LOOKS: Final = 5


async def list_changed(stage: Stage, stream: Listening, reply: Reply) -> None:
    """Let list_changed travel to a client, and copies of it for a moment; at most until it is due.

    reply: that to the call of the client's which caused it. Without a stream it is not owed, and not waited for long.
    """
    for _ in range(_LOOKS):
        await stage.wait(timing.RELAY_PROMPT / _LOOKS, "the notification travels")
        told = (*stream.methods, *(message.get("method") for message in reply.messages))
        if _LIST_CHANGED in told or not stream.is_stream:
            return
