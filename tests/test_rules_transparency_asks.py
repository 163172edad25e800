"""The rules of suite transparency on what a server says while a call runs, on hand-written evidence."""

import pytest

from conformance.evidence.events import Hop
from conformance.rules.all import rule_named
from conformance.rules.base import Inputs, judge
from conformance.rules.verdicts import Fail, NotApplicable, NotExercised, Pass
from tests.evidence_builder import Story, error, notification, request, result

IDS = [f"MGC{number}" for number in range(762, 767)]
MARK = "mark-1"
TAKES = {"sampling": {}, "roots": {}}


def verdict(rule_id, story, **header):
    return judge(rule_named(rule_id), Inputs(story.transcript(**header)))


def connected(capabilities=TAKES, told=TAKES):
    story = Story()
    info = {"protocolVersion": "2025-11-25", "clientInfo": {"name": "c"}}
    story.initialize(request=request("initialize", 0, capabilities=capabilities, **info))
    story.initialized()
    story.initialize(request=request("initialize", 0, capabilities=told, **info), backend=True, session="b-1")
    story.initialized(backend=True, session="b-1")
    return story


def called(nonce, token=None, id=1):
    meta = {} if token is None else {"_meta": {"progressToken": token}}
    return request("tools/call", id, name="slow", arguments={"nonce": nonce}, **meta)


def progress(token, value=1):
    return notification("notifications/progress", progressToken=token, progress=value)


def sampling(nonce, id):
    return request("sampling/createMessage", id, messages=[{"content": {"type": "text", "text": nonce}}])


def call(story, nonce, *, t, token=None, front=(), behind=(), id=1, length=1.0, after=0.02):
    """Add one call on both sides, with what came before its answer."""
    asked_behind = called(nonce, None if token is None else f"g-{token}", id + 10)
    story.exchange(
        backend=True, request=asked_behind, session="b-1", sse=[*behind, result(id + 10)], t=t + 0.005, length=length
    )
    return story.exchange(
        request=called(nonce, token, id), session="s-1", sse=[*front, result(id)], t=t, after=after, length=length
    )


@pytest.mark.parametrize("rule_id", IDS)
def test_nothing_seen_is_not_exercised(rule_id):
    assert isinstance(verdict(rule_id, Story()), NotExercised)


def two_calls(first, second, *, behind=((), ())):
    """Two calls at once, `x` and `y`, with what came on their streams."""
    story = connected()
    for nonce, front, back, t, number in (("n-1", first, behind[0], 1.0, 1), ("n-2", second, behind[1], 1.01, 2)):
        begun = {"t": t, "session": "s-1", "how": None}
        story.exchange(
            backend=True,
            request=called(nonce, f"g-{nonce}", number + 10),
            session="b-1",
            sse=back,
            t=t + 0.005,
            how=None,
        )
        stream = story.exchange(request=called(nonce, nonce, number), sse=front, after=0.02, **begun)
        story.item(stream, result(number), t=3.0 + number / 10)
        story.end(stream, t=3.5)
    return story


@pytest.mark.parametrize(
    ("first", "second", "wanted"),
    [
        ([progress("n-1")], [progress("n-2")], Pass),
        ([progress("n-1"), progress("n-2")], [], Fail),
        ([], [progress("n-1")], Fail),
        ([], [], NotExercised),
    ],
)
def test_762_progress_on_the_streams_of_two_calls(first, second, wanted):
    assert isinstance(verdict("MGC762", two_calls(first, second)), wanted)


@pytest.mark.parametrize(("first", "second", "wanted"), [("n-1", "n-2", Pass), ("n-2", "n-1", Fail)])
def test_762_requests_on_the_streams_of_two_calls(first, second, wanted):
    behind = [sampling("n-1", 90)], [sampling("n-2", 91)]
    story = two_calls([sampling(first, 1)], [sampling(second, 2)], behind=behind)
    assert isinstance(verdict("MGC762", story), wanted)


def test_762_what_a_stdio_backend_asks_could_belong_to_either_call():
    story = two_calls([sampling("n-2", 1)], [sampling("n-1", 2)])
    assert isinstance(verdict("MGC762", story), NotExercised)


def beside_get(message, *, t):
    story = connected()
    get = story.exchange(method="GET", session="s-1", sse=[], t=0.5, length=9.0)
    call(story, "n-1", token="t", t=1.0, behind=[progress("g-t")], after=1.0)
    story.item(get, message, t=t)
    return story


@pytest.mark.parametrize(
    ("message", "t", "wanted"),
    [
        (progress("t"), 1.5, Fail),
        (progress("t"), 2.5, Pass),
        (notification("notifications/tools/list_changed"), 1.5, Pass),
    ],
)
def test_763_the_get_stream_beside_a_call(message, t, wanted):
    assert isinstance(verdict("MGC763", beside_get(message, t=t)), wanted)


