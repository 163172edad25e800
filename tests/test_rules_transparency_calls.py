"""The rules of suite transparency on the progress of calls, on hand-written evidence."""

import pytest

from conformance.evidence.events import Hop
from conformance.rules.all import rule_named
from conformance.rules.base import Inputs, judge
from conformance.rules.verdicts import Fail, Inconclusive, NotApplicable, NotExercised, Pass
from tests.evidence_builder import Story, notification, request, result

IDS = [f"MGC{number}" for number in range(755, 762)]


def verdict(rule_id, story, **header):
    return judge(rule_named(rule_id), Inputs(story.transcript(**header)))


def connected():
    story = Story()
    story.connect()
    story.connect(backend=True, session="b-1")
    return story


def asked(token, nonce="n-1", id=1):
    meta = {} if token is None else {"_meta": {"progressToken": token}}
    return request("tools/call", id, name="report", arguments={"nonce": nonce}, **meta)


def progress(token, value, **more):
    return notification("notifications/progress", progressToken=token, progress=value, **more)


def call(
    story, token, *, given=7, sent=(1, 2), got=None, nonce="n-1", client="a", session="s-1", t=None, after=(), lasts=0.0
):
    """Add one call on both sides. sent, got: values, or whole messages; got None: what was sent. Returns its stream.

    lasts: seconds from the backend's reports to its answer.
    """
    began = story.now if t is None else t
    behind = [item if isinstance(item, dict) else progress(given, item) for item in sent]
    front = [
        item if isinstance(item, dict) else progress(token, item)
        for item in (got if got is not None else (i["params"]["progress"] if isinstance(i, dict) else i for i in sent))
    ]
    asked_behind = story.exchange(
        backend=True,
        request=asked(given, nonce, 11),
        session=f"b-{session}",
        sse=behind,
        t=began + 0.005,
        after=0.02,
        how=None,
    )
    story.item(asked_behind, result(11, content=[]), t=began + 0.026 + lasts)
    story.end(asked_behind, t=began + 0.027 + lasts)
    return story.exchange(
        client,
        request=asked(token, nonce),
        session=session,
        sse=[*front, result(1, content=[]), *after],
        t=began,
        after=0.03,
        length=0.1,
    )


@pytest.mark.parametrize("rule_id", IDS)
def test_nothing_seen_is_not_exercised(rule_id):
    assert isinstance(verdict(rule_id, Story()), NotExercised)


@pytest.mark.parametrize("rule_id", ["MGC756", "MGC758", "MGC759", "MGC760"])
def test_a_relay_of_no_progress_is_another_rules_finding(rule_id):
    story = connected()
    call(story, "t", got=())
    assert isinstance(verdict(rule_id, story), NotExercised)


@pytest.mark.parametrize("rule_id", ["MGC756", "MGC758", "MGC759", "MGC760"])
def test_an_answer_as_json_has_no_room_for_progress(rule_id):
    story = connected()
    story.exchange(backend=True, request=asked(7, id=11), session="b-1", sse=[progress(7, 1), result(11)], t=1.01)
    story.exchange(request=asked("t"), session="s-1", response=result(1), t=1.0, after=0.1)
    assert isinstance(verdict(rule_id, story), NotApplicable)


@pytest.mark.parametrize("rule_id", ["MGC756", "MGC758", "MGC759", "MGC760"])
def test_a_faithful_relay_passes(rule_id):
    story = connected()
    call(story, "t", sent=(0.5, 1, 2.5))
    assert isinstance(verdict(rule_id, story), Pass)


def in_parallel(first, second, *, sessions=("s-1", "s-1")):
    story = connected()
    call(story, "x", given=first, nonce="n-1", session=sessions[0], t=1.0)
    call(story, "y", given=second, nonce="n-2", session=sessions[1], t=1.01)
    return story


@pytest.mark.parametrize(
    ("first", "second", "wanted"), [(5, 6, Pass), (5, "5", Pass), (5, 5, Fail), (1.5, 2, Fail), (True, 2, Fail)]
)
def test_755_tokens_in_one_backend_session(first, second, wanted):
    assert isinstance(verdict("MGC755", in_parallel(first, second)), wanted)


def test_755_two_backend_sessions_may_share_a_token():
    assert isinstance(verdict("MGC755", in_parallel(5, 5, sessions=("s-1", "s-2"))), Pass)


def test_755_a_token_may_be_used_again_later():
    story = in_parallel(5, 6)
    call(story, "z", given=5, nonce="n-3", t=3.0)
    assert isinstance(verdict("MGC755", story), Pass)


@pytest.mark.parametrize(("status", "later", "wanted"), [(429, 0.5, Pass), (307, 0.5, Pass), (429, 0.01, Fail)])
def test_755_a_request_that_was_turned_away_is_no_longer_under_way(status, later, wanted):
    story = in_parallel(5, 6)
    story.exchange(backend=True, request=asked(9, "n-3", 30), session="b-s-1", status=status, t=3.0, after=0.1)
    story.exchange(backend=True, request=asked(9, "n-3", 31), session="b-s-1", sse=[result(31)], t=3.0 + later)
    assert isinstance(verdict("MGC755", story), wanted)


def test_755_a_gateway_that_asks_for_no_progress():
    assert isinstance(verdict("MGC755", in_parallel(None, None)), NotExercised)


@pytest.mark.parametrize(
    ("token", "back", "wanted"),
    [(1, 1, Pass), (1, "1", Fail), ("1", 1, Fail), (0, 0, Pass), (0, False, Fail), (2**53 + 1, 2**53, Fail)],
)
def test_756_a_token_keeps_value_and_type(token, back, wanted):
    story = connected()
    call(story, token, got=[progress(back, 1)])
    found = verdict("MGC756", story)
    assert isinstance(found, wanted)
    assert not isinstance(found, Fail) or found.charged_to is Hop.GATEWAY


