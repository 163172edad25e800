"""The rules of suite transparency on lists, on hand-written evidence."""

import pytest

from conformance import timing
from conformance.diagnosis.classify import classify
from conformance.evidence.events import Hop
from conformance.rules.all import rule_named
from conformance.rules.base import Inputs, judge
from conformance.rules.verdicts import Fail, Inconclusive, NotApplicable, NotExercised, Pass
from tests.evidence_builder import Story, error, request, result

LISTS = ["MGC721", "MGC722", "MGC723", "MGC724"]


def page(names, following=None):
    cursor = {} if following is None else {"nextCursor": following}
    return result(1, tools=[{"name": name} for name in names], **cursor)


def ask(story, answer, cursor=None, **more):
    params = {} if cursor is None else {"cursor": cursor}
    given = {"request": request("tools/list", **params), "sse": [answer], "session": "s-1"}
    return story.exchange(**(given | more))


def direct():
    """What the backend lists straight: two pages."""
    story = Story()
    ask(story, page(["a", "b"], "c2"))
    ask(story, page(["c", "d"]), "c2")
    return story


def verdict(rule_id, story, control=None, **header):
    other = None if control is None else control.transcript()
    return judge(rule_named(rule_id), Inputs(story.transcript(**header), other))


@pytest.mark.parametrize("rule_id", LISTS)
def test_nothing_seen_is_not_exercised(rule_id):
    assert isinstance(verdict(rule_id, Story(), Story()), NotExercised)


@pytest.mark.parametrize("rule_id", LISTS[:2])
def test_pages_that_are_relayed(rule_id):
    assert isinstance(verdict(rule_id, direct(), direct()), Pass)


def test_721_pages_joined_to_one_under_a_prefix():
    story = Story()
    ask(story, page(["x_a", "x_b", "x_c", "x_d", "y_e"]))
    assert isinstance(verdict("MGC721", story, direct()), Pass)


@pytest.mark.parametrize(("listed", "wanted"), [(result(1), Inconclusive), (page([]), Fail), (page(["a", "b"]), Fail)])
def test_721_a_list_that_is_too_long_to_be_kept_is_not_one_with_gaps(listed, wanted):
    story = Story()
    ask(story, listed)
    assert isinstance(verdict("MGC721", story, direct()), wanted)


@pytest.mark.parametrize(("listed", "wanted"), [("x-a-b", Pass), ("x-a_b", Fail)])
def test_721_names_as_the_gateway_spells_them(listed, wanted):
    story, control = Story(), Story()
    ask(story, page([listed]))
    ask(control, page(["a_b"]))
    assert isinstance(verdict("MGC721", story, control, tools_replaced={"_": "-"}), wanted)


def test_721_only_the_first_page():
    story = Story()
    ask(story, page(["a", "b"]))
    found = verdict("MGC721", story, direct())
    assert isinstance(found, Fail)
    assert "c, d and 2 in all are missing" in found.observed
    assert classify(rule_named("MGC721"), found, Inputs(story.transcript(), direct().transcript())) is not None


def test_721_an_item_that_comes_twice():
    story = Story()
    ask(story, page(["a", "b"], "c2"))
    ask(story, page(["b", "c", "d"]), "c2")
    assert isinstance(verdict("MGC721", story, direct()), Fail)


def test_721_without_a_whole_list_to_compare_with():
    story, control = direct(), Story()
    ask(control, page(["a"], "c2"))
    assert isinstance(verdict("MGC721", story, control), Inconclusive)


def first_page_for_ever():
    story = Story()
    ask(story, page(["a", "b"], "c2"))
    ask(story, page(["a", "b"], "c2"), "c2", t=1.0, after=0.5)
    return story


def test_722_the_first_page_for_ever():
    found = verdict("MGC722", first_page_for_ever())
    assert isinstance(found, Fail)
    assert found.charged_to is Hop.GATEWAY


@pytest.mark.parametrize(("cursor", "blamed"), [("c2", Hop.BACKEND), (None, Hop.GATEWAY)])
def test_722_a_circle_is_the_backends_only_if_it_was_asked_for_that_page(cursor, blamed):
    story = first_page_for_ever()
    ask(story, page(["a", "b"], "c2"), cursor, backend=True, session="b-1", t=1.1)
    assert verdict("MGC722", story).charged_to is blamed


def test_722_a_cursor_that_leads_nowhere():
    story = Story()
    ask(story, page(["a", "b"], "c2"))
    ask(story, error(1, -32602), "c2")
    assert isinstance(verdict("MGC722", story), Fail)


