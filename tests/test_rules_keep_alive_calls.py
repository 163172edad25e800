"""Rules MGC404 to MGC408 on evidence written by hand: pings, sessions and connections after a pause, long calls."""

from __future__ import annotations

from typing import Any

import pytest

from conformance import timing
from conformance.evidence.events import Hop, Kind, Point
from conformance.rules.verdicts import Fail, Inconclusive, NotApplicable, NotExercised, Pass
from tests.evidence_builder import Story, error, notification, request, result
from tests.keep_alive_stories import failure, place, point_of, slow_call, verdict


def closes(story: Story, exchange: str, t: float, direction: str = "down") -> None:
    story.add(point_of(exchange), Kind.CONN_FIN, t, **place(exchange), dir=direction)


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


@pytest.mark.parametrize(("waited", "wanted"), [(0.05, Fail), (0.4, Inconclusive)])
def test_a_late_answer_to_ping_of_a_gateway_that_waited_for_a_processor(waited: float, wanted: type) -> None:
    story = pinged(result(7), after=timing.PING_PROMPT + 1)
    for number in range(4):
        story.processor_wait(waited, t=2.0 + number / 2)
    assert isinstance(verdict("MGC404", story), wanted)


def test_a_late_answer_to_ping_is_nobodys_where_all_answers_are_late() -> None:
    def listed(answer: Any) -> Story:
        story = pinged(answer, after=timing.PING_PROMPT + 1)
        story.exchange(
            request=request("tools/list", 8), session="s-1", sse=[result(8, tools=[])], after=timing.PING_PROMPT + 2
        )
        return story

    assert isinstance(verdict("MGC404", listed(result(7))), Inconclusive)
    assert failure("MGC404", listed(error(7, -32601)))[0] is Hop.GATEWAY


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


@pytest.mark.parametrize(("status", "wanted"), [(200, Pass), (404, Fail)])
def test_a_notification_after_a_pause_leaves_it_to_the_next_request(status: int, wanted: type) -> None:
    story = Story()
    story.connect()
    story.listing()
    story.exchange(session="s-1", request=notification("notifications/roots/list_changed"), status=202, t=21.0)
    story.listing(status=status, sse=[result(1, tools=[])] if status == 200 else None, t=22.0)
    assert isinstance(verdict("MGC405", story), wanted)


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


def test_an_end_after_the_request_is_inconclusive_where_a_reset_shows_that_it_was_closed_before() -> None:
    story = reused("fin")
    closes(story, "client:a/50/4", 7.5205)
    assert failure("MGC406", story) == (Hop.GATEWAY, "keepalive-socket-race")
    story.add(Point.CLIENT_TAP, Kind.CONN_RST, 7.521, tap="client:a", conn=50, dir="down")
    assert isinstance(verdict("MGC406", story), Inconclusive)


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


@pytest.mark.parametrize(
    ("asked", "wanted"),
    [
        (None, Pass),  # it crashed
        (Kind.STDIO_SIGNAL, Fail),
        (Kind.STDIO_EOF, Fail),
    ],
)
def test_a_process_that_ended_unasked_was_not_given_up(asked: Kind | None, wanted: type) -> None:
    story = Story()
    story.connect()
    story.stdio_start(t=0.5)
    story.call(sse=[error(1, -32000)], after=10.0, t=1.0)
    story.stdio("up", request("tools/call", 9, name="echo", arguments={"nonce": "n-1"}), t=1.01)
    if asked is not None:
        story.add(Point.STDIO_TAP, asked, 10.9, tap="stdio:main", process="p-1", dir="up")
    story.stdio_exit(code=139, t=10.95)
    assert isinstance(verdict("MGC407", story), wanted)


@pytest.mark.parametrize(("named", "wanted"), [(1, Pass), (2, Fail)])
def test_a_call_that_its_client_cancelled_is_owed_no_answer(named: int, wanted: type) -> None:
    story = slow_call((), (), answer="none", answered=5.0)
    cancel = notification("notifications/cancelled", requestId=named)
    story.exchange(session="s-1", request=cancel, status=202, t=5.9)
    assert isinstance(verdict("MGC407", story), wanted)


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


LATE = {"sse": [error(1)], "after": 14.0}


@pytest.mark.parametrize(
    ("client", "wanted"),
    [(LATE, Fail), ({"sse": None, "status": 502, "after": 14.0}, Fail), (LATE | {"sse": [result(1)]}, Pass)],
)
def test_a_fault_that_is_passed_on_late_fails(client: dict[str, Any], wanted: type) -> None:
    assert isinstance(verdict("MGC408", faulty(HTML_500, client)), wanted)


def test_lag_of_the_harness_leaves_it_undecided_how_late_a_fault_was_passed_on() -> None:
    story = faulty(HTML_500, LATE)
    story.lag(3.0, t=10.0)
    assert isinstance(verdict("MGC408", story), Inconclusive)


def test_a_client_that_left_early_leaves_it_undecided() -> None:
    story = faulty(HTML_500, {"sse": [], "how": "abandoned", "length": 3.0})
    assert isinstance(verdict("MGC408", story), Inconclusive)


def test_a_silent_backend_may_be_waited_for() -> None:
    story = faulty(SILENT, {"sse": [], "how": "abandoned", "length": 13.0})
    assert isinstance(verdict("MGC408", story), NotApplicable)
