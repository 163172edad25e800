"""Facts about the form of messages and of their ids, on either side of the gateway."""

from __future__ import annotations

from conformance.diagnosis.failure import Failure
from conformance.rules.transparency_messages_evidence import (
    calls_posted,
    failed_at_backend,
    legal_id,
    malformed_from_gateway,
    not_refused,
    not_served,
    other_error,
    served,
)


def id_mishandled(failure: Failure) -> bool | None:
    """A call got no result under its legal id, or one with an illegal id was not refused."""
    asked = calls_posted(failure.through)
    return any(not_served(item) if legal_id(item.request["id"]) else not_refused(item) for item in asked)


def malformed_message_sent(failure: Failure) -> bool | None:
    """A message of the gateway broke the rules of JSON-RPC."""
    return bool(malformed_from_gateway(failure.through))


def errors_keep_their_kind(failure: Failure) -> bool | None:
    """Errors of the backend came to clients as errors of the same kind, code and message."""
    failed = [call for call in served(failure.through) if failed_at_backend(call)]
    return not any(map(other_error, failed)) if failed else None
