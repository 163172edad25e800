"""Family transparency, what a cancel does (MGC741 to MGC744): good and bad evidence, written by hand."""

from __future__ import annotations

from typing import Any

import pytest

from conformance.diagnosis.classify import classify
from conformance.evidence.events import Hop
from conformance.rules.all import rule_named
from conformance.rules.base import Inputs
from conformance.rules.verdicts import Fail, Inconclusive, NotApplicable, NotExercised, Pass, Verdict
from tests.cancellation_stories import answer, call, cancel, failure, given_up, opened, to_the_end, verdict
from tests.evidence_builder import Story, error, request, result

# MGC741 --------------------------------------------------------------------------------------------------------------


def test_741_the_backend_hears_of_it() -> None:
    story = given_up()
    cancel(story, 7, 10.52, backend=True)
    assert isinstance(verdict("MGC741", to_the_end(story)), Pass)


def test_741_the_backend_hears_nothing() -> None:
    found = failure("MGC741", to_the_end(given_up(stopped=None)))
    assert found.charged_to is Hop.GATEWAY
    assert "none came in" in found.observed


@pytest.mark.parametrize(("told", "wanted"), [(12.6, "cancel-not-propagated"), (10.52, "cancelled-call-left-open")])
def test_743_what_the_backend_hears_when_the_client_has_left_is_not_the_cancel(told: float, wanted: str) -> None:
    story = opened()
    kept = story.exchange(session="s-1", request=call("n-1", "c-1"), t=10.01, sse=[], how="abandoned", length=2.5)
    story.exchange(backend=True, session="b-1", request=call("n-1", 7), t=10.02, sse=[], how=None)
    cancel(story, "c-1", 10.5)
    story.leave(kept, t=12.55)
    cancel(story, 7, told, backend=True)
    inputs = Inputs(to_the_end(story).transcript())
    subject = rule_named("MGC743")
    assert subject is not None
    assert classify(subject, failure("MGC743", story), inputs).failure_class == wanted


def test_741_calls_that_are_given_up_later_show_no_poisoned_session() -> None:
    story = given_up(stopped=None)
    story.exchange(session="s-1", request=call("n-2", "c-2"), t=11.0, sse=None, status=None, how="abandoned")
    cancel(story, "c-2", 11.2)
    story = to_the_end(story)
    found = failure("MGC741", story)
    subject = rule_named("MGC741")
    assert subject is not None
    assert classify(subject, found, Inputs(story.transcript())).failure_class == "cancel-not-propagated"


def test_741_another_session_of_the_backend_does_not_count() -> None:
    story = given_up(stopped=None)
    cancel(story, 7, 10.52, backend=True, session="b-2")
    failure("MGC741", to_the_end(story))


def two_given_up() -> Story:
    """Two calls under way, each cancelled 0.1 s after the other; the backend goes on with both."""
    story = given_up(stopped=None)
    story.exchange(session="s-1", request=call("n-2", 2), t=10.03, sse=[], length=0.6)
    story.exchange(backend=True, session="b-1", request=call("n-2", 8), t=10.04, sse=[], how=None)
    cancel(story, 2, 10.6)
    return story


@pytest.mark.parametrize("told", [7, 8])
@pytest.mark.parametrize("t", [10.61, 11.9])
def test_741_the_cancel_of_another_call_does_not_count(told: int, t: float) -> None:
    story = two_given_up()
    cancel(story, told, t, backend=True)
    failure("MGC741", to_the_end(story))


def test_741_each_call_has_its_own_cancel() -> None:
    story = two_given_up()
    for told, t in ((8, 10.62), (7, 10.63)):
        cancel(story, told, t, backend=True)
    found = verdict("MGC741", to_the_end(story))
    assert isinstance(found, Pass)
    assert "2 cancel(s)" in found.observed


@pytest.mark.parametrize(("told", "kind"), [(("x", "y"), Pass), (("x",), Fail), ((7, "y"), Pass), ((9,), Fail)])
def test_741_a_cancel_with_a_wrong_id_counts_for_one_call(told: tuple[Any, ...], kind: type[Verdict]) -> None:
    story = two_given_up()
    for named in told:
        cancel(story, named, 10.62, backend=True)
    assert isinstance(verdict("MGC741", to_the_end(story)), kind)


def test_741_a_cancel_of_a_call_that_was_answered_by_then_does_not_count() -> None:
    story = given_up(stopped=None)
    story.exchange(session="s-1", request=call("n-2", 2), t=10.03, sse=[answer("n-2", 2)], after=0.5)
    story.exchange(backend=True, session="b-1", request=call("n-2", 8), t=10.04, sse=[], how=None)
    cancel(story, 2, 10.6)
    cancel(story, 8, 10.61, backend=True)
    failure("MGC741", to_the_end(story))


