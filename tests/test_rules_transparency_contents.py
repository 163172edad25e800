"""Family transparency on hand-written evidence: what a call and its answer contain, and how often it is made."""

from __future__ import annotations

from typing import Any

import pytest

from conformance.evidence.events import Hop
from conformance.evidence.transcript import Transcript
from conformance.rules.all import rule_named
from conformance.rules.base import Inputs, judge
from conformance.rules.verdicts import Fail, Inconclusive, NotApplicable, NotExercised, Pass, Verdict
from tests.evidence_builder import Story, error, notification, request, result

META = {"com.example/trace": {"id": 1}}


def verdict(rule_id: str, through: Transcript) -> Verdict:
    rule = rule_named(rule_id)
    assert rule is not None
    return judge(rule, Inputs(through))


def failure(rule_id: str, story: Story, symptom: str = "content-altered") -> Fail:
    found = verdict(rule_id, story.transcript())
    assert isinstance(found, Fail), found
    assert found.events
    assert found.symptom == symptom
    return found


def passes(rule_id: str, story: Story) -> None:
    found = verdict(rule_id, story.transcript())
    assert isinstance(found, Pass), found


def text(value: str) -> dict[str, Any]:
    return result(1, content=[{"type": "text", "text": value}])


def linked(
    story: Story,
    arguments: dict[str, Any] | None = None,
    answer: dict[str, Any] | None = None,
    *,
    sent: dict[str, Any] | None = None,
    said: dict[str, Any] | None = None,
    params: dict[str, Any] | None = None,
    their_params: dict[str, Any] | None = None,
    made: int = 1,
    **theirs: Any,
) -> None:
    """Add a call and its answer, the same on both sides but for `sent` and `said`, the backend's side of either."""
    nonce, begin, answer = f"n-{story.now:.2f}", story.now, answer or text("well")
    ours = {"name": "echo", "arguments": {"nonce": nonce, **(arguments or {})}, **(params or {})}
    other = {**ours, "arguments": {"nonce": nonce, **(sent if sent is not None else arguments or {})}}
    other = {**other, "name": "tool", **(their_params or {})}
    given: dict[str, Any] = {"sse": [said or answer]} | theirs
    for number in range(made):
        at = begin + 0.02 + number * 0.05
        asked = request("tools/call", 1, **other)
        story.exchange(backend=True, session="b-1", request=asked, t=at, after=0.02, length=0.01, **given)
    story.exchange(session="s-1", request=request("tools/call", 1, **ours), sse=[answer], t=begin, after=0.3)


def session() -> Story:
    """A session with one plain call."""
    story = Story()
    story.connect()
    story.connect(backend=True, session="b-1")
    linked(story)
    return story


@pytest.mark.parametrize("number", range(713, 720))
def test_nothing_observed_is_not_exercised(number: int) -> None:
    story = Story()
    story.connect()
    story.call()
    assert isinstance(verdict(f"MGC{number}", story.transcript()), NotExercised)


# MGC713 --------------------------------------------------------------------------------------------------------------


def test_text_that_is_the_same_on_both_sides_passes() -> None:
    story = session()
    linked(story, {"text": "café \u2028"}, text("café \u2028"))
    passes("MGC713", story)


def test_text_damaged_on_its_way_to_the_backend_fails() -> None:
    story = session()
    linked(story, {"text": "café"}, text("cafÃ©"), sent={"text": "cafÃ©"})
    assert "at the backend" in failure("MGC713", story).expected


@pytest.mark.parametrize("came", ["cafe\u0301", "caf?", "caf\ufffd"])
def test_text_damaged_on_its_way_back_fails(came: str) -> None:
    story = session()
    linked(story, {"text": "café"}, text(came), said=text("café"))
    found = failure("MGC713", story)
    assert "at the client" in found.expected
    assert found.charged_to is Hop.GATEWAY


GARBLED = '{"nonce": "n-x", "text": "caf\ufffd"}'


@pytest.mark.parametrize("backend", [True, False])
def test_bytes_that_are_no_utf_8_fail(backend: bool) -> None:
    story = session()
    asked = request("tools/call", 1, name="echo", arguments={"nonce": "n-x", "text": "café"})
    if backend:
        story.exchange(session="s-1", request=asked, status=502)
        story.exchange(backend=True, session="b-1", request_body=GARBLED, status=400)
    else:
        story.exchange(session="s-1", request=asked, body=GARBLED)
    assert ("the backend" if backend else "the client") in failure("MGC713", story).observed


