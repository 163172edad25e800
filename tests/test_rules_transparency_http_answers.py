"""The rules of suite transparency on what a backend answers and offers, on hand-written evidence."""

import pytest

from conformance.diagnosis.classify import classify
from conformance.evidence.events import Hop
from conformance.rules.all import rule_named
from conformance.rules.base import Inputs, judge
from conformance.rules.verdicts import Fail, NotApplicable, NotExercised, Pass
from tests.evidence_builder import Story, error, request, result

ANSWERS = ["MGC725", "MGC734", "MGC735", "MGC736"]
TEXT = [{"type": "text", "text": "found"}]
GOOD = {"sse": [result(1, content=TEXT)]}
FAILED = {"sse": [error(1, -32000)]}
HTTP_500 = {"sse": None, "status": 500, "body": "Internal Server Error"}


def verdict(rule_id, story):
    return judge(rule_named(rule_id), Inputs(story.transcript()))


@pytest.mark.parametrize("rule_id", ANSWERS)
def test_nothing_seen_is_not_exercised(rule_id):
    assert isinstance(verdict(rule_id, Story()), NotExercised)


def declares(capabilities, method, **answer):
    story = Story()
    told = result(0, protocolVersion="2025-11-25", capabilities=capabilities, serverInfo={})
    story.initialize(sse=[told])
    story.exchange(request=request(method), session="s-1", t=1.0, after=0.5, **answer)
    return story


UNKNOWN = {"response": error(1, -32601)}


@pytest.mark.parametrize(
    ("answer", "wanted"),
    [({"response": result(1)}, Pass), ({"response": error(1, -32602)}, Pass), (UNKNOWN, Fail)],
)
def test_725_what_is_declared_is_served(answer, wanted):
    assert isinstance(verdict("MGC725", declares({"logging": {}}, "logging/setLevel", **answer)), wanted)


def test_725_what_is_not_declared_may_be_unknown():
    assert isinstance(verdict("MGC725", declares({"tools": {}}, "logging/setLevel", **UNKNOWN)), NotExercised)


def test_725_a_backend_that_declares_too_much_is_to_blame():
    story = declares({"logging": {}}, "logging/setLevel", **UNKNOWN)
    story.exchange(backend=True, request=request("logging/setLevel"), session="b-1", t=1.1, **UNKNOWN)
    assert verdict("MGC725", story).charged_to is Hop.BACKEND


def test_725_what_only_the_gateway_declares_is_its_own_promise():
    story = declares({"logging": {}}, "logging/setLevel", **UNKNOWN)
    story.connect(backend=True, session="b-1")
    story.exchange(backend=True, request=request("logging/setLevel"), session="b-1", t=1.1, **UNKNOWN)
    assert verdict("MGC725", story).charged_to is Hop.GATEWAY


def test_725_also_over_stdio():
    story = declares({"logging": {}}, "logging/setLevel", **UNKNOWN)
    story.stdio_start(t=0.5)
    story.stdio("up", request("logging/setLevel", 7), t=1.1)
    story.stdio("down", error(7, -32601), t=1.2)
    assert verdict("MGC725", story).charged_to is Hop.BACKEND


def calls(*pairs):
    """Calls of a client, each with what the backend answered and what the client got."""
    story = Story()
    story.connect()
    for number, (behind, front) in enumerate(pairs, start=1):
        nonce = f"n-{number}"
        story.call(nonce=nonce, t=float(number), after=0.5, **front)
        if behind is not None:
            story.call(backend=True, session="b-1", nonce=nonce, t=number + 0.1, **behind)
    return story


AS_JSON = {"sse": None, "response": result(1, content=TEXT)}


@pytest.mark.parametrize(
    ("got", "wanted"),
    [(GOOD, Pass), (AS_JSON, Pass), (FAILED, Fail), ({"sse": [result(1, content=[])]}, Fail), (HTTP_500, Fail)],
)
def test_734_both_forms_are_read(got, wanted):
    assert isinstance(verdict("MGC734", calls((GOOD, GOOD), (AS_JSON, got))), wanted)


def test_734_needs_both_forms():
    assert isinstance(verdict("MGC734", calls((GOOD, GOOD), (GOOD, FAILED))), NotExercised)


@pytest.mark.parametrize("behind", [HTTP_500, FAILED, {"sse": []}, {"status": None, "how": "rst", "sse": None}])
@pytest.mark.parametrize(
    ("got", "wanted"),
    [
        (FAILED, Pass),
        (HTTP_500, Pass),
        ({"sse": [result(1, content=TEXT, isError=True)]}, Pass),
        (GOOD, Fail),
        ({"sse": [error(1), error(1)]}, Fail),
    ],
)
def test_735_a_fault_is_one_error(behind, got, wanted):
    assert isinstance(verdict("MGC735", calls((behind, got))), wanted)


@pytest.mark.parametrize("how", ["complete", "rst"])
@pytest.mark.parametrize(
    ("given_id", "resuming", "answered", "wanted"),
    [
        ("e-1", {"Last-Event-ID": "e-1"}, 5, NotExercised),
        ("e-1", {"Last-Event-ID": "e-1"}, 6, Fail),
        ("e-1", {}, 5, Fail),
        (None, {"Last-Event-ID": "e-1"}, 5, Fail),
    ],
)
def test_735_an_answer_that_came_where_the_stream_was_resumed(how, given_id, resuming, answered, wanted):
    story = calls((None, GOOD))
    sent = request("tools/call", 5, name="echo", arguments={"nonce": "n-1"})
    stream = story.exchange(backend=True, request=sent, session="b-1", sse=[], how=None, t=1.1)
    story.raw_event(stream, "message", "", t=1.15, id=given_id)
    story.end(stream, how, t=1.2)
    answer = {"sse": [result(answered, content=TEXT)], "headers": resuming, "session": "b-1"}
    story.exchange(backend=True, method="GET", t=1.3, **answer)
    assert isinstance(verdict("MGC735", story), wanted)


def test_735_a_second_attempt_that_succeeds_is_no_fault():
    story = calls((HTTP_500, GOOD))
    story.call(backend=True, session="b-1", nonce="n-1", t=1.2, **GOOD)
    assert isinstance(verdict("MGC735", story), NotExercised)


@pytest.mark.parametrize(
    ("after", "wanted"),
    [
        ((GOOD, GOOD), Pass),
        ((None, FAILED), Fail),
        ((GOOD, FAILED), Fail),
        ((GOOD, {"sse": None, "status": 404, "response": error(1)}), NotApplicable),
    ],
)
def test_736_the_session_survives(after, wanted):
    assert isinstance(verdict("MGC736", calls((HTTP_500, FAILED), after)), wanted)


def test_736_a_session_that_does_not_reach_its_backend_again_is_classified():
    story = calls((HTTP_500, FAILED), (None, FAILED))
    found = verdict("MGC736", story)
    assert classify(rule_named("MGC736"), found, Inputs(story.transcript())).failure_class == "fault-poisons-session"


def test_736_a_call_that_meets_a_fault_itself_says_nothing():
    assert isinstance(verdict("MGC736", calls((HTTP_500, FAILED), (HTTP_500, FAILED))), NotExercised)