NO_PAGE = [
    {"sse": None, "status": 502, "body": "<html>"},
    {"sse": []},
    {"sse": None, "status": 202},
    {"sse": None, "status": None, "how": "rst"},
    {"sse": None, "status": None, "how": "abandoned", "after": timing.ANSWER},
]
"""Answers to a cursor that are no page and no JSON-RPC error either."""


@pytest.mark.parametrize("answer", NO_PAGE)
def test_722_a_cursor_that_is_answered_with_no_page(answer):
    story = Story()
    ask(story, page(["a", "b"], "c2"))
    ask(story, None, "c2", t=1.0, **({"after": 0.5} | answer))
    assert verdict("MGC722", story).charged_to is Hop.GATEWAY
    ask(story, None, "c2", backend=True, session="b-1", t=1.1, **({"after": 0.1} | answer))
    assert verdict("MGC722", story).charged_to is Hop.BACKEND


@pytest.mark.parametrize("answer", NO_PAGE)
def test_722_a_first_page_that_does_not_come_is_no_cursor_that_leads_nowhere(answer):
    story = Story()
    ask(story, None, **answer)
    assert isinstance(verdict("MGC722", story), Pass)


@pytest.mark.parametrize(
    ("seconds", "lag", "wanted"), [(20.0, 0.0, Fail), (20.0, 15.0, Inconclusive), (2.0, 0.0, Inconclusive)]
)
def test_722_a_page_must_have_been_waited_for(seconds, lag, wanted):
    story = Story()
    ask(story, page(["a", "b"], "c2"))
    ask(story, None, "c2", sse=None, status=None, how="abandoned", t=1.0, after=seconds)
    story.lag(lag, t=1.5)
    assert isinstance(verdict("MGC722", story), wanted)


def test_722_a_stream_with_event_ids_may_be_closed_before_the_page():
    story = Story()
    ask(story, page(["a", "b"], "c2"))
    asked = ask(story, None, "c2", sse=[], how=None)
    story.raw_event(asked, "message", "", id="1-0")
    story.end(asked)
    assert isinstance(verdict("MGC722", story), Inconclusive)


def behind(cursor):
    story = Story()
    ask(story, page(["a", "b"], "c2"), backend=True, session="b-1")
    if cursor is not None:
        ask(story, page(["c", "d"]), cursor, backend=True, session="b-1")
    return story


@pytest.mark.parametrize(("cursor", "wanted"), [("c2", Pass), ("C2", Fail), (None, NotApplicable)])
def test_723_cursors_go_back_as_they_came(cursor, wanted):
    assert isinstance(verdict("MGC723", behind(cursor)), wanted)


def test_723_a_cursor_that_is_no_text():
    story = behind(None)
    ask(story, page(["a"], {"page": 2}), backend=True, session="b-1")
    listed = request("tools/list", 2, cursor=["c2"])
    story.exchange(backend=True, request=listed, session="b-1", sse=[error(2)])
    assert isinstance(verdict("MGC723", story), Fail)


def test_723_a_clients_own_cursor_is_not_the_gateways():
    story = Story()
    ask(story, page(["a"], "c2"), backend=True, session="b-1", t=0.5)
    ask(story, error(1, -32602), "x", t=1.0, after=0.5)
    ask(story, error(1, -32602), "x", backend=True, session="b-1", t=1.1)
    assert isinstance(verdict("MGC723", story), Pass)


def asked_with_a_strange_cursor(answer):
    story = Story()
    ask(story, page(["a", "b"], "c2"))
    ask(story, answer, "strange", t=1.0, after=0.5)
    return story


@pytest.mark.parametrize(
    ("answer", "symptom"),
    [(error(1, -32602), None), (error(1, -32603), "error-misclassified"), (page(["a", "b"]), "pagination-broken")],
)
def test_724_a_cursor_that_was_never_given(answer, symptom):
    found = verdict("MGC724", asked_with_a_strange_cursor(answer))
    assert isinstance(found, Pass if symptom is None else Fail)
    assert symptom is None or found.symptom == symptom


@pytest.mark.parametrize(("cursor", "blamed"), [("strange", Hop.BACKEND), (None, Hop.GATEWAY)])
def test_724_a_backend_that_takes_any_cursor_is_to_blame_for_it(cursor, blamed):
    story = asked_with_a_strange_cursor(page(["a", "b"]))
    ask(story, page(["a", "b"]), cursor, backend=True, session="b-1", t=1.1)
    assert verdict("MGC724", story).charged_to is blamed
