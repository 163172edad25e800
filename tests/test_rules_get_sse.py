"""The rules of suite get_sse on hand-written evidence."""

import pytest

from conformance.evidence.events import Hop
from conformance.rules.all import rule_named, rules
from conformance.rules.base import Inputs, judge
from conformance.rules.verdicts import Fail, Inconclusive, NotApplicable, NotExercised, Pass
from tests.evidence_builder import Story, error, notification, request, result

IDS = [rule.id for rule in rules() if rule.suite == "get_sse"]
CHANGED = notification("notifications/tools/list_changed")
DECLARED = {
    "sse": [result(0, protocolVersion="2025-11-25", capabilities={"tools": {"listChanged": True}}, serverInfo={})]
}


def verdict(rule_id, story, **header):
    return judge(rule_named(rule_id), Inputs(story.transcript(**header)))


def connected(**more):
    story = Story()
    story.initialize(**more)
    story.initialized()
    return story


def get(story, *, t=None, length=1.0, session="s-1", status=200, sse=(), **more):
    stream = {"sse": list(sse)} if status == 200 else {"response": {"error": {}}}
    return story.exchange(method="GET", session=session, status=status, t=t, length=length, **(stream | more))


@pytest.mark.parametrize("rule_id", IDS)
def test_nothing_seen_is_not_exercised(rule_id):
    assert isinstance(verdict(rule_id, Story(), revision=rule_named(rule_id).revisions[-1]), NotExercised)


@pytest.mark.parametrize(("status", "wanted"), [(200, Pass), (405, Pass), (400, Fail), (404, Fail), (501, Fail)])
def test_301_get_is_a_stream_or_405(status, wanted):
    story = connected()
    get(story, status=status)
    assert isinstance(verdict("MGC301", story), wanted)


def test_301_the_backends_own_400_is_charged_to_it():
    story = connected()
    get(story, status=400, t=1.0, after=0.5)
    story.exchange(backend=True, method="GET", session="b-1", status=400, response={}, t=1.1)
    found = verdict("MGC301", story)
    assert isinstance(found, Fail)
    assert found.charged_to is Hop.BACKEND


@pytest.mark.parametrize(("after", "wanted"), [(0.01, Pass), (15.0, Fail)])
def test_302_headers_come_at_once(after, wanted):
    story = connected()
    get(story, after=after)
    assert isinstance(verdict("MGC302", story), wanted)


def test_302_headers_that_never_come():
    story = connected()
    story.exchange(method="GET", session="s-1", status=None, how="abandoned", length=20.0)
    found = verdict("MGC302", story)
    assert isinstance(found, Fail)
    assert found.symptom == "get-sse-dead-stream"


def test_302_a_get_that_its_client_gave_up_early_shows_nothing():
    story = connected()
    story.exchange(method="GET", session="s-1", status=None, how="abandoned", length=3.0)
    assert isinstance(verdict("MGC302", story), NotExercised)


@pytest.mark.parametrize(("messages", "wanted"), [([CHANGED], Pass), ([result(1)], Fail)])
def test_303_no_response_on_a_get_stream(messages, wanted):
    story = connected()
    get(story, t=1.0, length=2.0, sse=messages)
    story.listing(t=1.5)
    assert isinstance(verdict("MGC303", story), wanted)


def test_303_no_response_on_a_stream_that_was_opened_again():
    story = connected()
    get(story, t=1.0, length=0.5)
    story.listing(t=1.2)
    stream = get(story, t=2.0, length=3.0)
    assert isinstance(verdict("MGC303", story), Pass)
    story.item(stream, result(1), t=3.0)
    assert isinstance(verdict("MGC303", story), Fail)


def test_303_a_stream_that_is_resumed_may_bring_the_response():
    story = connected()
    get(story, t=1.0, length=3.0)
    story.listing(t=1.5)
    get(story, t=2.0, length=1.0, sse=[result(1)], headers={"Last-Event-ID": "1"})
    assert isinstance(verdict("MGC303", story), Pass)


def notified(copies, listened=8.0):
    story = connected(**DECLARED)
    stream = get(story, t=1.0, length=listened)
    story.stimulus("tool.add", t=2.0)
    story.stdio_start(t=0.5)
    story.stdio("down", CHANGED, t=2.1)
    for number in range(copies):
        story.item(stream, CHANGED, t=2.2 + number / 10)
    return story


