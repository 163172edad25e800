"""What every family asks of the answer to a request."""

from __future__ import annotations

from conformance.evidence.transcript import Exchange


def without_result(exchange: Exchange) -> bool:
    """Whether a request got no result: an error, or no answer at all."""
    answer = exchange.answer()
    return answer is None or answer.result is None


def without_good_result(exchange: Exchange) -> bool:
    """Whether a request got no result, or one that tells of a tool's error."""
    answer = exchange.answer()
    return answer is None or answer.result is None or bool(answer.result.get("isError"))
