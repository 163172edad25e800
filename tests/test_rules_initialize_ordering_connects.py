"""Family initialize_ordering on hand-written evidence: with whose session id a gateway connects, and how often at once."""

from __future__ import annotations

from typing import Any

from conformance.evidence.events import Hop
from conformance.rules.verdicts import Fail, NotApplicable, NotExercised, Pass
from tests.evidence_builder import RESULT, Story, error, request, result
from tests.initialize_stories import asking, initialize, verdict

REFUSED: dict[str, Any] = {"status": 400, "response": error(None, -32600, "Server already initialized"), "sse": None}


def opened(story: Story, session: str = "s") -> Story:
    initialize(story, backend=True, session=session)
    return story


def listed(story: Story, session: str | None) -> Story:
    story.exchange(backend=True, request=request("tools/list", 1), session=session, sse=[result(1, tools=[])])
    return story


def greeted(story: Story, **more: Any) -> Story:
    given = {"sse": [result(0, **RESULT)]} | more
    story.exchange(backend=True, request=asking(), **given)
    return story


def test_an_initialize_with_a_session_id_is_the_gateways_fault() -> None:
    found = verdict("MGC128", greeted(opened(Story()), headers={"Mcp-Session-Id": "s"}, **REFUSED).transcript())
    assert isinstance(found, Fail)
    assert (found.charged_to, found.symptom) == (Hop.GATEWAY, "reinitialize-rejected")
    assert "already initialized" in found.observed


def test_an_initialize_without_one_is_in_order() -> None:
    assert isinstance(verdict("MGC128", opened(Story()).transcript()), Pass)


def test_a_clients_own_id_may_be_passed_on() -> None:
    story = Story()
    story.exchange(request=asking(), headers={"Mcp-Session-Id": "mine"}, sse=[result(0, **RESULT)])
    greeted(story, headers={"Mcp-Session-Id": "mine"}, **REFUSED)
    assert isinstance(verdict("MGC128", story.transcript()), Pass)
    listed(story, "mine")
    assert isinstance(verdict("MGC129", story.transcript()), Pass)


def test_an_id_that_the_gateway_gave_its_client_is_not_the_backends() -> None:
    story = Story()
    story.connect(session="g-1")
    opened(story, "b-1")
    story.listing(session="g-1")
    listed(story, "g-1")
    found = verdict("MGC129", story.transcript())
    assert isinstance(found, Fail)
    assert found.charged_to is Hop.GATEWAY
    greeted(story, headers={"Mcp-Session-Id": "g-1"}, **REFUSED)
    assert isinstance(verdict("MGC128", story.transcript()), Fail)


def test_a_relay_gives_its_client_the_backends_own_id() -> None:
    story = opened(Story(), "b-1")
    story.connect(session="b-1")
    story.initialize(headers={"Mcp-Session-Id": "b-1"}, session=None)
    greeted(story, headers={"Mcp-Session-Id": "b-1"}, **REFUSED)
    for rule in ("MGC128", "MGC129"):
        assert isinstance(verdict(rule, listed(story, "b-1").transcript()), Pass)


def test_stdio_has_no_headers() -> None:
    story = Story()
    story.stdio_start()
    story.stdio("up", asking())
    for rule in ("MGC128", "MGC130"):
        assert isinstance(verdict(rule, story.transcript()), NotApplicable)


def test_a_session_that_nobody_issued_is_the_gateways_fault() -> None:
    found = verdict("MGC129", listed(Story(), "preset").transcript())
    assert isinstance(found, Fail)
    assert found.symptom == "request-before-initialize"


def test_a_session_of_another_backend_was_not_issued_here() -> None:
    story = Story()
    initialize(story, backend=True, session="s")
    story.exchange(backend="second", request=request("tools/list", 1), session="s", sse=[result(1, tools=[])])
    assert isinstance(verdict("MGC129", story.transcript()), Fail)


def streamed(story: Story, status: int, **more: Any) -> Story:
    story.exchange(backend=True, method="GET", status=status, body="no", **more)
    return story


def test_a_stream_before_any_session_is_the_gateways_fault() -> None:
    found = verdict("MGC129", streamed(Story(), 400).transcript())
    assert isinstance(found, Fail)
    assert "before any initialize" in found.observed


def test_a_stream_that_is_not_offered_or_was_asked_for_does_no_harm() -> None:
    passed_on = Story()
    passed_on.exchange(method="GET", status=400, body="no")
    for story in (streamed(Story(), 405), streamed(opened(Story()), 400), streamed(passed_on, 400)):
        assert isinstance(verdict("MGC129", story.transcript()), Pass)
    assert isinstance(verdict("MGC129", streamed(Story(), 400).transcript(backend_face="sse")), Pass)


def test_a_stream_before_initialize_is_judged_at_its_path() -> None:
    health = opened(streamed(Story(), 401, target="/health"))
    assert isinstance(verdict("MGC129", health.transcript()), Pass)
    assert isinstance(verdict("MGC129", opened(streamed(Story(), 401)).transcript()), Fail)


def test_an_issued_session_may_be_named() -> None:
    assert isinstance(verdict("MGC129", listed(opened(Story()), "s").transcript()), Pass)
    assert isinstance(verdict("MGC129", opened(Story()).transcript()), NotExercised)


def raced(second: dict[str, Any], *, clients: int = 1, head: float = 1.0) -> Story:
    """Two connects at once. head: when the clients' response streams begin, in seconds; their answers come at 1 s."""
    story = Story()
    for number in range(clients):
        stream = initialize(story, f"c{number}", answer=None, t=0.0, after=head, how=None)
        story.item(stream, result(0, **RESULT), t=1.0)
        story.end(stream, t=1.01)
    for number in range(2):
        more = second if number else {"issue_session": "s"}
        greeted(story, t=0.1 + number * 0.01, after=0.5, **more)
    return story


def test_connects_that_spoil_each_other_are_a_race() -> None:
    found = verdict("MGC130", raced(REFUSED).transcript())
    assert isinstance(found, Fail)
    assert found.symptom == "connect-refresh-collision"
    assert "2 initializes" in found.observed


def test_a_race_that_the_backend_serves_does_no_harm() -> None:
    assert isinstance(verdict("MGC130", raced({"issue_session": "t"}).transcript()), Pass)


def test_two_clients_may_connect_at_once() -> None:
    for head in (0.01, 1.0):
        assert isinstance(verdict("MGC130", raced(REFUSED, clients=2, head=head).transcript()), Pass)


def test_connects_one_after_the_other_are_no_race() -> None:
    assert isinstance(verdict("MGC130", greeted(opened(Story()), **REFUSED).transcript()), Pass)
