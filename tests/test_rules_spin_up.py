"""Rules MGC501 to MGC511 on evidence written by hand: a healthy spin-up, what breaks it, whose fault it is, silence."""

from __future__ import annotations

from typing import Any

import pytest
from evidence_builder import RESULT, Story, error, request, result

from conformance import timing
from conformance.diagnosis.classify import classify
from conformance.evidence.events import Hop, Kind, Point
from conformance.rules.all import rule_named
from conformance.rules.base import DOCSTRING_HEADINGS, Inputs, judge
from conformance.rules.spin_up_times import spin_up_times, spun_up
from conformance.rules.verdicts import Fail, Inconclusive, NotApplicable, NotExercised, Pass, Verdict

IDS = [f"MGC5{number:02}" for number in range(1, 12)]
GATEWAY, STRANGER = "a" * 64, "b" * 64
TOOLS = ("get_current_time", "convert_time")
WORKS = {"spin_up": "works", "image": "image", "runtime": "containers"}
TRIGGER = 10.0


def verdict(rule_id: str, story: Story, **header: Any) -> Verdict:
    rule = rule_named(rule_id)
    assert rule is not None
    return judge(rule, Inputs(story.transcript(**(WORKS | header))))


def failure(rule_id: str, story: Story, **header: Any) -> tuple[Hop, str]:
    """Return the hop that a failure is charged to, and its failure class."""
    rule = rule_named(rule_id)
    assert rule is not None
    inputs = Inputs(story.transcript(**(WORKS | header)))
    found = judge(rule, inputs)
    assert isinstance(found, Fail), found
    assert found.events
    return found.charged_to, classify(rule, found, inputs).failure_class


def gateway(until: float | None = None, code: int = 1) -> Story:
    """A gateway that was started at 1 s, and ended at `until`."""
    story = Story()
    story.add(Point.ENGINE, Kind.CLOCK, 0.0, domain="engine", offset=0.0, uncertainty=0.002)
    story.add(Point.STAGE, Kind.PROCESS_START, 1.0, name="gateway", pid=1, argv=["gateway"], container=GATEWAY)
    if until is not None:
        story.add(Point.STAGE, Kind.PROCESS_EXIT, until, name="gateway", pid=1, code=code, container=GATEWAY)
    return story


def container(
    story: Story,
    name: str = "c-1",
    *,
    t: float = TRIGGER + 0.1,
    asked: bool = True,
    asker: str | None = GATEWAY,
    start: float | None = 0.3,
    answer: float | None = 0.6,
    tools: tuple[str, ...] = TOOLS,
    inspected: bool = True,
) -> None:
    """A container that is asked for at t, started `start` later, and whose server answers initialize `answer` later."""
    if asked:
        where = story.exchange(
            engine=True, target="/v1.41/containers/create", status=201, response={"Id": name}, after=0.01, t=t
        )
        tap, conn, _ = where.split("/")
        story.add(Point.ENGINE_TAP, Kind.CONN_OPEN, t - 0.001, tap=tap, conn=int(conn), peer="unix:", container=asker)
    story.engine_event("create", name, t=t + 0.02)
    if start is None:
        return
    up = t + start
    story.engine_event("start", name, t=up)
    if inspected:
        data = {"container": name, "inspect": {"auto_remove": True}}
        story.add(Point.ENGINE, Kind.CONTAINER_INSPECT, up + 0.001, **data)
    process = f"process of {name}"
    story.stdio_start(process, t=up + 0.02)
    story.stdio("up", request("initialize", 0), process, t=up + 0.03)
    if answer is not None:
        story.stdio("down", result(0, **RESULT), process, t=up + answer)
        story.stdio("up", request("tools/list", 1), process, t=up + answer + 0.5)
        listed = [{"name": tool} for tool in tools]
        story.stdio("down", result(1, tools=listed), process, t=up + answer + 0.51)


def gone(story: Story, name: str, t: float, *, died: float | None = None) -> None:
    """The container ends, and is removed at t."""
    story.engine_event("die", name, t=t - 0.1 if died is None else died, exit_code=0)
    story.engine_event("destroy", name, t=t)


def used(story: Story, client: str = "a", *, t: float = TRIGGER, listed: tuple[str, ...] = TOOLS, **more: Any) -> Story:
    """A client initializes at t, has its answer after 1.2 s, and lists tools."""
    story.stimulus("trigger", t=t - 0.01)
    story.initialize(client, t=t, **({"after": 1.2} | more))
    story.listing(client, tools=listed, t=t + 1.5)
    return story


def ended(story: Story, *, status: int = 200, stop: float = 20.0) -> Story:
    """The session is deleted at 15 s, the gateway stopped at 20 s, and what remains is watched for long enough."""
    story.stimulus("session.end", t=15.0)
    story.exchange("a", method="DELETE", session="s-1", status=status, t=15.01)
    story.stimulus("gateway.stop", t=stop)
    story.stimulus("removal.watched", t=stop + timing.REMOVED_AFTER + 1.0)
    return story


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


def vain(*, spin_up: str = "image-missing", **answer: Any) -> Story:
    """A client initializes with a gateway that asked the engine for an image it does not have."""
    story = gateway()
    story.stimulus("trigger", t=TRIGGER)
    if spin_up == "image-missing":
        story.exchange(engine=True, target="/v1.41/containers/create", status=404, response={"message": "No such"})
    elif spin_up == "engine-denied":
        story.exchange(engine=True, target="/v1.41/containers/create", status=None, how="open")
    asked = request("initialize", 0)
    story.exchange("a", **({"request": asked, "sse": [error(0)], "t": TRIGGER + 0.1} | answer))
    return story


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


