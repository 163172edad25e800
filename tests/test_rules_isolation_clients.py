"""Family isolation on hand-written evidence: two clients with equal ids and progress tokens, logs and cancels."""

from __future__ import annotations

from typing import Any

import pytest

from conformance.evidence.events import Hop
from conformance.evidence.transcript import Transcript
from conformance.rules.all import rule_named
from conformance.rules.base import Inputs, judge
from conformance.rules.verdicts import Fail, Inconclusive, NotApplicable, NotExercised, Pass, Verdict
from tests.evidence_builder import Story, notification, request, result


def verdict(rule_id: str, through: Transcript) -> Verdict:
    rule = rule_named(rule_id)
    assert rule is not None
    return judge(rule, Inputs(through))


def failure(rule_id: str, story: Story) -> Fail:
    found = verdict(rule_id, story.transcript())
    assert isinstance(found, Fail), found
    assert found.events
    return found


def asked(nonce: str, id: Any) -> dict[str, Any]:
    return request("tools/call", id, name="slow", arguments={"nonce": nonce})


def answered(nonce: str, id: Any) -> dict[str, Any]:
    return result(id, structuredContent={"nonce": nonce})


def log(nonce: str) -> dict[str, Any]:
    return notification("notifications/message", level="info", data={"nonce": nonce})


def progress(nonce: str, token: int = 7) -> dict[str, Any]:
    return notification("notifications/progress", progressToken=token, progress=1, message=nonce)


def call(
    story: Story,
    client: str,
    nonce: str,
    *sse: Any,
    id: Any = 7,
    t: float,
    lasts: float = 1.0,
    session: str | None = None,
    **more: Any,
) -> None:
    """Add a client's call and the gateway's for it, whose stream carries `sse` after the time it lasts."""
    given: dict[str, Any] = {"request": asked(nonce, id), "t": t, "after": lasts, "length": 0.01} | more
    story.exchange(client, session=f"s-{client}", sse=sse, **given)
    theirs = {"request": asked(nonce, 41), "t": t + 0.01, "after": lasts - 0.05, "length": 0.01}
    story.exchange(backend=True, session=session or f"b-{client}", sse=[answered(nonce, 41)], **theirs)


def two_clients() -> Story:
    """Two clients, each with a call under an id that nobody else uses."""
    story = Story()
    for number, client in enumerate("ab"):
        story.connect(client, session=f"s-{client}")
        call(story, client, f"alone-{client}", answered(f"alone-{client}", number), id=number, t=story.now, lasts=0.1)
    return story.at(10.0)


@pytest.mark.parametrize("number", range(801, 805))
def test_nothing_observed_is_not_exercised(number: int) -> None:
    assert isinstance(verdict(f"MGC{number}", two_clients().transcript()), NotExercised)


# MGC801 --------------------------------------------------------------------------------------------------------------


def test_801_both_are_answered() -> None:
    story = two_clients()
    call(story, "a", "n-a", answered("n-a", 7), t=10.0)
    call(story, "b", "n-b", answered("n-b", 7), t=10.1, lasts=0.3)
    assert isinstance(verdict("MGC801", story.transcript()), Pass)


def test_801_one_stream_ends_without_an_answer() -> None:
    story = two_clients()
    call(story, "a", "n-a", t=10.0)
    call(story, "b", "n-b", answered("n-b", 7), t=10.1)
    found = failure("MGC801", story)
    assert (found.charged_to, found.symptom) == (Hop.GATEWAY, "response-crosswire")
    assert "n-a" in found.observed


def test_801_one_waits_for_ever() -> None:
    story = two_clients()
    call(story, "a", "n-a", t=10.0, status=None, length=6.0, how="abandoned")
    call(story, "b", "n-b", answered("n-b", 7), t=10.1)
    assert failure("MGC801", story).charged_to is Hop.GATEWAY


def test_801_the_harness_lagged() -> None:
    story = two_clients()
    call(story, "a", "n-a", t=10.0, status=None, length=6.0, how="abandoned")
    call(story, "b", "n-b", answered("n-b", 7), t=10.1)
    story.lag(5.0, t=12.0)
    assert isinstance(verdict("MGC801", story.transcript()), Inconclusive)


