"""What became of one request at the backend, as the taps before it saw it: for sentences about what failed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from conformance.evidence.events import JSON, Kind
from conformance.evidence.log import Observation
from conformance.stage.instance import Instance


@dataclass(frozen=True, slots=True)
class Asked:
    """A request of the sentinel's. what: method, and tool if it has one. nonce: in its arguments, empty if none is."""

    what: str
    nonce: str = ""

    @property
    def method(self) -> str:
        """The JSON-RPC method."""
        return self.what.partition(" ")[0]


async def how_far(instance: Instance, asked: Asked, since_ns: int) -> str:
    """Return, to be added to what failed, how far the gateway let a request come, and what can be judged all the same.

    Empty where there is no gateway, or nothing is known of its backend. since_ns: when its exchange began (monotonic).
    """
    if instance.backend is None or (instance.target is None and instance.attached is None):
        return ""
    watched = instance.backend_tap is not None or instance.stdio is not None
    said = f"; {reached(asked, await instance.collect(()), since_ns)}" if watched else ""
    if asked.method == "initialize":
        return said
    return f"{said}; what its clients see of it can be judged all the same, by run --url without --witness-listen"


def reached(asked: Asked, seen: Iterable[Observation], since_ns: int) -> str:
    """Return what the backend received of a request, and answered; `seen` by its taps, `since_ns` on their clock."""
    late = [item for item in seen if item.t_ns >= since_ns]
    for item in reversed(late):
        if item.kind is Kind.HTTP_REQUEST_BODY and _is(asked, item.data.get("message")):
            same = (other for other in late if other.data.get("exchange") == item.data["exchange"])
            status = next((other.data["status"] for other in same if other.kind is Kind.HTTP_RESPONSE), None)
            return f"the backend received it and {f'answered {status}' if status else 'did not answer'}"
        if item.kind is Kind.STDIO_FRAME and _is(asked, item.data.get("message")):
            return "the backend received it"
    if any(item.kind is Kind.CONN_FAILED for item in late):
        return "the backend could not be connected to, which is not the gateway's fault"
    return "it did not reach the backend"


def _is(asked: Asked, message: JSON) -> bool:
    return isinstance(message, Mapping) and message.get("method") == asked.method and asked.nonce in json.dumps(message)
