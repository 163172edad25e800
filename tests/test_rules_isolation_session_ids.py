"""Family isolation on hand-written evidence: where session ids turn up."""

from __future__ import annotations

from typing import Any

from conformance.evidence.events import Hop
from conformance.evidence.transcript import Transcript
from conformance.rules.all import rule_named
from conformance.rules.base import Inputs, judge
from conformance.rules.verdicts import Fail, NotApplicable, NotExercised, Pass, Verdict
from tests.evidence_builder import Story, error, notification, result


def verdict(through: Transcript) -> Verdict:
    rule = rule_named("MGC833")
    assert rule is not None
    return judge(rule, Inputs(through))


def failure(story: Story) -> Fail:
    found = verdict(story.transcript())
    assert isinstance(found, Fail), found
    assert found.events
    assert found.symptom == "credential-exposed"
    return found


def failed(*, session: str = "s-client", said: str = "failed", theirs: str = "failed", **more: Any) -> Story:
    """A call that fails at the backend, whose session is s-backend; what the client and the gateway are told."""
    story = Story()
    story.connect(session=session)
    story.connect(backend=True, session="s-backend")
    begin = story.now
    given: dict[str, Any] = {"session": session, "sse": [error(1, message=said)], "after": 0.5} | more
    story.call(t=begin, nonce="n", **given)
    story.call(backend=True, session="s-backend", t=begin + 0.1, nonce="n", sse=[error(1, message=theirs)])
    return story.at(begin + 1.0)


def test_no_id_is_shown() -> None:
    assert isinstance(verdict(failed().transcript()), Pass)


def test_an_error_quotes_the_backends_session() -> None:
    assert failure(failed(said="failed in s-backend")).charged_to is Hop.GATEWAY


def test_a_backend_that_says_so_itself_is_to_blame() -> None:
    assert failure(failed(said="no s-backend", theirs="no s-backend")).charged_to is Hop.BACKEND


def test_a_header_shows_the_backends_session() -> None:
    assert "x-upstream" in failure(failed(response_headers={"X-Upstream": "s-backend"})).observed


def test_a_notification_shows_the_backends_session() -> None:
    story = failed()
    story.exchange(session="s-client", method="GET", sse=[notification("notifications/message", data="s-backend")])
    assert failure(story).charged_to is Hop.GATEWAY


def test_a_gateway_that_passes_ids_through_shows_them_to_their_owner() -> None:
    assert isinstance(verdict(failed(session="s-backend", said="no s-backend").transcript()), Pass)


def test_results_of_calls_tell_the_session_by_design() -> None:
    story = failed()
    story.call(nonce="m", session="s-client", sse=[result(1, structuredContent={"session": "s-backend"})])
    assert isinstance(verdict(story.transcript()), Pass)


def test_a_url_holds_a_session() -> None:
    for value in ("s-client", "s-backend"):
        story = failed()
        story.exchange(backend=True, method="GET", session="s-backend", target=f"/mcp?session={value}", status=405)
        assert "URL" in failure(story).observed


def test_no_call_failed() -> None:
    story = failed(sse=[result(1)])
    assert isinstance(verdict(story.transcript()), NotExercised)


def test_it_holds_since_2025_11_25() -> None:
    assert isinstance(verdict(failed(said="s-backend").transcript(revision="2025-06-18")), NotApplicable)
