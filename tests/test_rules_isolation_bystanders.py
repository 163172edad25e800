"""Family isolation on hand-written evidence: quick calls beside a slow one, and bystanders of broken clients."""

from __future__ import annotations

from typing import Any

import pytest

from conformance.evidence.events import Hop
from conformance.evidence.transcript import Transcript
from conformance.rules.all import rule_named
from conformance.rules.base import Inputs, judge
from conformance.rules.verdicts import Fail, Inconclusive, NotExercised, Pass, Verdict
from tests.evidence_builder import Story, error, request, result


def verdict(rule_id: str, through: Transcript) -> Verdict:
    rule = rule_named(rule_id)
    assert rule is not None
    return judge(rule, Inputs(through))


def failure(rule_id: str, story: Story) -> Fail:
    found = verdict(rule_id, story.transcript())
    assert isinstance(found, Fail), found
    assert found.events
    return found


def call(
    story: Story, client: str, nonce: str, t: float, lasts: float = 0.02, *, behind: float | None = None, **more: Any
) -> None:
    """Add a call, and the gateway's for it to the backend, which takes `behind` seconds (None: it never gets there)."""
    asked = request("tools/call", 1, name="echo", arguments={"nonce": nonce})
    given: dict[str, Any] = {"request": asked, "sse": [result(1, content=[])], "t": t, "after": lasts} | more
    story.exchange(client, session=f"s-{client}", **given)
    if behind is not None:
        story.exchange(backend=True, session=f"b-{client}", **(given | {"t": t + 0.005, "after": behind}))


# MGC810 and MGC811 ---------------------------------------------------------------------------------------------------

BESIDE = [("MGC810", "a"), ("MGC811", "b")]


def slow(client: str, waited: float, *, behind: float | None = 0.005, alone: float = 0.02, **more: Any) -> Story:
    """A slow call of a's lasts from 10 to 12 s, and a client's quick one begins at 10.2 s."""
    story = Story()
    story.connect("a", session="s-a")
    story.connect("b", session="s-b")
    story.stimulus("beside.quick", nonce="alone")
    call(story, client, "alone", 5.0, alone)
    story.stimulus("beside.slow", nonce="slow", t=9.9)
    call(story, "a", "slow", 10.0, 2.0, **more)
    call(story, client, "quick", 10.2, waited, behind=behind)
    return story


@pytest.mark.parametrize(("rule_id", "client"), BESIDE)
def test_a_quick_call_goes_on(rule_id: str, client: str) -> None:
    assert isinstance(verdict(rule_id, slow(client, 0.05).transcript()), Pass)


@pytest.mark.parametrize(("rule_id", "client"), BESIDE)
def test_a_quick_call_waits_for_the_slow_one(rule_id: str, client: str) -> None:
    found = failure(rule_id, slow(client, 1.81))
    assert (found.charged_to, found.symptom) == (Hop.GATEWAY, "head-of-line-block")


@pytest.mark.parametrize(("rule_id", "client"), BESIDE)
def test_a_call_that_is_answered_while_the_slow_one_goes_on_waited_for_something_else(
    rule_id: str, client: str
) -> None:
    assert isinstance(verdict(rule_id, slow(client, 1.2).transcript()), Inconclusive)


@pytest.mark.parametrize(("rule_id", "client"), BESIDE)
def test_a_backend_that_serves_in_turn_is_to_blame(rule_id: str, client: str) -> None:
    assert failure(rule_id, slow(client, 1.81, behind=1.8)).charged_to is Hop.BACKEND


@pytest.mark.parametrize(("rule_id", "client"), BESIDE)
def test_a_call_that_is_always_slow_is_not_held_up(rule_id: str, client: str) -> None:
    assert isinstance(verdict(rule_id, slow(client, 1.2, alone=1.1).transcript()), Pass)


@pytest.mark.parametrize(("rule_id", "client"), BESIDE)
def test_the_harness_lagged(rule_id: str, client: str) -> None:
    story = slow(client, 1.81)
    story.lag(1.0, t=11.0)
    assert isinstance(verdict(rule_id, story.transcript()), Inconclusive)


@pytest.mark.parametrize(("rule_id", "client"), BESIDE)
def test_the_slow_call_failed(rule_id: str, client: str) -> None:
    story = slow(client, 0.05, sse=[error(1)])
    assert isinstance(verdict(rule_id, story.transcript()), Inconclusive)


