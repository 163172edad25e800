"""Family session_reuse on hand-written evidence: session ids, and requests without a live one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import pytest

from conformance.evidence.events import Hop
from conformance.evidence.redact import Redactor
from conformance.evidence.transcript import Transcript
from conformance.rules.all import rule_named
from conformance.rules.base import Inputs, judge
from conformance.rules.session_reuse_ids import varying_bits
from conformance.rules.verdicts import Fail, Inconclusive, NotApplicable, NotExercised, Pass, Verdict
from tests.evidence_builder import Story, error, request

UUIDS = [str(UUID(int=number * 0x9E3779B97F4A7C15F39CC0605CEDC835 % 2**128)) for number in range(1, 13)]


def verdict(rule_id: str, through: Transcript) -> Verdict:
    rule = rule_named(rule_id)
    assert rule is not None
    return judge(rule, Inputs(through))


def failure(rule_id: str, story: Story) -> Fail:
    found = verdict(rule_id, story.transcript())
    assert isinstance(found, Fail), found
    assert found.events
    return found


def connected(session: str | None = "s-1") -> Story:
    story = Story()
    story.connect(session=session)
    return story


def through_both(story: Story, *, length: float = 1.0, **exchange: Any) -> None:
    """Add an exchange of a client, and the same one between gateway and backend while it lasts."""
    begin = story.now
    story.exchange(t=begin, after=length, **exchange)
    story.exchange(backend=True, t=begin + 0.2, **exchange)
    story.at(begin + length + 0.1)


@pytest.mark.parametrize("number", range(201, 216))
def test_nothing_observed_is_not_exercised(number: int) -> None:
    story = Story()
    story.exchange(method="GET", status=200, sse=[])
    assert isinstance(verdict(f"MGC{number}", story.transcript()), NotExercised)


@pytest.mark.parametrize("number", [201, 203, 205, 206])
def test_a_gateway_without_sessions_is_not_judged(number: int) -> None:
    assert isinstance(verdict(f"MGC{number}", connected(None).transcript()), NotApplicable)


# MGC201 --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "session",
    ["1868a90c-0cf5", '{"a":"~!"}', Redactor(foreign=True).token("1868a90c")],
    ids=["uuid", "json", "redacted"],
)
def test_201_visible(session: str) -> None:
    assert isinstance(verdict("MGC201", connected(session).transcript()), Pass)


@pytest.mark.parametrize(
    "session",
    ["two words", "caf\xe9", "tab\tbed", Redactor(foreign=True).token("two  words\t")],
    ids=["space", "accent", "tab", "redacted"],
)
def test_201_not_visible(session: str) -> None:
    found = failure("MGC201", connected(session))
    assert (found.charged_to, found.symptom) == (Hop.GATEWAY, "session-id-demanded")


def test_201_the_backends_own_id_is_the_backends() -> None:
    story = Story()
    story.initialize(session="two words", t=0.0, after=1.0)
    story.initialize(session="two words", t=0.2, backend=True)
    assert failure("MGC201", story).charged_to is Hop.BACKEND


# MGC202 --------------------------------------------------------------------------------------------------------------


def sampled(ids: Sequence[str | None]) -> Story:
    story = Story()
    for number, session in enumerate(ids):
        story.connect(f"c{number}", session=session)
    return story


def test_202_random() -> None:
    assert isinstance(verdict("MGC202", sampled(UUIDS).transcript()), Pass)


@pytest.mark.parametrize(
    "ids",
    [
        [f"session-{number}" for number in range(95, 107)],
        [f"17637012345{number:08d}" for number in range(0, 12 * 7654321, 7654321)],
        ["same"] * 12,
        [*UUIDS[:11], UUIDS[0]],
    ],
    ids=["counter", "clock", "constant", "repeated"],
)
def test_202_guessable(ids: list[str]) -> None:
    found = failure("MGC202", sampled(ids))
    assert (found.charged_to, found.symptom) == (Hop.GATEWAY, "session-not-bound-to-principal")


def test_202_the_backends_counter_is_the_backends() -> None:
    story = Story()
    for number in range(12):
        begin = story.now
        story.initialize(f"c{number}", session=f"id-{number}", t=begin, after=0.5)
        story.initialize(session=f"id-{number}", backend=True, t=begin + 0.1)
        story.at(begin + 0.6)
    assert failure("MGC202", story).charged_to is Hop.BACKEND


def test_202_too_few_or_none() -> None:
    assert isinstance(verdict("MGC202", sampled(UUIDS[:11]).transcript()), NotExercised)
    assert isinstance(verdict("MGC202", sampled([*UUIDS[:11], None]).transcript()), Inconclusive)
    assert isinstance(verdict("MGC202", sampled([None] * 12).transcript()), NotApplicable)


def test_202_of_redacted_ids_the_length_is_judged() -> None:
    redactor = Redactor(foreign=True)
    assert varying_bits([redactor.token(value) for value in UUIDS]) == 36 * 4
    assert varying_bits([redactor.token(f"{number:06d}") for number in range(12)]) == pytest.approx(6 * 3.32)


def test_202_a_common_prefix_counts_for_nothing() -> None:
    assert varying_bits([f"eyJhbGciOiJIUzI1NiJ9.{value}" for value in "abcdefghijkl"]) == 6


# MGC203 --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [400, 401, 404, 422])
def test_203_refused(status: int) -> None:
    story = connected()
    story.listing(session=None, status=status, sse=None, response=error(None))
    assert isinstance(verdict("MGC203", story.transcript()), Pass)


@pytest.mark.parametrize(
    ("answer", "symptom"),
    [
        ({}, "unknown-session-wrong-status"),
        ({"status": 500, "sse": None}, "error-misclassified"),
        ({"status": None, "sse": None, "how": "abandoned", "after": 12.0}, "error-misclassified"),
    ],
)
def test_203_not_refused(answer: dict[str, Any], symptom: str) -> None:
    story = connected()
    story.listing(session=None, **answer)
    found = failure("MGC203", story)
    assert (found.charged_to, found.symptom) == (Hop.GATEWAY, symptom)


def test_203_delete_is_judged_too() -> None:
    story = connected()
    story.exchange(method="DELETE", status=200)
    assert "DELETE" in failure("MGC203", story).expected


def test_203_a_backend_that_serves_it_is_to_blame() -> None:
    story = connected()
    through_both(story, request=request("tools/list"), status=200, response=error())
    assert failure("MGC203", story).charged_to is Hop.BACKEND


def test_203_a_live_session_of_the_backend_is_the_gateways_own_choice() -> None:
    story = connected()
    story.initialize(session="up", backend=True)
    story.listing(session=None, t=1.0, after=1.0)
    story.listing(session="up", backend=True, t=1.2)
    assert failure("MGC203", story).charged_to is Hop.GATEWAY


def test_203_silence_while_the_harness_lagged() -> None:
    story = connected()
    story.listing(session=None, status=None, sse=None, how="abandoned", after=1.0)
    story.lag(0.9)
    assert isinstance(verdict("MGC203", story.transcript()), Inconclusive)


# MGC204 and MGC205 ---------------------------------------------------------------------------------------------------


def unknown(post: int, delete: int) -> Story:
    story = connected()
    story.listing(session="foreign", status=post, sse=None, response=error(None))
    story.exchange(method="DELETE", session="foreign", status=delete)
    return story


@pytest.mark.parametrize("delete", [404, 405])
def test_204_gone(delete: int) -> None:
    assert isinstance(verdict("MGC204", unknown(404, delete).transcript()), Pass)


@pytest.mark.parametrize(("post", "delete"), [(400, 404), (200, 404), (405, 404), (500, 404), (404, 400), (404, 200)])
def test_204_not_gone(post: int, delete: int) -> None:
    found = failure("MGC204", unknown(post, delete))
    assert (found.charged_to, found.symptom) == (Hop.GATEWAY, "unknown-session-wrong-status")


def test_204_an_initialize_begins_a_session_of_its_own() -> None:
    story = connected()
    story.initialize(session="s-2", headers={"Mcp-Session-Id": "stale"})
    assert isinstance(verdict("MGC204", story.transcript()), NotExercised)


def test_204_a_backends_400_is_the_backends() -> None:
    story = connected()
    through_both(story, request=request("tools/list"), session="foreign", status=400, response=error(None))
    assert failure("MGC204", story).charged_to is Hop.BACKEND


def test_204_without_sessions_any_id_is_ignored() -> None:
    story = connected(None)
    story.listing(session="foreign")
    assert isinstance(verdict("MGC204", story.transcript()), NotApplicable)


def ended(delete: int = 200, *, post: int = 404, get: int = 404) -> Story:
    story = connected()
    story.exchange(method="DELETE", session="s-1", status=delete)
    story.listing(status=post, sse=None, response=error(None))
    story.exchange(method="GET", session="s-1", status=get)
    return story


@pytest.mark.parametrize("delete", [200, 202, 204])
@pytest.mark.parametrize("get", [404, 405])
def test_205_gone(delete: int, get: int) -> None:
    assert isinstance(verdict("MGC205", ended(delete, get=get).transcript()), Pass)


@pytest.mark.parametrize("status", [{"post": 200}, {"post": 400}, {"post": 405}, {"get": 200}, {"get": 400}])
def test_205_not_gone(status: dict[str, int]) -> None:
    found = failure("MGC205", ended(**status))
    assert (found.charged_to, found.symptom) == (Hop.GATEWAY, "unknown-session-wrong-status")


@pytest.mark.parametrize("delete", [404, 405, 500])
def test_205_a_session_that_was_not_ended_may_go_on(delete: int) -> None:
    assert isinstance(verdict("MGC205", ended(delete, post=200).transcript()), NotApplicable)


def test_205_a_backends_400_is_the_backends() -> None:
    story = connected()
    story.initialize(backend=True)
    through_both(story, method="DELETE", session="s-1", status=200)
    through_both(story, request=request("tools/list"), session="s-1", status=400, response=error(None))
    assert failure("MGC205", story).charged_to is Hop.BACKEND


def test_205_a_live_session_of_the_backend_is_the_gateways_own_choice() -> None:
    story = connected()
    story.initialize(backend=True)
    story.exchange(method="DELETE", session="s-1", status=200)
    through_both(story, request=request("tools/list"), session="s-1", status=200, response=error(None))
    assert failure("MGC205", story).charged_to is Hop.GATEWAY


def test_205_an_end_that_nobody_tried_out_is_not_exercised() -> None:
    story = connected()
    story.exchange(method="DELETE", session="s-1", status=200)
    assert isinstance(verdict("MGC205", story.transcript()), NotExercised)


# MGC206 --------------------------------------------------------------------------------------------------------------


def deleted(status: int | None, **more: Any) -> Story:
    story = connected()
    story.exchange(method="DELETE", session="s-1", status=status, **more)
    return story


@pytest.mark.parametrize("status", [200, 202, 204, 404, 405])
def test_206_settled(status: int) -> None:
    assert isinstance(verdict("MGC206", deleted(status).transcript()), Pass)


@pytest.mark.parametrize("status", [400, 406, 500, 501, None])
def test_206_unsettled(status: int | None) -> None:
    found = failure("MGC206", deleted(status, after=5.0))
    assert (found.charged_to, found.symptom) == (Hop.GATEWAY, "session-leak")


def test_206_a_backends_500_is_the_backends() -> None:
    story = connected()
    through_both(story, method="DELETE", session="s-1", status=500)
    assert failure("MGC206", story).charged_to is Hop.BACKEND


def test_206_a_rate_limit_says_nothing() -> None:
    assert isinstance(verdict("MGC206", deleted(429).transcript()), Inconclusive)


# MGC212 --------------------------------------------------------------------------------------------------------------


def test_212_no_id_or_the_id_that_was_sent() -> None:
    story = Story()
    story.exchange(method="GET", status=400)
    story.exchange(session="s-9", status=404, issue_session="s-9")
    assert isinstance(verdict("MGC212", story.transcript()), Pass)


def test_212_a_new_id() -> None:
    story = Story()
    story.exchange(method="GET", status=405)
    story.exchange(status=406, issue_session="new")
    found = failure("MGC212", story)
    assert (found.charged_to, found.symptom) == (Hop.GATEWAY, "session-minted-on-error")
    assert "1 of 2" in found.observed


def test_212_a_backend_that_mints_is_to_blame() -> None:
    story = Story()
    through_both(story, method="GET", status=400, issue_session="new")
    assert failure("MGC212", story).charged_to is Hop.BACKEND
