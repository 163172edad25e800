"""Family transparency on hand-written evidence: the form of responses, errors and notifications."""

from __future__ import annotations

from typing import Any

import pytest

from conformance.evidence.events import Hop
from conformance.evidence.transcript import Transcript
from conformance.rules.all import rule_named
from conformance.rules.base import Inputs, judge
from conformance.rules.verdicts import Fail, NotApplicable, NotExercised, Pass, Verdict
from tests.evidence_builder import Story, error, notification, request, result

LOG = "notifications/message"
UNKNOWN = "notifications/com.example.unknown"


def verdict(rule_id: str, through: Transcript) -> Verdict:
    rule = rule_named(rule_id)
    assert rule is not None
    return judge(rule, Inputs(through))


def failure(rule_id: str, story: Story, **header: Any) -> Fail:
    found = verdict(rule_id, story.transcript(**header))
    assert isinstance(found, Fail), found
    assert found.events
    assert found.symptom == "malformed-message"
    return found


def session() -> Story:
    """A session with one call, linked and well answered on both sides."""
    story = Story()
    story.connect()
    story.connect(backend=True, session="b-1")
    begin = story.now
    story.call(t=begin, after=0.2)
    story.call(backend=True, session="b-1", t=begin + 0.05, after=0.05)
    return story.at(begin + 1.0)


def refusing(answer: dict[str, Any], *, status: int = 200) -> Story:
    """A session in which a request is answered with `answer`, which is some kind of error."""
    story = session()
    story.exchange(session="s-1", request=request("com.example/unknown", 5), response=answer, status=status)
    return story


@pytest.mark.parametrize(("number", "revision"), [(706, "2025-06-18"), *((n, "2025-11-25") for n in (707, 708, 711))])
def test_nothing_observed_is_not_exercised(number: int, revision: str) -> None:
    story = Story()
    story.connect()
    assert isinstance(verdict(f"MGC{number}", story.transcript(revision=revision)), NotExercised)


@pytest.mark.parametrize("number", [709, 710, 712])
def test_without_notifications_of_the_backend_nothing_is_exercised(number: int) -> None:
    story = Story()
    story.initialize()
    assert isinstance(verdict(f"MGC{number}", story.transcript()), NotExercised)


# MGC706, MGC707 ------------------------------------------------------------------------------------------------------

EITHER = pytest.mark.parametrize(("rule_id", "revision"), [("MGC706", "2025-06-18"), ("MGC707", "2025-11-25")])


@EITHER
def test_results_and_errors_of_the_right_form_pass(rule_id: str, revision: str) -> None:
    story = refusing(error(5, -32601))
    story.exchange(session="s-1", request=request("x", 6), status=401, response={"error": "unauthorized"})
    assert isinstance(verdict(rule_id, story.transcript(revision=revision)), Pass)


@EITHER
@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"result": {}, "error": None}, "both"),
        ({}, "neither"),
        ({"error": None}, "no object"),
        ({"error": {"code": "ECONNRESET", "message": "m"}}, "'ECONNRESET'"),
        ({"error": {"code": -32000.5, "message": "m"}}, "-32000.5"),
        ({"error": {"code": True, "message": "m"}}, "True"),
        ({"error": {"code": -32000}}, "message is None"),
    ],
)
def test_a_response_of_another_form_fails(rule_id: str, revision: str, change: dict[str, Any], said: str) -> None:
    story = refusing(error(5, -32601))
    story.exchange(session="s-1", request=request("x", 6), sse=[{"jsonrpc": "2.0", "id": 6} | change])
    found = failure(rule_id, story, revision=revision)
    assert said in found.observed
    assert found.charged_to is Hop.GATEWAY


def test_the_backend_s_own_malformed_response_is_charged_to_it() -> None:
    story = refusing(error(5, -32601))
    begin, both = story.now, {"jsonrpc": "2.0", "id": 1, "result": {}, "error": None}
    story.call(nonce="n-2", sse=[both], t=begin, after=0.2)
    story.call(nonce="n-2", sse=[both], t=begin + 0.05, after=0.05, backend=True, session="b-1")
    assert failure("MGC707", story).charged_to is Hop.BACKEND


# MGC708 --------------------------------------------------------------------------------------------------------------


def test_an_error_with_its_request_s_id_passes() -> None:
    assert isinstance(verdict("MGC708", refusing(error(5)).transcript()), Pass)


