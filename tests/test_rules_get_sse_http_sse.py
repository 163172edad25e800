"""The rules of HTTP+SSE on hand-written evidence."""

import pytest

from conformance.evidence.events import Hop
from conformance.rules.all import rule_named
from conformance.rules.base import Inputs, judge
from conformance.rules.verdicts import Fail, Inconclusive, NotApplicable, NotExercised, Pass
from tests.evidence_builder import RESULT, Story, error, notification, request, result

BACKEND = ("MGC337", "MGC338", "MGC339")
SERVER = ("MGC331", "MGC332", "MGC333", "MGC334", "MGC335", "MGC336")
URI = "/messages?session=1"
HOST = {"Host": "gateway:1"}


def verdict(rule_id, story, **header):
    revision = "2024-11-05" if "2024-11-05" in rule_named(rule_id).revisions else "2025-11-25"
    given = {"revision": revision, "sse_path": "/sse", "gateway": {"address": "127.0.0.1:8080"}} | header
    return judge(rule_named(rule_id), Inputs(story.transcript(**given)))


def opened(story, client="a", uri=URI, **more):
    """Open a stream and name a URI on it; return the stream."""
    stream = story.exchange(client, method="GET", target="/sse", headers=HOST, sse=[], how=None, **more)
    if uri is not None:
        story.raw_event(stream, "endpoint", uri)
    return stream


def post(story, stream, message, answer=None, *, client="a", event="message", target=URI, **more):
    """Post a message, which is accepted, and let the answer come on the stream."""
    story.exchange(client, target=target, request=message, **({"status": 202} | more))
    if answer is not None:
        story.item(stream, answer, event=event)


def session(client="a", nonce="n-a", heard="n-a", **more):
    story = Story()
    stream = opened(story, client)
    post(story, stream, request("initialize", 0), result(0, **RESULT), client=client)
    post(story, stream, notification("notifications/initialized"), client=client)
    call(story, stream, client, nonce, heard, **more)
    return story, stream


def call(story, stream, client, nonce, heard, **more):
    answer = result(1, content=[], structuredContent={"nonce": heard}) if heard else None
    post(story, stream, request("tools/call", 1, arguments={"nonce": nonce}), answer, client=client, **more)


@pytest.mark.parametrize("rule_id", [*SERVER, *BACKEND, "MGC340", "MGC341"])
def test_nothing_seen_is_not_exercised(rule_id):
    assert isinstance(verdict(rule_id, Story()), NotExercised)


@pytest.mark.parametrize("rule_id", SERVER)
def test_without_an_http_sse_endpoint_nothing_is_exercised(rule_id):
    assert isinstance(verdict(rule_id, session()[0], sse_path=""), NotExercised)


@pytest.mark.parametrize("rule_id", SERVER[:5])
def test_a_whole_session_passes(rule_id):
    story, stream = session()
    story.end(stream, "abandoned")
    assert isinstance(verdict(rule_id, story), Pass)


@pytest.mark.parametrize(("status", "wanted"), [(400, Fail), (404, Fail), (405, Fail)])
def test_331_the_get_opens_a_stream(status, wanted):
    story = Story()
    story.exchange(method="GET", target="/sse", status=status, response=error())
    assert isinstance(verdict("MGC331", story), wanted)


def test_331_the_backends_own_refusal_is_charged_to_it():
    story = Story()
    story.exchange(method="GET", target="/sse", status=404, response={}, t=1.0, after=0.5)
    story.exchange(backend=True, method="GET", target="/sse", status=404, response={}, t=1.1)
    found = verdict("MGC331", story)
    assert isinstance(found, Fail)
    assert found.charged_to is Hop.BACKEND


@pytest.mark.parametrize("how", ["fin", "rst"])
def test_331_a_gateway_that_goes_down_with_the_get(how):
    story, stream = session()
    story.end(stream, "abandoned")
    story.exchange(method="GET", target="/sse", status=None, how=how)
    found = verdict("MGC331", story)
    assert isinstance(found, Fail)
    assert found.symptom == "one-client-kills-all"


def test_331_no_headers_yet_is_inconclusive():
    story = Story()
    story.exchange(method="GET", target="/sse", status=None, how="abandoned")
    assert isinstance(verdict("MGC331", story), Inconclusive)


@pytest.mark.parametrize(
    ("event", "data", "wanted"),
    [("endpoint", URI, Pass), ("endpoint", " ", Fail), ("message", URI, Fail), ("sse/connection", "hello", Fail)],
)
def test_332_the_first_event_is_endpoint(event, data, wanted):
    story = Story()
    stream = opened(story, uri=None)
    story.item(stream, "ping")
    story.raw_event(stream, event, data)
    assert isinstance(verdict("MGC332", story), wanted)


