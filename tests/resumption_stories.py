"""Hand-written evidence about streams with event ids, for the rules of suite get_sse that judge resumption."""

from __future__ import annotations

from typing import Any

from conformance.evidence.events import Kind, Point
from conformance.rules.all import rule_named
from conformance.rules.base import Inputs, judge
from conformance.rules.verdicts import Verdict
from tests.evidence_builder import Story, request, result

SESSION = "s-1"


def verdict(rule_id: str, story: Story, **header: Any) -> Verdict:
    rule = rule_named(rule_id)
    assert rule is not None
    return judge(rule, Inputs(story.transcript(**header)))


def connected() -> Story:
    story = Story()
    story.connect()
    return story


def primed(story: Story, exchange: str, event_id: str | None, t: float, *, retry: int | None = None) -> None:
    """Add an event without data."""
    tap, conn, _ = exchange.split("/")
    point = Point.BACKEND_TAP if tap.startswith("backend") else Point.CLIENT_TAP
    data = {"tap": tap, "conn": int(conn), "exchange": exchange, "event": "message", "body": "", "length": 0}
    more = {"id": event_id, "retry": retry}
    story.add(point, Kind.SSE_EVENT, t, **data, **{name: value for name, value in more.items() if value is not None})


def call(story: Story, t: float, *, id: int = 1, nonce: str = "n-1", **more: Any) -> str:
    """Begin a tools/call whose stream is still open, and whose progress token is its nonce."""
    asked = request("tools/call", id, name="x", arguments={"nonce": nonce}, _meta={"progressToken": nonce})
    given: dict[str, Any] = {"request": asked, "session": SESSION, "sse": [], "how": None, "t": t} | more
    return story.exchange(**given)


def back(story: Story, t: float, last: str, **more: Any) -> str:
    """Add a GET with Last-Event-ID."""
    given: dict[str, Any] = {"method": "GET", "session": SESSION, "headers": {"Last-Event-ID": last}, "sse": []}
    return story.exchange(t=t, **(given | more))


ANSWER = result(1, content=[])