@pytest.mark.parametrize(("copies", "wanted"), [(0, NotExercised), (1, Pass)])
def test_304_a_message_goes_out_once(copies, wanted):
    assert isinstance(verdict("MGC304", notified(copies)), wanted)


def test_304_a_message_that_also_comes_down_another_stream_fails():
    story = notified(1)
    story.call(sse=[CHANGED, result(1, content=[])], t=2.3)
    assert isinstance(verdict("MGC304", story), Fail)


def test_304_messages_of_two_sessions_with_the_backend_may_come_down_one_stream():
    assert isinstance(verdict("MGC304", notified(2)), Pass)


def test_304_what_is_replayed_after_an_event_id_is_no_other_copy():
    story = notified(1)
    get(story, t=9.5, sse=[CHANGED], headers={"Last-Event-ID": "1"})
    assert isinstance(verdict("MGC304", story), Pass)


@pytest.mark.parametrize(("copies", "wanted"), [(0, Fail), (1, Pass)])
def test_308_list_changed_is_relayed(copies, wanted):
    assert isinstance(verdict("MGC308", notified(copies)), wanted)


@pytest.mark.parametrize("left", [None, 2.6])
def test_308_whoever_listened_for_a_moment_has_missed_nothing(left):
    story = notified(0, listened=2.0)
    if left is not None:
        story.leave("client:a/3/3", t=left)
        story.at(20.0).stimulus("end")
    assert isinstance(verdict("MGC308", story), Inconclusive)


def test_308_does_not_apply_where_it_is_not_declared():
    story = connected()
    get(story, t=1.0, length=5.0)
    story.stimulus("tool.add", t=2.0)
    story.stdio_start(t=0.5)
    story.stdio("down", CHANGED, t=2.1)
    assert isinstance(verdict("MGC308", story), NotApplicable)


@pytest.mark.parametrize(("status", "wanted"), [(200, Pass), (404, Fail)])
def test_305_a_second_get_is_harmless(status, wanted):
    story = connected()
    get(story, t=1.0, length=5.0)
    get(story, t=2.0, status=409)
    story.listing(t=3.0, **({} if status == 200 else {"status": status, "sse": None, "response": {"error": {}}}))
    assert isinstance(verdict("MGC305", story), wanted)


def test_305_the_first_stream_is_ended_where_the_second_is_refused():
    story = connected()
    get(story, t=1.0, length=1.05)
    get(story, t=2.0, status=409)
    story.listing(t=3.0)
    assert isinstance(verdict("MGC305", story), Fail)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"length": 1.05}, {"status": 200}),  # the second takes its place
        ({"length": 9.0}, {"status": 409}),  # its end has another cause
        ({"length": 1.05, "how": "abandoned"}, {"status": 409}),
        ({"status": 405}, {"status": 405}),
    ],
)
def test_305_the_first_stream_may_end(first, second):
    story = connected()
    get(story, t=1.0, **first)
    get(story, t=2.0, **second)
    story.listing(t=3.0)
    assert isinstance(verdict("MGC305", story), Pass)


def test_305_the_first_stream_may_end_once_it_gave_an_event_id():
    story = connected()
    stream = get(story, t=1.0, length=1.05)
    story.item(stream, CHANGED, t=1.5, id="1")
    get(story, t=2.0, status=409)
    story.listing(t=3.0)
    assert isinstance(verdict("MGC305", story), Pass)


@pytest.mark.parametrize("rule_id", ["MGC305", "MGC307"])
def test_a_session_that_its_client_ended_is_not_lost(rule_id):
    story = connected()
    story.leave(get(story, t=1.0, how="abandoned"), t=2.0)
    get(story, t=2.5, status=409)
    story.listing(t=3.0)
    story.exchange(method="DELETE", session="s-1", t=4.0)
    story.listing(t=5.0, **REFUSED)
    assert isinstance(verdict(rule_id, story), Pass)


@pytest.mark.parametrize(("status", "wanted"), [(400, Pass), (200, Fail)])
def test_306_get_without_a_session_is_refused(status, wanted):
    story = connected()
    get(story, session=None, status=status)
    assert isinstance(verdict("MGC306", story), wanted)