@pytest.mark.parametrize(("t", "kind"), [(11.9, Pass), (12.1, Fail)])
def test_741_a_wrong_id_counts_for_as_long_as_a_cancel_may_take(t: float, kind: type[Verdict]) -> None:
    story = given_up(stopped=None)
    cancel(story, "x", t, backend=True)
    assert isinstance(verdict("MGC741", to_the_end(story)), kind)


@pytest.mark.parametrize(
    ("left", "taken", "kind"),
    [
        (None, 0.01, Pass),
        (12.55, 0.01, Fail),
        (12.55, 2.05, Pass),  # a busy gateway, which came to the cancel just then
    ],
)
def test_741_a_cancel_that_comes_once_the_client_has_left_may_be_for_that(
    left: float | None, taken: float, kind: type[Verdict]
) -> None:
    story = opened()
    kept = story.exchange(session="s-1", request=call("n-1", "c-1"), t=10.01, sse=[], how=None)
    story.exchange(backend=True, session="b-1", request=call("n-1", 7), t=10.02, sse=[], how=None)
    cancel(story, "c-1", 10.5, after=taken)
    if left is not None:
        story.leave(kept, t=left)
    cancel(story, 7, 12.6, backend=True)
    assert isinstance(verdict("MGC741", to_the_end(story)), kind)


def test_741_the_backend_was_done() -> None:
    story = opened()
    story.exchange(session="s-1", request=call("n-1", "c-1"), t=10.0, sse=[answer("n-1", "c-1")], after=0.7)
    story.exchange(backend=True, session="b-1", request=call("n-1", 7), t=10.1, sse=[answer("n-1", 7)], after=0.5)
    cancel(story, "c-1", 10.5)
    assert isinstance(verdict("MGC741", to_the_end(story)), Inconclusive)


def test_741_a_call_that_a_busy_gateway_sends_after_its_cancel_was_soon_done() -> None:
    story = opened()
    story.exchange(session="s-1", request=call("n-1", "c-1"), t=10.0, sse=[answer("n-1", "c-1")], after=9.0)
    cancel(story, "c-1", 10.5)
    story.exchange(backend=True, session="b-1", request=call("n-1", 7), t=18.0, sse=[answer("n-1", 7)], after=0.3)
    assert isinstance(verdict("MGC741", to_the_end(story)), Inconclusive)


def test_741_the_harness_lagged() -> None:
    story = given_up(stopped=None)
    story.lag(8.0, t=12.0)
    assert isinstance(verdict("MGC741", to_the_end(story)), Inconclusive)


@pytest.mark.parametrize("rule_id", ["MGC741", "MGC743"])
def test_without_sessions_a_cancel_belongs_to_nothing(rule_id: str) -> None:
    assert isinstance(verdict(rule_id, given_up(session=None)), NotApplicable)


def test_741_a_cancel_refused_behind_another_is_not_judged() -> None:
    story = given_up()
    cancel(story, 7, 10.52, backend=True)
    story.exchange(session="s-1", request=call("n-2", "c-2"), t=10.03, sse=[], how=None)
    story.exchange(backend=True, session="b-1", request=call("n-2", 8), t=10.04, sse=[], how=None)
    cancel(story, "c-2", 10.7, status=404)
    assert isinstance(verdict("MGC741", to_the_end(story)), Pass)


@pytest.mark.parametrize("rule_id", ["MGC741", "MGC742", "MGC743", "MGC744"])
def test_nobody_cancelled(rule_id: str) -> None:
    assert isinstance(verdict(rule_id, to_the_end(opened())), NotExercised)


# MGC742 --------------------------------------------------------------------------------------------------------------


def test_742_its_own_request() -> None:
    story = given_up()
    cancel(story, 7, 10.52, backend=True)
    assert isinstance(verdict("MGC742", story), Pass)


@pytest.mark.parametrize("id", ["c-1", "7", 8, None])
def test_742_no_request_of_that_session(id: Any) -> None:
    story = given_up()
    cancel(story, id, 10.52, backend=True)
    assert "is the id of no request" in failure("MGC742", story).observed


@pytest.mark.parametrize(("later", "kind"), [(0.004, Pass), (0.6, Fail)])
def test_742_a_cancel_may_overtake_its_request_on_another_connection(later: float, kind: type[Verdict]) -> None:
    story = given_up()
    cancel(story, 7, 10.52, backend=True)
    cancel(story, 8, 10.53, backend=True)
    story.exchange(backend=True, session="b-1", request=call("n-2", 8), t=10.53 + later, sse=[answer("n-2", 8)])
    assert isinstance(verdict("MGC742", story), kind)