@pytest.mark.parametrize(("seconds", "wanted"), [(1.0, Inconclusive), (6.0, Fail)])
def test_332_a_stream_without_events(seconds, wanted):
    story = Story()
    stream = opened(story, uri=None, t=0.0)
    story.end(stream, "abandoned", t=seconds)
    found = verdict("MGC332", story)
    assert isinstance(found, wanted)
    assert not isinstance(found, Fail) or found.symptom == "get-sse-dead-stream"


@pytest.mark.parametrize(
    ("uri", "wanted"),
    [
        ("/messages?id=1", Pass),
        ("messages?id=1", Pass),
        ("http://gateway:1/messages", Pass),
        ("http://127.0.0.1:8080/messages", Pass),
        ("http://backend:9000/messages", Fail),
        ("//backend:9000/messages", Fail),
        ("http%3A//gateway%3A1/messages", Pass),
    ],
)
def test_333_the_uri_leads_through_the_gateway(uri, wanted):
    story = Story()
    opened(story, uri=uri)
    assert isinstance(verdict("MGC333", story), wanted)


@pytest.mark.parametrize(("status", "wanted"), [(200, Pass), (202, Pass), (204, Pass), (404, Fail), (405, Fail)])
def test_334_the_uri_takes_posts(status, wanted):
    story = Story()
    stream = opened(story)
    post(story, stream, request("initialize", 0), status=status)
    assert isinstance(verdict("MGC334", story), wanted)


def test_334_a_post_without_response_is_inconclusive():
    story = Story()
    stream = opened(story)
    post(story, stream, request("initialize", 0), status=None, how="abandoned")
    assert isinstance(verdict("MGC334", story), Inconclusive)


def test_335_an_answer_in_the_body_is_off_the_stream():
    story = Story()
    stream = opened(story)
    post(story, stream, request("tools/list", 1), status=200, response=result(1, tools=[]))
    found = verdict("MGC335", story)
    assert isinstance(found, Fail)
    assert found.symptom == "sse-response-off-stream"


def test_335_an_answer_of_another_type_is_no_message():
    story, _ = session(event="response")
    found = verdict("MGC335", story)
    assert isinstance(found, Fail)
    assert found.symptom == "nonconforming-sse-event"


@pytest.mark.parametrize(("seconds", "wanted"), [(1.0, Inconclusive), (6.0, Fail)])
def test_335_an_answer_that_never_comes(seconds, wanted):
    story, stream = session(heard=None)
    story.end(stream, "abandoned", t=story.now + seconds)
    assert isinstance(verdict("MGC335", story), wanted)


@pytest.mark.parametrize(("heard", "wanted"), [("n-b", Pass), ("n-a", Fail), (None, Inconclusive)])
def test_336_each_hears_its_own(heard, wanted):
    story, _ = session()
    other = opened(story, "b")
    call(story, other, "b", "n-b", heard)
    assert isinstance(verdict("MGC336", story), wanted)


def test_336_streams_one_after_the_other_are_not_two_clients():
    story, stream = session()
    story.end(stream, "abandoned")
    other = opened(story, "b")
    call(story, other, "b", "n-b", "n-b")
    assert isinstance(verdict("MGC336", story), NotExercised)


CHANGED = notification("notifications/tools/list_changed")


def notified(listed=True, event="message", *, arrives=True, read_for=6.0):
    """The backend says that its tools changed while a client's stream is open."""
    story = Story()
    stream = opened(story)
    tools = {"listChanged": True} if listed else {}
    post(story, stream, request("initialize", 0), result(0, **(RESULT | {"capabilities": {"tools": tools}})))
    behind = story.exchange(backend=True, method="GET", session="b-1", sse=[], how=None)
    story.stimulus("tool.add", tool="x")
    story.item(behind, CHANGED)
    if arrives:
        story.item(stream, CHANGED, event=event)
    story.end(stream, "abandoned", t=story.now + read_for)
    return story


def test_341_a_stream_that_was_read_for_a_moment_decides_nothing():
    assert isinstance(verdict("MGC341", notified(arrives=False, read_for=1.0)), Inconclusive)


def test_341_list_changed_comes_on_the_stream():
    assert isinstance(verdict("MGC341", notified()), Pass)


def test_341_what_is_not_declared_is_not_owed():
    assert isinstance(verdict("MGC341", notified(listed=False, arrives=False)), NotApplicable)


@pytest.mark.parametrize(
    ("event", "arrives", "symptom"),
    [("message", False, "list-changed-not-propagated"), ("notification", True, "nonconforming-sse-event")],
)
def test_341_list_changed_that_does_not_come_or_is_no_message(event, arrives, symptom):
    found = verdict("MGC341", notified(event=event, arrives=arrives))
    assert isinstance(found, Fail)
    assert found.symptom == symptom


def test_341_a_lag_of_the_harness_decides_nothing():
    story = notified(arrives=False)
    story.lag(4.0, t=0.5)
    assert isinstance(verdict("MGC341", story), Inconclusive)


# the gateway as client


