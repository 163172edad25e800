"""Two backends behind one gateway, on hand-written evidence: one down or silent, one that dies, names that clash."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from conformance.evidence.transcript import Transcript
from conformance.rules.all import rule_named
from conformance.rules.base import OWN_TOOLS, Inputs, judge
from conformance.rules.isolation_bystanders import SLOW
from conformance.rules.two_backends_evidence import DIED, FIRST, READY, SECOND, STARTED
from conformance.rules.verdicts import Fail, Inconclusive, NotExercised, Pass, Verdict
from tests.evidence_builder import Story, error, notification, request, result

NAMES = {FIRST: "one_echo", SECOND: "two_echo"}
META_TOOL = {"name": "run", "arguments": {"what": "{tool}", "with": "{arguments}"}, "text_in": "text"}
UNKNOWN = result(1, content=[{"type": "text", "text": "Unknown tool"}], isError=True)


def verdict(rule_id: str, transcript: Transcript) -> Verdict:
    rule = rule_named(rule_id)
    assert rule is not None
    return judge(rule, Inputs(transcript))


class Two:
    """A story before two backends, told in calls."""

    def __init__(self, state: str) -> None:
        self.state = state
        self.story = Story()
        self.story.stimulus("two.expected", tool="echo", names=NAMES)
        self._calls = 0

    def call(self, backend: str, answer: Any = None, *, client: str = "a", at: str | None = None, **more: Any) -> None:
        """Add a call of a backend's tool: served where `answer` is None; `at` is the backend that it reaches."""
        self._calls += 1
        nonce = f"n-{self._calls}"
        self.story.stimulus("two.called", backend=backend, tool=NAMES[backend], nonce=nonce)
        asked = request("tools/call", 1, name=NAMES[backend], arguments={"nonce": nonce})
        served = result(1, content=[{"type": "text", "text": nonce}])
        if at is not None:
            behind = request("tools/call", 9, name="echo", arguments={"nonce": nonce})
            begin = self.story.now
            self.story.exchange(
                backend=at.removeprefix("backend:"), session="b-1", request=behind, sse=[], t=begin + 0.02
            )
            more = {"after": 0.1, "t": begin, **more}
        self.story.exchange(client, session="s-1", request=asked, sse=[answer or served], **more)

    def used(self, client: str = "a", *, tools: Sequence[str] = ("one_echo",), answer: Any = None) -> None:
        """Add a client that connects, lists the tools, and calls the first backend's."""
        self.story.connect(client=client)
        self.story.listing(client=client, tools=tools)
        self.call(FIRST, answer, client=client)

    def judged(self, rule_id: str, **header: Any) -> Verdict:
        return verdict(rule_id, self.story.transcript(second_backend=self.state, **header))


@pytest.mark.parametrize("rule_id", ["MGC140", "MGC141", "MGC142", "MGC143", "MGC250", "MGC251", "MGC850", "MGC851"])
def test_a_gateway_before_one_backend_is_not_judged(rule_id):
    story = Story()
    story.connect()
    story.listing(tools=["echo"])
    story.call()
    assert isinstance(verdict(rule_id, story.transcript()), NotExercised)


