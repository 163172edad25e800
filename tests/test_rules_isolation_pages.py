"""Family isolation on hand-written evidence: what web pages are told that a gateway lets in."""

from __future__ import annotations

from typing import Any

import pytest

from conformance.rules.verdicts import Fail, NotExercised, Pass
from tests.evidence_builder import RESULT, Story, request, result
from tests.initialize_stories import verdict

PAGE = "http://localhost:6274"
WHOLE = {
    "Access-Control-Allow-Origin": PAGE,
    "Access-Control-Allow-Headers": "content-type, mcp-session-id, mcp-protocol-version",
    "Access-Control-Expose-Headers": "Mcp-Session-Id",
}


def asked(told: dict[str, str], **sent: str) -> Story:
    story = Story()
    story.stimulus("page.asked", origin=PAGE)
    story.exchange(method="OPTIONS", headers={"Origin": PAGE}, status=204, response_headers=told)
    more: dict[str, Any] = {"response_headers": told, "issue_session": "s"}
    story.exchange(
        request=request("initialize", 0), headers={"Origin": PAGE, **sent}, sse=[result(0, **RESULT)], **more
    )
    return story


@pytest.mark.parametrize("rule", ["MGC840", "MGC841"])
def test_a_page_that_is_let_in_whole(rule: str) -> None:
    assert isinstance(verdict(rule, asked(WHOLE, Authorization="Bearer t").transcript()), Pass)


@pytest.mark.parametrize("rule", ["MGC840", "MGC841"])
def test_whoever_lets_no_page_in_owes_none_anything(rule: str) -> None:
    assert isinstance(verdict(rule, asked({}).transcript()), Pass)
    assert isinstance(verdict(rule, Story().transcript()), NotExercised)


@pytest.mark.parametrize("name", ["Access-Control-Allow-Headers", "Access-Control-Expose-Headers"])
def test_a_page_that_may_not_use_its_session(name: str) -> None:
    found = verdict("MGC840", asked({**WHOLE, name: "Content-Type, Accept"}).transcript())
    assert isinstance(found, Fail)
    assert "mcp-session-id" in found.observed


def test_every_page_beside_a_credential() -> None:
    everyone = {**WHOLE, "Access-Control-Allow-Origin": "*"}
    assert isinstance(verdict("MGC841", asked(everyone).transcript()), Pass)
    assert isinstance(verdict("MGC841", asked(everyone, Authorization="Bearer t").transcript()), Fail)
    taken = {**everyone, "Access-Control-Allow-Credentials": "true"}
    assert isinstance(verdict("MGC841", asked(taken).transcript()), Fail)
