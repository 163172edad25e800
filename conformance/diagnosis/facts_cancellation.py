"""Facts about calls that were given up: what the backend heard of it."""

from __future__ import annotations

from typing import Final

from conformance.diagnosis.failure import Failure

_CANCELLED: Final = "notifications/cancelled"


def backend_was_told(failure: Failure) -> bool | None:
    """The gateway's cancels to its backend, at least one, named requests of its own."""
    if not failure.through.sees_backend:
        return None
    told = [
        any(type(asked.id) is type(named) and asked.id == named for asked in session.up() if asked.is_request)
        for session in failure.through.backend_sessions
        for named in (message.params.get("requestId") for message in session.up(_CANCELLED))
    ]
    return bool(told) and all(told)


def client_left_a_request(failure: Failure) -> bool | None:
    """A client closed its connection while a request of its was not answered."""
    posted = [item for item in failure.fronts if item.rpc_method is not None and "id" in item.request]
    left = ((item.answer(), failure.through.left_at(item)) for item in posted)
    return any(t is not None and (answer is None or t < answer.t) for answer, t in left)