def test_text_without_a_link_is_inconclusive() -> None:
    story = session()
    asked = request("tools/call", 1, name="echo", arguments={"nonce": "n-x", "text": "café"})
    story.exchange(session="s-1", request=asked, sse=[text("café")])
    assert isinstance(verdict("MGC713", story.transcript()), Inconclusive)


# MGC714, MGC715 ------------------------------------------------------------------------------------------------------


def test_metadata_that_is_served_and_survives_passes() -> None:
    story = session()
    linked(story, answer=result(1, content=[], _meta=META), params={"_meta": META})
    passes("MGC714", story)
    passes("MGC715", story)


def test_a_progress_token_may_be_another() -> None:
    story = session()
    mine, theirs = META | {"progressToken": "mine"}, META | {"progressToken": 7}
    linked(story, params={"_meta": mine}, their_params={"_meta": theirs})
    passes("MGC715", story)


def test_metadata_before_2025_06_18_is_not_judged() -> None:
    story = session()
    linked(story, params={"_meta": META})
    assert isinstance(verdict("MGC714", story.transcript(revision="2025-03-26")), NotApplicable)


def test_a_call_refused_for_its_metadata_fails() -> None:
    story = session()
    asked = request("tools/call", 1, name="echo", arguments={"nonce": "n-x"}, _meta=META)
    story.exchange(session="s-1", request=asked, sse=[error(1, -32602)])
    assert "-32602" in failure("MGC714", story).observed


def test_where_no_call_is_served_metadata_is_not_to_blame() -> None:
    story = Story()
    story.connect()
    for more in ({}, {"_meta": META}):
        asked = request("tools/call", 1, name="echo", arguments={"nonce": "n-x"}, **more)
        story.exchange(session="s-1", request=asked, sse=[error(1)])
    assert isinstance(verdict("MGC714", story.transcript()), Inconclusive)


@pytest.mark.parametrize("came", [{}, {"_meta": {}}, {"_meta": {"com.example/trace": "{'id': 1}"}}])
def test_metadata_of_a_call_that_does_not_arrive_fails(came: dict[str, Any]) -> None:
    story = session()
    linked(story, params={"_meta": META}, their_params={"_meta": None} | came)
    assert "of the call" in failure("MGC715", story).expected


def test_metadata_of_a_result_that_does_not_arrive_fails() -> None:
    story = session()
    linked(story, params={"_meta": META}, said=result(1, content=[], _meta=META))
    assert "of the result" in failure("MGC715", story).expected


@pytest.mark.parametrize(("came", "right"), [({"_meta": META}, True), ({}, False)])
def test_metadata_of_a_log_message(came: dict[str, Any], right: bool) -> None:
    story = session()
    linked(story, params={"_meta": META})
    log = {"level": "info", "data": {"nonce": "n-log"}}
    story.exchange(
        backend=True, session="b-1", method="GET", sse=[notification("notifications/message", **log, _meta=META)]
    )
    story.exchange(session="s-1", method="GET", sse=[notification("notifications/message", **log, **came)])
    if right:
        passes("MGC715", story)
    else:
        assert "log message" in failure("MGC715", story).expected


# MGC716, MGC717 ------------------------------------------------------------------------------------------------------

DATA = {"nothing": None, "half": 0.5, "empty": {}}


def test_data_that_arrive_pass() -> None:
    story = session()
    linked(story, {"text": "x", **DATA}, result(1, structuredContent=DATA), sent={"text": "y", **DATA, "more": 1})
    passes("MGC716", story)


@pytest.mark.parametrize("sent", [{}, {"half": 0.5, "empty": {}}, DATA | {"half": "0.5"}])
def test_arguments_that_do_not_arrive_fail(sent: dict[str, Any]) -> None:
    story = session()
    linked(story, DATA, sent=sent)
    assert "arguments" in failure("MGC716", story).expected


@pytest.mark.parametrize(("got", "said"), [({}, "none"), ({"structuredContent": {"result": DATA}}, "other values")])
def test_structured_content_that_does_not_arrive_fails(got: dict[str, Any], said: str) -> None:
    story = session()
    linked(story, answer=result(1, **got), said=result(1, structuredContent=DATA))
    assert said in failure("MGC716", story).observed


