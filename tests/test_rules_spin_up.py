"""Rules MGC501 to MGC513 on evidence written by hand: what all share, and those from the trigger to the listed tools."""

from __future__ import annotations

import pytest

from conformance import timing
from conformance.evidence.events import Hop, Kind, Point
from conformance.rules.all import rule_named
from conformance.rules.base import DOCSTRING_HEADINGS
from conformance.rules.spin_up_times import spin_up_times, spun_up
from conformance.rules.verdicts import Fail, Inconclusive, NotApplicable, NotExercised, Pass
from tests.evidence_builder import Story, error
from tests.spin_up_stories import (
    IDS,
    STRANGER,
    TOOLS,
    TRIGGER,
    WORKS,
    container,
    ended,
    failure,
    gateway,
    gone,
    used,
    verdict,
)


def healthy() -> Story:
    story = gateway()
    container(story)
    used(story)
    gone(story, "c-1", 15.3)
    return ended(story)


def shared() -> Story:
    """One container, started with the gateway and kept until that stops."""
    story = gateway()
    container(story, t=1.5)
    used(story, after=0.05)
    gone(story, "c-1", 20.5)
    return ended(story)


# every rule ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule_id", IDS)
def test_is_documented(rule_id: str) -> None:
    rule = rule_named(rule_id)
    assert rule is not None
    assert all(f"{heading}:" in rule.doc for heading in DOCSTRING_HEADINGS)


@pytest.mark.parametrize("rule_id", IDS)
def test_nothing_observed_is_not_exercised(rule_id: str) -> None:
    assert isinstance(verdict(rule_id, Story()), NotExercised)


@pytest.mark.parametrize("rule_id", [*IDS[:6], "MGC508"])
def test_a_healthy_spin_up_passes(rule_id: str) -> None:
    assert isinstance(verdict(rule_id, healthy()), Pass)


@pytest.mark.parametrize("rule_id", [*IDS[:6], "MGC508"])
def test_a_container_for_all_clients_is_healthy_too(rule_id: str) -> None:
    assert isinstance(verdict(rule_id, shared()), Pass)


@pytest.mark.parametrize("rule_id", ["MGC502", "MGC503", "MGC504", "MGC505", "MGC506", "MGC508"])
def test_what_was_never_started_is_judged_once(rule_id: str) -> None:
    story = ended(used(gateway(), listed=()))
    assert isinstance(verdict(rule_id, story), NotExercised)
    assert failure("MGC501", story) == (Hop.GATEWAY, "enabled-but-not-started")


def test_an_older_revision_is_judged_like_the_newest() -> None:
    assert not isinstance(verdict("MGC501", healthy(), revision="2025-03-26"), NotApplicable)


# the timeline -------------------------------------------------------------------------------------------------------


def test_the_timeline_names_each_step() -> None:
    times = spin_up_times(healthy().transcript(**WORKS))
    names = [name for name, _ in times.steps()]
    assert names == [
        *("trigger", "asked", "created", "started", "spoke", "backend_initialized", "initialized", "listed"),
        *("ended", "died", "removed"),
    ]
    assert times.started == pytest.approx(10.4)
    assert not times.shared
    assert "started +0.400 s" in times.sentence("started")
    assert times.uncertainty == pytest.approx(0.002)


def test_a_shared_container_is_timed_from_the_gateways_start() -> None:
    times = spin_up_times(shared().transcript(**WORKS))
    assert times.shared
    assert times.trigger == pytest.approx(1.0)


def test_a_container_of_its_own_beside_an_older_one_is_not_shared() -> None:
    story = gateway()
    container(story, "spare", t=2.0)
    container(story)
    times = spin_up_times(used(story).transcript(**WORKS))
    assert not times.shared
    assert times.created == pytest.approx(10.12)


def test_processes_are_paired_with_containers_in_the_order_of_their_starts() -> None:
    story = gateway()
    container(story, "c-2", t=12.0)
    container(story, "c-1", t=10.1)
    paired = {item.id: item.process for item in spun_up(used(story).transcript(**WORKS))}
    assert {name: process.process for name, process in paired.items() if process} == {
        "c-1": "process of c-1",
        "c-2": "process of c-2",
    }