def behind(story, *, status=405, uri=URI, offered="2025-11-25"):
    """The gateway posts initialize at the backend's URL, which refuses it; where `uri`, it then opens the stream."""
    asked = request("initialize", 0, protocolVersion=offered)
    story.exchange(backend=True, target="/sse", request=asked, status=status, response=error())
    if uri is None:
        return None
    stream = story.exchange(backend=True, method="GET", target="/sse", sse=[], how=None)
    story.raw_event(stream, "endpoint", uri)
    return stream


def sent(story, target, message=None):
    story.exchange(backend=True, target=target, request=message or request("tools/list", 1), status=202)


@pytest.mark.parametrize(
    ("uri", "target", "wanted"),
    [
        (URI, URI, Pass),
        ("http://backend:9000/messages?session=1", URI, Pass),
        ("messages?session=1", URI, Pass),
        (URI, "/messages", Fail),
        (URI, "/messages/?session=1", Fail),
        ("/a%2Fb?x=", "/a/b?x=", Fail),
        ("/a%2Fb?x=1", "/a%2Fb?x=1", Pass),
        (URI, "/sse", Fail),
    ],
)
def test_337_the_uri_is_used_to_the_letter(uri, target, wanted):
    story = Story()
    behind(story, uri=uri)
    sent(story, target)
    assert isinstance(verdict("MGC337", story), wanted)


def test_337_another_session_may_try_the_new_transport_first():
    story = Story()
    behind(story)
    sent(story, URI)
    behind(story)
    assert isinstance(verdict("MGC337", story), Pass)


@pytest.mark.parametrize("status", [400, 404, 405])
@pytest.mark.parametrize(("uri", "wanted"), [(URI, Pass), (None, Fail)])
def test_338_what_may_be_an_old_server_is_asked(status, uri, wanted):
    story = Story()
    behind(story, status=status, uri=uri)
    assert isinstance(verdict("MGC338", story, backend_face="sse"), wanted)


def test_338_a_backend_not_known_to_be_old_is_not_judged():
    story = Story()
    behind(story, uri=None)
    assert isinstance(verdict("MGC338", story), NotExercised)


@pytest.mark.parametrize(
    ("status", "offered", "wanted"),
    [
        (401, "2025-11-25", Fail),
        (429, "2025-11-25", Fail),
        (500, "2025-11-25", Fail),
        (500, "2025-06-18", Fail),
        (401, "2025-06-18", NotExercised),
        (405, "2025-11-25", NotExercised),
    ],
)
def test_339_other_refusals_are_no_sign(status, offered, wanted):
    story = Story()
    behind(story, status=status, offered=offered)
    sent(story, URI, request("initialize", 0))
    assert isinstance(verdict("MGC339", story, backend_face="sse"), wanted)


def test_339_a_get_alone_is_no_fallback():
    story = Story()
    behind(story, status=500)
    assert isinstance(verdict("MGC339", story), Pass)


def test_339_a_sign_after_another_refusal_may_be_heeded():
    story = Story()
    behind(story, status=500, uri=None)
    behind(story, status=405)
    sent(story, URI, request("initialize", 0))
    assert isinstance(verdict("MGC339", story), Pass)


# both transports


def beside(**more):
    story = Story()
    story.connect("new")
    story.exchange("old", method="GET", target="/sse", **more)
    return story


def test_340_both_are_served():
    story = Story()
    story.connect("new")
    stream = opened(story, "old")
    post(story, stream, request("initialize", 0), result(0, **RESULT), client="old")
    assert isinstance(verdict("MGC340", story), Pass)


def test_340_a_stream_without_an_answer_serves_nobody():
    story = Story()
    story.connect("new")
    stream = opened(story, "old")
    post(story, stream, request("initialize", 0), client="old")
    found = verdict("MGC340", story)
    assert isinstance(found, Fail)
    assert found.symptom == "sse-response-off-stream"


@pytest.mark.parametrize("status", [404, 405, 501])
def test_340_an_endpoint_that_is_gone(status):
    found = verdict("MGC340", beside(status=status, response={}))
    assert isinstance(found, Fail)
    assert found.symptom == "get-sse-wrong-status"


def test_340_without_a_client_of_the_new_transport_nothing_is_compared():
    story = Story()
    opened(story)
    assert isinstance(verdict("MGC340", story), NotExercised)


# beside the newer transport, at its URL ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("events", "wanted"), [(["endpoint"], NotApplicable), (["message", "endpoint"], Fail), ([], Fail)]
)
def test_306_a_get_without_a_session_may_open_one_of_the_older_transport(events, wanted):
    story = Story()
    story.connect()
    stream = story.exchange(method="GET", sse=[": hello"], how=None)
    for event in events:
        story.raw_event(stream, event, URI)
    assert isinstance(verdict("MGC306", story), wanted)


def test_306_what_opens_such_a_session_excuses_no_other_stream():
    story = Story()
    story.connect()
    story.raw_event(story.exchange(method="GET", sse=[], how=None), "endpoint", URI)
    story.exchange(method="GET", sse=[], how=None)
    assert isinstance(verdict("MGC306", story), Fail)
