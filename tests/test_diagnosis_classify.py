"""Failure classes told apart on evidence written by hand."""

from __future__ import annotations

from typing import Any

import pytest
from evidence_builder import Story, error, request, result

from conformance.diagnosis.classify import UNCLASSIFIED, Classified, classify
from conformance.diagnosis.failure_classes import failure_classes
from conformance.diagnosis.separations import SEPARATIONS
from conformance.diagnosis.traces import TRACES
from conformance.evidence.events import Kind, Point
from conformance.evidence.transcript import Exchange
from conformance.rules.base import Inputs, Level, Precondition, Rule, Side, fail
from conformance.rules.verdicts import Pass

BUFFERED, DEAD, IDLE = "proxy-buffers-sse", "get-sse-dead-stream", "idle-stream-no-heartbeat"


def rule(*classes: str) -> Rule:
    when = Precondition("always", "nothing", lambda _: True)
    return Rule(
        id="MGC999",
        title="t",
        suite="s",
        level=Level.MUST,
        side=Side.SERVER,
        requirements=(),
        revisions=(),
        when=when,
        failure_classes=classes,
        needs_control=False,
        needs_plain_tools=False,
        check=lambda _: Pass(""),
    )


def judged(story: Story, classes: tuple[str, ...], symptom: str = "", client: str = "a", **header: Any) -> Classified:
    """Classify a failure of the last exchange of a client."""
    transcript = story.transcript(**header)
    last: Exchange = transcript.client(client)[-1]
    return classify(rule(*classes), fail("x", "y", last, symptom=symptom), Inputs(transcript))


def made(found: Classified) -> dict[str, bool]:
    return {item.neighbour: item.made for item in found.separations}


def held_get(**more: Any) -> tuple[Story, str]:
    story = Story()
    story.connect(backend=True)
    story.connect()
    get = story.exchange(method="GET", session="s-1", how=None, t=1.0, **more)
    return story, get


def test_the_tables_name_classes_and_neighbours_of_the_catalogue() -> None:
    known = {item.id: {neighbour.id for neighbour in item.neighbours} for item in failure_classes()}
    assert set(TRACES) <= set(known)
    for name, table in SEPARATIONS.items():
        assert set(table) <= known[name], name


def test_each_fact_states_what_it_reads() -> None:
    facts = [*TRACES.values(), *(fact for table in SEPARATIONS.values() for fact, _ in table.values())]
    assert [fact for fact in facts if not (fact.__doc__ or "").strip().endswith(".")] == []


def test_confidence_of_nine_tenths_means_that_every_neighbour_was_ruled_out() -> None:
    story = Story()
    story.connect()
    story.exchange(method="GET", session="s-1", status=400, response=error())
    found = judged(story, ("get-sse-wrong-status",))
    assert (found.failure_class, found.confidence) == ("get-sse-wrong-status", 0.9)
    assert all(made(found).values())


def test_confidence_falls_with_each_neighbour_that_was_not_ruled_out() -> None:
    story, _ = held_get(sse=[])
    found = judged(story.at(30.0), (IDLE,), backend_tapped=False)
    share = sum(made(found).values()) / len(found.separations)
    assert not made(found)[DEAD]
    assert found.confidence == pytest.approx(0.5 + 0.4 * share, abs=0.005)


def test_headers_that_the_hop_behind_sent_at_once_mean_buffering() -> None:
    story, _ = held_get(status=None)
    story.exchange(backend=True, method="GET", session="s-1", sse=[], how=None, t=1.02)
    story.stimulus("end", t=20.0)
    for symptom in (DEAD, BUFFERED, "initialize-hang"):
        assert judged(story, (BUFFERED, DEAD, "initialize-hang"), symptom).failure_class == BUFFERED


def test_a_get_that_nobody_wrote_to_behind_is_a_dead_stream() -> None:
    story, _ = held_get(status=None)
    story.exchange(backend=True, method="GET", session="s-1", status=None, how=None, t=1.02)
    story.stimulus("end", t=20.0)
    found = judged(story, (BUFFERED, DEAD, "initialize-hang"), DEAD)
    assert found.failure_class == DEAD
    assert made(found)["initialize-hang"]


def test_an_initialize_that_is_never_answered_is_no_dead_stream() -> None:
    story = Story()
    story.exchange(request=request("initialize", 0), status=None, how=None)
    story.stimulus("end", t=20.0)
    found = judged(story, ("initialize-hang", DEAD), "initialize-hang")
    assert found.failure_class == "initialize-hang"
    assert made(found)[DEAD]
    assert made(found)["gateway-timeout-too-short"]