def test_306_what_a_server_says_of_itself_belongs_to_no_session():
    story = connected()
    get(story, session=None, target="/.well-known/oauth-protected-resource")
    assert isinstance(verdict("MGC306", story), NotExercised)


def test_306_does_not_apply_where_no_session_is_issued():
    story = connected(session=None)
    get(story, session=None)
    assert isinstance(verdict("MGC306", story), NotApplicable)


@pytest.mark.parametrize(("status", "wanted"), [(200, Pass), (404, Fail)])
def test_307_closing_the_stream_keeps_the_session(status, wanted):
    story = connected()
    stream = get(story, t=1.0, length=1.0, how="abandoned")
    story.leave(stream, t=1.9)
    story.listing(t=3.0, **({} if status == 200 else {"status": status, "sse": None, "response": {"error": {}}}))
    assert isinstance(verdict("MGC307", story), wanted)


def test_309_an_invented_event_fails():
    story = connected()
    stream = get(story, t=1.0, length=5.0)
    story.listing(t=2.0)
    assert isinstance(verdict("MGC309", story), Pass)
    story.raw_event(stream, "complete", "done", t=2.5)
    assert isinstance(verdict("MGC309", story), Fail)


def test_309_a_priming_event_is_fine():
    story = connected()
    stream = get(story, t=1.0, length=5.0)
    story.raw_event(stream, "message", "", t=1.5, id="1")
    story.listing(t=2.0)
    assert isinstance(verdict("MGC309", story), Pass)


@pytest.mark.parametrize(
    ("message", "wanted"),
    [
        ({"jsonrpc": "2.0"}, Fail),
        ({"jsonrpc": "2.0", "id": 1}, Fail),
        ({"jsonrpc": "2.0", "id": 1, "result": {}}, Pass),  # all that is kept of a large one
        (error(None), Pass),
        (CHANGED, Pass),
    ],
)
@pytest.mark.parametrize("as_json", [False, True])
def test_309_a_message_is_a_request_a_notification_or_a_response(message, wanted, as_json):
    story = connected()
    get(story, t=1.0, length=5.0)
    story.listing(t=2.0)
    story.listing(t=3.0, **({"sse": None, "response": message} if as_json else {"sse": [message, result(1)]}))
    assert isinstance(verdict("MGC309", story), wanted)


@pytest.mark.parametrize(("event", "wanted"), [("ping", Pass), ("message", Fail)])
def test_309_a_type_without_data_is_handed_to_nobody_and_empty_data_is(event, wanted):
    story = connected()
    stream = get(story, t=1.0, length=5.0)
    story.raw_event(stream, event, "", t=1.5)
    story.listing(t=2.0)
    assert isinstance(verdict("MGC309", story), wanted)


@pytest.mark.parametrize(("status", "wanted"), [(404, Pass), (405, Pass), (400, Fail), (200, Fail)])
def test_310_an_unknown_session_is_404(status, wanted):
    story = connected()
    get(story, session="unknown", status=status)
    assert isinstance(verdict("MGC310", story), wanted)


@pytest.mark.parametrize(("accept", "wanted"), [("text/event-stream", Pass), ("*/*", Fail)])
def test_311_the_gateways_get_accepts_streams(accept, wanted):
    story = connected()
    story.connect(backend=True, session="b-1")
    story.exchange(backend=True, method="GET", session="b-1", sse=[], headers={"Accept": accept})
    assert isinstance(verdict("MGC311", story), wanted)


@pytest.mark.parametrize(("target", "wanted"), [("/health", NotApplicable), ("/mcp?x=1", Fail)])
def test_311_only_the_endpoint_is_asked_for_streams(target, wanted):
    story = connected()
    story.connect(backend=True, session="b-1")
    story.exchange(backend=True, method="GET", target=target, status=200, headers={"Accept": "*/*"})
    assert isinstance(verdict("MGC311", story), wanted)


@pytest.mark.parametrize("as_json", [False, True])
def test_312_a_list_of_which_no_tools_are_kept_decides_nothing(as_json):
    story = connected()
    story.stimulus("tool.listed-again", tool="added")
    kept = result(1)
    story.listing(**({"sse": None, "response": kept} if as_json else {"sse": [kept]}))
    assert isinstance(verdict("MGC312", story), Inconclusive)


