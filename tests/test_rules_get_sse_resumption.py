"""The rules of suite get_sse about streams that are closed, left, resumed and many, on hand-written evidence."""

import pytest

from conformance.evidence.events import Hop, Kind, Point
from conformance.rules.verdicts import Fail, Inconclusive, NotApplicable, Pass
from tests.evidence_builder import error, notification, request, result
from tests.resumption_stories import ANSWER, back, call, connected, primed, verdict

OLDER = "2025-06-18"


def progress(token="n-1", value=1):
    return notification("notifications/progress", progressToken=token, progress=value)


def charged(found):
    assert isinstance(found, Fail)
    return found.charged_to


# Streams that the backend closes early.


def passed_on(*, answer=None, event_id="g-0", retry=None, how="complete"):
    """The backend closes a call's stream after an id; the client's stream ends too."""
    story = connected()
    front = call(story, 1.0)
    behind = call(story, 1.01, backend=True, session="b-1")
    primed(story, behind, "e-0", 1.02, retry=700)
    story.end(behind, t=1.03)
    if event_id is not None:
        primed(story, front, event_id, 1.04, retry=retry)
    if answer is not None:
        story.item(front, answer, t=1.8)
    story.end(front, how, t=1.9)
    return story


@pytest.mark.parametrize(
    ("more", "wanted"),
    [
        ({"answer": ANSWER, "event_id": None}, Pass),
        ({"answer": error(1), "event_id": None}, Pass),
        ({"event_id": "g-0"}, Pass),
        ({"event_id": None}, Fail),
        ({"event_id": None, "how": "rst"}, Fail),
        ({"event_id": None, "how": "abandoned"}, Pass),
    ],
)
def test_316_an_id_or_the_answer(more, wanted):
    assert isinstance(verdict("MGC316", passed_on(**more)), wanted)


@pytest.mark.parametrize(
    ("more", "wanted"), [({"answer": ANSWER}, Pass), ({"retry": 700}, Pass), ({}, Fail), ({"event_id": None}, Pass)]
)
def test_317_a_time_to_come_back(more, wanted):
    assert isinstance(verdict("MGC317", passed_on(**more)), wanted)


def closed_get(*, retry=700, later=200, front_closes=True, deleted=False):
    """The backend closes its GET stream; the client's ends too, or stays."""
    story = connected()
    front = story.exchange(method="GET", session="s-1", sse=[], how=None, t=1.0)
    behind = story.exchange(backend=True, method="GET", session="b-1", sse=[], how=None, t=1.01)
    primed(story, behind, "b-1", 2.0, retry=700)
    story.end(behind, t=2.01)
    if deleted:
        story.exchange(method="DELETE", session="s-1", t=1.5)
    if front_closes:
        primed(story, front, "g-1", 2.02, retry=retry)
        story.end(front, t=2.03)
        stream = {"sse": []} if later == 200 else {"response": {}}
        story.exchange(method="GET", session="s-1", status=later, t=2.8, **stream)
    else:
        story.end(front, "abandoned", t=4.0)
    return story


@pytest.mark.parametrize(
    ("more", "wanted"),
    [
        ({}, Pass),
        ({"front_closes": False}, Pass),
        ({"retry": None}, Fail),
        ({"retry": None, "deleted": True}, Pass),
        ({"later": 409}, Fail),
        ({"later": 404}, Fail),
    ],
)
def test_318_a_closed_get_stream_can_be_opened_again_when_it_said_so(more, wanted):
    assert isinstance(verdict("MGC318", closed_get(**more)), wanted)


def test_318_the_backends_own_silence_is_charged_to_it():
    story = connected()
    front = story.exchange(method="GET", session="s-1", sse=[], how=None, t=1.0, after=0.5)
    behind = story.exchange(backend=True, method="GET", session="b-1", sse=[], how=None, t=1.1)
    other = story.exchange(backend=True, method="GET", session="b-2", sse=[], how=None, t=0.9)
    primed(story, other, "b-1", 1.9, retry=700)
    for stream in (other, behind, front):
        story.end(stream, t=2.01)
    assert charged(verdict("MGC318", story)) is Hop.BACKEND


# Event ids.


def answered(*events, method="tools/list", t=1.0):
    """A request answered with a stream of (id, message) events; without a message they are empty."""
    return _answered(connected(), *events, method=method, t=t)


