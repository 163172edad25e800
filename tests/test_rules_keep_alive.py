"""Rules MGC401 to MGC411 on evidence written by hand: one good and one bad story for each, its silence, its blame."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from evidence_builder import Story, error, notification, request, result

from conformance import timing
from conformance.diagnosis.classify import classify
from conformance.evidence.events import Hop, Kind, Point
from conformance.evidence.transcript import Transcript
from conformance.rules.all import rule_named, rules
from conformance.rules.base import DOCSTRING_HEADINGS, Inputs, judge
from conformance.rules.verdicts import Fail, Inconclusive, NotApplicable, NotExercised, Pass, Verdict

IDS = [f"MGC4{number:02}" for number in range(1, 12)]
NO_TRANSFORM = {"Content-Type": "text/event-stream", "Cache-Control": "no-cache, no-transform"}


def verdict(rule_id: str, story: Story | Transcript, **header: Any) -> Verdict:
    rule = rule_named(rule_id)
    assert rule is not None
    return judge(rule, Inputs(story.transcript(**header) if isinstance(story, Story) else story))


def failure(rule_id: str, story: Story, **header: Any) -> tuple[Hop, str]:
    """Return the hop that a failure is charged to, and its failure class."""
    rule = rule_named(rule_id)
    assert rule is not None
    inputs = Inputs(story.transcript(**header))
    found = judge(rule, inputs)
    assert isinstance(found, Fail), found
    assert found.events
    return found.charged_to, classify(rule, found, inputs).failure_class


def place(exchange: str) -> dict[str, Any]:
    tap, conn, _ = exchange.split("/")
    return {"tap": tap, "conn": int(conn)}


def point_of(exchange: str) -> Point:
    return Point.BACKEND_TAP if exchange.startswith("backend") else Point.CLIENT_TAP


def beat(story: Story, exchange: str, t: float) -> None:
    """A comment comes down a stream, as bytes and as what they mean."""
    story.add(point_of(exchange), Kind.CHUNK, t, **place(exchange), dir="down", length=14)
    story.item(exchange, "keepalive", t=t)


def closes(story: Story, exchange: str, t: float, direction: str = "down") -> None:
    story.add(point_of(exchange), Kind.CONN_FIN, t, **place(exchange), dir=direction)


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


def test_where_nothing_is_a_stream_its_headers_do_not_apply() -> None:
    story = Story()
    story.initialize(sse=None, response=result(0))
    assert isinstance(verdict("MGC410", story), NotApplicable)


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


# MGC402 -------------------------------------------------------------------------------------------------------------


def slow_call(
    beats: Sequence[float] = (15.0,),
    behind: Sequence[float] | None = (15.0,),
    *,
    answer: Any = None,
    answered: float | None = 18.5,
    backend_answered: float | None = 18.5,
    how: str | None = "complete",
    as_json: bool = False,
) -> Story:
    """A call of 18.5 s. answered: when the client's exchange ended, with `answer` (None: the backend's result)."""
    story = Story()
    story.connect()
    story.connect(session="b-1", backend=True)
    story.at(1.0)
    if as_json:
        story.call(response=result(1, content=[]), sse=None, after=answered or 0.0)
    else:
        call = story.call(sse=[], how=None)
        for t in beats:
            beat(story, call, 1.0 + t)
        if answered is not None:
            story.add(Point.CLIENT_TAP, Kind.CHUNK, 1.0 + answered, **place(call), dir="down", length=9)
            if answer != "none":
                story.item(call, answer or result(1, content=[]), t=1.0 + answered)
            if how is not None:
                story.end(call, how, t=1.0 + answered)
    other = story.call(backend=True, session="b-1", sse=[], how=None, t=1.005)
    for t in behind or ():
        beat(story, other, 1.0 + t)
    if backend_answered is not None:
        story.item(other, result(1, content=[]), t=0.999 + backend_answered)
        story.end(other, t=0.999 + backend_answered)
    story.stimulus("end", t=40.0)
    return story


def test_a_call_s_stream_that_beats_passes() -> None:
    assert isinstance(verdict("MGC402", slow_call()), Pass)


def test_a_silent_call_s_stream_fails() -> None:
    assert failure("MGC402", slow_call(())) == (Hop.GATEWAY, "idle-stream-no-heartbeat")


def test_beats_held_back_until_the_answer_are_buffering() -> None:
    assert failure("MGC402", slow_call((18.5,))) == (Hop.GATEWAY, "proxy-buffers-sse")


def test_a_silent_backend_s_call_is_the_backend_s_silence() -> None:
    assert failure("MGC402", slow_call((), ())) == (Hop.BACKEND, "idle-stream-no-heartbeat")


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


def test_a_stream_may_end_with_its_session() -> None:
    story = Story()
    story.connect()
    get = story.exchange(method="GET", session="s-1", sse=[], how=None, t=1.0)
    story.exchange(method="DELETE", session="s-1", t=25.0)
    story.end(get, "complete", t=25.1)
    assert isinstance(verdict("MGC403", story), Pass)


# MGC404 -------------------------------------------------------------------------------------------------------------


def pinged(answer: Any, *, after: float = 0.01, behind: Any = None, how: str | None = "complete") -> Story:
    story = Story()
    story.connect()
    sse = [] if answer is None else [answer]
    story.exchange(request=request("ping", 7), session="s-1", sse=sse, after=after, how=how, t=1.0)
    if behind is not None:
        story.exchange(backend=True, request=request("ping", 3), sse=[behind], t=1.002, after=0.001, length=0.001)
    return story


@pytest.mark.parametrize("answer", [result(7), result(7, _meta={"x": 1})])
def test_an_empty_result_passes(answer: Any) -> None:
    assert isinstance(verdict("MGC404", pinged(answer)), Pass)


@pytest.mark.parametrize("answer", [error(7, -32601), result(7, pong=True), None])
def test_another_answer_to_ping_fails(answer: Any) -> None:
    assert failure("MGC404", pinged(answer)) == (Hop.GATEWAY, "ping-not-answered")


def test_a_late_answer_to_ping_fails_unless_the_harness_was_late() -> None:
    story = pinged(result(7), after=timing.PING_PROMPT + 1)
    assert failure("MGC404", story)[0] is Hop.GATEWAY
    story.lag(2.0, t=3.0)
    assert isinstance(verdict("MGC404", story), Inconclusive)


def test_a_ping_that_the_backend_refuses_is_charged_to_it() -> None:
    assert failure("MGC404", pinged(error(7, -32601), behind=error(3, -32601)))[0] is Hop.BACKEND
    assert failure("MGC404", pinged(error(7, -32601), behind=result(3)))[0] is Hop.GATEWAY


# MGC405 -------------------------------------------------------------------------------------------------------------


def paused(status: int | None, *, behind: int | None = None) -> Story:
    story = Story()
    story.connect()
    story.listing()
    how = "complete" if status is not None else "fin"
    sse = [result(1, tools=[])] if status == 200 else None
    story.listing(status=status, sse=sse, how=how, t=21.0)
    if behind is not None:
        story.listing(backend=True, session="b-1", status=behind, sse=None, t=21.002, after=0.001, length=0.001)
    return story


def test_a_session_that_answers_after_a_pause_passes() -> None:
    assert isinstance(verdict("MGC405", paused(200)), Pass)


def test_a_session_that_is_gone_after_a_pause_fails() -> None:
    assert failure("MGC405", paused(404)) == (Hop.GATEWAY, "stale-session-after-restart")


def test_a_session_that_the_backend_forgot_is_charged_to_it() -> None:
    assert failure("MGC405", paused(404, behind=404))[0] is Hop.BACKEND


def test_a_request_lost_with_its_connection_says_nothing_about_the_session() -> None:
    assert isinstance(verdict("MGC405", paused(None)), Inconclusive)
    again = paused(None)
    again.listing(status=404, sse=None, t=22.0)
    assert failure("MGC405", again)[0] is Hop.GATEWAY


def test_an_open_stream_is_no_pause() -> None:
    story = Story()
    story.connect()
    get = story.exchange(method="GET", session="s-1", sse=[], how=None, t=1.0)
    story.leave(get, t=20.9)
    story.listing(status=404, sse=None, t=21.0)
    assert isinstance(verdict("MGC405", story), NotExercised)


# MGC406 -------------------------------------------------------------------------------------------------------------


def reused(
    how: str | None = "complete", *, said: dict[str, str] | None = None, closed: float | None = None, pause: float = 6.5
) -> Story:
    """Two requests on connection 50. how: how the second ended; None sends none. closed: when the server closed."""
    story = Story()
    story.connect()
    first = story.listing(conn=50, t=1.0, response_headers=said)
    if closed is not None:
        closes(story, first, closed)
    if how is not None:
        answered = how == "complete"
        sse = [result(1, tools=[])] if answered else None
        story.listing(conn=50, t=1.02 + pause, status=200 if answered else None, sse=sse, how=how)
    return story


def test_an_answer_on_an_idle_connection_passes() -> None:
    assert isinstance(verdict("MGC406", reused()), Pass)


def test_a_connection_closed_before_its_reuse_passes() -> None:
    assert isinstance(verdict("MGC406", reused(None, closed=6.0)), Pass)


@pytest.mark.parametrize("how", ["fin", "rst"])
def test_a_request_that_meets_the_end_of_its_connection_fails(how: str) -> None:
    assert failure("MGC406", reused(how)) == (Hop.GATEWAY, "keepalive-socket-race")


@pytest.mark.parametrize("said", [{"Keep-Alive": "timeout=5, max=100"}, {"Connection": "close"}])
def test_an_end_that_was_announced_passes(said: dict[str, str]) -> None:
    assert isinstance(verdict("MGC406", reused("fin", said=said)), Pass)


def test_a_longer_promise_than_kept_fails() -> None:
    assert failure("MGC406", reused("rst", said={"Keep-Alive": "timeout=60"}))[0] is Hop.GATEWAY


def test_an_end_that_crosses_the_request_is_inconclusive() -> None:
    assert isinstance(verdict("MGC406", reused("fin", closed=7.5)), Inconclusive)


def test_a_connection_reused_at_once_is_not_exercised() -> None:
    assert isinstance(verdict("MGC406", reused("fin", pause=0.2)), NotExercised)


# MGC407 -------------------------------------------------------------------------------------------------------------


def test_a_long_call_with_its_answer_passes() -> None:
    assert isinstance(verdict("MGC407", slow_call()), Pass)


@pytest.mark.parametrize("backend_answered", [18.5, None])
def test_a_call_given_up_while_the_backend_works_fails(backend_answered: float | None) -> None:
    story = slow_call((), (), answer=error(1, -32001), answered=10.0, backend_answered=backend_answered)
    assert failure("MGC407", story) == (Hop.GATEWAY, "gateway-timeout-too-short")


def test_a_call_s_stream_that_ends_with_a_beat_fails() -> None:
    story = slow_call((15.0,), answer="none", answered=15.0)
    assert failure("MGC407", story) == (Hop.GATEWAY, "empty-200-stream")


def test_two_answers_fail() -> None:
    story = slow_call()
    story.item("client:a/5/5", result(1, content=[]), t=19.6)
    assert failure("MGC407", story)[0] is Hop.GATEWAY


def test_the_backend_s_own_error_is_no_timeout() -> None:
    story = Story()
    story.connect()
    story.call(sse=[result(1, content=[], isError=True)], after=6.0, t=1.0)
    story.call(backend=True, session="b-1", sse=[result(1, content=[], isError=True)], after=5.9, t=1.002)
    assert isinstance(verdict("MGC407", story), Pass)


def test_a_failed_call_that_never_reached_the_backend_is_inconclusive() -> None:
    story = Story()
    story.connect()
    story.call(sse=[error(1)], after=6.0, t=1.0)
    assert isinstance(verdict("MGC407", story), Inconclusive)


def test_a_client_that_left_first_was_not_given_up() -> None:
    story = slow_call((), (), answer="none", answered=12.0, how="abandoned", backend_answered=None)
    assert isinstance(verdict("MGC407", story), Pass)


def test_stdio_backends_are_judged_too() -> None:
    story = Story()
    story.connect()
    story.stdio_start(t=0.5)
    story.call(sse=[error(1, -32001)], after=10.0, t=1.0)
    asked = request("tools/call", 9, name="echo", arguments={"nonce": "n-1"})
    story.stdio("up", asked, t=1.01)
    assert failure("MGC407", story) == (Hop.GATEWAY, "gateway-timeout-too-short")
    story.stdio("down", result(9, content=[]), t=19.0)
    assert failure("MGC407", story) == (Hop.GATEWAY, "gateway-timeout-too-short")


# MGC408 -------------------------------------------------------------------------------------------------------------


def faulty(fault: dict[str, Any], client: dict[str, Any]) -> Story:
    story = Story()
    story.connect()
    story.call(**({"after": 0.05, "t": 1.0} | client))
    story.call(**({"backend": True, "session": "b-1", "sse": None, "t": 1.01, "after": 0.01} | fault))
    story.stimulus("end", t=40.0)
    return story


HTML_500 = {"status": 500, "body": "<html>"}
RESET = {"status": 200, "sse": [], "how": "rst"}
EMPTY = {"status": 200, "sse": []}
SILENT = {"status": 200, "sse": [], "how": None}


@pytest.mark.parametrize("fault", [HTML_500, RESET, EMPTY, {"status": 500, "response": error(1)}])
@pytest.mark.parametrize(
    "client",
    [
        {"sse": [error(1)]},
        {"sse": [result(1, content=[], isError=True)]},
        {"sse": None, "status": 502, "body": "bad gateway"},
    ],
)
def test_a_fault_that_is_passed_on_passes(fault: dict[str, Any], client: dict[str, Any]) -> None:
    assert isinstance(verdict("MGC408", faulty(fault, client)), Pass)


def test_an_empty_stream_handed_on_as_it_came_passes() -> None:
    assert isinstance(verdict("MGC408", faulty(EMPTY, {"sse": []})), Pass)


def test_a_fault_that_becomes_an_empty_stream_fails() -> None:
    assert failure("MGC408", faulty(HTML_500, {"sse": []})) == (Hop.GATEWAY, "empty-200-stream")


@pytest.mark.parametrize("fault", [HTML_500, RESET, EMPTY])
def test_a_call_that_hangs_after_a_fault_fails(fault: dict[str, Any]) -> None:
    story = faulty(fault, {"sse": [], "how": "abandoned", "length": 13.0})
    assert failure("MGC408", story) == (Hop.GATEWAY, "hang-on-upstream-error")


def test_a_client_that_left_early_leaves_it_undecided() -> None:
    story = faulty(HTML_500, {"sse": [], "how": "abandoned", "length": 3.0})
    assert isinstance(verdict("MGC408", story), Inconclusive)


def test_a_silent_backend_may_be_waited_for() -> None:
    story = faulty(SILENT, {"sse": [], "how": "abandoned", "length": 13.0})
    assert isinstance(verdict("MGC408", story), NotApplicable)


# MGC409 -------------------------------------------------------------------------------------------------------------


def test_beats_each_15_s_are_no_storm() -> None:
    assert isinstance(verdict("MGC409", idle_get()), Pass)


STORM = [0.2 * number for number in range(1, 160)]


def test_five_beats_a_second_are_a_storm() -> None:
    assert failure("MGC409", idle_get(STORM)) == (Hop.GATEWAY, "heartbeat-storm")


def test_a_storm_of_the_backend_is_charged_to_it() -> None:
    assert failure("MGC409", idle_get(STORM, behind=STORM))[0] is Hop.BACKEND


def test_pings_to_the_backend_are_counted() -> None:
    story = idle_get()
    for number in range(30):
        story.exchange(backend=True, session="b-1", request=request("ping", number), t=5.0 + number / 4)
    assert failure("MGC409", story)[0] is Hop.GATEWAY


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


# MGC411 -------------------------------------------------------------------------------------------------------------


def progressing(
    arrives: Sequence[float],
    *,
    token: Any = 4,
    leaves: Sequence[float] = (0.5, 1.0, 1.5, 2.0, 2.5),
    on_get: bool = False,
) -> Story:
    """A call of 3 s with progress: when reports leave the backend and arrive at the client, on its POST or GET."""
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
        message = notification("notifications/progress", progressToken="t-1", progress=number)
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