@pytest.mark.parametrize(("tools", "wanted"), [(["x_added"], Pass), (["echo"], Fail)])
def test_312_an_added_tool_is_listed(tools, wanted):
    story = connected()
    story.stimulus("tool.listed-again", tool="added")
    story.listing(tools=tools)
    assert isinstance(verdict("MGC312", story), wanted)


def test_312_what_is_no_list_names_nothing():
    story = connected()
    story.stimulus("tool.listed-again", tool="added")
    story.listing(sse=[result(1, tools=1)])
    assert isinstance(verdict("MGC312", story), Fail)


@pytest.mark.parametrize(("tools", "wanted"), [(["x-added-1"], Pass), (["x-added_1"], Fail)])
def test_312_an_added_tool_is_listed_as_the_gateway_spells_it(tools, wanted):
    story = connected()
    story.stimulus("tool.listed-again", tool="added_1")
    story.listing(tools=tools)
    assert isinstance(verdict("MGC312", story, tools_replaced={"_": "-"}), wanted)


@pytest.mark.parametrize(
    ("answer", "wanted"),
    [
        ({"sse": [error(1)]}, NotExercised),
        ({"sse": [result(1, content=[], isError=True)]}, NotExercised),
        ({"sse": [result(1, content=[])]}, Fail),
        ({"sse": []}, Fail),
    ],
)
def test_312_a_tool_that_was_refused_to_be_added_is_missed_in_no_list(answer, wanted):
    story = connected()
    story.stimulus("tool.add", tool="added")
    story.call(**answer)
    story.stimulus("tool.listed-again", tool="added")
    story.listing(tools=["echo"])
    assert isinstance(verdict("MGC312", story), wanted)


STREAM = {"sse": [], "t": 1.0, "after": 0.2, "length": 3.0}
"""A GET that a client opened and the gateway answered with a stream, its own to the backend beginning meanwhile."""
BEHIND = {"backend": True, "method": "GET", "session": "b-1", "t": 1.1}
REFUSED = {"sse": None, "response": {"error": {}}, "status": 404}


def test_headers_that_the_backend_withholds_are_its_own():
    story = connected()
    get(story, t=1.0, after=15.0)
    story.exchange(**BEHIND, sse=[], after=14.8)
    assert verdict("MGC302", story).charged_to is Hop.BACKEND


@pytest.mark.parametrize(("rule_id", "stray"), [("MGC303", result(7)), ("MGC309", {"ready": True})])
def test_what_the_backend_sends_down_its_stream_is_its_own(rule_id, stray):
    story = connected()
    get(story, **STREAM | {"sse": [stray]})
    story.exchange(**BEHIND, sse=[stray])
    story.listing(t=2.0)
    assert verdict(rule_id, story).charged_to is Hop.BACKEND


@pytest.mark.parametrize(("rule_id", "session", "status"), [("MGC306", None, 500), ("MGC310", "unknown", 400)])
def test_a_status_that_the_backend_gave_is_its_own(rule_id, session, status):
    story = connected()
    get(story, session=session, status=status, t=1.0, after=0.2)
    story.exchange(**BEHIND, status=status, response={})
    assert verdict(rule_id, story).charged_to is Hop.BACKEND


@pytest.mark.parametrize(("rule_id", "session"), [("MGC306", None), ("MGC310", "unknown")])
def test_what_a_live_session_of_the_backend_is_served_excuses_no_gateway(rule_id, session):
    """A gateway that looks after its backend in a session of its own opens a stream there meanwhile."""
    story = connected()
    story.exchange(backend=True, request=request("initialize"), t=0.5, issue_session="b-9", response=result(1))
    story.exchange(method="GET", session=session, status=None, how="abandoned", t=1.0, length=5.0)
    story.exchange(backend=True, method="GET", session="b-9", t=2.0, sse=())
    assert verdict(rule_id, story).charged_to is Hop.GATEWAY


