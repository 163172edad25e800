"""What a request was met with in place of a result, in words: status, media type, error code, none of its text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from conformance.evidence.events import JSON
from conformance.wire.driver import Reply

_LONGEST_TYPE: Final = 60
"""Characters of a media type that are told; those that are registered have fewer."""


def met_with(reply: Reply) -> str:
    """Return how a request without a result was answered, as a predicate such as `was answered 404 text/plain`."""
    if reply.status is None:
        return f"was not answered ({reply.trouble.rstrip(': ') or 'the connection ended'})"
    said = f"was answered {reply.status} {media_type(reply)}".rstrip()
    if reply.trouble:
        return f"{said}, which did not come to its end ({reply.trouble.rstrip(': ')})"
    if (error := error_of(reply)) is not None:
        return f"was answered {reply.status} with the JSON-RPC error {_code(error)}"
    results = (message.get("result") for message in reply.messages)
    if any(isinstance(result, Mapping) and result.get("isError") for result in results):
        return f"was answered {reply.status} with a result that says isError"
    return f"{said}, which holds no result"


def media_type(reply: Reply) -> str:
    """Return the media type of a reply without its parameters, empty where it has none."""
    return reply.headers.get("content-type", "").partition(";")[0].strip()[:_LONGEST_TYPE]


def error_of(reply: Reply) -> Mapping[str, JSON] | None:
    """Return the first JSON-RPC error in a reply, None where it holds none."""
    errors = (message.get("error") for message in reply.messages)
    return next((error for error in errors if isinstance(error, Mapping)), None)


def _code(error: Mapping[str, JSON]) -> str:
    code = error.get("code")
    return str(code) if isinstance(code, int) else "without a code"