@pytest.mark.parametrize(("given_up_at", "kind"), [(10.3, Pass), (None, Fail)])
def test_742_a_call_may_be_given_up_before_it_is_sent(given_up_at: float | None, kind: type[Verdict]) -> None:
    story = given_up()
    story.exchange(session="s-1", request=call("n-2", "c-2"), t=10.2, sse=[], after=0.3)
    cancel(story, 7, 10.52, backend=True)
    cancel(story, 8, 10.53, backend=True)
    if given_up_at is not None:
        cancel(story, "c-2", given_up_at)
    assert isinstance(verdict("MGC742", story), kind)


def test_742_a_busy_gateway_knows_of_a_cancel_when_it_has_answered_it() -> None:
    story = given_up()
    story.exchange(session="s-1", request=call("n-2", "c-2"), t=10.2, sse=[], after=4.0)
    cancel(story, 7, 10.52, backend=True)
    cancel(story, "c-2", 10.3, after=4.0)
    cancel(story, 8, 14.4, backend=True)
    assert isinstance(verdict("MGC742", story), Pass)


@pytest.mark.parametrize(("ended_at", "kind"), [(14.5, Pass), (11.0, Fail)])
def test_742_a_busy_gateway_is_at_a_cancel_until_it_ends_the_call(ended_at: float, kind: type[Verdict]) -> None:
    story = given_up()
    story.exchange(session="s-1", request=call("n-2", "c-2"), t=10.2, sse=[], after=0.1, length=ended_at - 10.3)
    cancel(story, 7, 10.52, backend=True)
    cancel(story, "c-2", 10.4, after=0.05)
    cancel(story, 8, 14.4, backend=True)
    assert isinstance(verdict("MGC742", story), kind)


def test_742_a_request_that_was_over() -> None:
    story = given_up()
    story.exchange(session="s-1", request=call("n-0", "c-0"), t=7.99, sse=[answer("n-0", "c-0")], after=0.1)
    story.exchange(backend=True, session="b-1", request=call("n-0", 6), t=8.0, sse=[answer("n-0", 6)])
    cancel(story, 6, 10.52, backend=True)
    assert "had been over" in failure("MGC742", story).observed


def test_742_a_clients_cancel_in_time_may_be_handed_on_late() -> None:
    story = given_up()
    story.exchange(session="s-1", request=call("n-0", "c-0"), t=10.0, sse=[answer("n-0", "c-0")], after=0.6)
    story.exchange(backend=True, session="b-1", request=call("n-0", 6), t=10.01, sse=[answer("n-0", 6)], after=0.5)
    cancel(story, "c-0", 10.3)
    cancel(story, 6, 12.0, backend=True)
    assert isinstance(verdict("MGC742", story), Pass)


@pytest.mark.parametrize(("t", "kind"), [(2.0, Fail), (8.0, Pass)])
def test_742_an_answer_that_nobody_was_waiting_for_may_be_unread(t: float, kind: type[Verdict]) -> None:
    story = given_up()
    story.exchange(backend=True, session="b-1", request=request("tools/list", 6), t=t, sse=[result(6, tools=[])])
    cancel(story, 6, 10.52, backend=True)
    cancel(story, 7, 10.53, backend=True)
    assert isinstance(verdict("MGC742", story), kind)


def test_742_another_call() -> None:
    story = given_up(stopped=None)
    story.exchange(backend=True, session="b-1", request=call("n-2", 8), t=10.1, sse=[], how=None)
    cancel(story, 8, 10.52, backend=True)
    assert "was named" in failure("MGC742", story).observed


def test_742_a_relay_hands_a_clients_own_mistake_on() -> None:
    story = given_up()
    cancel(story, 7, 10.52, backend=True)
    cancel(story, "nothing", 12.0)
    cancel(story, "nothing", 12.01, backend=True)
    assert isinstance(verdict("MGC742", story), Pass)


def test_742_whose_cancel_it_was_may_be_unknown() -> None:
    story = given_up()
    cancel(story, "nothing", 10.51)
    cancel(story, "nothing", 10.52, backend=True)
    assert isinstance(verdict("MGC742", story), Inconclusive)


def test_742_nothing_was_sent() -> None:
    assert isinstance(verdict("MGC742", given_up()), NotApplicable)


# MGC743 --------------------------------------------------------------------------------------------------------------


def test_743_the_response_ends() -> None:
    assert isinstance(verdict("MGC743", given_up()), Pass)


def test_743_an_error_is_an_end() -> None:
    story = opened()
    story.exchange(session="s-1", request=call("n-1", "c-1"), t=10.0, sse=[error("c-1", -32800)], after=0.6)
    story.exchange(backend=True, session="b-1", request=call("n-1", 7), t=10.01, sse=[], after=0.01, length=0.55)
    cancel(story, "c-1", 10.5)
    assert isinstance(verdict("MGC743", story), Pass)


