"""Rules MGC401 to MGC411 on evidence written by hand: what all share, and those of streams."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from conformance.evidence.events import Hop, Kind, Point
from conformance.rules.all import rule_named, rules
from conformance.rules.base import DOCSTRING_HEADINGS
from conformance.rules.verdicts import Fail, Inconclusive, NotApplicable, NotExercised, Pass
from tests.evidence_builder import Story, notification, request, result
from tests.keep_alive_stories import beat, failure, place, slow_call, verdict

IDS = [f"MGC4{number:02}" for number in range(1, 12)]
NO_TRANSFORM = {"Content-Type": "text/event-stream", "Cache-Control": "no-cache, no-transform"}


def idle_get(
    beats: Sequence[float] = (15.0, 30.0), behind: Sequence[float] | None = None, until: float = 33.0
) -> Story:
    """A client holds a GET stream; `behind` are the beats on the stream that the gateway relays, None for none."""
    story = Story()
    story.connect()
    story.at(1.0)
    get = story.exchange(method="GET", session="s-1", response_headers=NO_TRANSFORM, sse=[], how=None, after=0.05)
    if behind is not None:
        other = story.exchange(backend=True, method="GET", session="s-1", sse=[], how=None, t=1.02)
        for t in behind:
            beat(story, other, 1.0 + t)
    for t in beats:
        beat(story, get, 1.0 + t)
    story.leave(get, t=1.05 + until)
    return story


# every rule ---------------------------------------------------------------------------------------------------------


def test_the_family_is_complete() -> None:
    assert [rule.id for rule in rules() if rule.suite == "keep_alive"] == IDS


@pytest.mark.parametrize("rule_id", IDS)
def test_a_rule_says_what_it_does(rule_id: str) -> None:
    rule = rule_named(rule_id)
    assert rule is not None
    assert [heading for heading in DOCSTRING_HEADINGS if f"{heading}:" not in rule.doc] == []


@pytest.mark.parametrize("rule_id", IDS)
def test_nothing_seen_is_not_exercised(rule_id: str) -> None:
    story = Story()
    story.connect()
    if rule_id == "MGC410":  # every event stream is one to judge
        story = Story()
    assert isinstance(verdict(rule_id, story), NotExercised)


@pytest.mark.parametrize("rule_id", ["MGC407", "MGC408", "MGC411"])
def test_without_a_tap_at_the_backend_transparency_is_not_exercised(rule_id: str) -> None:
    assert isinstance(verdict(rule_id, slow_call(), backend_tapped=False), NotExercised)


# MGC401 -------------------------------------------------------------------------------------------------------------


def test_beats_each_15_s_pass() -> None:
    assert isinstance(verdict("MGC401", idle_get()), Pass)


@pytest.mark.parametrize("beats", [(), (2.0,)])
def test_a_silent_stream_fails(beats: Sequence[float]) -> None:
    assert failure("MGC401", idle_get(beats)) == (Hop.GATEWAY, "idle-stream-no-heartbeat")


def test_beats_that_the_gateway_drops_are_its_own_fault() -> None:
    story = idle_get((), behind=(15.0, 30.0))
    assert failure("MGC401", story) == (Hop.GATEWAY, "idle-stream-no-heartbeat")
    found = verdict("MGC401", story)
    assert isinstance(found, Fail)
    assert found.observed.endswith("0 beats in 33.0 s; the backend's own stream carried 2")


def test_beats_that_nobody_sent_are_the_backend_s_fault_where_its_stream_is_relayed() -> None:
    assert failure("MGC401", idle_get((), behind=())) == (Hop.BACKEND, "idle-stream-no-heartbeat")


def test_bytes_that_are_no_event_are_beats() -> None:
    story = idle_get(())
    get = "client:a/3/3"
    for t in (16.0, 31.0):
        story.add(Point.CLIENT_TAP, Kind.CHUNK, t, **place(get), dir="down", length=2)
    assert isinstance(verdict("MGC401", story), Pass)


def test_lag_of_the_harness_leaves_a_silence_undecided() -> None:
    story = idle_get((15.0,), until=33.5)
    story.lag(2.0, t=30.0)
    assert isinstance(verdict("MGC401", story), Inconclusive)


@pytest.mark.parametrize("rule_id", ["MGC401", "MGC403"])
def test_a_gateway_without_get_streams_is_not_judged(rule_id: str) -> None:
    story = Story()
    story.connect()
    story.exchange(method="GET", session="s-1", status=405)
    assert isinstance(verdict(rule_id, story), NotApplicable)


@pytest.mark.parametrize("rule_id", ["MGC401", "MGC403"])
def test_a_stream_that_its_client_held_for_a_moment_is_not_exercised(rule_id: str) -> None:
    assert isinstance(verdict(rule_id, idle_get((), until=2.0)), NotExercised)


def test_the_stream_that_a_client_got_in_the_end_is_judged() -> None:
    story = Story()
    story.connect()
    story.exchange(method="GET", session="s-1", status=409, t=1.0)
    get = story.exchange(method="GET", session="s-1", sse=[], how=None, t=2.0)
    story.leave(get, t=40.0)
    assert failure("MGC401", story)[0] is Hop.GATEWAY


# MGC402 -------------------------------------------------------------------------------------------------------------


def test_a_call_s_stream_that_beats_passes() -> None:
    assert isinstance(verdict("MGC402", slow_call()), Pass)


def test_a_silent_call_s_stream_fails() -> None:
    assert failure("MGC402", slow_call(())) == (Hop.GATEWAY, "idle-stream-no-heartbeat")


def test_beats_held_back_until_the_answer_are_buffering() -> None:
    assert failure("MGC402", slow_call((18.5,))) == (Hop.GATEWAY, "proxy-buffers-sse")


def test_a_silent_backend_s_call_is_the_backend_s_silence() -> None:
    assert failure("MGC402", slow_call((), ())) == (Hop.BACKEND, "idle-stream-no-heartbeat")


def test_a_stream_that_is_left_open_after_the_answer_owes_no_beat() -> None:
    story = Story()
    story.connect()
    call = story.call(sse=[result(1, content=[])], how=None, t=1.0)
    story.leave(call, t=30.0)
    assert isinstance(verdict("MGC402", story), NotExercised)
    story = slow_call(how=None)
    story.leave("client:a/5/5", t=39.5)
    assert isinstance(verdict("MGC402", story), Pass)


def test_an_answer_in_json_cannot_beat() -> None:
    assert isinstance(verdict("MGC402", slow_call(as_json=True)), NotApplicable)


# MGC403 -------------------------------------------------------------------------------------------------------------


def cut_get(how: str = "fin", *, behind_ends: float | None = None) -> Story:
    story = Story()
    story.connect()
    get = story.exchange(method="GET", session="s-1", sse=[], how=None, t=1.0)
    if behind_ends is not None:
        other = story.exchange(backend=True, method="GET", sse=[], how=None, t=1.005)
        story.end(other, "fin", t=behind_ends)
    story.end(get, how, t=11.0)
    story.stimulus("end", t=40.0)
    return story


def test_a_stream_that_its_client_closes_passes() -> None:
    assert isinstance(verdict("MGC403", idle_get()), Pass)


@pytest.mark.parametrize("how", ["fin", "rst", "complete"])
def test_a_stream_that_is_cut_fails(how: str) -> None:
    assert failure("MGC403", cut_get(how)) == (Hop.GATEWAY, "intermediary-idle-cut")


def test_a_stream_that_the_backend_ended_first_is_charged_to_it() -> None:
    assert failure("MGC403", cut_get(behind_ends=10.9)) == (Hop.BACKEND, "intermediary-idle-cut")


def test_a_cut_before_the_first_beat_is_not_a_missing_beat() -> None:
    assert isinstance(verdict("MGC401", cut_get()), Inconclusive)


def test_a_primed_stream_may_be_closed_for_polling() -> None:
    story = Story()
    story.connect()
    get = story.exchange(method="GET", session="s-1", sse=[], how=None, t=1.0)
    story.raw_event(get, "message", "", t=1.1, id="e-1")
    story.end(get, "complete", t=11.0)
    assert isinstance(verdict("MGC403", story), NotApplicable)


def test_a_primed_stream_hides_no_other_that_was_cut() -> None:
    story = Story()
    for client in ("a", "b"):
        story.connect(client, session=f"s-{client}")
    for client in ("a", "b"):
        get = story.exchange(client, method="GET", session=f"s-{client}", sse=[], how=None, t=1.0)
        if client == "a":
            story.raw_event(get, "message", "", t=1.1, id="e-1")
        story.end(get, "complete", t=11.0)
    story.stimulus("end", t=40.0)
    assert failure("MGC403", story)[0] is Hop.GATEWAY


def test_a_stream_may_end_with_its_session() -> None:
    story = Story()
    story.connect()
    get = story.exchange(method="GET", session="s-1", sse=[], how=None, t=1.0)
    story.exchange(method="DELETE", session="s-1", t=25.0)
    story.end(get, "complete", t=25.1)
    assert isinstance(verdict("MGC403", story), Pass)


# MGC409 -------------------------------------------------------------------------------------------------------------


def test_beats_each_15_s_are_no_storm() -> None:
    assert isinstance(verdict("MGC409", idle_get()), Pass)


STORM = [0.2 * number for number in range(1, 160)]


def test_five_beats_a_second_are_a_storm() -> None:
    assert failure("MGC409", idle_get(STORM)) == (Hop.GATEWAY, "heartbeat-storm")


def test_a_storm_of_the_backend_is_charged_to_it() -> None:
    assert failure("MGC409", idle_get(STORM, behind=STORM))[0] is Hop.BACKEND


@pytest.mark.parametrize("issued", [True, False])
def test_pings_to_the_backend_are_counted_in_sessions_that_it_issued(*, issued: bool) -> None:
    story = idle_get()
    if issued:
        story.at(4.0).connect(session="b-1", backend=True)
    for number in range(30):
        story.exchange(backend=True, session="b-1", request=request("ping", number), t=5.0 + number / 4)
    if issued:
        assert failure("MGC409", story)[0] is Hop.GATEWAY
    else:
        assert isinstance(verdict("MGC409", story), Pass)


# MGC410 -------------------------------------------------------------------------------------------------------------


def stream_with(headers: dict[str, str], behind: dict[str, str] | None = None) -> Story:
    story = Story()
    story.initialize(sse=None, response=result(0, protocolVersion="2025-11-25", capabilities={}, serverInfo={}))
    more = {"method": "GET", "session": "s-1", "sse": [], "length": 0.02}
    story.exchange(response_headers=headers, t=1.0, **more)  # type: ignore[arg-type]
    if behind is not None:
        story.exchange(backend=True, response_headers=behind, t=1.005, **more)  # type: ignore[arg-type]
    return story


@pytest.mark.parametrize("headers", [{"Cache-Control": "no-cache, no-transform"}, {"X-Accel-Buffering": "no"}])
def test_either_header_will_do(headers: dict[str, str]) -> None:
    assert isinstance(verdict("MGC410", stream_with(headers)), Pass)


def test_a_bare_stream_fails() -> None:
    story = stream_with({"Cache-Control": "no-cache"}, {"X-Accel-Buffering": "no"})
    assert failure("MGC410", story) == (Hop.GATEWAY, "proxy-buffers-sse")


def test_headers_that_the_backend_left_out_are_charged_to_it() -> None:
    assert failure("MGC410", stream_with({}, {}))[0] is Hop.BACKEND


def test_where_nothing_is_a_stream_its_headers_do_not_apply() -> None:
    story = Story()
    story.initialize(sse=None, response=result(0))
    assert isinstance(verdict("MGC410", story), NotApplicable)


# MGC411 -------------------------------------------------------------------------------------------------------------


def progressing(
    arrives: Sequence[float],
    *,
    token: Any = 4,
    leaves: Sequence[float] = (0.5, 1.0, 1.5, 2.0, 2.5),
    on_get: bool = False,
    under: Any = "t-1",
) -> Story:
    """A call of 3 s with progress: when reports leave the backend and arrive at the client, on its POST or GET.

    under: the token of those that arrive.
    """
    story = Story()
    story.connect()
    meta = {"progressToken": "t-1"}
    asked = request("tools/call", 1, name="slow", arguments={"nonce": "n-1"}, _meta=meta)
    listening = None
    if on_get:
        listening = story.exchange(method="GET", session="s-1", sse=[], how=None, t=0.5)
        json = {"sse": None, "response": result(1, content=[]), "after": 3.0}
        call = story.exchange(request=asked, session="s-1", t=1.0, **json)  # type: ignore[arg-type]
    else:
        call = story.exchange(request=asked, session="s-1", sse=[], how=None, t=1.0)
        story.item(call, result(1, content=[]), t=4.0)
        story.end(call, t=4.0)
    for number, t in enumerate(arrives):
        message = notification("notifications/progress", progressToken=under, progress=number, message="n-1")
        story.item(listening or call, message, t=1.0 + t)
    params = {"name": "slow", "arguments": {"nonce": "n-1"}} | ({"_meta": {"progressToken": token}} if token else {})
    other = story.exchange(
        backend=True, session="b-1", request=request("tools/call", 9, **params), sse=[], how=None, t=1.01
    )
    for number, t in enumerate(leaves):
        story.item(other, notification("notifications/progress", progressToken=token, progress=number), t=1.0 + t)
    story.item(other, result(9, content=[]), t=3.99)
    story.end(other, t=3.99)
    if listening is not None:
        story.leave(listening, t=5.0)
    return story


@pytest.mark.parametrize("on_get", [False, True])
def test_progress_that_comes_when_it_is_sent_passes(on_get: bool) -> None:
    assert isinstance(verdict("MGC411", progressing((0.51, 1.01, 1.51, 2.01, 2.51), on_get=on_get)), Pass)


def test_progress_that_comes_in_time_under_a_wrong_token_is_another_rules() -> None:
    assert isinstance(verdict("MGC411", progressing((0.51, 1.01, 1.51, 2.01, 2.51), under=4, on_get=True)), Pass)


def test_progress_in_a_burst_at_the_end_is_buffering() -> None:
    assert failure("MGC411", progressing((2.99,) * 5)) == (Hop.GATEWAY, "proxy-buffers-sse")


def test_progress_that_never_comes_is_not_relayed() -> None:
    assert failure("MGC411", progressing(())) == (Hop.GATEWAY, "server-messages-not-relayed")


def test_progress_that_the_gateway_did_not_ask_for_is_not_relayed() -> None:
    assert failure("MGC411", progressing((), token=None)) == (Hop.GATEWAY, "server-messages-not-relayed")


def test_a_json_answer_has_no_room_but_a_get_stream_beside_it_has() -> None:
    assert failure("MGC411", progressing((), on_get=True)) == (Hop.GATEWAY, "server-messages-not-relayed")
    story = Story()
    story.connect()
    meta = {"progressToken": "t-1"}
    asked = request("tools/call", 1, name="slow", arguments={"nonce": "n-1"}, _meta=meta)
    story.exchange(request=asked, session="s-1", response=result(1, content=[]))
    story.exchange(backend=True, session="b-1", request=asked, response=result(1, content=[]))
    assert isinstance(verdict("MGC411", story), NotApplicable)


def test_a_backend_that_reports_nothing_leaves_nothing_to_judge() -> None:
    assert isinstance(verdict("MGC411", progressing((), leaves=())), NotExercised)


def test_progress_without_a_link_is_inconclusive() -> None:
    story = Story()
    story.connect()
    meta = {"progressToken": "t-1"}
    story.exchange(request=request("tools/call", 1, name="slow", arguments={"nonce": "n-1"}, _meta=meta), sse=[])
    assert isinstance(verdict("MGC411", story), Inconclusive)