@pytest.mark.parametrize("wrong", [None, "5", 6, 5.0])
def test_an_error_with_another_id_fails(wrong: Any) -> None:
    assert repr(wrong) in failure("MGC708", refusing(error(wrong))).observed


def test_under_an_http_error_the_id_may_be_left_out() -> None:
    assert isinstance(verdict("MGC708", refusing(error(None), status=400).transcript()), NotApplicable)


def test_an_id_that_is_none_cannot_be_repeated() -> None:
    story = refusing(error(5))
    story.exchange(session="s-1", request=request("tools/list", None), response=error(None, -32600))
    assert isinstance(verdict("MGC708", story.transcript()), Pass)


# MGC709, MGC710 ------------------------------------------------------------------------------------------------------


def news(story: Story, message: dict[str, Any], *, backend: bool = False) -> None:
    """Add a GET stream with one message: of the gateway for its client, or of the backend for the gateway."""
    owner = {"backend": True, "session": "b-1"} if backend else {"session": "s-1"}
    story.exchange(method="GET", sse=[message], **owner)  # type: ignore[arg-type]


def test_notifications_without_ids_pass() -> None:
    story = session()
    news(story, notification(LOG), backend=True)
    news(story, notification(LOG))
    for rule_id in ("MGC709", "MGC710", "MGC712"):
        assert isinstance(verdict(rule_id, story.transcript()), Pass), rule_id


@pytest.mark.parametrize(("theirs", "hop"), [(notification(LOG), Hop.GATEWAY), (request(LOG, 9), Hop.BACKEND)])
def test_a_notification_with_an_id_fails(theirs: dict[str, Any], hop: Hop) -> None:
    story = session()
    news(story, theirs, backend=True)
    news(story, request(LOG, 3))
    found = failure("MGC709", story)
    assert found.charged_to is hop
    assert "(3)" in found.observed


def test_a_gateway_that_relays_nothing_has_nothing_to_number() -> None:
    story = session()
    news(story, notification(LOG), backend=True)
    assert isinstance(verdict("MGC709", story.transcript()), NotApplicable)


def test_a_notification_to_the_backend_with_an_id_fails() -> None:
    story = session()
    story.exchange(backend=True, session="b-1", request=request("notifications/cancelled", None), status=202)
    assert "notifications/cancelled" in failure("MGC710", story).observed


# MGC711, MGC712 ------------------------------------------------------------------------------------------------------


def told(**answer: Any) -> Story:
    """A session in which an unknown notification gets `answer`."""
    story = session()
    story.exchange(session="s-1", request=notification(UNKNOWN), **answer)
    return story


@pytest.mark.parametrize("answer", [{"status": 202}, {"status": 400, "response": error(None, -32600)}])
def test_a_notification_that_gets_no_response_passes(answer: dict[str, Any]) -> None:
    assert isinstance(verdict("MGC711", told(**answer).transcript()), Pass)


@pytest.mark.parametrize(
    "answer", [{"response": error(None)}, {"sse": [result(None)]}, {"status": 202, "sse": [error(0)]}]
)
def test_a_response_to_a_notification_fails(answer: dict[str, Any]) -> None:
    assert UNKNOWN in failure("MGC711", told(**answer)).observed


def test_a_response_to_a_notification_on_the_get_stream_fails() -> None:
    story = told(status=202)
    news(story, error(None, -32601))
    assert failure("MGC711", story).charged_to is Hop.GATEWAY
    news(story, error(None, -32601), backend=True)
    assert failure("MGC711", story).charged_to is Hop.BACKEND


def test_an_answered_question_of_the_backend_passes() -> None:
    story = session()
    news(story, notification(LOG), backend=True)
    news(story, request("ping", 77), backend=True)
    story.exchange(backend=True, session="b-1", request=result(77), status=202)
    assert isinstance(verdict("MGC712", story.transcript()), Pass)


@pytest.mark.parametrize("unasked", [error(None, -32601), result(78), result("77")])
def test_an_answer_that_nobody_asked_for_fails(unasked: dict[str, Any]) -> None:
    story = session()
    news(story, request("ping", 77), backend=True)
    news(story, notification(LOG), backend=True)
    story.exchange(backend=True, session="b-1", request=unasked, status=400)
    assert failure("MGC712", story).charged_to is Hop.GATEWAY


def test_answers_to_a_backend_without_sessions_are_not_judged() -> None:
    story = session()
    news(story, notification(LOG), backend=True)
    story.exchange(backend=True, request=result(78), status=202)
    assert isinstance(verdict("MGC712", story.transcript()), Pass)
