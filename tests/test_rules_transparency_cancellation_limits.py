"""Family transparency, what no cancel may do (MGC745 to MGC750): good and bad evidence, written by hand."""

from __future__ import annotations

from typing import Any

import pytest

from conformance.evidence.events import Hop
from conformance.rules.verdicts import Fail, Inconclusive, NotApplicable, NotExercised, Pass, Verdict
from tests.cancellation_stories import CANCELLED, answer, call, cancel, failure, given_up, opened, to_the_end, verdict
from tests.evidence_builder import Story, error, notification, request, result

# MGC745 and MGC746 ---------------------------------------------------------------------------------------------------

POINTLESS, MALFORMED = "MGC745", "MGC746"
NAMED = {POINTLESS: "c-9", MALFORMED: None}


def stray(named: Any, *, t: float = 10.5, **more: Any) -> Story:
    """A call of 10.0 to 10.9, answered, and a cancel meanwhile that does not name it."""
    story = opened()
    story.exchange(session="s-1", request=call("n-1", "c-1"), t=10.0, sse=[answer("n-1", "c-1")], after=0.9)
    story.exchange(backend=True, session="b-1", request=call("n-1", 7), t=10.1, sse=[answer("n-1", 7)], after=0.7)
    cancel(story, named, t, **more)
    return story


@pytest.mark.parametrize("status", [202, 400, 404])
@pytest.mark.parametrize("rule_id", [POINTLESS, MALFORMED])
def test_a_stray_cancel_is_taken_or_refused(rule_id: str, status: int) -> None:
    assert isinstance(verdict(rule_id, to_the_end(stray(NAMED[rule_id], status=status))), Pass)


@pytest.mark.parametrize("named", ["c-1", 7])
def test_745_also_a_cancel_of_what_is_over(named: Any) -> None:
    assert isinstance(verdict(POINTLESS, to_the_end(stray(named, t=12.0))), Pass)


@pytest.mark.parametrize("named", [None, 1.5, True, {"id": 1}])
def test_746_each_is_malformed_and_none_is_pointless(named: Any) -> None:
    assert isinstance(verdict(MALFORMED, to_the_end(stray(named))), Pass)
    assert isinstance(verdict(POINTLESS, to_the_end(stray(named))), NotExercised)


@pytest.mark.parametrize("more", [{"status": 500}, {"status": None, "how": "rst"}])
@pytest.mark.parametrize("rule_id", [POINTLESS, MALFORMED])
def test_a_stray_cancel_is_an_internal_error(rule_id: str, more: dict[str, Any]) -> None:
    found = failure(rule_id, stray(NAMED[rule_id], **more))
    assert (found.charged_to, found.symptom) == (Hop.GATEWAY, "stray-cancel-does-harm")


def ended_beside(named: Any) -> Story:
    """As `stray`, but the call beside ends without an answer on both sides."""
    story = opened()
    story.exchange(session="s-1", request=call("n-1", "c-1"), t=10.0, sse=[], after=0.6)
    story.exchange(backend=True, session="b-1", request=call("n-1", 7), t=10.1, sse=[], after=0.45)
    cancel(story, named, 10.5)
    return story


@pytest.mark.parametrize("rule_id", [POINTLESS, MALFORMED])
def test_a_stray_cancel_ends_a_call(rule_id: str) -> None:
    story = ended_beside(NAMED[rule_id])
    cancel(story, 7, 10.52, backend=True)
    found = failure(rule_id, story)
    assert (found.charged_to, found.symptom) == (Hop.GATEWAY, "stray-cancel-does-harm")


def test_745_the_backend_ends_it_unasked() -> None:
    assert failure(POINTLESS, ended_beside("c-9")).charged_to is Hop.BACKEND


@pytest.mark.parametrize("rule_id", [POINTLESS, MALFORMED])
def test_a_stray_cancel_ends_the_session(rule_id: str) -> None:
    found = failure(rule_id, to_the_end(stray(NAMED[rule_id]), sse=None, status=404))
    assert found.symptom == "cancel-poisons-session"


@pytest.mark.parametrize(("until", "kind"), [(12.0, Pass), (16.0, Fail)])
def test_745_a_call_beside_is_given_time(until: float, kind: type[Verdict]) -> None:
    story = opened()
    story.exchange(session="s-1", request=call("n-1", "c-1"), t=10.0, sse=[], how="abandoned", length=until - 10.0)
    cancel(story, "c-9", 10.5)
    assert isinstance(verdict(POINTLESS, to_the_end(story)), kind)


