"""Failures behind a proxy: each class, and the neighbours that the taps before and behind it rule out."""

from __future__ import annotations

import pytest

from conformance.diagnosis import facts_edge
from conformance.diagnosis.classify import Classified, classify
from conformance.diagnosis.failure import Failure
from conformance.rules.all import rule_named
from conformance.rules.base import Inputs, judge
from conformance.rules.verdicts import Fail
from tests.edge_stories import (
    INITIALIZE,
    LIST,
    REFUSED,
    TOOLS,
    header,
    left_alone,
    listed,
    lost,
    opened,
    passage,
    streamed,
)
from tests.evidence_builder import Story


def found(rule_id: str, story: Story, **variant: object) -> tuple[Classified, Failure]:
    rule = rule_named(rule_id)
    assert rule is not None
    inputs = Inputs(story.transcript(edge=header(**variant)))
    verdict = judge(rule, inputs)
    assert isinstance(verdict, Fail), verdict
    return classify(rule, verdict, inputs), Failure(verdict, inputs)


def test_a_session_that_meets_several_replicas_is_told_from_one_that_was_lost() -> None:
    story = Story()
    opened(story, "a", "s-1", 1)
    for replica in (1, 2, 1, 2):
        listed(story, "a", "s-1", replica, **(REFUSED if replica == 2 else {}))
    classified, failure = found("MGC955", story, replicas=2)
    assert (classified.failure_class, classified.confidence) == ("replica-affinity-missing", 0.9)
    assert facts_edge.session_met_several_replicas(failure) is True
    assert facts_edge.replica_had_ended(failure) is False


def test_a_replica_that_has_ended_is_told_from_one_that_is_silent() -> None:
    story = lost()
    passage(story, "b", request=INITIALIZE, status=502, body="<html>")
    classified, failure = found("MGC962", story, replicas=2)
    assert (classified.failure_class, classified.confidence) == ("dead-replica-in-rotation", 0.9)
    assert facts_edge.edge_answered_itself(failure) is True
    assert facts_edge.replica_was_silent(failure) is False


def test_a_silent_replica_is_told_from_a_gateway_that_hangs() -> None:
    story = Story()
    story.stimulus("replica.pause", replica=1, tap="edge:1")
    begin = story.now
    story.exchange(edge=1, t=begin, request=LIST, status=None, how="abandoned", length=12.0)
    story.exchange(edge=2, t=begin + 0.2, request=LIST, sse=[TOOLS], session="s-2")
    story.exchange("b", t=begin + 0.2, request=LIST, sse=[TOOLS], session="s-2")
    story.exchange("a", t=begin, request=LIST, status=None, how="abandoned", length=12.0)
    classified, failure = found("MGC964", story, replicas=2)
    assert classified.failure_class == "silent-replica-awaited"
    assert facts_edge.other_replicas_served(failure) is True


def test_a_lost_header_is_told_from_a_client_without_a_session() -> None:
    story = Story()
    passage(story, back={"session": None}, request=LIST, session="s-1", status=400, response={"error": {}})
    classified, failure = found("MGC959", story)
    assert (classified.failure_class, classified.confidence) == ("header-lost-at-edge", 0.9)
    assert facts_edge.header_was_lost(failure) is True


def test_what_the_edge_holds_has_left_the_replica() -> None:
    story = Story()
    streamed(story, [0.25, 0.5, 0.75, 1.0], [1.3, 1.3, 1.3, 1.3])
    classified, failure = found("MGC950", story)
    assert classified.failure_class == "proxy-buffers-sse"
    assert facts_edge.came_late(failure) is True


@pytest.mark.parametrize(("cut", "excuse"), [(5.0, True), (25.0, False)])
def test_a_cut_before_a_beat_was_due_is_without_excuse(cut: float, excuse: bool) -> None:
    classified, failure = found("MGC953", left_alone([], [], cut=cut))
    assert facts_edge.cut_without_excuse(failure) is excuse
    assert classified.failure_class == ("intermediary-idle-cut" if excuse else "idle-stream-no-heartbeat")


def test_without_an_edge_its_classes_are_ruled_out_unless_it_is_not_known() -> None:
    story = Story()
    exchange = story.listing()
    for redaction, known in (("supplied", False), ("foreign", None)):
        inputs = Inputs(story.transcript(redaction=redaction))
        failure = Failure(Fail("x", "y", inputs.through.exchanges[0].events), inputs)
        assert inputs.through.exchanges[0].id == exchange
        for fact in (facts_edge.header_was_lost, facts_edge.replica_had_ended, facts_edge.replica_was_silent):
            assert fact(failure) is known
        assert facts_edge.edge_answered_itself(failure) is None
