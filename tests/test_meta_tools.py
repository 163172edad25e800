"""Gateways that offer tools of their own in place of their backends': calls put in and got out, and what is judged."""

from __future__ import annotations

import json
from typing import Any

import pytest

from conformance.diagnosis.reproduce import reproduce
from conformance.evidence.links import Basis, links
from conformance.evidence.meta_tools import MetaTool
from conformance.evidence.transcript import Transcript
from conformance.rules.all import rule_named, rules
from conformance.rules.base import OWN_TOOLS, Inputs, judge
from conformance.rules.verdicts import Fail, Pass, Verdict
from tests.evidence_builder import Story, request, result

HEADER: dict[str, Any] = {
    "name": "run",
    "arguments": {"server": "one", "call": {"what": "{tool}", "with": "{arguments}"}},
    "text_in": "",
}
TOOL = MetaTool(HEADER["name"], HEADER["arguments"])
ECHO = request("tools/call", 7, name="echo", arguments={"nonce": "n-1", "text": None}, _meta={"progressToken": 1})
AS_SENT = {"server": "one", "call": {"what": "echo", "with": {"nonce": "n-1", "text": None}}}


def test_a_call_goes_into_the_gateways_own_tool_and_comes_out_as_it_was():
    sent = TOOL.wrapped(ECHO)
    assert sent["params"] == {"name": "run", "arguments": AS_SENT, "_meta": {"progressToken": 1}}
    assert sent["id"] == 7
    assert TOOL.unwrapped(sent) == ECHO
    assert TOOL.wrapped(sent) == sent, "a call of the gateway's own tool is sent as it is"


@pytest.mark.parametrize(
    "message",
    [
        request("tools/list"),
        request("tools/call", 1, name=123),
        {"jsonrpc": "2.0", "id": 1, "method": "tools/call"},
        {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": ["echo"]},
        [ECHO],
        None,
    ],
)
def test_whatever_is_no_call_of_a_backends_tool_stays_as_it_is(message):
    assert TOOL.wrapped(message) == message
    assert TOOL.unwrapped(message) == message


def test_a_call_of_the_gateways_own_tool_that_names_no_other_stays_as_it_is():
    for arguments in (None, {}, {"call": "echo"}, {"call": {"what": 1}}):
        message = request("tools/call", 1, name="run", arguments=arguments)
        assert TOOL.unwrapped(message) == message


def test_arguments_that_were_left_out_or_are_no_object_are_kept():
    bare = TOOL.wrapped(request("tools/call", 1, name="echo"))
    assert bare["params"]["arguments"]["call"] == {"what": "echo", "with": {}}
    odd = request("tools/call", 1, name="echo", arguments="no object")
    assert TOOL.unwrapped(TOOL.wrapped(odd)) == odd


def test_the_backends_text_is_got_out_of_the_gateways():
    tool = MetaTool("run", HEADER["arguments"], text_in="result")
    said = json.dumps({"tool": "echo", "result": "well"})
    whole = tool.result(result(1, content=[{"type": "text", "text": said}], isError=False))
    assert whole["result"] == {"content": [{"type": "text", "text": "well"}], "isError": False}
    for other in ("no JSON", '{"error": "unknown"}', '{"result": 1}', "[]"):
        message = result(1, content=[{"type": "text", "text": other}])
        assert tool.result(message) == message
    for content in ([], [{"type": "text", "text": said}] * 2, None, ["text"]):
        assert tool.result(result(1, content=content)) == result(1, content=content)
    plain = result(1, content=[{"type": "text", "text": said}])
    assert TOOL.result(plain) == plain, "the result is the backend's own"


# evidence -------------------------------------------------------------------------------------------------------------


def called(arguments: dict[str, Any], arrived: dict[str, Any], got: str = "well", text_in: str = "") -> Transcript:
    """Return the evidence of one call through the gateway's own tool, and of the backend's."""
    story = Story()
    story.connect()
    story.connect(backend=True, session="b-1")
    begin = story.now
    at_backend = request("tools/call", 4, name="echo", arguments=arrived)
    said = result(4, content=[{"type": "text", "text": "well"}], structuredContent={"nonce": "n-1"})
    story.exchange(backend=True, session="b-1", request=at_backend, sse=[said], t=begin + 0.02)
    text = json.dumps({text_in: got}) if text_in else got
    sent = TOOL.wrapped(request("tools/call", 1, name="echo", arguments=arguments))
    answer = result(1, content=[{"type": "text", "text": text}])
    story.exchange(session="s-1", request=sent, sse=[answer], t=begin, after=0.1)
    return story.transcript(meta_tool={**HEADER, "text_in": text_in})


def verdict(rule_id: str, through: Transcript) -> Verdict:
    rule = rule_named(rule_id)
    assert rule is not None
    return judge(rule, Inputs(through))


def test_the_two_sides_of_such_a_call_are_linked_by_its_nonce():
    through = called({"nonce": "n-1"}, {"nonce": "n-1"})
    assert [link.basis for link in links(through) if link.backend.method == "tools/call"] == [Basis.NONCE]
    (call,) = (item for item in through.client() if item.rpc_method == "tools/call")
    assert call.request["params"] == {"name": "echo", "arguments": {"nonce": "n-1"}}
    assert call.wrapped["params"]["name"] == "run"


def test_the_command_that_shows_it_again_is_the_call_that_was_sent():
    through = called({"nonce": "n-1"}, {"nonce": "n-1"})
    (call,) = (item for item in through.client() if item.rpc_method == "tools/call")
    typed = "\n".join(reproduce(through, call.events, "MGC716", "file.jsonl"))
    assert '"name": "run"' in typed
    assert '"what": "echo"' in typed


def test_rules_that_compare_what_such_gateways_reshape_do_not_apply_and_say_so():
    through = called({"nonce": "n-1"}, {"nonce": "n-1"})
    unjudged = [rule for rule in rules() if rule.needs_plain_tools and through.header["revision"] in rule.revisions]
    assert {rule.id for rule in unjudged} >= {"MGC312", "MGC715", "MGC718"}
    for rule in unjudged:
        assert verdict(rule.id, through) == OWN_TOOLS


def test_arguments_are_compared_as_the_backend_is_to_get_them():
    arguments = {"nonce": "n-1", "nothing": None}
    lost = verdict("MGC716", called(arguments, {"nonce": "n-1"}, text_in="result"))
    assert isinstance(lost, Fail), lost
    kept = verdict("MGC716", called(arguments, arguments, text_in="result"))
    assert isinstance(kept, Pass), kept
    assert OWN_TOOLS.why in kept.observed, "that structuredContent is not judged is said"


def test_structured_content_is_compared_where_the_result_is_the_backends_own():
    assert isinstance(verdict("MGC716", called({"nonce": "n-1"}, {"nonce": "n-1"})), Fail)


@pytest.mark.parametrize(("got", "kind"), [("well", Pass), ("unwell", Fail)])
def test_text_is_compared_as_the_backend_gave_it(got, kind):
    arguments = {"nonce": "n-1", "text": "naïve"}
    assert isinstance(verdict("MGC713", called(arguments, arguments, got, text_in="result")), kind)
