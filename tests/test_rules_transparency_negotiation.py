"""The rules of suite transparency on what was negotiated, on hand-written evidence."""

import pytest

from conformance.evidence.events import Hop
from conformance.rules.all import rule_named
from conformance.rules.base import Inputs, judge
from conformance.rules.verdicts import Fail, NotApplicable, NotExercised, Pass
from tests.evidence_builder import Story, error, notification, request, result

IDS = [f"MGC{number}" for number in range(767, 773)]
CHANGED = notification("notifications/tools/list_changed")


def verdict(rule_id, story, **header):
    return judge(rule_named(rule_id), Inputs(story.transcript(**header)))


def older(story):
    return verdict("MGC771", story, revision="2025-03-26")


def opening(capabilities):
    return request("initialize", 0, protocolVersion="2025-11-25", capabilities=capabilities, clientInfo={"name": "c"})


def opened(**capabilities):
    return [result(0, protocolVersion="2025-11-25", capabilities=capabilities, serverInfo={"name": "s"})]


def bare(*, takes=None, told=None, offers=None, behind=None):
    """A client and a backend that declare little; told and offers: what the gateway declares for them."""
    story = Story()
    story.initialize(request=opening(takes or {}), sse=opened(tools={}, **(offers or {})))
    story.initialized()
    story.initialize(request=opening(told or {}), sse=opened(tools={}, **(behind or {})), backend=True, session="b-1")
    story.initialized(backend=True, session="b-1")
    return story


def asking(*, told, reaches, heard, takes=None):
    story = bare(told=told, takes=takes)
    asked = request("roots/list", 90)
    called = request("tools/call", 1, name="ask_client", arguments={"nonce": "n-1"})
    story.exchange(backend=True, request=called, session="b-1", sse=[asked, result(1)], t=1.005, length=1.0)
    front = [request("roots/list", 5)] if reaches else []
    story.exchange(request=called, session="s-1", sse=[*front, result(1)], t=1.0, after=0.02, length=1.0)
    if heard is not None:
        story.exchange(backend=True, request=heard, session="b-1", status=202, t=1.3)
    return story


@pytest.mark.parametrize("rule_id", IDS)
def test_nothing_seen_is_not_exercised(rule_id):
    revision = "2025-03-26" if rule_id == "MGC771" else "2025-11-25"
    assert isinstance(verdict(rule_id, Story(), revision=revision), NotExercised)


@pytest.mark.parametrize("rule_id", ["MGC767", "MGC768", "MGC769", "MGC770"])
def test_the_must_came_with_2025_06_18(rule_id):
    assert isinstance(verdict(rule_id, bare(), revision="2025-03-26"), NotApplicable)


@pytest.mark.parametrize(
    ("told", "reaches", "wanted", "charged"),
    [({"roots": {}}, True, Fail, Hop.GATEWAY), ({}, True, Fail, Hop.BACKEND), ({"roots": {}}, False, Pass, None)],
)
def test_767_a_bare_client_is_asked_nothing(told, reaches, wanted, charged):
    story = asking(told=told, reaches=reaches, heard=None)
    found = verdict("MGC767", story)
    assert isinstance(found, wanted)
    assert charged is None or (isinstance(found, Fail) and found.charged_to is charged)
    assert isinstance(older(story), Fail if reaches or told else Pass)


def test_767_a_client_that_takes_it_may_be_asked():
    story = asking(told={"roots": {}}, reaches=True, heard=None, takes={"roots": {}})
    assert isinstance(verdict("MGC767", story), NotExercised)


@pytest.mark.parametrize(
    ("heard", "reaches", "wanted"),
    [
        (error(90, -32601), False, Fail),
        (None, False, Fail),
        (result(90, roots=[]), False, Pass),
        (error(90, -32601), True, Pass),
    ],
)
def test_768_what_is_claimed_for_a_client_is_served(heard, reaches, wanted):
    assert isinstance(verdict("MGC768", asking(told={"roots": {}}, reaches=reaches, heard=heard)), wanted)


