"""Facts about streams that ended before their end, and about what came where."""

from __future__ import annotations

from collections.abc import Mapping

from conformance.diagnosis import facts_behind as behind
from conformance.diagnosis.failure import Failure
from conformance.evidence.exchanges import each
from conformance.rules.get_sse_resumption_evidence import LAST_EVENT_ID, unfinished


def lost_by_interruption_only(failure: Failure) -> bool | None:
    """A stream was left, closed or cut before its end; or where none was, every message of the server arrived."""
    through = failure.through
    if any(map(unfinished, (*through.client(), *through.backend))):
        return True
    return behind.all_messages_arrived(failure)


def get_was_refused_as_second(failure: Failure) -> bool | None:
    """What failed is a GET that was answered 409."""
    subject = failure.subject
    return None if subject is None else subject.method == "GET" and subject.status == 409


def response_came_uninterrupted(failure: Failure) -> bool | None:
    """A response came on a stream that neither asked for it nor was resumed."""
    for item in failure.through.client():
        asked = [message.get("id") for message in each(item.request) if isinstance(message, Mapping)]
        foreign = [m for m in item.messages() if m.is_response and m.id is not None and m.id not in asked]
        if foreign and LAST_EVENT_ID not in item.headers:
            return True
    return False
