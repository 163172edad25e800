"""Family edges, replicas, on hand-written evidence."""

from __future__ import annotations

from typing import Any

import pytest

from conformance.evidence.events import Hop
from conformance.rules.verdicts import Fail, Inconclusive, NotApplicable, NotExercised, Pass, Verdict
from tests.edge_stories import INITIALIZE, LIST, REFUSED, TOOLS, failure, listed, lost, opened, passage, verdict
from tests.evidence_builder import Story


def test_a_session_that_stays() -> None:
    story = Story()
    opened(story, "a", "s-1", 1)
    listed(story, "a", "s-1", 1)
    assert "0 of 1 requests (0%)" in str(verdict("MGC955", story, replicas=2))


def test_a_session_that_is_asked_for_elsewhere() -> None:
    story = Story()
    opened(story, "a", "s-1", 1)
    for replica in (1, 2, 1, 2):
        listed(story, "a", "s-1", replica, **(REFUSED if replica == 2 else {}))
    found = failure("MGC955", story, replicas=2)
    assert (found.charged_to, found.symptom) == (Hop.EDGE, "replica-affinity-missing")
    assert "2 of 4 requests (50%)" in found.observed
    assert "cookie" not in found.observed


def test_replicas_that_share_their_sessions_do_no_harm() -> None:
    story = Story()
    opened(story, "a", "s-1", 1)
    listed(story, "a", "s-1", 2)
    assert isinstance(verdict("MGC955", story, replicas=2), Pass)


COOKIE = {"response_headers": {"Set-Cookie": "edge_route=1"}}
EDGES_COOKIE = {**COOKIE, "back": {"response_headers": {}}}


def test_a_cookie_that_the_client_did_not_keep_is_told() -> None:
    story = Story()
    opened(story, "a", "s-1", 1, **EDGES_COOKIE)
    listed(story, "a", "s-1", 2, **REFUSED)
    assert "the client never sent it back" in failure("MGC955", story, replicas=2).observed


def test_a_cookie_of_the_gateway_s_own_is_none_of_the_edge_s() -> None:
    story = Story()
    opened(story, "a", "s-1", 1, **COOKIE)
    listed(story, "a", "s-1", 1)
    assert isinstance(verdict("MGC955", story, replicas=2), Pass)


def test_luck_without_the_cookie_is_no_pass() -> None:
    story = Story()
    opened(story, "a", "s-1", 1, **EDGES_COOKIE)
    listed(story, "a", "s-1", 1)
    assert isinstance(verdict("MGC955", story, replicas=2), Inconclusive)


def test_a_gateway_without_sessions_needs_no_affinity() -> None:
    story = Story()
    opened(story, "a", None, 1)
    assert isinstance(verdict("MGC955", story, replicas=2), NotApplicable)
    assert isinstance(verdict("MGC955", story, replicas=1), NotExercised)


def test_what_lands_elsewhere_after_a_loss_is_another_matter() -> None:
    story = Story()
    opened(story, "a", "s-1", 1)
    listed(story, "a", "s-1", 1)
    story.stimulus("replica.kill", replica=1, tap="edge:1")
    listed(story, "a", "s-1", 2, **REFUSED)
    assert isinstance(verdict("MGC955", story, replicas=2), Pass)


def test_newcomers_are_served_by_who_is_left() -> None:
    story = lost()
    opened(story, "b", "s-2", 2)
    assert isinstance(verdict("MGC962", story, replicas=2), Pass)


def test_newcomers_are_sent_to_who_is_gone() -> None:
    story = lost()
    passage(story, "b", request=INITIALIZE, status=502, body="<html>")
    found = failure("MGC962", story, replicas=2)
    assert (found.charged_to, found.symptom) == (Hop.EDGE, "dead-replica-in-rotation")


def test_an_edge_is_given_time_to_find_out() -> None:
    story = lost().at(2.0)
    passage(story, "b", request=INITIALIZE, status=502, body="<html>")
    assert isinstance(verdict("MGC962", story, replicas=2), NotExercised)


@pytest.mark.parametrize("answer", [REFUSED, {}])
def test_a_lost_session_is_refused_or_served(answer: dict[str, Any]) -> None:
    story = lost()
    listed(story, "a", "s-1", 2, **answer)
    assert isinstance(verdict("MGC963", story, replicas=2), Pass)


def test_a_lost_session_is_refused_with_the_wrong_status() -> None:
    story = lost()
    listed(story, "a", "s-1", 2, **{**REFUSED, "status": 400})
    found = failure("MGC963", story, replicas=2)
    assert (found.charged_to, found.symptom) == (Hop.GATEWAY, "unknown-session-wrong-status")


def test_a_lost_session_meets_the_edge_s_own_error() -> None:
    story = lost()
    passage(story, "a", request=LIST, session="s-1", status=503, body="<html>")
    found = failure("MGC963", story, replicas=2)
    assert (found.charged_to, found.symptom) == (Hop.EDGE, "dead-replica-in-rotation")


def test_an_answer_that_comes_when_the_client_has_left_is_late() -> None:
    story = Story()
    story.stimulus("replica.pause", replica=1, tap="edge:1")
    begin = story.now
    story.exchange(edge=1, t=begin, request=LIST, sse=[TOOLS], after=14.0)
    story.leave(story.exchange("a", t=begin, request=LIST, sse=[TOOLS], after=14.0), t=begin + 12.0)
    assert isinstance(verdict("MGC964", story, replicas=2), Fail)


@pytest.mark.parametrize(
    ("front", "kind"),
    [
        ({"status": 504, "body": "<html>", "after": 6.0}, Pass),
        ({"status": None, "how": "abandoned", "length": 12.0}, Fail),
        ({"status": None, "how": "abandoned", "length": 3.0}, Pass),
    ],
)
def test_a_silent_replica(front: dict[str, Any], kind: type[Verdict]) -> None:
    story = Story()
    story.stimulus("replica.pause", replica=1, tap="edge:1")
    passage(story, back={"status": None, "how": "abandoned"}, request=LIST, **front)
    found = verdict("MGC964", story, replicas=2)
    assert isinstance(found, kind), found
    assert not isinstance(found, Fail) or found.charged_to is Hop.EDGE
