"""What a broken resumption is told apart from, on hand-written evidence."""

from __future__ import annotations

from typing import Any

import pytest

from conformance.diagnosis.classify import Classified, classify
from conformance.rules.all import rule_named
from conformance.rules.base import Inputs, judge
from conformance.rules.verdicts import Fail
from tests.evidence_builder import Story, result
from tests.resumption_stories import back, call, connected, primed


def classified(rule_id: str, story: Story, **header: Any) -> Classified:
    rule, inputs = rule_named(rule_id), Inputs(story.transcript(**header))
    assert rule is not None
    verdict = judge(rule, inputs)
    assert isinstance(verdict, Fail)
    return classify(rule, verdict, inputs)


def never_polled() -> Story:
    story = connected()
    front = call(story, 1.0)
    behind = call(story, 1.01, backend=True, session="b-1")
    primed(story, behind, "e-0", 1.02, retry=700)
    story.end(behind, t=1.1)
    story.at(9.0).stimulus("call.over")
    story.end(front, "abandoned", t=9.1)
    return story


def black_hole() -> Story:
    story = connected()
    front = call(story, 1.0)
    primed(story, front, "1-0", 1.1)
    story.end(front, "abandoned", t=1.2)
    story.stimulus("call.left", t=1.3)
    story.end(back(story, 2.0, "1-0", how=None), "abandoned", t=8.0)
    return story


def colliding() -> Story:
    """Nothing is lost and nobody leaves, but two streams give the same id."""
    story = connected()
    for number, t in enumerate((1.0, 1.1), start=1):
        stream = call(story, t, id=number, nonce=f"n-{number}")
        story.item(stream, result(number, content=[]), t=1.5, id="1")
        story.end(stream, t=1.6)
    story.stdio_start(t=0.5)
    return story


@pytest.mark.parametrize(
    ("rule_id", "story"), [("MGC313", never_polled()), ("MGC324", black_hole()), ("MGC321", colliding())]
)
def test_a_broken_resumption_is_certain(rule_id: str, story: Story) -> None:
    found = classified(rule_id, story)
    assert (found.failure_class, found.confidence) == ("resumption-broken", 0.9)


def test_a_get_that_is_refused_ever_after_is_stale() -> None:
    story = connected()
    first = story.exchange(method="GET", session="s-1", sse=[], how="abandoned", t=1.0)
    story.leave(first, t=1.5)
    for number in range(2):
        story.exchange(method="GET", session="s-1", status=409, response={}, t=2.0 + number)
    story.listing(t=5.0)
    found = classified("MGC329", story)
    assert (found.failure_class, found.confidence) == ("get-sse-409-stale", 0.9)