@pytest.mark.parametrize(("rule_id", "client"), [("MGC810", "b"), ("MGC811", "a")])
def test_no_call_beside_the_slow_one(rule_id: str, client: str) -> None:
    assert isinstance(verdict(rule_id, slow(client, 0.05).transcript()), NotExercised)


# MGC820 to MGC822 ----------------------------------------------------------------------------------------------------

HARMS = [("MGC820", "bad-request"), ("MGC821", "abort"), ("MGC822", "disconnect")]


def harmed(kind: str, *, before: bool = True, called: bool = True, running: Any = None, after: Any = None) -> Story:
    """A bystander calls before, during and after harm; each of its answers can be replaced."""
    story = Story()
    for client in ("bystander", kind):
        story.connect(client, session=f"s-{client}")
    call(story, "bystander", "before", 5.0, **({} if before else {"sse": []}))
    call(story, "bystander", "running", 9.8, 1.0, **(running or {}))
    story.stimulus("harm", harm=kind, client=kind, t=10.0)
    if called:
        call(story, kind, "harm", 10.1, sse=[])
    call(story, "bystander", "after", 11.0, **(after or {}))
    call(story, "bystander", "next-running", 11.8, 1.0, sse=[])
    story.stimulus("harm", harm="another", client="another", t=12.0)
    return story


@pytest.mark.parametrize(("rule_id", "kind"), HARMS)
def test_others_are_served(rule_id: str, kind: str) -> None:
    assert isinstance(verdict(rule_id, harmed(kind).transcript()), Pass)


def test_a_client_that_left_before_its_call_was_sent_harmed_nobody_yet() -> None:
    assert isinstance(verdict("MGC822", harmed("disconnect", called=False).transcript()), NotExercised)


@pytest.mark.parametrize(("rule_id", "kind"), HARMS)
@pytest.mark.parametrize("which", ["running", "after"])
def test_a_bystander_is_not_served(rule_id: str, kind: str, which: str) -> None:
    found = failure(rule_id, harmed(kind, **{which: {"sse": []}}))
    assert (found.charged_to, found.symptom) == (Hop.GATEWAY, "one-client-kills-all")


@pytest.mark.parametrize(("rule_id", "kind"), HARMS)
def test_a_new_client_is_refused(rule_id: str, kind: str) -> None:
    story = harmed(kind)
    asked = request("initialize", 1, protocolVersion="2025-11-25", capabilities={}, clientInfo={})
    story.exchange("later", request=asked, status=500, body="no", t=11.2)
    assert "client:later" in failure(rule_id, story).observed


@pytest.mark.parametrize(("rule_id", "kind"), HARMS)
def test_a_backend_that_fails_everybody_is_to_blame(rule_id: str, kind: str) -> None:
    story = harmed(kind, after={"status": 500, "sse": None, "body": "no", "behind": 0.01})
    assert failure(rule_id, story).charged_to is Hop.BACKEND


@pytest.mark.parametrize(("rule_id", "kind"), HARMS)
def test_a_gateway_that_ends_the_bystanders_session_itself_is_to_blame(rule_id: str, kind: str) -> None:
    story = harmed(kind, running={"sse": [], "behind": 0.9})
    story.exchange(backend=True, method="DELETE", session="b-bystander", t=10.15)
    assert failure(rule_id, story).charged_to is Hop.GATEWAY


@pytest.mark.parametrize(("rule_id", "kind"), HARMS)
def test_a_bystander_that_was_never_served(rule_id: str, kind: str) -> None:
    story = harmed(kind, before=False, after={"sse": []})
    assert isinstance(verdict(rule_id, story.transcript()), Inconclusive)


@pytest.mark.parametrize(("rule_id", "kind"), HARMS)
def test_a_bystander_that_suffers_from_sound_requests_too(rule_id: str, kind: str) -> None:
    story = harmed(kind, after={"sse": []})
    story.stimulus("harm", harm="sound", client="sound", t=2.0)
    call(story, "bystander", "beside-sound", 1.9, 0.5, sse=[])
    assert isinstance(verdict(rule_id, story.transcript()), Inconclusive)


@pytest.mark.parametrize(("rule_id", "kind"), HARMS)
def test_no_harm_is_not_exercised(rule_id: str, kind: str) -> None:
    story = Story()
    story.connect("bystander", session="s-bystander")
    call(story, "bystander", f"no-{kind}", 5.0)
    assert isinstance(verdict(rule_id, story.transcript()), NotExercised)
