"""Facts about calls that were given up: what the backend heard of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from math import inf
from typing import Final

from conformance.diagnosis.failure import Failure

_CANCELLED: Final = "notifications/cancelled"


def backend_was_told(failure: Failure) -> bool | None:
    """The gateway's cancels to its backend, at least one, named requests of its own.

    Not what follows a client's leaving more closely than a client's cancel: that tells of the leaving.
    """
    if not failure.through.sees_backend:
        return None
    clients = (message for message in failure.through.client_messages() if message.method == _CANCELLED)
    cancelled, left = [message.t for message in clients], tuple(_leavings(failure))
    told = [
        any(type(asked.id) is type(named) and asked.id == named for asked in session.up() if asked.is_request)
        for session in failure.through.backend_sessions
        for message in session.up(_CANCELLED)
        if _latest(cancelled, message.t) >= _latest(left, message.t)
        for named in (message.params.get("requestId"),)
    ]
    return bool(told) and all(told)


def client_left_a_request(failure: Failure) -> bool | None:
    """A client closed its connection while a request of its was not answered."""
    return any(True for _ in _leavings(failure))


def _leavings(failure: Failure) -> Iterator[float]:
    """Yield when clients closed connections on which a request of theirs was not answered."""
    for item in failure.fronts:
        if item.rpc_method is not None and "id" in item.request:
            answer, t = item.answer(), failure.through.left_at(item)
            if t is not None and (answer is None or t < answer.t):
                yield t


def _latest(times: Iterable[float], until: float) -> float:
    """Return the last of the times that is not after `until`; minus infinity when there is none."""
    return max((t for t in times if t <= until), default=-inf)
