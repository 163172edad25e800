"""Family edges, routes, on hand-written evidence."""

from __future__ import annotations

from typing import Any

import pytest

from conformance.evidence.events import Hop, Kind, Point
from conformance.rules.verdicts import NotApplicable, NotExercised, Pass
from tests.edge_stories import INITIALIZE, LIST, TOOLS, failure, passage, verdict
from tests.evidence_builder import Story, error, result


def test_a_handshake_with_the_edge() -> None:
    story = Story()
    passage(story, back={}, request=INITIALIZE, sse=[result(0)])
    assert isinstance(verdict("MGC956", story, tls="private-ca"), Pass)
    assert isinstance(verdict("MGC956", story, tls="none"), NotExercised)


def test_a_certificate_that_is_not_accepted() -> None:
    story = Story()
    why = "TLS handshake with the server: CERTIFICATE_VERIFY_FAILED: certificate has expired"
    story.add(Point.CLIENT_TAP, Kind.CONN_FAILED, tap="client:a", conn=1, error=why)
    found = failure("MGC956", story, tls="expired")
    assert (found.charged_to, found.observed) == (Hop.EDGE, "CERTIFICATE_VERIFY_FAILED: certificate has expired")


def test_no_connection_says_nothing_of_the_certificate() -> None:
    story = Story()
    story.refused()
    assert isinstance(verdict("MGC956", story, tls="expired"), NotExercised)


def test_posts_that_are_served_are_routed_and_not_redirected() -> None:
    story = Story()
    passage(story, back={}, request=LIST, sse=[TOOLS])
    for rule_id in ("MGC957", "MGC958", "MGC959", "MGC960"):
        assert isinstance(verdict(rule_id, story), Pass), rule_id


@pytest.mark.parametrize(("back", "hop"), [(None, Hop.EDGE), ({}, Hop.GATEWAY)])
def test_a_redirect_to_the_other_spelling(back: dict[str, Any] | None, hop: Hop) -> None:
    story = Story()
    location = {"Location": "http://gw.example/mcp/"}
    passage(story, back=back, request=LIST, status=307, body="moved", response_headers=location)
    found = failure("MGC957", story)
    assert (found.charged_to, found.symptom) == (hop, "slash-redirect")


def test_a_redirect_to_elsewhere_is_another_matter() -> None:
    story = Story()
    passage(story, request=LIST, status=302, body="", response_headers={"Location": "https://gw.example/login"})
    assert isinstance(verdict("MGC957", story), Pass)


def respelled(**answer: Any) -> Story:
    story = Story()
    story.stimulus("endpoint.respelled", url="http://127.0.0.1:1/mcp/")
    told = answer.pop("told", "https")
    connected = {"tap": "client:a", "conn": 77, "upstream": "127.0.0.1:8443", "host": "edge.test:8443"}
    story.add(Point.CLIENT_TAP, Kind.CONN_CONNECTED, **connected)
    front = {"request": INITIALIZE, "headers": {"Host": "127.0.0.1:1"}, "target": "/mcp/", "conn": 77, **answer}
    passage(story, back={"headers": {"X-Forwarded-Proto": told} if told else {}}, **front)
    return story


@pytest.mark.parametrize("location", ["/mcp", "https://edge.test:8443/mcp"])
def test_a_redirect_that_leads_back(location: str) -> None:
    story = respelled(status=307, body="", response_headers={"Location": location})
    assert isinstance(verdict("MGC966", story, tls="private-ca"), Pass)


def test_a_spelling_that_is_served_leads_nowhere() -> None:
    assert isinstance(verdict("MGC966", respelled(sse=[TOOLS]), tls="private-ca"), Pass)
    assert isinstance(verdict("MGC966", respelled(sse=[TOOLS]), tls="none"), NotExercised)


@pytest.mark.parametrize(("told", "hop"), [("https", Hop.GATEWAY), ("", Hop.EDGE)])
@pytest.mark.parametrize("location", ["http://edge.test:8443/mcp", "https://127.0.0.1:9001/mcp"])
def test_a_redirect_that_leads_elsewhere(location: str, told: str, hop: Hop) -> None:
    story = respelled(status=307, body="", response_headers={"Location": location}, told=told)
    found = failure("MGC966", story, tls="private-ca")
    assert (found.charged_to, found.symptom) == (hop, "slash-redirect")


def test_an_edge_that_answers_in_the_gateway_s_place() -> None:
    story = Story()
    passage(story, request=LIST, status=404, body="<html>", response_headers={"Content-Type": "text/html"})
    found = failure("MGC958", story)
    assert (found.charged_to, found.symptom) == (Hop.EDGE, "wrong-route-html")


def test_a_bad_gateway_is_another_matter() -> None:
    story = Story()
    passage(story, request=LIST, status=502, body="<html>")
    assert isinstance(verdict("MGC958", story), Pass)


@pytest.mark.parametrize(
    ("front", "back", "said"),
    [
        ({"session": "s-1"}, {"session": None}, "dropped mcp-session-id of POST tools/list"),
        (
            {"headers": {"Accept": "application/json, text/event-stream"}},
            {"headers": {"Accept": "*/*"}},
            "changed accept",
        ),
        ({}, {"issue_session": "s-1"}, "dropped mcp-session-id of the answer 200"),
    ],
)
def test_a_header_that_is_lost(front: dict[str, Any], back: dict[str, Any], said: str) -> None:
    story = Story()
    passage(story, back=back, **{"request": LIST, "sse": [TOOLS], **front})
    found = failure("MGC959", story)
    assert (found.charged_to, found.symptom) == (Hop.EDGE, "header-lost-at-edge")
    assert said in found.observed


@pytest.mark.parametrize(("behind", "hop"), [("replicas", Hop.EDGE), ("gw.example", Hop.GATEWAY)])
def test_a_host_that_is_refused(behind: str, hop: Hop) -> None:
    story = Story()
    refused = {"status": 421, "body": "Invalid Host header"}
    passage(story, back={"headers": {"Host": behind}}, request=LIST, headers={"Host": "gw.example"}, **refused)
    found = failure("MGC960", story)
    assert (found.charged_to, found.symptom) == (hop, "host-header-421")


def test_a_refusal_that_passes() -> None:
    story = Story()
    passage(story, back={}, request=LIST, status=404, response=error(1))
    assert isinstance(verdict("MGC961", story), Pass)


def test_a_page_in_a_refusal_s_place() -> None:
    story = Story()
    front = {"status": 404, "body": "<html>", "response_headers": {"Content-Type": "text/html"}}
    passage(story, back={"response": error(1), "response_headers": {}}, request=LIST, **front)
    found = failure("MGC961", story)
    assert (found.charged_to, found.symptom) == (Hop.EDGE, "wrong-route-html")


def test_a_refusal_that_never_reached_the_client() -> None:
    story = Story()
    passage(story, back={"status": 404, "response": error(1)}, request=LIST, status=None, how="abandoned")
    assert isinstance(verdict("MGC961", story), NotApplicable)
