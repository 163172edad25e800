"""Facts about clients beside each other: who cancelled whose call."""

from __future__ import annotations

from typing import Final

from conformance.diagnosis.failure import Failure, ended

_CANCELLED: Final = "notifications/cancelled"


def another_client_cancelled(failure: Failure) -> bool | None:
    """Another client cancelled a call with the failing one's id while it was in flight."""
    subject = failure.subject
    if subject is None or subject.rpc_method is None:
        return None
    wanted = subject.request.get("id")
    return any(
        item.rpc_method == _CANCELLED
        and item.tap != subject.tap
        and item.request.get("params", {}).get("requestId") == wanted
        and subject.t < item.t < ended(subject, failure.through)
        for item in failure.through.client()
    )


def canceller_is_served(failure: Failure) -> bool | None:
    """A client that cancelled had later requests of its session answered."""
    cancels = [item for item in failure.through.client() if item.rpc_method == _CANCELLED]
    if not cancels:
        return None
    later = [
        item.status is not None and item.status < 300
        for cancel in cancels
        for item in failure.fronts
        if item.tap == cancel.tap and item.t > cancel.t
    ]
    return all(later) if later else None