def test_a_process_belongs_to_the_container_that_its_host_is_named_after() -> None:
    story = gateway()
    for name, t in (("aaaabbbbcccc1111", 10.1), ("ddddeeeeffff2222", 10.2)):
        story.engine_event("create", name, t=t)
        story.engine_event("start", name, t=t + 0.1)
    for host, t in (("ddddeeeeffff", 10.5), ("aaaabbbbcccc", 10.6)):
        story.add(
            Point.STDIO_TAP, Kind.STDIO_START, t, tap="stdio:main", process=f"at {host}", pid=1, argv=[], host=host
        )
    paired = {item.id[:4]: item.process.process for item in spun_up(used(story).transcript(**WORKS)) if item.process}
    assert paired == {"aaaa": "at aaaabbbbcccc", "dddd": "at ddddeeeeffff"}


# from the trigger to the listed tools -------------------------------------------------------------------------------


def test_501_an_engine_that_refuses_is_not_the_gateways_fault() -> None:
    story = gateway()
    story.exchange(engine=True, target="/v1.41/containers/create", status=403, response={"message": "no"}, t=10.1)
    assert failure("MGC501", used(story, listed=())) == (Hop.RUNTIME, "docker-socket-unusable")


@pytest.mark.parametrize(("spin_up", "decided"), [("works", False), ("command-missing", True)])
def test_501_an_engine_that_fails_of_its_own_decides_nothing(spin_up: str, decided: bool) -> None:
    story = gateway()
    container(story, start=None)
    message = {"message": "failed to create endpoint on network bridge"}
    story.exchange(engine=True, target="/v1.41/containers/c-1/start", status=500, response=message, t=10.3)
    found = verdict("MGC501", used(story, listed=()), spin_up=spin_up)
    assert isinstance(found, Fail if decided else Inconclusive)


def test_501_a_registry_that_does_not_give_the_image_is_not_the_engines_failure() -> None:
    story = gateway()
    missing = {"message": "No such image: backend:typo"}
    story.exchange(engine=True, target="/v1.41/containers/create", status=404, response=missing, t=10.1)
    message = {"message": "Get registry: no such host"}
    target = "/v1.41/images/create?fromImage=backend&tag=typo"
    story.exchange(engine=True, target=target, status=500, response=message, t=10.3)
    assert failure("MGC501", used(story, listed=())) == (Hop.CONFIGURATION, "image-missing")


def test_501_created_and_never_started_is_a_failure() -> None:
    story = gateway()
    container(story, start=None)
    assert failure("MGC501", used(story, listed=())) == (Hop.GATEWAY, "enabled-but-not-started")


def test_502_a_container_that_nobody_asked_for_at_this_tap_is_a_failure() -> None:
    story = gateway()
    container(story, asked=False)
    assert failure("MGC502", used(story)) == (Hop.GATEWAY, "wrong-gateway-instance")


def test_502_a_request_of_another_container_is_a_failure() -> None:
    story = gateway()
    container(story, asker=STRANGER)
    assert failure("MGC502", used(story)) == (Hop.GATEWAY, "wrong-gateway-instance")


def test_502_without_the_kernels_word_the_tap_decides() -> None:
    story = gateway()
    container(story, asker=None)
    assert isinstance(verdict("MGC502", used(story)), Pass)


def test_502_bytes_that_could_not_be_read_leave_it_open() -> None:
    story = gateway()
    container(story, asked=False)
    story.add(Point.ENGINE_TAP, Kind.HTTP_UNPARSED, 10.1, tap="engine:main", conn=9, dir="up", why="HTTP/2", head="")
    assert isinstance(verdict("MGC502", used(story)), Inconclusive)


def test_502_the_stream_of_an_attached_container_is_not_meant_to_be_read() -> None:
    story = gateway()
    container(story, asked=False)
    why = "the connection was upgraded (101)"
    story.add(Point.ENGINE_TAP, Kind.HTTP_UNPARSED, 10.1, tap="engine:main", conn=9, dir="up", why=why, head="")
    assert isinstance(verdict("MGC502", used(story)), Fail)


def late(asked: float, start: float) -> Story:
    story = gateway()
    container(story, t=TRIGGER + asked, start=start)
    return used(story, after=timing.SPIN_UP + 3.0)


def test_503_a_gateway_that_asks_late_is_charged() -> None:
    assert failure("MGC503", late(timing.SPIN_UP + 1.0, 0.3)) == (Hop.GATEWAY, "container-not-ready")


def test_503_an_engine_that_starts_late_is_charged() -> None:
    assert failure("MGC503", late(0.1, timing.SPIN_UP + 1.0)) == (Hop.RUNTIME, "container-not-ready")