def _answered(story, *events, method="tools/list", t=1.0, **more):
    stream = story.exchange(session="s-1", request=request(method), sse=[], how=None, t=t, **more)
    for number, (event_id, message) in enumerate(events, start=1):
        if message is None:
            primed(story, stream, event_id, t + 0.02 + number / 100)
        else:
            story.item(stream, message, t=t + 0.02 + number / 100, id=event_id)
    story.end(stream, t=t + 0.2)
    return story


@pytest.mark.parametrize(
    ("events", "wanted"),
    [
        ([("4-0", None), ("4-1", ANSWER)], Pass),
        ([(None, None), ("4-0", None), ("4-1", ANSWER)], Pass),  # the first names a reconnection time, say, and no more
        ([("4-1", ANSWER)], Fail),
        ([("4-1", progress()), ("4-2", None), ("4-3", ANSWER)], Fail),
        ([(None, ANSWER)], NotApplicable),
    ],
)
def test_319_streams_are_primed(events, wanted):
    assert isinstance(verdict("MGC319", answered(*events)), wanted)


def test_319_a_priming_event_comes_at_once():
    story = connected()
    stream = story.exchange(session="s-1", request=request("tools/list"), sse=[], how=None, t=1.0)
    primed(story, stream, "4-0", 9.0)
    story.item(stream, ANSWER, t=9.1, id="4-1")
    story.end(stream, t=9.2)
    assert isinstance(verdict("MGC319", story), Fail)


def test_319_the_backends_own_beginning_is_charged_to_it():
    story = connected()
    for side in ({"session": "s-1", "t": 1.0}, {"session": "b-1", "t": 1.01, "backend": True}):
        stream = story.exchange(request=request("tools/list"), sse=[], how=None, **side)
        story.item(stream, ANSWER, t=1.1, id="4-1")
        story.end(stream, t=1.2)
    assert charged(verdict("MGC319", story)) is Hop.BACKEND


@pytest.mark.parametrize(("events", "wanted"), [([("4-1", ANSWER)], Pass), ([("4-0", None), ("4-1", ANSWER)], Fail)])
def test_320_older_clients_get_data_in_every_event(events, wanted):
    assert isinstance(verdict("MGC320", answered(*events), revision=OLDER), wanted)


@pytest.mark.parametrize(("members", "wanted"), [({"retry": 3000}, Pass), ({"retry": 3000, "id": "4-0"}, Fail)])
def test_320_a_reconnection_time_alone_is_handed_to_nobody(members, wanted):
    story = connected()
    stream = story.exchange(session="s-1", request=request("tools/list"), sse=[], how=None, t=1.0)
    place = {"tap": "client:a", "conn": int(stream.split("/")[1]), "exchange": stream}
    story.add(Point.CLIENT_TAP, Kind.SSE_EVENT, 1.1, **place, body="", event="message", **members)
    story.item(stream, ANSWER, t=1.2)
    story.end(stream, t=1.3)
    assert isinstance(verdict("MGC320", story, revision=OLDER), wanted)


def several(*, conn_ids=("a-1", "b-1")):
    """Two calls at once, each answered by an event with an id."""
    story = connected()
    streams = [call(story, 1.0), call(story, 1.1, id=2, nonce="n-2")]
    for stream, event_id, payload in zip(streams, conn_ids, (ANSWER, result(2, content=[])), strict=True):
        story.item(stream, payload, t=1.5, id=event_id)
    for stream in streams:
        story.end(stream, t=1.6)
    return story


@pytest.mark.parametrize(("ids", "wanted"), [(("a-1", "b-1"), Pass), (("1", "1"), Fail), ((None, None), NotApplicable)])
def test_321_ids_are_given_once(ids, wanted):
    assert isinstance(verdict("MGC321", several(conn_ids=ids)), wanted)


def test_321_a_replay_keeps_its_id():
    story = several()
    stream = back(story, 2.0, "a-0")
    story.item(stream, ANSWER, t=2.05, id="a-1")
    assert isinstance(verdict("MGC321", story), Pass)


def test_321_another_message_in_a_replay_needs_another_id():
    story = several()
    stream = back(story, 2.0, "a-0", how=None)
    story.item(stream, progress(), t=2.05, id="a-1")
    assert isinstance(verdict("MGC321", story), Fail)