def test_801_a_backend_that_answers_nothing_is_to_blame() -> None:
    story = two_clients()
    for client in "ab":
        story.exchange(client, session=f"s-{client}", request=asked(f"n-{client}", 7), sse=[], t=10.0, after=1.0)
        theirs = {"request": asked(f"n-{client}", 41), "sse": [], "t": 10.1, "after": 0.5}
        story.exchange(backend=True, session=f"b-{client}", **theirs)
    assert failure("MGC801", story).charged_to is Hop.BACKEND


def test_801_no_call_is_answered_at_all() -> None:
    story = Story()
    for client in "ab":
        story.connect(client, session=f"s-{client}")
    call(story, "a", "n-a", t=10.0)
    call(story, "b", "n-b", t=10.1)
    assert isinstance(verdict("MGC801", story.transcript()), Inconclusive)


# MGC802 and MGC803 ---------------------------------------------------------------------------------------------------

SPOKEN = [("MGC802", progress), ("MGC803", log)]


def speak(said: Any, *, to_a: str, to_b: str, session: str | None = None) -> Story:
    """Both call; the backend says something about each call, and each client gets something about a nonce."""
    story = two_clients()
    for client, nonce in (("a", to_a), ("b", to_b)):
        call(story, client, f"n-{client}", said(nonce), answered(f"n-{client}", 7), t=10.0, session=session)
        story.exchange(
            backend=True, session=session or f"b-{client}", method="GET", t=10.2, sse=[said(f"n-{client}")], how=None
        )
    return story


@pytest.mark.parametrize(("rule_id", "said"), SPOKEN)
def test_each_client_gets_its_own(rule_id: str, said: Any) -> None:
    assert isinstance(verdict(rule_id, speak(said, to_a="n-a", to_b="n-b").transcript()), Pass)


@pytest.mark.parametrize(("rule_id", "said"), SPOKEN)
def test_a_message_astray(rule_id: str, said: Any) -> None:
    found = failure(rule_id, speak(said, to_a="n-a", to_b="n-a"))
    assert (found.charged_to, found.symptom) == (Hop.GATEWAY, "response-crosswire")
    assert "client:b" in found.observed


@pytest.mark.parametrize(("rule_id", "said"), SPOKEN)
def test_a_message_astray_in_a_shared_backend_session(rule_id: str, said: Any) -> None:
    story = speak(said, to_a="n-a", to_b="n-a", session="b-shared")
    assert failure(rule_id, story).symptom == "upstream-session-shared"


@pytest.mark.parametrize(("rule_id", "said"), SPOKEN)
def test_a_backend_that_mixes_its_sessions_up_is_to_blame(rule_id: str, said: Any) -> None:
    story = speak(said, to_a="n-a", to_b="n-a")
    story.exchange(backend=True, session="b-b", method="GET", t=10.3, sse=[said("n-a")], how=None)
    assert failure(rule_id, story).charged_to is Hop.BACKEND


@pytest.mark.parametrize(("rule_id", "said"), SPOKEN)
def test_only_one_client_got_anything(rule_id: str, said: Any) -> None:
    story = speak(said, to_a="n-a", to_b="unknown")
    assert isinstance(verdict(rule_id, story.transcript()), Inconclusive)


@pytest.mark.parametrize(("rule_id", "said"), SPOKEN)
def test_nobody_got_anything(rule_id: str, said: Any) -> None:
    story = speak(said, to_a="unknown", to_b="unknown")
    assert isinstance(verdict(rule_id, story.transcript()), NotExercised)


@pytest.mark.parametrize(("rule_id", "said"), SPOKEN)
def test_answers_in_json_have_no_room_for_it(rule_id: str, said: Any) -> None:
    story = Story()
    for client in "ab":
        nonce = f"n-{client}"
        asked_for = {"request": asked(nonce, 7), "response": answered(nonce, 7)}
        story.exchange(client, session=f"s-{client}", t=10.0, after=1.0, **asked_for)
        theirs = {"request": asked(nonce, 41), "sse": [said(nonce), answered(nonce, 41)], "t": 10.1, "after": 0.5}
        story.exchange(backend=True, session=f"b-{client}", **theirs)
    assert isinstance(verdict(rule_id, story.transcript()), NotApplicable)


