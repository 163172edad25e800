"""Facts about the form of messages and of their ids, on either side of the gateway."""

from __future__ import annotations

from conformance.diagnosis.failure import Failure
from conformance.rules.transparency_messages_evidence import (
    calls_posted,
    legal_id,
    malformed_from_gateway,
    not_refused,
    not_served,
)


def id_mishandled(failure: Failure) -> bool | None:
    """A call got no result under its legal id, or one with an illegal id was not refused."""
    asked = calls_posted(failure.through)
    return any(not_served(item) if legal_id(item.request["id"]) else not_refused(item) for item in asked)


def malformed_message_sent(failure: Failure) -> bool | None:
    """A message of the gateway broke the rules of JSON-RPC."""
    return bool(malformed_from_gateway(failure.through))
