"""Tools that make HTTP bodies large."""

from __future__ import annotations

from typing import Final

from conformance.witness.tools import Call, Specifics, Tool

PATTERN: Final = 'payload "\\\n\t é€😀\u2028 and plain text, so that the escapes weigh little. ' + 100 * "0"
"""What must be escaped in JSON, takes two to four bytes in UTF-8, or ends a line for careless readers."""


def filler(size: int) -> str:
    """Return a text of `size` characters."""
    return (PATTERN * (size // len(PATTERN) + 1))[:size]


async def _payload(call: Call) -> Specifics:
    return {"length": len(call.arguments.get("text", "")), "text": filler(call.arguments.get("size", 0))}


TOOLS: Final = (
    Tool(
        "payload",
        "Tells the length of the text it was given and returns one of the given size, in characters.",
        _payload,
        {"text": {"type": "string"}, "size": {"type": "integer", "minimum": 0}},
    ),
)