# one that is not there ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("rule_id", "state"), [("MGC140", "down"), ("MGC141", "silent")])
class TestOneBadBackend:
    """MGC140 and MGC141."""

    def test_the_other_is_served(self, rule_id, state):
        two = Two(state)
        two.story.connect()
        two.story.listing(tools=["one_echo"])
        two.call(FIRST)
        assert isinstance(two.judged(rule_id), Pass)

    @pytest.mark.parametrize("tools", [[], ["two_echo"]])
    def test_the_others_tools_are_gone(self, rule_id, state, tools):
        two = Two(state)
        two.story.connect()
        two.story.listing(tools=tools)
        found = two.judged(rule_id)
        assert isinstance(found, Fail)
        assert found.symptom == "one-bad-backend-empties-all"
        assert found.events

    def test_a_list_that_is_too_long_to_be_kept_is_taken_to_hold_the_tool(self, rule_id, state):
        two = Two(state)
        two.story.connect()
        two.story.listing(sse=[result(1)])
        two.call(FIRST)
        assert isinstance(two.judged(rule_id), Pass)

    def test_initialize_fails(self, rule_id, state):
        two = Two(state)
        two.story.initialize(session=None, sse=[error(0, message="a backend is down")])
        assert isinstance(two.judged(rule_id), Fail)

    def test_the_call_fails(self, rule_id, state):
        two = Two(state)
        two.story.connect()
        two.story.listing(tools=["one_echo"])
        two.call(FIRST, UNKNOWN)
        assert isinstance(two.judged(rule_id), Fail)

    def test_an_error_that_looks_like_a_result_is_none(self, rule_id, state):
        two = Two(state)
        two.story.connect()
        two.story.listing(tools=["one_echo"])
        two.call(FIRST, result(1, content=[{"type": "text", "text": "failed"}], isError=False))
        assert isinstance(two.judged(rule_id), Fail)

    def test_the_gateway_does_not_listen(self, rule_id, state):
        two = Two(state)
        two.story.refused()
        found = two.judged(rule_id)
        assert isinstance(found, Fail)
        assert found.observed == "it accepted no connection"

    def test_what_a_gateway_lacks_that_is_still_reaching_its_backends_was_not_taken(self, rule_id, state):
        two = Two(state)
        two.used(tools=(), answer=UNKNOWN)
        two.used("a1")
        assert isinstance(two.judged(rule_id), Pass)

    def test_whoever_comes_last_must_be_served(self, rule_id, state):
        two = Two(state)
        two.used()
        two.used("a1", answer=UNKNOWN)
        assert isinstance(two.judged(rule_id), Fail)

    def test_a_later_client_excuses_no_silence(self, rule_id, state):
        two = Two(state)
        two.story.initialize(session=None, sse=[])
        two.used("a1")
        assert isinstance(two.judged(rule_id), Fail)

    @pytest.mark.parametrize("refused", [{"status": 503, "body": "starting"}, {"status": 502, "body": "<html>"}])
    def test_a_refusal_without_json_rpc_is_an_answer_too(self, rule_id, state, refused):
        two = Two(state)
        two.story.initialize(session=None, sse=None, **refused)
        two.used("a1")
        assert isinstance(two.judged(rule_id), Pass)
        two.story.initialize("a2", session=None, sse=None, **refused)
        assert isinstance(two.judged(rule_id), Fail)

    def test_a_list_of_the_gateways_own_tools_says_nothing(self, rule_id, state):
        two = Two(state)
        two.story.connect()
        two.story.listing(tools=["run"])
        assert isinstance(two.judged(rule_id, meta_tool=META_TOOL), Pass)


def partial(tools: list[str], **members: Any) -> Two:
    two = Two("down")
    two.story.connect()
    answer = result(1, tools=[{"name": name} for name in tools], **members)
    two.story.listing(sse=[answer])
    return two


def test_half_a_list_that_says_no_more():
    found = partial(["one_echo"]).judged("MGC142")
    assert isinstance(found, Fail)
    assert found.symptom == "silent-partial-aggregate"


@pytest.mark.parametrize(
    "two",
    [partial(["one_echo", "two_echo"]), partial(["one_echo"], _meta={"com.example/missing": ["two"]})],
    ids=["all the same", "in _meta"],
)
def test_a_list_that_is_whole_or_says_that_it_is_not(two):
    assert isinstance(two.judged("MGC142"), Pass)


def test_a_log_message_tells_too():
    two = Two("down")
    two.story.connect()
    told = notification("notifications/message", level="warning", data="two cannot be reached")
    two.story.listing(sse=[told, result(1, tools=[{"name": "one_echo"}])])
    assert isinstance(two.judged("MGC142"), Pass)


def test_a_list_without_either_is_judged_elsewhere():
    assert isinstance(partial([]).judged("MGC142"), NotExercised)
    assert partial(["run"]).judged("MGC142", meta_tool=META_TOOL) == OWN_TOOLS


def late(answer: Any = None, *, after: float = 6.0) -> Two:
    two = Two("down")
    two.story.stimulus(STARTED)
    two.story.stimulus(READY)
    two.story.at(two.story.now + after)
    two.story.connect("late0")
    two.call(SECOND, answer, client="late0")
    return two


def test_a_second_backend_that_comes_is_served():
    assert isinstance(late().judged("MGC143"), Pass)


def test_a_second_backend_that_comes_is_never_looked_for():
    found = late(UNKNOWN).judged("MGC143")
    assert isinstance(found, Fail)
    assert found.symptom == "empty-tools-startup-race"
    assert "Unknown tool" in found.observed


def test_nobody_asked_late_enough():
    assert isinstance(late(UNKNOWN, after=0.5).judged("MGC143"), Inconclusive)


