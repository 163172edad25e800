"""Facts about HTTP+SSE (2024-11-05), where answers and requests travel on different exchanges."""

from __future__ import annotations

from conformance.diagnosis.failure import Failure
from conformance.evidence.links import nonce_of
from conformance.rules.get_sse_http_sse_evidence import is_success, old_sessions


def endpoint_was_named(failure: Failure) -> bool | None:
    """An endpoint event named a client the URI to post to."""
    return any(session.uri for session in old_sessions(failure.through))


def endpoint_took_posts(failure: Failure) -> bool | None:
    """What was posted to the URI of an endpoint event was accepted."""
    sessions = [session for session in old_sessions(failure.through) if session.uri]
    return any(is_success(post) for session in sessions for post in session.posts) if sessions else None


def another_stream_answered(failure: Failure) -> bool | None:
    """A client's HTTP+SSE stream carried the answer to another client's call."""
    sessions = old_sessions(failure.through)
    if not sessions:
        return None
    asked = {nonce: s.stream.tap for s in sessions for post in s.accepted() if (nonce := nonce_of(post)) is not None}
    return any(
        nonce in str(message.result)
        for session in sessions
        for message, _ in session.messages()
        for nonce, tap in asked.items()
        if message.is_response and tap != session.stream.tap
    )


def backend_is_old(failure: Failure) -> bool | None:
    """The backend speaks HTTP+SSE only."""
    return failure.through.header.get("backend_face") == "sse"


def fault_is_behind(failure: Failure) -> bool | None:
    """What is wrong was seen between gateway and backend."""
    return failure.subject is None and failure.behind is not None
