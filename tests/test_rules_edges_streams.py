"""Family edges, streams, on hand-written evidence."""

from __future__ import annotations

from typing import Any

import pytest

from conformance.evidence.events import Hop
from conformance.rules.all import rule_named
from conformance.rules.base import Inputs, judge
from conformance.rules.verdicts import Fail, Inconclusive, NotApplicable, NotExercised, Pass, Verdict
from tests.edge_stories import failure, left_alone, streamed, verdict
from tests.evidence_builder import Story, error, request, result


def test_events_that_pass_as_they_come() -> None:
    story = Story()
    streamed(story, [0.25, 0.5, 0.75, 1.0], [0.26, 0.51, 0.76, 1.01])
    assert isinstance(verdict("MGC950", story), Pass)


@pytest.mark.parametrize("came", [[1.01, 1.01, 1.01, 1.01], [0.26], []])
def test_events_that_the_edge_holds(came: list[float]) -> None:
    story = Story()
    streamed(story, [0.25, 0.5, 0.75, 1.0], came)
    found = failure("MGC950", story)
    assert (found.charged_to, found.symptom) == (Hop.EDGE, "proxy-buffers-sse")


def test_what_was_compressed_is_said() -> None:
    story = Story()
    streamed(story, [0.25, 0.5, 1.0], [1.01, 1.01, 1.01], response_headers={"Content-Encoding": "gzip"})
    assert "compressed them (gzip)" in failure("MGC950", story).observed


def test_events_that_come_at_once_from_the_replica_say_nothing_of_the_edge() -> None:
    story = Story()
    streamed(story, [1.0, 1.0, 1.0], [1.01, 1.01, 1.01])
    assert isinstance(verdict("MGC950", story), NotExercised)


def test_the_harness_s_own_lag_may_have_held_them() -> None:
    story = Story()
    streamed(story, [0.25, 0.5, 0.75, 1.0], [0.9, 0.9, 0.9, 1.01])
    story.lag(0.5, t=0.6)
    assert isinstance(verdict("MGC950", story), Inconclusive)


def test_without_an_edge_nothing_is_judged() -> None:
    story = Story()
    streamed(story, [0.25, 0.5, 1.0], [0.26, 0.51, 1.01])
    rule = rule_named("MGC950")
    assert rule is not None
    assert isinstance(judge(rule, Inputs(story.transcript(edge=None))), NotExercised)


@pytest.mark.parametrize(("after", "kind"), [(0.02, Pass), (8.0, Fail)])
def test_the_head_of_a_get_stream(after: float, kind: type[Verdict]) -> None:
    story = Story()
    streamed(story, [], [], method="GET", after=after)
    story.at(9.0).stimulus("end")
    assert isinstance(verdict("MGC951", story), kind)


def test_a_head_that_never_came() -> None:
    story = Story()
    streamed(story, [], [], method="GET", status=None)
    story.at(9.0).stimulus("end")
    assert "had not passed it on" in failure("MGC951", story).observed


def test_a_head_that_was_not_waited_for() -> None:
    story = Story()
    streamed(story, [], [], method="GET", status=None)
    story.at(1.0).stimulus("end")
    assert isinstance(verdict("MGC951", story), Inconclusive)


def test_heartbeats_that_pass() -> None:
    story = left_alone([15.0], [15.0])
    assert isinstance(verdict("MGC952", story), Pass)
    assert isinstance(verdict("MGC953", story), Pass)


@pytest.mark.parametrize("came", [[], [25.0]])
def test_heartbeats_that_the_edge_holds(came: list[float]) -> None:
    found = failure("MGC952", left_alone([15.0], came))
    assert (found.charged_to, found.symptom) == (Hop.EDGE, "proxy-buffers-sse")


def test_without_a_heartbeat_there_is_none_to_pass() -> None:
    assert isinstance(verdict("MGC952", left_alone([], [])), NotApplicable)


def test_a_stream_that_the_edge_cuts_before_a_beat_was_due() -> None:
    found = failure("MGC953", left_alone([], [], cut=5.0))
    assert (found.charged_to, found.symptom) == (Hop.EDGE, "intermediary-idle-cut")
    assert "5.0 s in silence (0 beats behind the edge, 0 before it)" in found.observed


def test_a_stream_that_is_cut_though_it_beats() -> None:
    found = failure("MGC953", left_alone([15.0], [15.0], cut=25.0))
    assert found.charged_to is Hop.EDGE


def test_a_stream_that_is_cut_for_the_replica_had_missed_its_beat() -> None:
    found = failure("MGC953", left_alone([], [], cut=25.0))
    assert (found.charged_to, found.symptom) == (Hop.GATEWAY, "idle-stream-no-heartbeat")


def test_a_stream_that_the_replica_ended() -> None:
    story = Story()
    story.stimulus("wait", seconds=9.0, t=0.0)
    story.exchange(edge=1, t=0.01, method="GET", sse=(), how="complete", length=5.0)
    story.exchange("a", t=0.01, method="GET", sse=(), how="complete", length=5.02)
    assert isinstance(verdict("MGC953", story), Pass)


@pytest.mark.parametrize(("ended", "kind"), [(2.0, Pass), (None, Fail)])
def test_a_stream_that_its_client_left(ended: float | None, kind: type[Verdict]) -> None:
    story = Story()
    back = story.exchange(edge=1, t=0.01, method="GET", sse=(), how=None)
    story.leave(story.exchange("a", t=0.01, method="GET", sse=(), how=None), t=2.0)
    if ended is not None:
        story.leave(back, t=ended)
    story.at(7.5).exchange("a", t=7.5, method="GET", status=409, response=error(1))
    found = verdict("MGC965", story)
    assert isinstance(found, kind)
    if isinstance(found, Fail):
        assert (found.charged_to, found.symptom) == (Hop.EDGE, "get-sse-409-stale")
        assert "next GET was answered 409" in found.observed


def quiet_call(**front: Any) -> Story:
    story = Story()
    story.stimulus("call.long", seconds=20.0)
    begin = story.now
    asked = request("tools/call", 1, name="slow", arguments={"nonce": "n"})
    story.exchange(
        edge=1, t=begin, request=asked, **{"status": None, "how": "abandoned", "length": 5.0, **front.pop("back", {})}
    )
    story.exchange("a", t=begin, request=asked, **front)
    return story


def test_a_call_that_the_edge_waits_for() -> None:
    story = quiet_call(back={"status": 200, "sse": [result(1)], "after": 20.0}, sse=[result(1)], after=20.01)
    assert isinstance(verdict("MGC954", story), Pass)


@pytest.mark.parametrize(
    ("front", "said"),
    [
        ({"status": 504, "body": "<html>", "after": 5.0}, "nginx answered 504 itself after 5.0 s"),
        (
            {"sse": [], "after": 0.01, "length": 5.0, "how": "fin", "back": {"status": 200, "sse": (), "how": None}},
            "ended the response",
        ),
    ],
)
def test_a_call_that_the_edge_ends(front: dict[str, Any], said: str) -> None:
    found = failure("MGC954", quiet_call(**front))
    assert found.charged_to is Hop.EDGE
    assert said in found.observed
