"""Rules MGC506 and MGC507 on evidence written by hand: what becomes of the containers in the end."""

from __future__ import annotations

import pytest

from conformance import timing
from conformance.evidence.events import Hop, Kind, Point
from conformance.rules.verdicts import Fail, Inconclusive, NotExercised, Pass, Verdict
from tests.evidence_builder import Story
from tests.spin_up_stories import TRIGGER, container, ended, failure, gateway, gone, used, verdict


def test_506_a_container_that_outlives_its_session_is_a_leak() -> None:
    story = gateway()
    container(story)
    used(story)
    gone(story, "c-1", 31.0)
    assert failure("MGC506", ended(story, stop=30.5)) == (Hop.GATEWAY, "container-leak-or-storm")


def test_506_a_container_that_outlives_its_gateway_is_a_leak() -> None:
    story = gateway()
    container(story, t=1.5)
    assert failure("MGC506", ended(used(story))) == (Hop.GATEWAY, "container-leak-or-storm")


def test_506_a_session_that_cannot_be_deleted_is_judged_by_the_gateways_stop() -> None:
    story = gateway()
    container(story)
    used(story)
    gone(story, "c-1", 20.4)
    found = verdict("MGC506", ended(story, status=405))
    assert isinstance(found, Pass)
    assert "could not be deleted" in found.observed


def killed(*, watched: float = timing.REMOVED_AFTER + 1.0) -> Story:
    story = gateway()
    container(story)
    used(story)
    story.stimulus("gateway.kill", t=15.0)
    story.stimulus("removal.watched", t=15.0 + watched)
    return story


def test_507_all_removed_after_the_kill_passes() -> None:
    story = killed()
    gone(story, "c-1", 16.0)
    assert isinstance(verdict("MGC507", story), Pass)


def test_507_what_still_runs_is_a_leak() -> None:
    assert failure("MGC507", killed()) == (Hop.GATEWAY, "container-leak-or-storm")


def test_507_what_was_gone_before_shows_nothing() -> None:
    story = killed()
    gone(story, "c-1", 14.0)
    assert isinstance(verdict("MGC507", story), NotExercised)


def test_507_a_watch_that_was_too_short_leaves_it_open() -> None:
    assert isinstance(verdict("MGC507", killed(watched=2.0)), Inconclusive)


def test_507_the_harness_own_lag_leaves_it_open() -> None:
    story = killed()
    story.lag(timing.REMOVED_AFTER, t=16.0)
    assert isinstance(verdict("MGC507", story), Inconclusive)


def test_507_an_end_in_time_and_a_slow_engine_leave_it_open() -> None:
    story = killed(watched=20.0)
    gone(story, "c-1", 15.0 + timing.REMOVED_AFTER + 1.0, died=20.0)
    assert isinstance(verdict("MGC507", story), Inconclusive)


def test_507_a_removal_inside_the_clocks_uncertainty_leaves_it_open() -> None:
    story = killed(watched=20.0)
    gone(story, "c-1", 15.0 + timing.REMOVED_AFTER + 0.001)
    assert isinstance(verdict("MGC507", story), Inconclusive)


@pytest.mark.parametrize(("answer", "wanted"), [(0.6, Fail), (None, Inconclusive)], ids=["served", "still starting"])
def test_507_a_server_that_had_not_started_could_not_read_that_it_is_to_end(
    answer: float | None, wanted: type[Verdict]
) -> None:
    story = gateway()
    container(story, answer=answer)
    used(story)
    story.stimulus("gateway.kill", t=15.0)
    story.add(Point.STDIO_TAP, Kind.STDIO_EOF, 15.1, tap="stdio:main", process="process of c-1", dir="up")
    story.stimulus("removal.watched", t=15.0 + timing.REMOVED_AFTER + 1.0)
    assert isinstance(verdict("MGC507", story), wanted)


def test_507_orphans_are_counted() -> None:
    story = killed(watched=20.0)
    container(story, "c-2", t=TRIGGER + 0.2)
    container(story, "c-3", t=TRIGGER + 0.3)
    gone(story, "c-2", 15.5)
    found = verdict("MGC507", story)
    assert isinstance(found, Fail)
    assert "2 of 3 are left" in found.observed
