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


def said(exchange: Exchange) -> str:
    """Return in a few words how a request was answered."""
    answer = exchange.answer()
    if answer is not None and answer.error is not None:
        return f"JSON-RPC error {answer.error.get('code')} ({str(answer.error.get('message'))[:80]})"
    if answer is not None:
        return "a result that tells of an error" if (answer.result or {}).get("isError") else "a result"
    if exchange.status is None:
        return "nothing"
    return f"{exchange.status} without an answer"