STRANGE: dict[str, Any] = {"_meta": META, "comExampleMember": 1}
CONTENT: dict[str, Any] = {"type": "text", "text": "x"}


def test_members_nobody_knows_that_arrive_pass() -> None:
    story = session()
    linked(story, params=STRANGE, answer=result(1, content=[CONTENT | {"comExampleMember": 1}], comExampleMember=[]))
    passes("MGC717", story)


@pytest.mark.parametrize(
    ("given", "where"),
    [
        ({"their_params": {"comExampleMember": None}}, "call"),
        ({"answer": result(1, content=[]), "said": result(1, content=[], comExampleMember=1)}, "result"),
        (
            {"answer": result(1, content=[CONTENT]), "said": result(1, content=[CONTENT | {"comExampleMember": 1}])},
            "content",
        ),
    ],
)
def test_members_nobody_knows_that_are_lost_fail(given: dict[str, Any], where: str) -> None:
    story = session()
    linked(story, params=STRANGE, **given)
    assert f"of the {where} " in failure("MGC717", story).expected


def test_what_a_gateway_makes_of_members_that_are_defined_is_not_judged_here() -> None:
    story = session()
    said = result(1, content=[CONTENT | {"annotations": {}}], isError=False)
    linked(story, params=STRANGE, answer=result(1, content=[CONTENT]), said=said)
    passes("MGC717", story)


# MGC718 --------------------------------------------------------------------------------------------------------------

FAULT = {"jsonrpc": "2.0", "id": 1, "error": {"code": 4711, "message": "Rejected", "data": {"why": 1}}}


def with_error(**changes: Any) -> dict[str, Any]:
    members = {"code": 4711, "message": "Rejected", "data": {"why": 1}} | changes
    return {**FAULT, "error": {name: value for name, value in members.items() if value is not None}}


@pytest.mark.parametrize("got", [FAULT, with_error(message="MCP error 4711: Rejected")])
def test_an_error_that_stays_what_it_was_passes(got: dict[str, Any]) -> None:
    story = session()
    linked(story, answer=got, said=FAULT)
    linked(story, answer=result(1, isError=True, content=[]))
    passes("MGC718", story)


@pytest.mark.parametrize(
    ("got", "observed"),
    [
        (with_error(code=-32603), "-32603"),
        (with_error(message="Internal error"), "Internal error"),
        (result(1, isError=True, content=[]), "as a result"),
        (result(1, content=[]), "as a result"),
    ],
)
def test_an_error_that_became_another_fails(got: dict[str, Any], observed: str) -> None:
    story = session()
    linked(story, answer=got, said=FAULT)
    assert observed in failure("MGC718", story, "error-misclassified").observed


@pytest.mark.parametrize("got", [with_error(data=None), with_error(data="{'why': 1}")])
def test_an_error_without_its_data_fails(got: dict[str, Any]) -> None:
    story = session()
    linked(story, answer=got, said=FAULT)
    assert "data" in failure("MGC718", story).expected


@pytest.mark.parametrize(("got", "observed"), [(result(1, content=[]), "a success"), (error(1, -32000), "-32000")])
def test_a_tool_s_error_that_became_something_else_fails(got: dict[str, Any], observed: str) -> None:
    story = session()
    linked(story, answer=got, said=result(1, isError=True, content=[]))
    assert observed in failure("MGC718", story, "error-misclassified").observed


# MGC719 --------------------------------------------------------------------------------------------------------------


def test_a_call_made_once_passes() -> None:
    passes("MGC719", session())


def test_a_call_made_twice_fails() -> None:
    story = session()
    linked(story, made=2, status=500)
    assert "2 times" in failure("MGC719", story, "unsafe-retry").observed


@pytest.mark.parametrize("refused", [{"status": 307}, {"status": 404}, {"status": None, "how": "rst"}])
def test_a_call_that_was_not_executed_may_be_made_again(refused: dict[str, Any]) -> None:
    story = session()
    begin = story.now
    nonce = f"n-{begin:.2f}"
    asked = request("tools/call", 1, name="tool", arguments={"nonce": nonce})
    story.exchange(backend=True, session="b-0", request=asked, t=begin, **refused)
    story.at(begin)
    linked(story)
    passes("MGC719", story)
