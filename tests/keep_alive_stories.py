"""Hand-written evidence about open streams and long calls, for the rules of suite keep_alive."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from conformance.diagnosis.classify import classify
from conformance.evidence.events import Hop, Kind, Point
from conformance.evidence.transcript import Transcript
from conformance.rules.all import rule_named
from conformance.rules.base import Inputs, judge
from conformance.rules.verdicts import Fail, Verdict
from tests.evidence_builder import Story, result


def verdict(rule_id: str, story: Story | Transcript, **header: Any) -> Verdict:
    rule = rule_named(rule_id)
    assert rule is not None
    return judge(rule, Inputs(story.transcript(**header) if isinstance(story, Story) else story))


def failure(rule_id: str, story: Story, **header: Any) -> tuple[Hop, str]:
    """Return the hop that a failure is charged to, and its failure class."""
    rule = rule_named(rule_id)
    assert rule is not None
    inputs = Inputs(story.transcript(**header))
    found = judge(rule, inputs)
    assert isinstance(found, Fail), found
    assert found.events
    return found.charged_to, classify(rule, found, inputs).failure_class


def place(exchange: str) -> dict[str, Any]:
    tap, conn, _ = exchange.split("/")
    return {"tap": tap, "conn": int(conn)}


def point_of(exchange: str) -> Point:
    return Point.BACKEND_TAP if exchange.startswith("backend") else Point.CLIENT_TAP


def beat(story: Story, exchange: str, t: float) -> None:
    """A comment comes down a stream, as bytes and as what they mean."""
    story.add(point_of(exchange), Kind.CHUNK, t, **place(exchange), dir="down", length=14)
    story.item(exchange, "keepalive", t=t)


def slow_call(
    beats: Sequence[float] = (15.0,),
    behind: Sequence[float] | None = (15.0,),
    *,
    answer: Any = None,
    answered: float | None = 18.5,
    backend_answered: float | None = 18.5,
    how: str | None = "complete",
    as_json: bool = False,
) -> Story:
    """A call of 18.5 s. answered: when the client's exchange ended, with `answer` (None: the backend's result)."""
    story = Story()
    story.connect()
    story.connect(session="b-1", backend=True)
    story.at(1.0)
    if as_json:
        story.call(response=result(1, content=[]), sse=None, after=answered or 0.0)
    else:
        call = story.call(sse=[], how=None)
        for t in beats:
            beat(story, call, 1.0 + t)
        if answered is not None:
            story.add(Point.CLIENT_TAP, Kind.CHUNK, 1.0 + answered, **place(call), dir="down", length=9)
            if answer != "none":
                story.item(call, answer or result(1, content=[]), t=1.0 + answered)
            if how is not None:
                story.end(call, how, t=1.0 + answered)
    other = story.call(backend=True, session="b-1", sse=[], how=None, t=1.005)
    for t in behind or ():
        beat(story, other, 1.0 + t)
    if backend_answered is not None:
        story.item(other, result(1, content=[]), t=0.999 + backend_answered)
        story.end(other, t=0.999 + backend_answered)
    story.stimulus("end", t=40.0)
    return story
