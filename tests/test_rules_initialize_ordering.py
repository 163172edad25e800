"""Family initialize_ordering on hand-written evidence: the gateway as server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from conformance import timing
from conformance.evidence.events import Hop, Kind, Point
from conformance.evidence.transcript import Transcript
from conformance.rules.verdicts import Fail, Inconclusive, NotApplicable, NotExercised, Pass, Verdict
from tests.evidence_builder import RESULT, Story, error, notification, request, result
from tests.initialize_stories import around, asking, initialize, verdict


def empty() -> Story:
    story = Story()
    story.exchange(method="GET", status=405)
    return story


@pytest.mark.parametrize("number", range(101, 118))
def test_nothing_observed_is_not_exercised(number: int) -> None:
    transcript = empty().transcript()
    assert isinstance(verdict(f"MGC{number}", transcript, transcript), NotExercised)


# MGC101 --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lacking", ["protocolVersion", "capabilities", "serverInfo"])
def test_101_a_member_is_missing(lacking: str) -> None:
    story = Story()
    initialize(story, answer=result(0, **{name: value for name, value in RESULT.items() if name != lacking}))
    found = verdict("MGC101", story.transcript())
    assert isinstance(found, Fail)
    assert lacking in found.observed
    assert found.charged_to is Hop.GATEWAY


def test_101_the_backends_own_fault_is_the_backends() -> None:
    story, faulty = Story(), result(0, **{**RESULT, "serverInfo": {"name": "s"}})
    around(
        story,
        lambda t: initialize(story, answer=faulty, t=t, after=1.0),
        lambda t: initialize(story, answer=faulty, t=t, backend=True, session="s"),
    )
    found = verdict("MGC101", story.transcript())
    assert isinstance(found, Fail)
    assert found.charged_to is Hop.BACKEND


def test_101_complete() -> None:
    story = Story()
    initialize(story)
    assert isinstance(verdict("MGC101", story.transcript()), Pass)


# MGC102, MGC103 ------------------------------------------------------------------------------------------------------


def versions(*pairs: tuple[str, str]) -> Transcript:
    story = Story()
    for number, (asked, answered) in enumerate(pairs):
        initialize(story, f"v{number}", asked, answered)
    return story.transcript()


@pytest.mark.parametrize(
    ("pairs", "kind"),
    [
        ([("2025-11-25", "2025-11-25"), ("2025-06-18", "2025-06-18")], Pass),
        ([("2025-11-25", "2025-06-18"), ("1.0.0", "2025-11-25")], Fail),
        ([("2025-11-25", "2026-07-28")], Fail),
        ([("2025-11-25", "2025-06-18"), ("2025-06-18", "2025-06-18")], NotApplicable),
    ],
)
def test_102(pairs: list[tuple[str, str]], kind: type[Verdict]) -> None:
    assert isinstance(verdict("MGC102", versions(*pairs)), kind)


@pytest.mark.parametrize(("rule_id", "asked"), [("MGC102", "2025-11-25"), ("MGC103", "1.0.0")])
@pytest.mark.parametrize("version", [["2025-11-25"], {"v": 1}])
def test_a_version_that_is_no_text(rule_id: str, asked: str, version: Any) -> None:
    story, answer = Story(), result(0, **{**RESULT, "protocolVersion": version})
    initialize(story, "x", asked, answer)
    initialize(story, "y", answer=answer)
    assert isinstance(verdict(rule_id, story.transcript()), Fail)


def test_102_a_backend_that_was_asked_for_its_own_version_is_not_to_blame() -> None:
    story = Story()
    initialize(story, "x", "2025-06-18")
    around(
        story,
        lambda t: initialize(story, "a", "2025-06-18", "2025-11-25", t=t, after=1.0),
        lambda t: initialize(story, backend=True, session="s", t=t),
    )
    initialize(story, "b")
    found = verdict("MGC102", story.transcript())
    assert isinstance(found, Fail)
    assert found.charged_to is Hop.GATEWAY


def test_103_another_version_is_right() -> None:
    assert isinstance(verdict("MGC103", versions(("2099-01-01", "2025-11-25"), ("1.0.0", "2025-06-18"))), Pass)


@pytest.mark.parametrize("answer", [error(0, -32602, "Unsupported protocol version"), "2099-01-01"])
def test_103_an_error_or_an_echo_is_wrong(answer: Any) -> None:
    story = Story()
    initialize(story, version="2099-01-01", answer=answer)
    found = verdict("MGC103", story.transcript())
    assert isinstance(found, Fail)
    assert (found.charged_to, found.symptom) == (Hop.GATEWAY, "era-mismatch")


def test_103_a_stdio_backend_that_refuses_is_to_blame() -> None:
    story, refusal = Story(), error(0, -32602, "Unsupported protocol version")
    story.stdio_start(t=0.0)
    initialize(story, version="2099-01-01", answer=refusal, t=0.1, after=1.0)
    story.stdio("up", asking("2099-01-01"), t=0.3)
    story.stdio("down", refusal, t=0.4)
    found = verdict("MGC103", story.transcript())
    assert isinstance(found, Fail)
    assert found.charged_to is Hop.BACKEND


# MGC107 --------------------------------------------------------------------------------------------------------------


def stranger(*, issues: bool = True, **answer: Any) -> Story:
    story = Story()
    initialize(story, session="s-1" if issues else None)
    story.exchange("stranger", request=request("tools/list"), **answer)
    return story


@pytest.mark.parametrize(
    "answer",
    [
        {"status": 400, "response": error(1, -32600)},
        {"status": 404, "body": "no session"},
        {"sse": [error(1, -32600)]},
    ],
)
def test_107_refused(answer: Mapping[str, Any]) -> None:
    assert isinstance(verdict("MGC107", stranger(**answer).transcript()), Pass)


@pytest.mark.parametrize(
    ("answer", "symptom"),
    [
        ({"status": 500, "response": error(1)}, "jsonrpc-error-as-http-error"),
        ({"status": 502, "body": "<html>"}, "error-misclassified"),
        ({"sse": [result(1, tools=[])]}, "request-before-initialize"),
        ({"status": None, "how": "abandoned", "after": 12.0}, ""),
        ({"status": 202}, ""),
    ],
)
def test_107_not_refused(answer: Mapping[str, Any], symptom: str) -> None:
    found = verdict("MGC107", stranger(**answer).transcript())
    assert isinstance(found, Fail)
    assert (found.charged_to, found.symptom) == (Hop.GATEWAY, symptom)


def test_107_a_gateway_without_sessions_may_serve_anybody() -> None:
    served = {"sse": [result(1, tools=[])]}
    assert isinstance(verdict("MGC107", stranger(issues=False, **served).transcript()), Pass)
    assert isinstance(verdict("MGC107", stranger(**served).transcript(claims={"sessions": "stateless"})), Pass)


def test_107_a_backend_that_serves_strangers_is_to_blame() -> None:
    story, served = Story(), result(1, tools=[])
    initialize(story, session="s-1")
    around(
        story,
        lambda t: story.exchange("stranger", request=request("tools/list"), sse=[served], t=t, after=1.0),
        lambda t: story.exchange(backend=True, request=request("tools/list"), sse=[served], t=t),
    )
    found = verdict("MGC107", story.transcript())
    assert isinstance(found, Fail)
    assert found.charged_to is Hop.BACKEND


# MGC108 --------------------------------------------------------------------------------------------------------------


def race(*early: Any) -> Story:
    story = Story()
    for number, answer in enumerate(early):
        client = f"r{number}"
        initialize(story, client, session=client)
        story.listing(client, session=client, sse=[answer])
        story.initialized(client, session=client)
        story.listing(client, session=client)
    return story


SERVED, REJECTED = result(1, tools=[]), error(1, -32602, "Invalid request parameters")


def test_108_one_rejection_in_many_is_enough() -> None:
    found = verdict("MGC108", race(SERVED, REJECTED, SERVED).transcript(), race(SERVED).transcript())
    assert isinstance(found, Fail)
    assert "1 of 3" in found.observed
    assert found.charged_to is Hop.GATEWAY


def test_108_served() -> None:
    assert isinstance(verdict("MGC108", race(SERVED, SERVED).transcript()), Pass)


def test_108_a_strict_backend_is_left_alone() -> None:
    assert isinstance(verdict("MGC108", race(REJECTED).transcript(), race(REJECTED).transcript()), NotApplicable)


# MGC109, MGC110 ------------------------------------------------------------------------------------------------------


def malformed(story: Story, **answer: Any) -> Story:
    story.exchange("m0", request={"jsonrpc": "2.0", "id": 1, "method": "initialize"}, **answer)
    return story


@pytest.mark.parametrize(
    "answer", [{"status": 400, "response": error(1)}, {"sse": [error(1, -32602)]}, {"status": 400, "body": "no"}]
)
def test_109_answered(answer: Mapping[str, Any]) -> None:
    assert isinstance(verdict("MGC109", malformed(Story(), **answer).transcript()), Pass)


@pytest.mark.parametrize(
    ("answer", "symptom"),
    [
        ({"sse": []}, "empty-200-stream"),
        ({"status": None, "how": "abandoned", "after": timing.HANG_OBSERVATION}, "initialize-hang"),
        ({"sse": [": ping"], "how": "abandoned", "length": timing.HANG_OBSERVATION}, "initialize-hang"),
        ({"status": 500, "response": error(1)}, "jsonrpc-error-as-http-error"),
        ({"status": 500, "body": "Internal Server Error"}, "error-misclassified"),
        ({"status": None, "how": "rst"}, ""),
    ],
)
def test_109_not_answered(answer: Mapping[str, Any], symptom: str) -> None:
    found = verdict("MGC109", malformed(Story(), **answer).transcript())
    assert isinstance(found, Fail)
    assert (found.charged_to, found.symptom) == (Hop.GATEWAY, symptom)


def test_109_a_silent_backend_behind_it_is_to_blame() -> None:
    story = Story()
    story.stdio_start(t=0.0)
    malformed(story, status=None, how="abandoned", after=timing.HANG_OBSERVATION, t=0.1)
    story.stdio("up", {"jsonrpc": "2.0", "id": 1, "method": "initialize"}, t=0.3)
    found = verdict("MGC109", story.transcript())
    assert isinstance(found, Fail)
    assert found.charged_to is Hop.BACKEND


def test_109_own_lag_decides_nothing() -> None:
    story = malformed(Story(), status=None, how="abandoned", after=timing.HANG_OBSERVATION)
    story.lag(timing.HANG_OBSERVATION, t=5.0)
    assert isinstance(verdict("MGC109", story.transcript()), Inconclusive)


def beside_malformed(bystander: Any = None, later: Any = "the same") -> Transcript:
    story = Story()
    story.listing("bystander")
    malformed(story, status=400, response=error(1))
    story.listing("bystander", **(bystander or {}))
    initialize(story, "later", answer=later, session="s-2")
    story.listing("later", session="s-2")
    return story.transcript()


def test_110_nobody_is_harmed() -> None:
    assert isinstance(verdict("MGC110", beside_malformed()), Pass)


@pytest.mark.parametrize(
    ("bystander", "later", "who"),
    [
        ({"status": None, "how": "rst"}, "the same", "the bystander"),
        ({"sse": None, "status": 404, "response": error(1)}, "the same", "the bystander"),
        (None, error(0), "a later client"),
    ],
)
def test_110_somebody_is_harmed(bystander: Any, later: Any, who: str) -> None:
    found = verdict("MGC110", beside_malformed(bystander, later))
    assert isinstance(found, Fail)
    assert who in found.observed
    assert (found.charged_to, found.symptom) == (Hop.GATEWAY, "one-client-kills-all")


# MGC111 --------------------------------------------------------------------------------------------------------------


def two_clients(second: Any = "the same", first_after: Any = SERVED) -> Transcript:
    story = Story()
    initialize(story, "a", session="s-a")
    initialize(story, "b", answer=second, session="s-b")
    story.listing("b", session="s-b")
    story.listing("a", session="s-a", sse=[first_after])
    return story.transcript()


def test_111_both_are_served() -> None:
    assert isinstance(verdict("MGC111", two_clients()), Pass)


@pytest.mark.parametrize(
    ("second", "first_after", "symptom"),
    [(error(0, -32600), SERVED, "reinitialize-rejected"), ("the same", REJECTED, "one-client-kills-all")],
)
def test_111_one_of_them_is_not(second: Any, first_after: Any, symptom: str) -> None:
    found = verdict("MGC111", two_clients(second, first_after))
    assert isinstance(found, Fail)
    assert (found.charged_to, found.symptom) == (Hop.GATEWAY, symptom)


def test_111_a_backend_with_one_session_is_to_blame() -> None:
    story, refusal = Story(), error(0, -32600, "Server already initialized")
    initialize(story, "a", session="s-a")
    around(
        story,
        lambda t: initialize(story, "b", answer=refusal, t=t, after=1.0),
        lambda t: initialize(story, answer=refusal, backend=True, t=t),
    )
    story.listing("a", session="s-a")
    found = verdict("MGC111", story.transcript())
    assert isinstance(found, Fail)
    assert found.charged_to is Hop.BACKEND


# MGC115 --------------------------------------------------------------------------------------------------------------


def unanswered(story: Story, **more: Any) -> str:
    return initialize(story, **{"answer": None, "sse": None, "status": None, "how": "abandoned", "after": 20.0, **more})


def test_115_answered() -> None:
    story = Story()
    initialize(story)
    initialize(story, "b", answer=error(0))
    assert isinstance(verdict("MGC115", story.transcript()), Pass)


def test_115_never_answered_and_no_backend_asked() -> None:
    story = Story()
    unanswered(story)
    found = verdict("MGC115", story.transcript())
    assert isinstance(found, Fail)
    assert (found.charged_to, found.symptom) == (Hop.GATEWAY, "initialize-hang")
    assert "sent no backend an initialize" in found.observed


@pytest.mark.parametrize(
    ("answered", "charged_to", "said"), [(True, Hop.GATEWAY, "1 of 1"), (False, Hop.BACKEND, "0 of 1")]
)
def test_115_which_hop_did_not_answer(answered: bool, charged_to: Hop, said: str) -> None:
    story = Story()
    unanswered(story, t=0.0)
    initialize(story, answer="the same" if answered else None, backend=True, session="s", t=1.0)
    found = verdict("MGC115", story.transcript())
    assert isinstance(found, Fail)
    assert found.charged_to is charged_to
    assert said in found.observed


def test_115_an_empty_stream() -> None:
    story = Story()
    initialize(story, answer=None)
    found = verdict("MGC115", story.transcript())
    assert isinstance(found, Fail)
    assert found.symptom == "empty-200-stream"


def test_115_an_error_before_the_backends_result() -> None:
    story = Story()
    initialize(story, sse=None, status=504, response=error(0, -32001, "Timed out"), t=0.0, after=1.0)
    initialize(story, backend=True, session="s", t=0.5, after=2.5)
    found = verdict("MGC115", story.transcript())
    assert isinstance(found, Fail)
    assert found.symptom == "gateway-timeout-too-short"


@pytest.mark.parametrize(("backends", "expected"), [(1.0, Pass), (1.5, Fail)])
def test_115_the_head_of_a_stream_is_no_answer(backends: float, expected: type) -> None:
    story = Story()
    stream = initialize(story, answer=None, t=0.0, how=None)
    story.item(stream, error(0, -32602), t=1.2)
    story.end(stream, t=2.0)
    initialize(story, backend=True, session="s", t=0.1, after=backends - 0.1)
    assert isinstance(verdict("MGC115", story.transcript()), expected)


@pytest.mark.parametrize(("waited", "lag"), [(2.0, 0.0), (20.0, 15.0)])
def test_115_too_short_a_watch_and_own_lag_decide_nothing(waited: float, lag: float) -> None:
    story = Story()
    unanswered(story, after=waited)
    story.lag(lag, t=1.0)
    assert isinstance(verdict("MGC115", story.transcript()), Inconclusive)


@pytest.mark.parametrize(
    ("sign", "decides"), [("", False), ("probe answered", True), ("answer before", True), ("backend asked", True)]
)
def test_115_a_gateway_that_may_still_be_starting_is_told_from_one_that_runs(sign: str, decides: bool) -> None:
    story = Story()
    if sign == "probe answered":
        story.add(Point.STAGE, Kind.READINESS, what="gateway answers initialize at x", ok=True, attempt=1, detail="200")
    if sign == "answer before":
        initialize(story, t=1.0)
    unanswered(story, t=2.0)
    if sign == "backend asked":
        story.exchange(backend=True, method="GET", status=405, t=3.0)
    initialize(story, "b", t=30.0)
    found = verdict("MGC115", story.transcript())
    assert isinstance(found, Fail if decides else Inconclusive)
    if not decides:
        assert "starting still" in found.why


# MGC116 --------------------------------------------------------------------------------------------------------------


def with_header(story: Story, value: str, **answer: Any) -> Story:
    story.exchange(request=request("tools/list"), session="s-1", headers={"MCP-Protocol-Version": value}, **answer)
    return story


def test_116() -> None:
    assert isinstance(verdict("MGC116", with_header(Story(), "1999-01-01", status=400).transcript()), Pass)
    found = verdict("MGC116", with_header(Story(), "1999-01-01", sse=[SERVED]).transcript())
    assert isinstance(found, Fail)
    assert (found.charged_to, found.symptom) == (Hop.GATEWAY, "version-header-unchecked")


@pytest.mark.parametrize(("passed_on", "charged_to"), [("1999-01-01", Hop.BACKEND), ("2025-11-25", Hop.GATEWAY)])
def test_116_only_a_backend_that_got_the_header_can_be_to_blame(passed_on: str, charged_to: Hop) -> None:
    story = Story()
    around(
        story,
        lambda t: with_header(story, "1999-01-01", sse=[SERVED], t=t, after=1.0) and "",
        lambda t: with_header(story, passed_on, sse=[SERVED], backend=True, t=t) and "",
    )
    found = verdict("MGC116", story.transcript())
    assert isinstance(found, Fail)
    assert found.charged_to is charged_to


@pytest.mark.parametrize(("agreed", "kind"), [("2025-03-26", NotApplicable), ("2025-06-18", Fail)])
def test_116_binds_who_agreed_on_a_version_with_the_header(agreed: str, kind: type) -> None:
    story = Story()
    story.initialize(sse=[result(0, protocolVersion=agreed, capabilities={}, serverInfo={})])
    assert isinstance(verdict("MGC116", with_header(story, "1999-01-01", sse=[SERVED]).transcript()), kind)


def test_116_holds_from_2025_06_18_on() -> None:
    story = with_header(Story(), "1999-01-01", sse=[SERVED])
    assert isinstance(verdict("MGC116", story.transcript(revision="2025-03-26")), NotApplicable)


def test_notifications_are_no_requests() -> None:
    story = Story()
    initialize(story, session="s-1")
    story.exchange("stranger", request=notification("notifications/initialized"), status=400)
    assert isinstance(verdict("MGC107", story.transcript()), NotExercised)