def test_321_the_backends_own_collision_is_charged_to_it():
    story = several(conn_ids=("1", "1"))
    for number in range(2):
        stream = story.exchange(backend=True, session="b-1", sse=[], how=None, t=1.2 + number / 10)
        story.item(stream, ANSWER, t=1.4, id="1")
    assert charged(verdict("MGC321", story)) is Hop.BACKEND


# Streams that the client leaves and resumes.


def left(*, ids=True):
    """Two calls that the client left after their first progress."""
    story = connected()
    streams = [call(story, 1.0), call(story, 1.1, id=2, nonce="n-2")]
    for number, stream in enumerate(streams, start=1):
        story.item(stream, progress(f"n-{number}"), t=1.2, id=f"{number}-1" if ids else None)
        story.end(stream, "abandoned", t=1.3)
    story.stimulus("call.left", t=1.4)
    return story


def resumed(*messages, last="2-1", status=200, length=6.0, ids=True):
    """The client comes back with `last` and gets the messages."""
    story = left(ids=ids)
    story.exchange(method="GET", session="s-1", sse=[], how="abandoned", t=1.5)
    stream = {"sse": [], "how": None} if status == 200 else {"response": {}, "sse": None}
    get = back(story, 2.0, last, status=status, **stream)
    for number, message in enumerate(messages):
        story.item(get, message, t=2.1 + number / 10, id=f"r-{number}")
    if status == 200:
        story.end(get, "abandoned", t=2.0 + length)
    return story


MISSED = (progress("n-2", 2), result(2, content=[]))
FOREIGN = result(1, content=[])


@pytest.mark.parametrize(
    ("rule_id", "messages", "wanted"),
    [
        ("MGC322", MISSED, Pass),
        ("MGC322", (FOREIGN, *MISSED), Fail),
        ("MGC322", (progress("n-1", 2), *MISSED), Fail),
        ("MGC323", MISSED, Pass),
        ("MGC323", (FOREIGN, *MISSED), Pass),
        ("MGC323", (FOREIGN,), Fail),
        ("MGC323", (), NotApplicable),
        ("MGC324", MISSED, Pass),
        ("MGC324", (), Fail),
        ("MGC324", (progress("n-2", 1), *MISSED), Fail),
        ("MGC324", (FOREIGN,), Pass),
        ("MGC325", MISSED, Pass),
    ],
)
def test_322_to_325_what_a_resumed_stream_brings(rule_id, messages, wanted):
    assert isinstance(verdict(rule_id, resumed(*messages)), wanted)


@pytest.mark.parametrize(
    ("rule_id", "wanted"),
    [("MGC322", NotApplicable), ("MGC323", NotApplicable), ("MGC324", NotApplicable), ("MGC325", Fail)],
)
def test_322_to_325_a_refusal_replays_nothing(rule_id, wanted):
    assert isinstance(verdict(rule_id, resumed(status=400)), wanted)


@pytest.mark.parametrize("rule_id", ["MGC322", "MGC323", "MGC324", "MGC325"])
def test_322_to_325_without_ids_nothing_can_be_resumed(rule_id):
    assert isinstance(verdict(rule_id, left(ids=False)), NotApplicable)


@pytest.mark.parametrize("rule_id", ["MGC322", "MGC324", "MGC325"])
def test_322_to_325_a_call_that_was_answered_first_shows_nothing(rule_id):
    story = connected()
    stream = call(story, 1.0)
    story.item(stream, result(1, content=[]), t=1.2, id="1-1")
    story.end(stream, "complete", t=1.2)
    story.stimulus("call.left", t=1.4)
    assert isinstance(verdict(rule_id, story), Inconclusive)


def test_322_what_the_backend_replays_is_charged_to_it():
    story = resumed(FOREIGN, *MISSED)
    stream = back(story, 2.005, "2-1", backend=True)
    story.item(stream, FOREIGN, t=2.05)
    assert charged(verdict("MGC322", story)) is Hop.BACKEND