def test_a_class_that_the_rule_does_not_name_is_taken_only_with_its_trace() -> None:
    def lost_call(*, exited: bool) -> Story:
        story = Story()
        story.connect()
        story.listing(tools=["echo"])
        if exited:
            story.stdio_start(t=0.001)
            story.stdio_exit(code=1, t=0.9)
        story.call(t=1.0, sse=[error(1)])
        story.initialize("b", session="s-2", t=2.0)
        return story

    name = "one-client-kills-all"
    assert judged(lost_call(exited=True), (name,)).failure_class == "dead-child-zombie"
    assert judged(lost_call(exited=False), (name,)).failure_class == name


def test_a_call_after_the_backend_s_failure_hangs_upstream_and_not_at_a_timeout() -> None:
    story = Story()
    story.connect(backend=True)
    story.connect()
    story.call(t=1.0, sse=[], how=None)
    asked = request("tools/call", 7, name="echo", arguments={"nonce": "n-1"})
    story.exchange(backend=True, session="s-1", request=asked, status=500, body="<html>", t=1.01)
    story.stimulus("end", t=20.0)
    found = judged(story, ("gateway-timeout-too-short", "hang-on-upstream-error"), "gateway-timeout-too-short")
    assert found.failure_class == "hang-on-upstream-error"
    assert found.confidence == 0.9


def test_a_lost_connection_whose_session_lives_is_a_socket_race() -> None:
    story = Story()
    story.initialize(conn=1)
    story.listing(tools=["echo"], conn=1)
    story.exchange(request=request("tools/list", 2), session="s-1", conn=1, status=None, how="rst", t=8.0)
    story.listing(tools=["echo"], conn=2, t=8.1)
    transcript = story.transcript()
    lost = next(item for item in transcript.client() if item.how == "rst")
    for name in ("keepalive-socket-race", "one-client-kills-all", "stale-session-after-restart"):
        found = classify(rule(name), fail("x", "y", lost), Inputs(transcript))
        assert found.failure_class == "keepalive-socket-race", name


def test_an_engine_s_refusal_is_seen_whatever_the_rule_took_it_for() -> None:
    story = Story()
    story.exchange(request=request("initialize", 0), status=None, how=None)
    story.exchange(engine=True, target="/v1.41/containers/create", status=403, body="denied")
    story.stimulus("end", t=20.0)
    found = judged(story, ("initialize-hang",), spin_up="engine-denied")
    assert found.failure_class == "docker-socket-unusable"


def test_a_missing_image_does_not_make_the_engine_unusable() -> None:
    story = Story()
    story.exchange(request=request("initialize", 0), status=None, how=None)
    story.exchange(engine=True, target="/v1.41/containers/create", status=404, body="No such image")
    story.stimulus("end", t=20.0)
    assert judged(story, ("initialize-hang",), spin_up="image-missing").failure_class == "initialize-hang"


def test_a_session_that_was_ended_is_not_valid_any_more() -> None:
    story = Story()
    story.connect()
    story.exchange(method="DELETE", session="s-1", status=200)
    story.exchange(request=request("tools/list"), session="s-1", status=400, response=error())
    found = judged(story, ("unknown-session-wrong-status",))
    assert (found.failure_class, made(found)["jsonrpc-error-as-http-error"]) == ("unknown-session-wrong-status", True)


@pytest.mark.parametrize("classes", [(), (BUFFERED, DEAD), ("no-such-class",)])
def test_nothing_is_forced(classes: tuple[str, ...]) -> None:
    story = Story()
    story.connect()
    story.exchange(request=request("tools/list"), session="s-1", response=result(1, tools=[]))
    found = judged(story, classes, backend_tapped=False)
    assert (found.failure_class, found.confidence, found.separations) == (UNCLASSIFIED, 0.0, ())


def test_a_stdio_child_that_the_gateway_closed_did_not_exit_by_itself() -> None:
    def exits(*, closed: bool) -> bool | None:
        story = Story()
        story.connect()
        story.stdio_start(t=0.001)
        if closed:
            story.add(Point.STDIO_TAP, Kind.STDIO_EOF, 0.5, tap="stdio:main", process="p-1", dir="up")
        story.stdio_exit(t=0.6)
        story.call(t=1.0, sse=[error(1)])
        return made(judged(story, ("one-client-kills-all",)))["dead-child-zombie"]

    assert exits(closed=True) is True
    assert exits(closed=False) is False


def test_the_same_evidence_gives_the_same_answer() -> None:
    story, _ = held_get(sse=[])
    transcript = story.transcript()
    failed = fail("x", "y", transcript.client()[-1])
    assert classify(rule(IDLE), failed, Inputs(transcript)) == classify(rule(IDLE), failed, Inputs(transcript))
