"""Facts about clients beside each other, and about who may reach the gateway at all."""

from __future__ import annotations

import ipaddress
from typing import Final

from conformance.diagnosis.failure import Failure
from conformance.rules.isolation_credentials import invalid_credential, of_another, without_credential
from conformance.rules.isolation_exposure import SOCKETS
from conformance.rules.transparency_cancellation_evidence import named_requests

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
        and subject.t < item.t < failure.through.end_of(subject)
        for item in failure.through.client()
    )


def canceller_is_served(failure: Failure) -> bool | None:
    """A client that cancelled had later requests of its session answered, those aside that it cancelled too."""
    cancels = [item for item in failure.through.client() if item.rpc_method == _CANCELLED]
    given_up = {item.id for item in named_requests(failure.through)}
    if not cancels:
        return None
    later = [
        item.status is not None and item.status < 300
        for cancel in cancels
        for item in failure.fronts
        if item.tap == cancel.tap and item.t > cancel.t and item.id not in given_up
    ]
    return all(later) if later else None


def foreign_page_served(failure: Failure) -> bool | None:
    """A request with an Origin that is not the machine's own was answered 2xx."""
    pages = [item for item in failure.fronts if "origin" in item.headers]
    return any(item.status is not None and item.status < 300 for item in pages) if pages else None


def wide_socket_seen(failure: Failure) -> bool | None:
    """The gateway's listening sockets were looked at, and one is bound to more than loopback."""
    seen = [address for event in failure.through.stimuli(SOCKETS) for address in event.data.get("listening", ())]
    return any(not ipaddress.ip_address(address).is_loopback for address in seen) if seen else None


def subject_is_page(failure: Failure) -> bool | None:
    """The failing request carried an Origin, as a page's does."""
    return failure.subject is not None and "origin" in failure.subject.headers


def subject_was_served_unduly(failure: Failure) -> bool | None:
    """The failing request lacked a credential, or carried a wrong one or another user's session, and was served."""
    subject, through = failure.subject, failure.through
    if subject is None:
        return False
    undue = (*without_credential(through), *invalid_credential(through), *of_another(through))
    return any(item.id == subject.id and item.status is not None and item.status < 300 for item in undue)


def own_credential_missing(failure: Failure) -> bool | None:
    """Some of the gateway's requests to a backend carried Authorization, and others did not."""
    if not failure.through.sees_backend:
        return None
    carried = {"authorization" in item.headers for item in failure.through.backend}
    return carried == {True, False}


def subject_met_another(failure: Failure) -> bool | None:
    """Another client's request was in flight at the same time as the failing one."""
    subject = failure.subject
    if subject is None:
        return None
    return any(
        item.tap != subject.tap
        and item.rpc_method is not None
        and item.t < failure.through.end_of(subject)
        and subject.t < failure.through.end_of(item)
        for item in failure.through.client()
    )
