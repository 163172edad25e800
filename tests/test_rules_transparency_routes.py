"""MGC780 and MGC240 on hand-written evidence: the endpoint's two spellings, and clients that come and go."""

import pytest

from conformance.evidence.events import Hop, Kind, Point
from conformance.rules.all import rule_named
from conformance.rules.base import Inputs, judge
from conformance.rules.verdicts import Fail, Inconclusive, NotExercised, Pass
from tests.evidence_builder import RESULT, Story, error, request

ASKED = request(
    "initialize", 1, protocolVersion="2025-11-25", capabilities={}, clientInfo={"name": "c", "version": "1"}
)
SERVED = {"jsonrpc": "2.0", "id": 1, "result": RESULT}


def verdict(rule_id, story):
    rule = rule_named(rule_id)
    assert rule is not None
    return judge(rule, Inputs(story.transcript()))


def initialize(story, client, target="/mcp", **answer):
    story.exchange(client, target=target, request=ASKED, **(answer or {"response": SERVED}))


def test_780_both_spellings_served():
    story = Story()
    initialize(story, "declared")
    initialize(story, "other", "/mcp/")
    assert isinstance(verdict("MGC780", story), Pass)


@pytest.mark.parametrize(
    ("answer", "symptom"),
    [
        ({"status": 307, "response_headers": {"Location": "http://h/mcp"}}, "slash-redirect"),
        ({"status": 308, "response_headers": {"Location": "/mcp"}}, "slash-redirect"),
        ({"status": 302, "response_headers": {"Location": "/login"}}, "wrong-route-html"),
        ({"status": 404, "body": "Not Found"}, "wrong-route-html"),
        ({"status": 200, "body": "<html>", "response_headers": {"Content-Type": "text/html"}}, "wrong-route-html"),
    ],
)
def test_780_one_spelling_is_not_served(answer, symptom):
    story = Story()
    initialize(story, "declared")
    initialize(story, "other", "/mcp/", **answer)
    found = verdict("MGC780", story)
    assert isinstance(found, Fail)
    assert (found.symptom, found.charged_to) == (symptom, Hop.GATEWAY)


def test_780_a_backend_that_refuses_the_path_is_the_backends():
    story = Story()
    initialize(story, "declared")
    begin = story.now
    story.exchange("other", target="/mcp/", request=ASKED, status=404, t=begin, after=1.0)
    story.exchange(backend=True, target="/mcp/", request=ASKED, status=404, t=begin + 0.2)
    found = verdict("MGC780", story)
    assert isinstance(found, Fail)
    assert found.charged_to is Hop.BACKEND


def test_780_an_endpoint_that_serves_nobody_says_nothing_of_its_spelling():
    story = Story()
    initialize(story, "declared", status=500)
    initialize(story, "other", "/mcp/", status=404)
    assert isinstance(verdict("MGC780", story), Inconclusive)


def test_780_no_response_is_no_route():
    story = Story()
    initialize(story, "declared")
    initialize(story, "other", "/mcp/", status=None, how=None)
    assert isinstance(verdict("MGC780", story), Inconclusive)


def test_780_one_spelling_only_is_not_exercised():
    story = Story()
    initialize(story, "a")
    initialize(story, "b")
    assert isinstance(verdict("MGC780", story), NotExercised)


def come_and_go(story, *answers):
    for number, answer in enumerate(answers):
        initialize(
            story, f"c{number}", **({"response": answer, "issue_session": f"s{number}"} if answer else {"status": 500})
        )
        story.exchange(f"c{number}", method="DELETE", session=f"s{number}")


def test_240_each_client_is_served():
    story = Story()
    come_and_go(story, SERVED, SERVED, SERVED)
    assert isinstance(verdict("MGC240", story), Pass)


@pytest.mark.parametrize("answer", [None, error()])
def test_240_nobody_is_served_after_the_first(answer):
    story = Story()
    come_and_go(story, SERVED, answer)
    found = verdict("MGC240", story)
    assert isinstance(found, Fail)
    assert found.symptom == "one-client-kills-all"


def test_240_a_first_client_that_is_not_served_says_nothing_unless_the_probe_was():
    story = Story()
    come_and_go(story, None, None)
    assert isinstance(verdict("MGC240", story), Inconclusive)
    story = Story()
    story.add(Point.STAGE, Kind.READINESS, ok=True, what="gateway answers initialize")
    come_and_go(story, None, None)
    assert isinstance(verdict("MGC240", story), Fail)
