"""Family isolation on hand-written evidence: lists and results that a gateway remembers."""

from __future__ import annotations

from collections.abc import Sequence

from conformance.evidence.events import Hop
from conformance.evidence.transcript import Transcript
from conformance.rules.all import rule_named
from conformance.rules.base import Inputs, judge
from conformance.rules.verdicts import Fail, NotApplicable, NotExercised, Pass, Verdict
from tests.evidence_builder import Story, result


def verdict(rule_id: str, through: Transcript) -> Verdict:
    rule = rule_named(rule_id)
    assert rule is not None
    return judge(rule, Inputs(through))


def failure(rule_id: str, story: Story) -> Fail:
    found = verdict(rule_id, story.transcript())
    assert isinstance(found, Fail), found
    assert found.events
    assert (found.charged_to, found.symptom) == (Hop.GATEWAY, "cache-crosses-clients")
    return found


def call(story: Story, client: str, nonce: str, *, session: str = "", reaches: bool = True) -> None:
    """A client's call, and the gateway's for it."""
    begin = story.now
    story.call(client, nonce=nonce, session=f"s-{client}", t=begin, after=0.5)
    if reaches:
        story.call(backend=True, nonce=nonce, session=session or f"b-{client}", t=begin + 0.1)
    story.at(begin + 1.0)


def listed(to_b: Sequence[str], *, session: str = "", to_a: Sequence[str] = ("echo", "own_1")) -> Story:
    """The backend gives a's session the tool own_1; then both list. session: the one that both share at the backend."""
    story = Story()
    for client in "ab":
        story.connect(client, session=f"s-{client}")
        call(story, client, f"n-{client}", session=session)
    story.stimulus("own-tool.added", tool="own_1", client="a")
    story.listing("a", session="s-a", tools=to_a)
    story.listing("b", session="s-b", tools=to_b)
    return story


def test_812_each_sees_its_own() -> None:
    assert isinstance(verdict("MGC812", listed(["echo"]).transcript()), Pass)


def test_812_what_is_no_list_names_nothing() -> None:
    story = listed(["echo"])
    story.listing("b", session="s-b", sse=[result(1, tools=True)])
    assert isinstance(verdict("MGC812", story.transcript()), Pass)


def test_812_a_gateway_that_lists_the_tool_to_nobody() -> None:
    assert isinstance(verdict("MGC812", listed(["echo"], to_a=["echo"]).transcript()), NotExercised)


def test_812_a_gateway_without_sessions() -> None:
    story = Story()
    for client in "ab":
        story.connect(client, session=None)
    story.stimulus("own-tool.added", tool="own_1", client="a")
    for client in "ab":
        story.listing(client, session=None, tools=["echo"])
    assert isinstance(verdict("MGC812", story.transcript()), NotApplicable)


def test_812_a_gateway_that_lists_the_tool_to_the_other_only() -> None:
    assert "client:b" in failure("MGC812", listed(["own_1"], to_a=["echo"])).observed


def test_812_another_client_sees_it() -> None:
    story = listed(["echo", "http_own_1"])
    for client in "ab":
        call(story, client, "same")
    assert "client:b" in failure("MGC812", story).observed


def test_812_another_client_sees_it_under_the_gateways_spelling() -> None:
    story = listed(["echo", "http-own-1"])
    assert isinstance(verdict("MGC812", story.transcript(tools_replaced={"_": "-"})), Fail)
    assert isinstance(verdict("MGC812", story.transcript()), Pass)


def test_812_a_shared_backend_session_really_has_it() -> None:
    assert isinstance(verdict("MGC812", listed(["own_1"], session="b-both").transcript()), NotApplicable)


def test_812_one_list_only() -> None:
    story = Story()
    story.connect("a", session="s-a")
    story.stimulus("own-tool.added", tool="own_1", client="a")
    story.listing("a", session="s-a", tools=["own_1"])
    assert isinstance(verdict("MGC812", story.transcript()), NotExercised)


def equal(*, second_reaches: bool) -> Story:
    story = Story()
    for client in "ab":
        story.connect(client, session=f"s-{client}")
    call(story, "a", "same")
    call(story, "b", "same", reaches=second_reaches)
    return story


def test_813_both_reach_the_backend() -> None:
    assert isinstance(verdict("MGC813", equal(second_reaches=True).transcript()), Pass)


def test_813_the_second_is_answered_from_a_cache() -> None:
    assert "1 reached" in failure("MGC813", equal(second_reaches=False)).observed


def test_813_different_calls() -> None:
    story = Story()
    for client in "ab":
        story.connect(client, session=f"s-{client}")
        call(story, client, f"n-{client}", reaches=False)
    assert isinstance(verdict("MGC813", story.transcript()), NotExercised)
