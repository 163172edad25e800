"""Family initialize_ordering on hand-written evidence: what a backend offers is offered through the gateway."""

from __future__ import annotations

from typing import Any

import pytest

from conformance import timing
from conformance.evidence.transcript import Transcript
from conformance.rules.verdicts import Fail, Inconclusive, NotExercised, Pass
from tests.evidence_builder import RESULT, Story, error, request, result
from tests.initialize_stories import initialize, verdict


def late(*tools: str, asked_after: float = timing.RELAY_PROMPT + 1, **listing: Any) -> Transcript:
    story = Story()
    initialize(story, "early", session="s-e")
    story.stimulus("backend.ready", t=1.0)
    story.stimulus("late.expected", t=1.1, tool="http_echo")
    story.at(1.0 + asked_after)
    initialize(story, "late", session="s-l")
    story.listing("late", session="s-l", tools=tools, **listing)
    return story.transcript()


def test_113_listed() -> None:
    assert isinstance(verdict("MGC113", late("http_echo", asked_after=0.5)), Pass)


def test_113_empty_is_told_apart_from_failed() -> None:
    empty_list = verdict("MGC113", late("child_echo"))
    failed = verdict("MGC113", late(sse=None, status=502, response=error(1)))
    assert isinstance(empty_list, Fail)
    assert isinstance(failed, Fail)
    assert (empty_list.symptom, failed.symptom) == ("empty-tools-startup-race", "empty-tools-startup-race")
    assert "listed 1 tool" in empty_list.observed
    assert "502" in failed.observed


def test_113_asked_too_early() -> None:
    assert isinstance(verdict("MGC113", late(asked_after=1.0)), Inconclusive)


def offering(*capabilities: str, prompts: int = 1) -> Story:
    story = Story()
    initialize(story, answer=result(0, **{**RESULT, "capabilities": {name: {} for name in capabilities}}))
    items = [{"name": f"p{number}"} for number in range(prompts)]
    story.exchange(request=request("prompts/list"), sse=[result(1, prompts=items)])
    return story


def test_117_kept() -> None:
    control = offering("tools", "prompts", "tasks").transcript()
    assert isinstance(verdict("MGC117", offering("tools", "prompts").transcript(), control), Pass)


@pytest.mark.parametrize("here", [offering("tools"), offering("tools", "prompts", prompts=0)])
def test_117_lost(here: Story) -> None:
    found = verdict("MGC117", here.transcript(), offering("tools", "prompts").transcript())
    assert isinstance(found, Fail)
    assert "prompts" in found.observed


def test_117_what_the_backend_never_declared_to_the_gateway_is_not_lost() -> None:
    story = offering("tools")
    declared = result(0, **{**RESULT, "capabilities": {"tools": {}}})
    initialize(story, answer=declared, backend=True, session="s")
    assert isinstance(verdict("MGC117", story.transcript(), offering("tools", "prompts").transcript()), Pass)


def test_117_needs_the_control() -> None:
    assert isinstance(verdict("MGC117", offering("tools").transcript()), NotExercised)