def test_324_what_the_client_had_no_time_to_read_is_due_again():
    story = left()
    stream = call(story, 1.15, id=3, nonce="n-3")
    for number in range(1, 4):
        story.item(stream, progress("n-3", number), t=1.2 + number / 100, id=f"3-{number}")
    story.end(stream, "abandoned", t=1.3)
    get = back(story, 2.0, "3-1", how=None)
    for number in range(2, 4):
        story.item(get, progress("n-3", number), t=2.1 + number / 100, id=f"3-{number}")
    story.item(get, result(3, content=[]), t=2.2, id="3-4")
    story.end(get, t=2.3)
    assert isinstance(verdict("MGC324", story), Pass)


@pytest.mark.parametrize(("headers", "hop"), [({"Last-Event-ID": "2-1"}, Hop.BACKEND), ({}, Hop.GATEWAY)])
def test_324_a_backend_that_was_not_asked_to_resume_is_not_at_fault(headers, hop):
    story = resumed()
    get = back(story, 2.005, "2-1", backend=True, session="b-1", headers=headers, how=None)
    story.end(get, "abandoned", t=8.0)
    assert charged(verdict("MGC324", story)) is hop


def test_324_lag_decides_nothing():
    story = resumed()
    story.lag(4.0, t=5.0)
    assert isinstance(verdict("MGC324", story), Inconclusive)


def test_324_a_chain_of_gets_may_bring_it():
    story = resumed(progress("n-2", 2), length=0.5)
    get = back(story, 3.0, "r-0", how=None)
    story.item(get, MISSED[1], t=3.1, id="r-9")
    story.end(get, t=3.2)
    assert isinstance(verdict("MGC324", story), Pass)


def unknown(*messages, status=200, after="result"):
    story = answered(("4-1", ANSWER))
    stream = {"sse": [], "how": None} if status == 200 else {"response": {}, "status": status}
    get = back(story, 2.0, "never-given", **(stream if status is not None else {"status": None, "how": "abandoned"}))
    for message in messages:
        story.item(get, message, t=2.1)
    story.listing(t=3.0, **({"sse": [error(1)]} if after == "error" else {}))
    return story


@pytest.mark.parametrize(
    ("story", "wanted"),
    [
        (unknown(), Pass),
        (unknown(notification("notifications/tools/list_changed")), Pass),
        (unknown(status=500), Pass),
        (unknown(status=404), Pass),
        (unknown(ANSWER), Fail),
        (unknown(after="error"), Fail),
    ],
)
def test_328_an_unknown_id_is_harmless(story, wanted):
    assert isinstance(verdict("MGC328", story), wanted)


@pytest.mark.parametrize(("before", "wanted"), [(True, Fail), (False, Pass)])
def test_328_progress_that_comes_late_does_not_come_again(before, wanted):
    story, progress = connected(), notification("notifications/progress", progressToken="t", progress=1)
    asked = request("tools/call", 4, name="slow", _meta={"progressToken": "t"})
    story.exchange(session="s-1", request=asked, sse=[*([progress] if before else []), result(4)], t=1.0)
    story.item(back(story, 2.0, "never-given", sse=[], how=None), progress, t=2.1)
    story.listing(t=3.0)
    assert isinstance(verdict("MGC328", story), wanted)


def test_328_it_is_answered():
    story = connected()
    back(story, 2.0, "never-given", status=None, how="abandoned", after=0.0, length=6.0, sse=None)
    assert isinstance(verdict("MGC328", story), Fail)


def test_328_where_no_get_is_served_nothing_follows():
    story = connected()
    story.exchange(method="GET", session="s-1", status=404, t=1.0)
    back(story, 2.0, "never-given", status=None, how="abandoned", after=0.0, length=6.0, sse=None)
    assert isinstance(verdict("MGC328", story), Inconclusive)


# Several streams.


def at_once(*ends, seconds=1.0, behind=()):
    """Three calls at t=1, answered at `ends`; None: never."""
    story = connected()
    story.stimulus("calls.at-once", t=0.9, calls=3, seconds=seconds)
    for number, end in enumerate(ends, start=1):
        stream = call(story, 1.0 + number / 1000, id=number, nonce=f"n-{number}")
        if end is not None:
            story.item(stream, result(number, content=[]), t=end)
            story.end(stream, t=end + 0.01)
    for number, (begin, end) in enumerate(behind, start=1):
        stream = call(story, begin, id=number, nonce=f"n-{number}", backend=True, session="b-1")
        story.item(stream, result(number, content=[]), t=end)
        story.end(stream, t=end + 0.01)
    story.at(9.0).stimulus("end")
    return story