# from the trigger to the listed tools -------------------------------------------------------------------------------


def test_501_an_engine_that_refuses_is_not_the_gateways_fault() -> None:
    story = gateway()
    story.exchange(engine=True, target="/v1.41/containers/create", status=403, response={"message": "no"}, t=10.1)
    assert failure("MGC501", used(story, listed=())) == (Hop.RUNTIME, "docker-socket-unusable")


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


@pytest.mark.parametrize(("answer", "expected"), [(0.6, Fail), (None, Inconclusive)])
def test_504_no_answer_is_a_failure_only_where_the_backend_gave_one(answer: float | None, expected: type) -> None:
    story = gateway()
    container(story, answer=answer)
    used(story, status=None, sse=None, how="abandoned", after=0.0, length=timing.ANSWER)
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


# removal ------------------------------------------------------------------------------------------------------------


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


# what cannot be started ---------------------------------------------------------------------------------------------

SILENT = {"status": None, "sse": None, "how": "abandoned", "after": 0.0, "length": timing.ANSWER}
EMPTY = {"sse": [], "how": "complete"}
CONNECTED = {"sse": [result(0, **RESULT)]}
FAULTS = {
    "MGC509": ("image-missing", "enabled-but-not-started"),
    "MGC511": ("engine-denied", "docker-socket-unusable"),
}


def story_of(rule_id: str, **answer: Any) -> tuple[Story, dict[str, Any]]:
    """Return evidence of the fault that a rule is about, and its header."""
    if rule_id != "MGC510":
        spin_up = FAULTS[rule_id][0]
        return vain(spin_up=spin_up, **answer), {"spin_up": spin_up}
    story = vain(spin_up="works", **answer)
    container(story, answer=None)
    story.engine_event("die", t=11.0, exit_code=3)
    story.engine_event("destroy", t=11.1)
    return story, {}


@pytest.mark.parametrize("rule_id", IDS[8:])
@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"status": 502, "sse": None, "body": "bad gateway"},
        {"status": None, "sse": None, "how": "fin"},
    ],
    ids=["json-rpc", "http", "closed"],
)
def test_an_error_of_any_kind_passes(rule_id: str, answer: dict[str, Any]) -> None:
    story, header = story_of(rule_id, **answer)
    assert isinstance(verdict(rule_id, story, **header), Pass)


@pytest.mark.parametrize("rule_id", IDS[8:])
def test_an_error_on_the_first_list_is_an_error_too(rule_id: str) -> None:
    story, header = story_of(rule_id, **CONNECTED)
    story.listing("a", sse=[error(1)])
    assert isinstance(verdict(rule_id, story, **header), Pass)


@pytest.mark.parametrize(
    ("rule_id", "answer", "expected"),
    [
        ("MGC509", SILENT, "initialize-hang"),
        ("MGC510", SILENT, "initialize-hang"),
        ("MGC511", SILENT, "docker-socket-unusable"),
        ("MGC509", EMPTY, "empty-200-stream"),
        ("MGC510", EMPTY, "empty-200-stream"),
        ("MGC511", EMPTY, "docker-socket-unusable"),
    ],
)
def test_silence_is_a_failure(rule_id: str, answer: dict[str, Any], expected: str) -> None:
    story, header = story_of(rule_id, **answer)
    assert failure(rule_id, story, **header) == (Hop.GATEWAY, expected)


@pytest.mark.parametrize(
    ("rule_id", "expected"),
    [("MGC509", "enabled-but-not-started"), ("MGC510", "dead-child-zombie"), ("MGC511", "docker-socket-unusable")],
)
def test_an_empty_list_is_no_error(rule_id: str, expected: str) -> None:
    story, header = story_of(rule_id, **CONNECTED)
    story.listing("a")
    rule = rule_named(rule_id)
    assert rule is not None
    found = verdict(rule_id, story, **header)
    assert isinstance(found, Fail)
    assert found.symptom == expected


@pytest.mark.parametrize(("rule_id", "spin_up"), [("MGC509", "image-missing"), ("MGC511", "engine-missing")])
def test_a_gateway_that_ended_refuses_connections(rule_id: str, spin_up: str) -> None:
    story = gateway(until=5.0)
    if spin_up == "image-missing":
        story.exchange(engine=True, target="/v1.41/containers/create", status=404, t=3.0)
    story.stimulus("trigger", t=TRIGGER)
    story.add(Point.CLIENT_TAP, Kind.CONN_FAILED, TRIGGER + 0.1, tap="client:a", conn=1, error="no upstream is set")
    found = verdict(rule_id, story, spin_up=spin_up)
    assert isinstance(found, Pass)
    assert "ended with status 1" in found.observed


def test_509_a_pull_that_the_engine_does_not_answer_leaves_it_open() -> None:
    story, header = story_of("MGC509", **SILENT)
    story.exchange(engine=True, target="/v1.41/images/create?fromImage=x", status=None, how=None, t=TRIGGER + 0.2)
    assert isinstance(verdict("MGC509", story, **header), Inconclusive)


@pytest.mark.parametrize(("rule_id", "spin_up"), [("MGC509", "image-missing"), ("MGC511", "engine-denied")])
def test_a_gateway_that_asks_the_engine_for_nothing_is_judged_elsewhere(rule_id: str, spin_up: str) -> None:
    story = used(gateway(), listed=())
    assert isinstance(verdict(rule_id, story, spin_up=spin_up), NotExercised)


def test_511_success_without_an_engine_shows_nothing() -> None:
    assert isinstance(verdict("MGC511", used(gateway(), listed=()), spin_up="engine-missing"), NotExercised)