def test_763_a_call_answered_as_json_has_no_room():
    story = connected()
    get = story.exchange(method="GET", session="s-1", sse=[], t=0.5, length=9.0)
    story.exchange(backend=True, request=called("n-1", "g", 11), session="b-1", sse=[result(11)], t=1.01, length=1.0)
    story.exchange(request=called("n-1", "t"), session="s-1", response=result(1), t=1.0, after=1.0)
    story.item(get, progress("t"), t=1.5)
    assert isinstance(verdict("MGC763", story), NotApplicable)


def asked(*, reaches=True, answer=MARK, heard=MARK, heard_id=90, status=202, takes=TAKES, told=TAKES, body=""):
    """A sampling request of the backend's, from its call to what the backend hears."""
    story = connected(takes, told)
    story.stimulus("client.answers", mark=MARK)
    call(story, "n-1", t=1.0, behind=[sampling("n-1", 90)], front=[sampling("n-1", 5)] if reaches else [])
    if reaches and answer is not None:
        given = error(5, -1, "User rejected") if answer == "error" else result(5, text=answer)
        story.exchange(request=given, session="s-1", status=status, t=1.2, body=body)
    if heard is not None:
        told_back = error(heard_id, -1, "User rejected") if heard == "error" else result(heard_id, text=heard)
        story.exchange(backend=True, request=told_back, session="b-1", status=202, t=1.3)
    return story


@pytest.mark.parametrize(
    ("status", "body", "wanted"), [(202, "", Pass), (500, "", Fail), (200, "", Fail), (202, "x", Fail)]
)
def test_764_a_response_is_accepted(status, body, wanted):
    assert isinstance(verdict("MGC764", asked(status=status, body=body)), wanted)


def test_764_what_the_backend_refuses_is_charged_to_it():
    story = asked(status=400, heard=None)
    story.exchange(backend=True, request=result(90, text=MARK), session="b-1", status=400, t=1.3)
    found = verdict("MGC764", story)
    assert isinstance(found, Fail)
    assert found.charged_to is Hop.BACKEND


@pytest.mark.parametrize(
    ("more", "wanted"),
    [
        ({}, Pass),
        ({"heard": None}, Fail),
        ({"heard_id": 5}, Fail),
        ({"heard": "error"}, Fail),
        ({"heard": "another"}, Fail),
        ({"answer": "error", "heard": "error"}, Pass),
        ({"answer": "error", "heard": MARK}, Fail),
        ({"answer": "error", "heard": None}, Fail),
        ({"answer": "error", "heard": "error", "heard_id": 5}, Fail),
        ({"reaches": False}, NotExercised),
    ],
)
def test_765_the_answer_reaches_the_backend(more, wanted):
    assert isinstance(verdict("MGC765", asked(**more)), wanted)


@pytest.mark.parametrize("rule_id", ["MGC764", "MGC765", "MGC766"])
def test_a_backend_that_was_told_of_nothing_asks_nothing(rule_id):
    story = connected(told={})
    story.stimulus("client.answers", mark=MARK)
    call(story, "n-1", t=1.0)
    assert isinstance(verdict(rule_id, story), NotApplicable)


def test_763_does_not_apply_without_a_get_stream():
    story = connected()
    story.exchange(method="GET", session="s-1", status=405, response={})
    call(story, "n-1", t=1.0)
    assert isinstance(verdict("MGC763", story), NotApplicable)


@pytest.mark.parametrize(("status", "wanted"), [(200, Fail), (405, NotApplicable)])
def test_766_what_belongs_to_no_call_needs_a_get_stream(status, wanted):
    story = connected()
    stream = {"sse": []} if status == 200 else {"response": {}}
    story.exchange(method="GET", session="s-1", status=status, t=0.5, length=9.0, **stream)
    call(story, "n-1", t=1.0)
    behind = story.exchange(backend=True, method="GET", session="b-1", sse=[], t=0.6, length=9.0)
    story.item(behind, sampling("n-1", 90), t=1.01)
    assert isinstance(verdict("MGC766", story), wanted)


@pytest.mark.parametrize(
    ("more", "wanted"),
    [
        ({}, Pass),
        ({"reaches": False, "heard": None}, Fail),
        ({"reaches": False, "heard": "error"}, Fail),
        ({"reaches": False, "heard": "by the gateway itself"}, Pass),
        ({"reaches": False, "heard": None, "takes": {}}, NotApplicable),
    ],
)
def test_766_the_request_reaches_the_client(more, wanted):
    assert isinstance(verdict("MGC766", asked(**more)), wanted)