ASKED = [
    request("sampling/createMessage", 5, messages=[{"role": "user", "content": {"type": "text", "text": "n-a"}}]),
    request("elicitation/create", 5, message="n-a"),
    request("roots/list", 5, _meta={"mcp-gateway-conformance/nonce": "n-a"}),
]


@pytest.mark.parametrize("asked", ASKED)
@pytest.mark.parametrize(("client", "wanted"), [("a", Pass), ("b", Fail)])
def test_803_whom_a_request_of_the_backend_s_reaches(asked: Any, client: str, wanted: type[Verdict]) -> None:
    story = speak(log, to_a="n-a", to_b="n-b")
    for item in {"a", client}:
        story.exchange(item, session=f"s-{item}", method="GET", t=10.3, sse=[asked], how=None)
    found = verdict("MGC803", story.transcript())
    assert isinstance(found, wanted)
    assert not isinstance(found, Fail) or "request of the backend's" in found.observed


def test_803_a_request_about_no_call_is_nobodys() -> None:
    story = speak(log, to_a="n-a", to_b="n-b")
    story.exchange("b", session="s-b", method="GET", t=10.3, sse=[request("roots/list", 5)], how=None)
    assert isinstance(verdict("MGC803", story.transcript()), Pass)


# MGC804 --------------------------------------------------------------------------------------------------------------


def cancelling(*to_b: Any) -> Story:
    """Both call with one id, and a cancels its own."""
    story = two_clients()
    call(story, "a", "n-a", t=10.0, lasts=0.5)
    call(story, "b", "n-b", *to_b, t=10.0)
    cancel = notification("notifications/cancelled", requestId=7)
    story.exchange("a", session="s-a", request=cancel, status=202, t=10.3)
    return story


def test_804_the_other_call_goes_on() -> None:
    assert isinstance(verdict("MGC804", cancelling(answered("n-b", 7)).transcript()), Pass)


def test_804_a_cancel_that_names_nothing_cancels_nothing() -> None:
    story = two_clients()
    for client, answers in (("a", [answered("n-a", 7)]), ("b", [])):
        call(story, client, f"n-{client}", *answers, t=10.0)
    cancel = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": None}
    story.exchange("a", session="s-a", request=cancel, status=202, t=10.3)
    assert isinstance(verdict("MGC804", story.transcript()), NotExercised)
    assert failure("MGC801", story).charged_to is Hop.GATEWAY


def test_804_the_other_call_ends() -> None:
    found = failure("MGC804", cancelling())
    assert (found.charged_to, found.symptom) == (Hop.GATEWAY, "cancel-crosses-clients")


def test_804_a_backend_that_ends_it_unasked_is_to_blame() -> None:
    story = two_clients()
    call(story, "a", "n-a", t=10.0, lasts=0.5)
    story.exchange("b", session="s-b", request=asked("n-b", 7), sse=[], t=10.0, after=1.0)
    story.exchange(backend=True, session="b-b", request=asked("n-b", 41), sse=[], t=10.1, after=0.5)
    cancel = notification("notifications/cancelled", requestId=7)
    story.exchange("a", session="s-a", request=cancel, status=202, t=10.3)
    assert failure("MGC804", story).charged_to is Hop.BACKEND


def test_804_a_cancel_that_went_to_the_other_call_is_the_gateways() -> None:
    story = cancelling()
    told = notification("notifications/cancelled", requestId=41)
    story.exchange(backend=True, session="b-b", request=told, status=202, t=10.31)
    assert failure("MGC804", story).charged_to is Hop.GATEWAY


def test_804_answers_cross_without_a_cancel() -> None:
    story = cancelling()
    call(story, "a", "m-a", answered("m-b", 9), id=9, t=20.0)
    call(story, "b", "m-b", answered("m-a", 9), id=9, t=20.1)
    assert isinstance(verdict("MGC804", story.transcript()), Inconclusive)
