"""Preconditions that several families share: predicates over events, named so that scenarios can promise them."""

from __future__ import annotations

from collections.abc import Iterator

from conformance.evidence.transcript import Exchange, Transcript


def initializes(transcript: Transcript, client: str | None = None) -> tuple[Exchange, ...]:
    """Return the clients' initialize exchanges that were answered with a result."""
    return tuple(
        item
        for item in transcript.client(client)
        if item.rpc_method == "initialize" and (answer := item.answer()) is not None and answer.result is not None
    )


def session_gets(transcript: Transcript) -> Iterator[Exchange]:
    """Yield GETs a client made after its own initialize, with that session's id where one was issued."""
    for opened in initializes(transcript):
        for item in transcript.client():
            if (
                item.tap == opened.tap
                and item.method == "GET"
                and not item.is_metadata
                and item.t >= (opened.t_end or opened.t)
            ):
                sent = item.headers.get("mcp-session-id")
                if sent == opened.response_headers.get("mcp-session-id"):
                    yield item