def test_503_the_harness_own_lag_leaves_it_open() -> None:
    story = late(timing.SPIN_UP + 1.0, 0.3)
    story.lag(1.0, t=TRIGGER + 5.0)
    assert isinstance(verdict("MGC503", story), Inconclusive)


def test_503_inside_the_uncertainty_of_the_engines_clock_it_is_open() -> None:
    assert isinstance(verdict("MGC503", late(0.1, timing.SPIN_UP - 0.099)), Inconclusive)


def test_504_an_initialize_refused_while_the_container_starts_is_a_failure() -> None:
    story = gateway()
    container(story)
    used(story, sse=None, response=error(0, message="backend not ready"), status=503, after=0.2)
    assert failure("MGC504", story) == (Hop.GATEWAY, "container-not-ready")


def test_504_an_answer_before_the_containers_is_as_good() -> None:
    story = gateway()
    container(story)
    assert isinstance(verdict("MGC504", used(story, after=0.05)), Pass)


@pytest.mark.parametrize(
    ("answer", "waited", "expected"),
    [
        (0.6, timing.ANSWER, Fail),
        (None, timing.SPIN_UP / 2, Inconclusive),
        (None, timing.ANSWER, NotExercised),
    ],
)
def test_504_no_answer_is_a_failure_only_where_the_backend_gave_one(
    answer: float | None, waited: float, expected: type
) -> None:
    story = gateway()
    container(story, answer=answer)
    story.stimulus("trigger", t=TRIGGER - 0.01)
    story.initialize("a", t=TRIGGER, status=None, sse=None, how="abandoned", after=0.0, length=waited)
    assert isinstance(verdict("MGC504", story), expected)


@pytest.mark.parametrize(
    ("listed", "expected"), [((), "empty-tools-startup-race"), (("x_convert_time",), "silent-partial-aggregate")]
)
def test_505_tools_that_the_backend_lists_and_the_gateway_does_not(listed: tuple[str, ...], expected: str) -> None:
    story = gateway()
    container(story)
    assert failure("MGC505", used(story, listed=listed)) == (Hop.GATEWAY, expected)


def test_505_a_prefix_is_no_loss() -> None:
    story = gateway()
    container(story)
    assert isinstance(verdict("MGC505", used(story, listed=tuple(f"time_{tool}" for tool in TOOLS))), Pass)


@pytest.mark.parametrize(("answer", "expected"), [(0.6, Fail), (timing.SPIN_UP + 1.0, Inconclusive)])
def test_505_an_error_is_a_failure_unless_the_backend_was_slow(answer: float, expected: type) -> None:
    story = gateway()
    container(story, answer=answer)
    story.stimulus("trigger", t=TRIGGER)
    story.initialize("a", t=TRIGGER)
    story.listing("a", sse=[error(1, message="not ready")], t=TRIGGER + 0.1)
    assert isinstance(verdict("MGC505", story), expected)


def test_505_a_backend_that_never_listed_leaves_it_open() -> None:
    story = gateway()
    container(story, answer=None)
    assert isinstance(verdict("MGC505", used(story, listed=())), Inconclusive)


def test_505_an_answer_under_an_object_is_nobodys_list() -> None:
    story = gateway()
    container(story)
    story.stdio("down", {"jsonrpc": "2.0", "id": [1], "result": {"tools": [{"name": "another"}]}}, "process of c-1")
    assert isinstance(verdict("MGC505", used(story)), Pass)


def crowded(*, overlapping: bool) -> Story:
    story = gateway()
    for number in range(3):
        name, t = f"c-{number}", TRIGGER + 0.1 + 2.0 * number
        container(story, name, t=t)
        gone(story, name, 30.0 if overlapping else t + 1.5)
    return used(story)


def test_508_containers_that_pile_up_are_a_storm() -> None:
    assert failure("MGC508", crowded(overlapping=True)) == (Hop.GATEWAY, "container-leak-or-storm")


def test_508_containers_after_each_other_lose_state() -> None:
    assert failure("MGC508", crowded(overlapping=False)) == (Hop.GATEWAY, "ephemeral-state-loss")


def test_508_one_for_each_of_two_clients_is_right() -> None:
    story = gateway()
    container(story, "c-1")
    container(story, "c-2", t=13.1)
    used(used(story), "b", t=13.0)
    assert isinstance(verdict("MGC508", story), Pass)