@pytest.mark.parametrize(
    ("ends", "wanted"), [((2.0, 2.05, 2.1), Pass), ((2.0, 3.0, 4.0), Fail), ((2.0, 2.0, None), Fail)]
)
def test_326_calls_run_side_by_side(ends, wanted):
    assert isinstance(verdict("MGC326", at_once(*ends)), wanted)


@pytest.mark.parametrize(
    ("behind", "hop"),
    [([(1.0, 2.0), (2.0, 3.0), (3.0, 4.0)], Hop.GATEWAY), ([(1.0, 2.0), (1.0, 3.0), (1.0, 4.0)], Hop.BACKEND)],
)
def test_326_a_slow_backend_is_charged(behind, hop):
    assert charged(verdict("MGC326", at_once(2.0, 3.0, 4.0, behind=behind))) is hop


def test_326_who_waits_for_the_one_before_needs_no_clock():
    story = at_once(2.0, 3.0, 4.0, behind=[(1.0, 2.0), (2.0, 3.0), (3.0, 4.0)])
    story.lag(0.4, t=2.0)
    found = verdict("MGC326", story)
    assert isinstance(found, Fail)
    assert "each waited" in found.observed


@pytest.mark.parametrize(("ends", "wanted"), [((3.5, 3.5, 3.6), Pass), ((3.5, 4.5, 5.5), Fail)])
def test_326_a_gateway_that_begins_late_is_judged_from_then(ends, wanted):
    assert isinstance(verdict("MGC326", at_once(*ends, behind=[(2.5, 3.5), (2.5, 3.5), (2.6, 3.6)])), wanted)


@pytest.mark.parametrize(("ends", "wanted"), [((6.9, 7.6, 8.4), Pass), ((8.4, 8.4, 8.4), Fail)])
def test_326_a_gateway_that_starts_a_backend_for_each_call_begins_them_one_by_one(ends, wanted):
    assert isinstance(verdict("MGC326", at_once(*ends, behind=[(5.7, 6.8), (6.5, 7.6), (7.3, 8.3)])), wanted)


def test_326_a_short_wait_is_no_order():
    assert isinstance(verdict("MGC326", at_once(1.2, 1.4, 1.6, behind=[(1.0, 1.2), (1.2, 1.4), (1.4, 1.6)])), Pass)


def test_326_lag_decides_nothing():
    story = at_once(2.0, 3.0, 4.0)
    story.lag(0.5, t=2.0)
    assert isinstance(verdict("MGC326", story), Inconclusive)


def reported(*, twice=False, again=False):
    story = several()
    stream = call(story, 2.0, id=3, nonce="n-3")
    story.item(stream, progress("n-3"), t=2.1)
    other = back(story, 2.2, "a-0", how=None) if again else story.exchange(method="GET", session="s-1", sse=[], t=2.2)
    if twice:
        story.item(other, progress("n-3"), t=2.3)
    return story


@pytest.mark.parametrize(
    ("story", "wanted"),
    [
        (reported(), Pass),
        (reported(twice=True), Fail),
        (reported(twice=True, again=True), Pass),
        (several(), NotApplicable),
    ],
)
def test_327_progress_comes_once(story, wanted):
    assert isinstance(verdict("MGC327", story), wanted)


def reopening(*statuses, first=200):
    story = connected()
    given = {"sse": [], "how": "abandoned"} if first == 200 else {"response": {}, "status": first}
    stream = story.exchange(method="GET", session="s-1", t=1.0, **given)
    story.leave(stream, t=1.5)
    for number, status in enumerate(statuses):
        answer = {"sse": []} if status == 200 else {"response": {}, "status": status}
        story.exchange(method="GET", session="s-1", t=2.0 + number, **answer)
    return story


@pytest.mark.parametrize(
    ("story", "wanted"),
    [
        (reopening(200), Pass),
        (reopening(409, 200), Pass),
        (reopening(409, 409, 409), Fail),
        (reopening(405, first=405), NotApplicable),
    ],
)
def test_329_a_closed_get_is_opened_again(story, wanted):
    assert isinstance(verdict("MGC329", story), wanted)