@pytest.mark.parametrize("rule_id", ["MGC305", "MGC307"])
def test_a_session_that_the_backend_lost_is_its_own_loss(rule_id):
    story = connected()
    story.leave(get(story, t=1.0, how="abandoned"), t=2.0)
    get(story, t=2.5, status=409)
    story.listing(t=3.0, after=1.0, **REFUSED)
    story.listing(backend=True, session="b-1", t=3.5, **REFUSED)
    assert verdict(rule_id, story).charged_to is Hop.BACKEND


@pytest.mark.parametrize("rule_id", ["MGC303", "MGC307"])
def test_without_a_stream_there_is_nothing_to_ask_of_one(rule_id):
    story = connected()
    get(story, status=405)
    story.listing()
    assert isinstance(verdict(rule_id, story), NotApplicable)


@pytest.mark.parametrize("rule_id", ["MGC304", "MGC308"])
def test_without_a_stream_no_notification_is_expected(rule_id):
    story = connected(**DECLARED)
    get(story, status=405)
    story.stimulus("tool.add", t=2.0)
    story.stdio_start(t=0.5)
    story.stdio("down", CHANGED, t=2.1)
    assert isinstance(verdict(rule_id, story), NotApplicable)


def test_310_does_not_apply_where_no_session_is_issued():
    story = connected(session=None)
    get(story, session="unknown")
    assert isinstance(verdict("MGC310", story), NotApplicable)


def test_311_does_not_apply_to_a_gateway_that_listens_to_no_backend():
    story = connected()
    story.connect(backend=True, session="b-1")
    assert isinstance(verdict("MGC311", story), NotApplicable)


@pytest.mark.parametrize("rule_id", ["MGC302", "MGC308"])
def test_what_the_harness_s_lag_could_have_decided_is_inconclusive(rule_id):
    story = notified(0) if rule_id == "MGC308" else connected()
    if rule_id == "MGC302":
        get(story, t=2.0, after=6.0)
    story.lag(10.0, t=3.0)
    assert isinstance(verdict(rule_id, story), Inconclusive)


def two_clients():
    story = Story()
    clients = (("a", "s-1"), ("b", "s-2"))
    for client, session in clients:
        story.initialize(client, session=session)
    for client, session in clients:
        story.leave(get(story, client=client, session=session, t=1.0, how="abandoned"), t=1.9)
    return story


@pytest.mark.parametrize("rule_id", ["MGC305", "MGC307"])
def test_whichever_clients_session_is_lost(rule_id):
    story = two_clients()
    get(story, client="b", session="s-2", t=2.0, status=409)
    story.listing("b", session="s-2", t=3.0, **REFUSED)
    assert isinstance(verdict(rule_id, story), Fail)


@pytest.mark.parametrize(("rule_id", "session", "good", "bad"), [("MGC306", None, 400, 200), ("MGC310", "x", 404, 400)])
def test_every_such_get_is_judged(rule_id, session, good, bad):
    story = connected()
    get(story, session=session, status=good)
    get(story, session=session, status=bad)
    assert isinstance(verdict(rule_id, story), Fail)


def test_what_the_backend_lists_wrongly_is_its_own():
    story = connected()
    story.stimulus("tool.listed-again", tool="added")
    story.listing(tools=["echo"], t=5.0, after=1.0)
    story.exchange(
        backend=True, session="b", request=request("tools/list"), sse=[result(1, tools=[{"name": "echo"}])], t=5.5
    )
    assert verdict("MGC312", story).charged_to is Hop.BACKEND


@pytest.mark.parametrize("asked", ["p-1", "p-2"])
def test_a_process_of_its_own_for_each_request_knows_nothing_of_what_another_added(asked):
    story = connected()
    story.stdio_start("p-1", t=4.0)
    story.stdio("up", request("tools/call", 1), "p-1", t=4.1)
    story.stimulus("tool.listed-again", tool="added", t=4.5)
    story.listing(tools=["echo"], t=5.0, after=1.0)
    story.stdio_start("p-2", t=5.3)
    story.stdio("up", request("tools/list", 2), asked, t=5.4)
    story.stdio("down", result(2, tools=[{"name": "echo"}]), asked, t=5.5)
    found = verdict("MGC312", story)
    assert isinstance(found, NotApplicable) if asked == "p-2" else found.charged_to is Hop.BACKEND