def test_768_a_claim_that_is_never_used_passes():
    story = bare(told={"sampling": {}})
    story.call()
    assert isinstance(verdict("MGC768", story), Pass)


def using(method, answer, *, offers, behind=None):
    story = bare(offers=offers, behind=behind)
    story.call()
    story.exchange(request=request(method, 4), session="s-1", sse=[answer])
    return story


@pytest.mark.parametrize(
    ("method", "answer", "offers", "wanted"),
    [
        ("prompts/list", error(4, -32601), {"prompts": {}}, Fail),
        ("prompts/list", error(4, 0), {"prompts": {}}, Fail),
        ("prompts/list", result(4, prompts=[]), {"prompts": {}}, Pass),
        ("completion/complete", error(4, -32602), {"completions": {}}, Pass),
        ("completion/complete", error(4, -32601), {"completions": {}}, Fail),
        ("resources/subscribe", error(4, -32601), {"resources": {"subscribe": False}}, Pass),
        ("resources/subscribe", error(4, -32601), {"resources": {"subscribe": True}}, Fail),
        ("prompts/list", error(4, -32601), {}, Pass),
    ],
)
def test_769_what_is_claimed_for_a_backend_is_served(method, answer, offers, wanted):
    story = using(method, answer, offers=offers)
    assert isinstance(verdict("MGC769", story), wanted)
    assert isinstance(older(story), wanted)


@pytest.mark.parametrize(("by_client", "wanted"), [(False, Fail), (True, Pass)])
def test_770_the_backend_is_asked_for_what_it_declared(by_client, wanted):
    story = bare()
    story.call()
    asked = request("prompts/list", 4)
    story.exchange(backend=True, request=asked, session="b-1", sse=[error(4, -32601)], t=2.01)
    if by_client:
        story.exchange(request=asked, session="s-1", sse=[error(4, -32601)], t=2.0, length=0.1)
    assert isinstance(verdict("MGC770", story), wanted)
    assert isinstance(older(story), wanted)


@pytest.mark.parametrize(("asked", "wanted"), [("tools/list", NotExercised), ("prompts/list", Fail)])
def test_770_a_client_that_was_never_let_in_leaves_the_backend_to_be_judged(asked, wanted):
    story = Story()
    story.initialize(sse=[error(0)])
    story.initialize(request=opening({}), sse=opened(tools={}), backend=True, session="b-1")
    story.exchange(backend=True, request=request(asked, 4), session="b-1", sse=[result(4)])
    assert isinstance(verdict("MGC770", story), wanted)
    assert isinstance(verdict("MGC769", story), NotExercised)


def held_back(message, *, early=False):
    story = Story()
    story.initialize("b", session="s-2")
    story.stimulus("initialized.held-back", client="b")
    story.initialize(backend=True, session="b-2")
    stream = story.exchange("b", method="GET", session="s-2", sse=[], t=0.5, length=9.0)
    if early:
        behind = story.exchange(backend=True, method="GET", session="b-2", sse=[], t=0.6, length=9.0)
        story.item(behind, message, t=0.9)
    story.item(stream, message, t=1.0)
    story.at(2.0).initialized("b", session="s-2")
    story.item(stream, CHANGED, t=2.5)
    return verdict("MGC772", story)


@pytest.mark.parametrize(
    ("message", "wanted"),
    [
        (CHANGED, Fail),
        (request("roots/list", 5), Fail),
        (request("ping", 5), Pass),
        (notification("notifications/message", level="info", data="d"), Pass),
    ],
)
def test_772_before_initialized(message, wanted):
    found = held_back(message)
    assert isinstance(found, wanted)
    assert not isinstance(found, Fail) or found.charged_to is Hop.GATEWAY


def test_772_a_backend_that_does_not_wait_is_charged():
    found = held_back(CHANGED, early=True)
    assert isinstance(found, Fail)
    assert found.charged_to is Hop.BACKEND