# MGC748 --------------------------------------------------------------------------------------------------------------


def answered_late(*, how: str = "complete", heard: bool = True, told: bool = True) -> Story:
    """A call that is cancelled at 10.5, and that the backend answers at 11.5 all the same, if the gateway listens."""
    story = opened()
    story.exchange(session="s-1", request=call("n-1", "c-1"), t=10.0, sse=[], after=0.01, length=0.55)
    said = [answer("n-1", 7)] if heard else []
    story.exchange(
        backend=True, session="b-1", request=call("n-1", 7), t=10.01, sse=said, after=1.5 if heard else 0.6, how=how
    )
    cancel(story, "c-1", 10.5)
    if told:
        cancel(story, 7, 10.52, backend=True)
    return story


@pytest.mark.parametrize("story", [answered_late(), answered_late(how="abandoned", heard=False)])
def test_748_nobody_minds(story: Story) -> None:
    assert isinstance(verdict("MGC748", to_the_end(story)), Pass)


def test_748_the_backend_stopped() -> None:
    story = given_up()
    cancel(story, 7, 10.52, backend=True)
    assert isinstance(verdict("MGC748", to_the_end(story)), NotExercised)


def test_748_the_backend_was_not_told() -> None:
    assert isinstance(verdict("MGC748", to_the_end(answered_late(told=False))), NotApplicable)


def test_748_the_session_breaks() -> None:
    found = failure("MGC748", to_the_end(answered_late(), status=400, sse=None))
    assert (found.charged_to, found.symptom) == (Hop.GATEWAY, "cancel-poisons-session")


def test_748_the_session_was_broken_before() -> None:
    story = answered_late()
    story.listing(t=10.8, status=404, sse=None)
    assert isinstance(verdict("MGC748", to_the_end(story, status=404, sse=None)), Inconclusive)


@pytest.mark.parametrize("asked", [{"request": call("n-2", "c-2")}, {"method": "GET"}])
def test_748_the_answer_goes_elsewhere(asked: dict[str, Any]) -> None:
    story = answered_late()
    story.exchange(session="s-1", t=11.4, sse=[answer("n-1", "c-2")], after=0.2, **asked)
    assert failure("MGC748", story).symptom == "response-crosswire"


# MGC749 --------------------------------------------------------------------------------------------------------------


def left(t: float = 10.5, *, how: str = "abandoned") -> Story:
    """A call of which the client's connection ends at `t`."""
    story = opened()
    begun = {"session": "s-1", "request": call("n-1", "c-1"), "t": 10.0, "sse": []}
    exchange = story.exchange(length=t - 10.01, how=how, **begun)
    story.leave(exchange, t=t)
    story.exchange(backend=True, session="b-1", request=call("n-1", 7), t=10.1, sse=[answer("n-1", 7)], after=1.0)
    return story


def test_749_the_backend_works_on() -> None:
    assert isinstance(verdict("MGC749", left()), Pass)


def test_749_the_backend_is_told_to_stop() -> None:
    story = left()
    cancel(story, 7, 10.52, backend=True)
    found = failure("MGC749", story)
    assert (found.charged_to, found.observed) == (Hop.GATEWAY, "the backend was told to cancel 0.02 s after the end")


def test_749_a_cancel_of_another_request_is_another_matter() -> None:
    story = left()
    story.exchange(backend=True, session="b-1", request=call("n-2", 8), t=10.1, sse=[], how=None)
    cancel(story, 8, 10.52, backend=True)
    assert isinstance(verdict("MGC749", story), Pass)


@pytest.mark.parametrize(("at", "kind"), [(10.51, Pass), (10.6, Fail)])
def test_749_a_session_that_its_client_ends_takes_its_calls_with_it(at: float, kind: type) -> None:
    story = left()
    story.exchange(session="s-1", method="DELETE", status=204, t=at)
    cancel(story, 7, 10.52, backend=True)
    assert isinstance(verdict("MGC749", story), kind)


def test_749_the_client_cancelled_as_well() -> None:
    story = left()
    cancel(story, "c-1", 10.4)
    cancel(story, 7, 10.52, backend=True)
    assert isinstance(verdict("MGC749", story), NotExercised)


def test_749_the_call_was_over() -> None:
    story = opened()
    done = story.exchange(session="s-1", request=call("n-1", "c-1"), t=10.0, sse=[answer("n-1", "c-1")])
    story.leave(done, t=10.5)
    story.exchange(backend=True, session="b-1", request=call("n-1", 7), t=10.005, sse=[answer("n-1", 7)], after=0.004)
    assert isinstance(verdict("MGC749", story), NotExercised)


