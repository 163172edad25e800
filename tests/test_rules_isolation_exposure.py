"""Family isolation on hand-written evidence: pages of hostile origins, and listening sockets."""

from __future__ import annotations

from typing import Any

import pytest

from conformance.evidence.events import Hop
from conformance.evidence.transcript import Transcript
from conformance.rules.all import rule_named
from conformance.rules.base import Inputs, judge
from conformance.rules.verdicts import Fail, Inconclusive, NotApplicable, NotExercised, Pass, Verdict
from tests.evidence_builder import Story, request, result

HOSTILE = "http://attacker.example"


def verdict(rule_id: str, through: Transcript) -> Verdict:
    rule = rule_named(rule_id)
    assert rule is not None
    return judge(rule, Inputs(through))


def failure(rule_id: str, story: Story) -> Fail:
    found = verdict(rule_id, story.transcript())
    assert isinstance(found, Fail), found
    assert found.events
    return found


def page(status: int | None, *, guarded: bool = False, backend: dict[str, Any] | None = None, **more: Any) -> Story:
    """A hostile page asks for the tools; backend: what the gateway's own exchange for it differs in."""
    story = Story()
    story.stimulus("origin.tried", origins=[HOSTILE], guarded=guarded)
    story.connect()
    given: dict[str, Any] = {"request": request("tools/list"), "session": "s-1", "status": status}
    given |= {"sse": [result(1, tools=[])]} if status == 200 else {"body": "no"}
    given |= more
    begin = story.now
    story.exchange(t=begin, after=1.0, headers={"Origin": HOSTILE}, **given)
    if backend is not None:
        story.exchange(backend=True, t=begin + 0.2, **(given | {"session": "b-1"} | backend))
    return story.at(begin + 2.0)


def test_830_refused() -> None:
    assert isinstance(verdict("MGC830", page(403).transcript()), Pass)
    assert isinstance(verdict("MGC831", page(403).transcript()), Pass)


def test_830_served() -> None:
    found = failure("MGC830", page(200))
    assert (found.charged_to, found.symptom) == (Hop.GATEWAY, "origin-not-checked")
    assert isinstance(verdict("MGC831", page(200).transcript()), NotApplicable)


def test_830_served_by_a_backend_that_saw_the_origin() -> None:
    story = page(200, backend={"headers": {"Origin": HOSTILE}})
    assert failure("MGC830", story).charged_to is Hop.BACKEND


def test_830_a_gateway_that_hides_the_origin_is_to_blame() -> None:
    assert failure("MGC830", page(200, backend={"headers": {}})).charged_to is Hop.GATEWAY


def test_830_behind_a_credential_the_operator_decides() -> None:
    assert isinstance(verdict("MGC830", page(200, guarded=True).transcript()), NotApplicable)
    assert isinstance(verdict("MGC830", page(403, guarded=True).transcript()), Pass)


@pytest.mark.parametrize("rule_id", ["MGC830", "MGC831"])
def test_no_page_no_verdict(rule_id: str) -> None:
    story = Story()
    story.connect()
    assert isinstance(verdict(rule_id, story.transcript()), NotExercised)
    assert isinstance(verdict(rule_id, page(None).transcript()), NotExercised)


def test_831_another_status() -> None:
    found = failure("MGC831", page(400))
    assert (found.charged_to, found.symptom) == (Hop.GATEWAY, "error-misclassified")


def test_831_another_status_of_the_backend() -> None:
    assert failure("MGC831", page(400, backend={"headers": {"Origin": HOSTILE}})).charged_to is Hop.BACKEND


def test_831_a_get_that_is_not_offered() -> None:
    story = page(405, method="GET", request=None)
    assert isinstance(verdict("MGC831", story.transcript()), Pass)


def test_831_holds_since_2025_11_25() -> None:
    assert isinstance(verdict("MGC831", page(400).transcript(revision="2025-06-18")), NotApplicable)


@pytest.mark.parametrize("addresses", [["127.0.0.1"], ["127.0.0.1", "::1"]])
def test_832_loopback(addresses: list[str]) -> None:
    story = page(403)
    story.stimulus("gateway.sockets", listening=addresses)
    assert isinstance(verdict("MGC832", story.transcript()), Pass)


@pytest.mark.parametrize("addresses", [["0.0.0.0"], ["127.0.0.1", "::"], ["192.168.1.2"]])
def test_832_more_than_loopback(addresses: list[str]) -> None:
    story = page(403)
    story.stimulus("gateway.sockets", listening=addresses)
    found = failure("MGC832", story)
    assert (found.charged_to, found.symptom) == (Hop.GATEWAY, "listens-on-every-interface")
    assert addresses[-1] in found.observed


def test_832_no_socket_was_found() -> None:
    story = page(403)
    story.stimulus("gateway.sockets", listening=[])
    assert isinstance(verdict("MGC832", story.transcript()), Inconclusive)


def test_832_no_process_to_look_at() -> None:
    assert isinstance(verdict("MGC832", page(403).transcript()), NotExercised)