def test_743_the_response_stays_open() -> None:
    story = given_up(ends=None)
    cancel(story, 7, 10.52, backend=True)
    found = failure("MGC743", to_the_end(story))
    assert (found.charged_to, found.symptom) == (Hop.GATEWAY, "cancelled-call-left-open")


@pytest.mark.parametrize(("beside", "ends", "kind"), [(0, 13.0, Fail), (8, 13.0, Pass), (8, 17.0, Fail)])
def test_743_in_a_crowd_of_requests_a_gateway_may_be_busy(beside: int, ends: float, kind: type[Verdict]) -> None:
    story = given_up(ends=ends, stopped=None)
    for number in range(beside):
        story.exchange(session="s-1", request=call(f"n-2{number}", f"c-2{number}"), t=10.1, sse=[], length=1.0)
    assert isinstance(verdict("MGC743", to_the_end(story)), kind)


@pytest.mark.parametrize(("taken", "kind"), [(2.0, Fail), (4.0, Inconclusive)])
def test_743_a_cancel_that_is_taken_when_nobody_waits_any_more(taken: float, kind: type[Verdict]) -> None:
    assert isinstance(verdict("MGC743", to_the_end(given_up(ends=13.0, stopped=None, taken=taken))), kind)


def test_743_as_the_backend_left_its_own() -> None:
    story = given_up(ends=None, stopped=None)
    cancel(story, 7, 10.52, backend=True)
    assert failure("MGC743", to_the_end(story)).charged_to is Hop.BACKEND


def test_743_the_backend_was_never_told() -> None:
    found = failure("MGC743", to_the_end(given_up(ends=None, stopped=None)))
    assert (found.charged_to, found.symptom) == (Hop.GATEWAY, "cancel-not-propagated")


def test_743_the_backend_was_quicker() -> None:
    story = opened()
    story.exchange(session="s-1", request=call("n-1", "c-1"), t=10.0, sse=[answer("n-1", "c-1")], after=3.0)
    story.exchange(backend=True, session="b-1", request=call("n-1", 7), t=10.1, sse=[answer("n-1", 7)], after=0.5)
    cancel(story, "c-1", 10.5)
    assert isinstance(verdict("MGC743", story), Inconclusive)


def test_743_not_watched_for_long_enough() -> None:
    assert isinstance(verdict("MGC743", given_up(ends=None)), Inconclusive)


# MGC744 --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("pause", "kind"), [(5.0, Pass), (0.1, Fail)])
def test_744_a_request_may_meet_the_end_of_an_idle_connection(pause: float, kind: type[Verdict]) -> None:
    story = to_the_end(given_up())
    conn = int(
        story.exchange(request=call("n-8", "c-8"), session="s-1", t=21.0, sse=[answer("n-8", "c-8")]).split("/")[1]
    )
    story.exchange(
        request=call("n-7", "c-7"), session="s-1", t=21.1 + pause, status=None, sse=None, how="rst", conn=conn
    )
    assert isinstance(verdict("MGC744", story), kind)


def test_744_the_session_lives_on() -> None:
    assert isinstance(verdict("MGC744", to_the_end(given_up())), Pass)


@pytest.mark.parametrize(
    "more",
    [{"status": 404, "sse": None, "response": error(None)}, {"sse": []}, {"status": None, "sse": None, "how": "rst"}],
)
def test_744_the_session_is_dead(more: dict[str, Any]) -> None:
    found = failure("MGC744", to_the_end(given_up(), **more))
    assert (found.charged_to, found.symptom) == (Hop.GATEWAY, "cancel-poisons-session")


def test_744_the_backends_session_is_dead() -> None:
    story = to_the_end(given_up(), status=404, sse=None)
    story.exchange(backend=True, session="b-1", request=call("n-9", 9), t=20.001, status=404)
    assert failure("MGC744", story).charged_to is Hop.BACKEND


def test_744_a_call_that_its_cancel_overtook_was_cancelled() -> None:
    story = given_up()
    cancel(story, "late", 11.0)
    story.exchange(session="s-1", request=call("n-5", "late"), t=11.2, sse=[], how="abandoned", length=6.0)
    assert isinstance(verdict("MGC744", to_the_end(story)), Pass)


def test_744_a_cancelled_call_is_answered_twice() -> None:
    story = opened()
    twice = [answer("n-1", "c-1"), error("c-1", -32800)]
    story.exchange(session="s-1", request=call("n-1", "c-1"), t=10.0, sse=twice, after=0.6)
    cancel(story, "c-1", 10.5)
    assert "2 responses" in failure("MGC744", to_the_end(story)).observed


def test_744_another_calls_result() -> None:
    found = failure("MGC744", to_the_end(given_up(), sse=[answer("n-1", "c-9")]))
    assert found.symptom == "response-crosswire"