# MGC747 --------------------------------------------------------------------------------------------------------------


def opening() -> Story:
    """A client that leaves at 11.0, while its gateway waits for the backend's answer to initialize until 13.0."""
    story = Story().at(10.0)
    exchange = story.initialize(session=None, status=None, sse=None, how=None)
    story.end(exchange, how="abandoned", t=11.0)
    story.leave(exchange, t=11.0)
    story.initialize(backend=True, session="b-1", t=10.1, after=2.9)
    return story


def test_747_initialize_goes_on() -> None:
    assert isinstance(verdict("MGC747", opening()), Pass)


@pytest.mark.parametrize("session", ["", "b-1"])
def test_747_initialize_is_cancelled(session: str) -> None:
    story = opening()
    cancel(story, 0, 11.1, backend=True, session=session, status=400)
    assert failure("MGC747", story).charged_to is Hop.GATEWAY


def test_747_over_stdio() -> None:
    story = Story().at(10.0)
    exchange = story.initialize(session=None, status=None, sse=None, how=None)
    story.end(exchange, how="abandoned", t=11.0)
    story.leave(exchange, t=11.0)
    story.stdio_start(t=10.1)
    story.stdio("up", request("initialize", 1), t=10.2)
    story.stdio("up", notification(CANCELLED, requestId=1), t=11.1)
    story.stdio("down", result(1), t=13.0)
    failure("MGC747", story)


def test_747_an_equal_id_in_another_session() -> None:
    story = opening()
    story.exchange(backend=True, session="b-0", request=call("n-1", 0), t=9.0, sse=[], how=None)
    cancel(story, 0, 11.1, backend=True, session="b-0")
    assert isinstance(verdict("MGC747", story), Pass)


def test_747_nobody_left() -> None:
    assert isinstance(verdict("MGC747", to_the_end(opened())), NotExercised)


# MGC750 --------------------------------------------------------------------------------------------------------------


def silent(*, given_up_after: float | None = None) -> Story:
    """A call that the backend never answers, and that its gateway ends with an error, or never."""
    story = opened()
    story.stimulus("call.never-answered", claimed=given_up_after)
    begun = {"session": "s-1", "request": call("n-1", "c-1"), "t": 10.0}
    if given_up_after is None:
        story.exchange(sse=[], how="abandoned", length=12.0, **begun)
    else:
        story.exchange(sse=[error("c-1", -32001)], after=given_up_after, **begun)
    story.exchange(backend=True, session="b-1", request=call("n-1", 7), t=10.01, sse=[], how=None)
    return story


def test_750_what_is_given_up_is_cancelled() -> None:
    story = silent(given_up_after=3.0)
    cancel(story, 7, 13.05, backend=True)
    assert isinstance(verdict("MGC750", to_the_end(story)), Pass)


def test_750_what_is_given_up_runs_on() -> None:
    found = failure("MGC750", to_the_end(silent(given_up_after=3.0)))
    assert found.charged_to is Hop.GATEWAY


def test_750_a_stream_that_is_cut_without_an_answer_was_not_given_up() -> None:
    story = opened()
    story.stimulus("call.never-answered", claimed=3.0)
    story.exchange(session="s-1", request=call("n-1", "c-1"), t=10.0, sse=[], length=3.0)
    story.exchange(backend=True, session="b-1", request=call("n-1", 7), t=10.01, sse=[], how=None)
    assert isinstance(verdict("MGC750", to_the_end(story)), NotApplicable)


def test_750_not_watched_for_long_enough() -> None:
    assert isinstance(verdict("MGC750", silent(given_up_after=3.0)), Inconclusive)


def test_750_what_is_kept_is_not_cancelled() -> None:
    story = silent()
    cancel(story, "c-1", 22.0)
    cancel(story, 7, 22.05, backend=True)
    assert isinstance(verdict("MGC750", to_the_end(story, t=30.0)), Pass)


def test_750_cancelled_behind_the_clients_back() -> None:
    story = silent()
    cancel(story, 7, 13.0, backend=True)
    cancel(story, "c-1", 22.0)
    assert "left to wait" in failure("MGC750", to_the_end(story, t=30.0)).observed


def test_750_nobody_was_silent() -> None:
    assert isinstance(verdict("MGC750", to_the_end(opened())), NotExercised)
