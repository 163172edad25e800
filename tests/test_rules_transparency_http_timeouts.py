"""The rule of suite transparency on calls that are never answered, on hand-written evidence."""

import pytest

from conformance.rules.all import rule_named
from conformance.rules.base import Inputs, judge
from conformance.rules.verdicts import Fail, Inconclusive, NotExercised, Pass
from tests.evidence_builder import Story, error, notification

CLAIMED = {"sessions": "stateful", "request_timeout": 5.0}
UNCLAIMED = {"sessions": "stateful", "request_timeout": None}


def verdict(story, claims):
    return judge(rule_named("MGC738"), Inputs(story.transcript(claims=claims)))


def silence(ended, *, behind=None, **answer):
    """A call at 1 s that its backend does not answer, over for its client `ended` seconds later."""
    story = Story()
    story.connect()
    story.stimulus("call.never-answered", t=0.9)
    story.call(t=1.0, after=0.1, length=ended - 0.1, **({"sse": []} | answer))
    story.call(backend=True, session="b-1", t=1.05, after=0.1, **(behind or {"sse": [], "how": None}))
    return story


def test_nothing_seen_is_not_exercised():
    assert isinstance(verdict(Story(), CLAIMED), NotExercised)


@pytest.mark.parametrize(
    ("ended", "answer", "wanted"),
    [
        (5.0, {}, Pass),
        (0.5, {}, Pass),
        (20.0, {"how": "abandoned"}, Fail),
        (20.0, {}, Fail),
        (4.0, {"how": "abandoned"}, Inconclusive),
    ],
)
def test_738_what_is_claimed_is_held(ended, answer, wanted):
    assert isinstance(verdict(silence(ended, **answer), CLAIMED), wanted)


def test_738_an_error_on_a_stream_that_goes_on_is_an_answer():
    story = silence(20.0, how="abandoned")
    story.item("client:a/3/3", error(1, -32001), t=6.0)
    assert isinstance(verdict(story, CLAIMED), Pass)


def test_738_the_harness_s_lag_may_have_decided():
    story = silence(11.0)
    story.lag(5.0, t=9.0)
    assert isinstance(verdict(story, CLAIMED), Inconclusive)


def test_738_without_a_claim_a_call_beside_it_is_answered():
    story = silence(20.0, how="abandoned")
    assert isinstance(verdict(story, UNCLAIMED), Inconclusive)
    story.call(nonce="n-2", t=2.0)
    assert isinstance(verdict(story, UNCLAIMED), Pass)


def test_738_a_backend_that_ends_its_answer_when_it_is_cancelled_was_silent():
    story = silence(6.0, behind={"sse": [], "length": 5.0})
    story.exchange(
        backend=True, session="b-1", request=notification("notifications/cancelled", requestId=1), status=202, t=6.0
    )
    assert isinstance(verdict(story, CLAIMED), Pass)


@pytest.mark.parametrize("behind", [{"sse": [error(1)]}, {"sse": [], "length": 1.0}])
def test_738_a_backend_that_said_something_or_hung_up_was_not_silent(behind):
    assert isinstance(verdict(silence(20.0, behind=behind), CLAIMED), NotExercised)