def test_756_a_token_that_the_backend_made_up_is_charged_to_it():
    story = connected()
    call(story, "t", sent=[progress(7, 1), progress("odd", 2)], got=[progress("t", 1), progress("odd", 2)])
    found = verdict("MGC756", story)
    assert isinstance(found, Fail)
    assert found.charged_to is Hop.BACKEND


@pytest.mark.parametrize("given", [None, 8])
def test_756_progress_under_one_token_alone(given):
    story = connected()
    call(story, "t")
    call(story, "", given=given, sent=(1,) if given else (), got=(), nonce="n-2", lasts=0.5)
    assert isinstance(verdict("MGC756", story), Fail)


def test_756_progress_lost_because_it_came_with_the_answer():
    story = connected()
    call(story, "slow", lasts=0.5)
    call(story, "quick", given=8, got=(), nonce="n-2")
    assert isinstance(verdict("MGC756", story), Pass)


@pytest.mark.parametrize(("got", "wanted"), [((), Pass), ([progress(17, 1)], Fail)])
def test_757_a_call_that_asked_for_none(got, wanted):
    story = connected()
    call(story, None, given=None, sent=(), got=got)
    assert isinstance(verdict("MGC757", story), wanted)


def test_757_a_backend_that_reports_unasked_is_charged():
    story = connected()
    call(story, None, given=None, sent=[progress(17, 1)], got=[progress(17, 1)])
    found = verdict("MGC757", story)
    assert isinstance(found, Fail)
    assert found.charged_to is Hop.BACKEND


def test_758_progress_after_the_answer_on_the_calls_stream():
    story = connected()
    call(story, "t", after=[progress("t", 2)])
    assert isinstance(verdict("MGC758", story), Fail)


def after_on_get(late, lag=0.0):
    story = connected()
    stream = story.exchange(method="GET", session="s-1", sse=[], t=0.5, length=9.0)
    call(story, "t", t=1.0)
    story.item(stream, progress("t", 2), t=1.04 + late)
    if lag:
        story.lag(lag, t=1.3)
    return verdict("MGC758", story)


@pytest.mark.parametrize(("late", "lag", "wanted"), [(0.05, 0, Pass), (0.6, 0, Fail), (0.6, 5.0, Inconclusive)])
def test_758_progress_after_the_answer_on_another_stream(late, lag, wanted):
    assert isinstance(after_on_get(late, lag), wanted)


def used_again(*, got=None, on_get=None):
    """A token that is given to a second call two seconds after the first one's answer."""
    story = connected()
    stream = story.exchange(method="GET", session="s-1", sse=[], t=0.5, length=9.0)
    call(story, "t", sent=(1, 2), t=1.0, lasts=0.5)
    call(story, "t", given=8, sent=(3, 4), got=got, nonce="n-2", t=3.0, lasts=0.5)
    if on_get is not None:
        story.item(stream, progress("t", 2), t=on_get)
    return story


@pytest.mark.parametrize("rule_id", ["MGC756", "MGC758", "MGC759", "MGC760"])
def test_a_token_may_be_given_again_once_its_call_was_answered(rule_id):
    assert isinstance(verdict(rule_id, used_again()), Pass)


@pytest.mark.parametrize("on_get", [2.0, 5.0])
def test_758_progress_after_the_answer_of_either_call_under_one_token(on_get):
    assert isinstance(verdict("MGC758", used_again(on_get=on_get)), Fail)


def test_756_progress_of_the_second_call_under_one_token_is_lost():
    assert isinstance(verdict("MGC756", used_again(got=())), Fail)


@pytest.mark.parametrize(("got", "wanted"), [((1, 2), Pass), ((2,), Pass), ((1, 1, 2), Fail), ((2, 1), Fail)])
def test_759_progress_increases(got, wanted):
    story = connected()
    call(story, "t", got=got)
    assert isinstance(verdict("MGC759", story), wanted)


def test_759_a_backend_that_goes_backwards_is_charged():
    story = connected()
    call(story, "t", sent=(2, 1))
    found = verdict("MGC759", story)
    assert isinstance(found, Fail)
    assert found.charged_to is Hop.BACKEND


@pytest.mark.parametrize(
    ("got", "wanted"),
    [
        ([progress("t", 1e-9)], Pass),
        ([progress("t", 0.1, total=2.5, message="m")], Pass),
        ([progress("t", 0)], Fail),
        ([progress("t", 1e-9, total=100)], Fail),
        ([progress("t", 0.1, total=2.5)], Fail),
    ],
)
def test_760_contents_are_kept(got, wanted):
    story = connected()
    call(story, "t", sent=[progress(7, 1e-9), progress(7, 0.1, total=2.5, message="m")], got=got)
    assert isinstance(verdict("MGC760", story), wanted)


def flooded(**later):
    story = connected()
    story.stimulus("progress.flood", nonce="n-1")
    call(story, "flood", sent=range(1, 30), got=range(1, 5))
    story.listing("bystander", session="s-2", **later)
    return story


def test_761_reports_may_be_dropped():
    assert isinstance(verdict("MGC761", flooded()), Pass)


def test_761_others_are_answered():
    assert isinstance(verdict("MGC761", flooded(status=None, sse=None, how="open")), Fail)


def test_761_the_call_is_answered():
    story = connected()
    story.stimulus("progress.flood", nonce="n-1")
    story.exchange(backend=True, request=asked(7, id=11), session="b-1", sse=[result(11)], t=1.0)
    story.exchange(request=asked("flood"), session="s-1", sse=[progress("flood", 1)], how="fin", t=0.9, length=1.0)
    assert isinstance(verdict("MGC761", story), Fail)