# one that dies --------------------------------------------------------------------------------------------------------


def died(*meanwhile: Any, before: Any = None, again: tuple[Any, ...] = (), pause: float = 6.0) -> Two:
    """Tell of a session at both backends, of the second's death, and of calls at either."""
    two = Two("works")
    two.story.connect()
    two.call(FIRST, before)
    two.call(SECOND, before)
    two.story.stimulus(DIED)
    for answer in meanwhile:
        two.call(FIRST, answer)
    two.story.stimulus(STARTED)
    two.story.stimulus(READY)
    for answer in again:
        two.call(SECOND, answer)
        two.story.at(two.story.now + pause)
    return two


def test_calls_at_the_backend_that_lives_go_on():
    assert isinstance(died(None, None).judged("MGC250"), Pass)


def test_a_session_ends_with_one_of_its_backends():
    found = died(None, error(1, -32600, "unknown session")).judged("MGC250")
    assert isinstance(found, Fail)
    assert found.symptom == "fault-poisons-session"


def test_what_was_not_served_before_says_nothing():
    assert isinstance(died(UNKNOWN, before=UNKNOWN).judged("MGC250"), Inconclusive)
    assert isinstance(died(before=UNKNOWN, again=(UNKNOWN,)).judged("MGC251"), Inconclusive)


def test_a_backend_that_is_back_is_served():
    assert isinstance(died(again=(UNKNOWN, None)).judged("MGC251"), Pass)


def test_a_backend_that_is_back_is_never_asked_again():
    assert isinstance(died(again=(UNKNOWN, UNKNOWN), pause=0.1).judged("MGC251"), Inconclusive)
    found = died(again=(UNKNOWN, UNKNOWN)).judged("MGC251")
    assert isinstance(found, Fail)
    assert found.symptom == "stale-session-after-restart"


# names ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tools", "kind"),
    [
        (["one_echo", "two_echo"], Pass),
        (["echo", "echo_2"], Pass),
        (["echo"], Fail),
        (["echo", "echo"], Fail),
        ([], Fail),
    ],
)
def test_both_tools_of_one_name_are_listed(tools, kind):
    two = Two("works")
    two.story.connect()
    two.story.listing(tools=tools)
    assert isinstance(two.judged("MGC850"), kind)
    assert two.judged("MGC850", meta_tool=META_TOOL) == OWN_TOOLS


def both(first: str | None, second: str | None, tools: tuple[str, ...] = ("one_echo", "two_echo")) -> Two:
    """Tell of a call of each name, and which backend it reached."""
    two = Two("works")
    two.story.connect()
    two.story.listing(tools=tools)
    two.call(FIRST, at=first)
    two.call(SECOND, at=second)
    return two


def test_each_name_leads_to_its_backend():
    assert isinstance(both(FIRST, SECOND).judged("MGC851"), Pass)


@pytest.mark.parametrize(("first", "second"), [(FIRST, FIRST), (SECOND, FIRST), (FIRST, None)])
def test_a_name_leads_astray(first, second):
    found = both(first, second).judged("MGC851")
    assert isinstance(found, Fail)
    assert found.symptom == "tool-name-mangled"


def test_a_name_that_is_not_listed_is_judged_elsewhere():
    assert isinstance(both(FIRST, None, tools=("one_echo",)).judged("MGC851"), Pass)
    assert isinstance(both(None, None, tools=("echo",)).judged("MGC851"), NotExercised)


# a slow one -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("took", "kind"), [(0.1, Pass), (1.7, Fail)])
def test_a_slow_call_at_one_backend_beside_a_quick_one_at_the_other(took, kind):
    two = Two("works")
    two.story.connect()
    begin = two.story.now
    two.story.stimulus(SLOW, nonce="n-slow")
    asked = request("tools/call", 5, name="two_slow", arguments={"nonce": "n-slow"})
    behind = request("tools/call", 9, name="slow", arguments={"nonce": "n-slow"})
    two.story.exchange(backend="second", session="b-2", request=behind, sse=[result(9, content=[])], t=begin + 0.02)
    two.story.exchange(session="s-1", request=asked, sse=[result(5, content=[])], t=begin + 0.01, after=2.0)
    two.story.at(begin + 0.2)
    two.call(FIRST, at=FIRST, after=took)
    found = two.judged("MGC852")
    assert isinstance(found, kind), found
