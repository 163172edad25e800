"""Family edges on hand-written evidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from conformance.evidence.events import Hop, Kind, Point
from conformance.rules.all import rule_named
from conformance.rules.base import Inputs, judge
from conformance.rules.verdicts import Fail, Inconclusive, NotApplicable, NotExercised, Pass, Verdict
from tests.evidence_builder import Story, error, notification, request, result

LIST = request("tools/list")
TOOLS = result(1, tools=[])
INITIALIZE = request("initialize", 0, protocolVersion="2025-11-25", capabilities={}, clientInfo={"name": "c"})


def header(**variant: Any) -> dict[str, Any]:
    replicas = variant.pop("replicas", 1)
    return {
        "name": "nginx",
        "title": "nginx",
        "version": "1",
        "replicas": replicas,
        "fault": False,
        "features": [],
        "variant": variant,
    }


def verdict(rule_id: str, story: Story, **variant: Any) -> Verdict:
    rule = rule_named(rule_id)
    assert rule is not None
    return judge(rule, Inputs(story.transcript(edge=header(**variant))))


def failure(rule_id: str, story: Story, **variant: Any) -> Fail:
    found = verdict(rule_id, story, **variant)
    assert isinstance(found, Fail), found
    return found


def passage(
    story: Story, client: str = "a", *, replica: int = 1, back: Mapping[str, Any] | None = None, **front: Any
) -> None:
    """Add a request at both taps. front: as the client saw it; back: what differs behind the edge, None: never asked."""
    begin = story.now
    if back is not None:
        story.exchange(edge=replica, t=begin + 0.001, **{**front, "after": 0.005, "length": 0.001, **back})
    story.exchange(client, t=begin, **front)
    story.at(begin + front.get("after", 0.01) + front.get("length", 0.01) + 0.05)


def opened(story: Story, client: str, session: str | None, replica: int, **front: Any) -> None:
    given = {"request": INITIALIZE, "sse": [result(0, protocolVersion="2025-11-25", capabilities={}, serverInfo={})]}
    passage(story, client, replica=replica, back={}, issue_session=session, **given, **front)


def listed(story: Story, client: str, session: str, replica: int, **front: Any) -> None:
    passage(story, client, replica=replica, back={}, **{"request": LIST, "sse": [TOOLS], "session": session, **front})


def streamed(
    story: Story, times: Sequence[float], came: Sequence[float], *, method: str = "POST", **front: Any
) -> None:
    """Add an event stream that a replica feeds at `times` and the client gets at `came`, in seconds from its beginning."""
    begin = story.now
    asked = request("tools/call", 1, name="slow", arguments={"nonce": "n"}) if method == "POST" else None
    back = story.exchange(edge=1, t=begin + 0.001, method=method, request=asked, sse=(), how=None, after=0.01)
    front_id = story.exchange(
        "a", t=begin, method=method, request=asked, **{"sse": (), "how": None, "after": 0.02, **front}
    )
    for number, t in enumerate(times):
        story.item(
            back, notification("notifications/progress", progress=number) if method == "POST" else "ping", t=begin + t
        )
    for number, t in enumerate(came):
        story.item(
            front_id,
            notification("notifications/progress", progress=number) if method == "POST" else "ping",
            t=begin + t,
        )
    story.at(begin + max([*times, *came, 0.0]) + 0.1)


# streams --------------------------------------------------------------------------------------------------------------


def test_events_that_pass_as_they_come() -> None:
    story = Story()
    streamed(story, [0.25, 0.5, 0.75, 1.0], [0.26, 0.51, 0.76, 1.01])
    assert isinstance(verdict("MGC950", story), Pass)


@pytest.mark.parametrize("came", [[1.01, 1.01, 1.01, 1.01], [0.26], []])
def test_events_that_the_edge_holds(came: list[float]) -> None:
    story = Story()
    streamed(story, [0.25, 0.5, 0.75, 1.0], came)
    found = failure("MGC950", story)
    assert (found.charged_to, found.symptom) == (Hop.EDGE, "proxy-buffers-sse")


def test_what_was_compressed_is_said() -> None:
    story = Story()
    streamed(story, [0.25, 0.5, 1.0], [1.01, 1.01, 1.01], response_headers={"Content-Encoding": "gzip"})
    assert "compressed them (gzip)" in failure("MGC950", story).observed


def test_events_that_come_at_once_from_the_replica_say_nothing_of_the_edge() -> None:
    story = Story()
    streamed(story, [1.0, 1.0, 1.0], [1.01, 1.01, 1.01])
    assert isinstance(verdict("MGC950", story), NotExercised)


def test_the_harness_s_own_lag_may_have_held_them() -> None:
    story = Story()
    streamed(story, [0.25, 0.5, 0.75, 1.0], [0.9, 0.9, 0.9, 1.01])
    story.lag(0.5, t=0.6)
    assert isinstance(verdict("MGC950", story), Inconclusive)


def test_without_an_edge_nothing_is_judged() -> None:
    story = Story()
    streamed(story, [0.25, 0.5, 1.0], [0.26, 0.51, 1.01])
    rule = rule_named("MGC950")
    assert rule is not None
    assert isinstance(judge(rule, Inputs(story.transcript(edge=None))), NotExercised)


@pytest.mark.parametrize(("after", "kind"), [(0.02, Pass), (8.0, Fail)])
def test_the_head_of_a_get_stream(after: float, kind: type[Verdict]) -> None:
    story = Story()
    streamed(story, [], [], method="GET", after=after)
    story.at(9.0).stimulus("end")
    assert isinstance(verdict("MGC951", story), kind)


def test_a_head_that_never_came() -> None:
    story = Story()
    streamed(story, [], [], method="GET", status=None)
    story.at(9.0).stimulus("end")
    assert "had not passed it on" in failure("MGC951", story).observed


def test_a_head_that_was_not_waited_for() -> None:
    story = Story()
    streamed(story, [], [], method="GET", status=None)
    story.at(1.0).stimulus("end")
    assert isinstance(verdict("MGC951", story), Inconclusive)


def left_alone(
    times: Sequence[float], came: Sequence[float], *, cut: float | None = None, seconds: float = 30.0
) -> Story:
    story = Story()
    story.stimulus("wait", seconds=seconds, t=0.0)
    begin = story.now
    back = story.exchange(edge=1, t=begin, method="GET", sse=(), how=None)
    front = story.exchange("a", t=begin, method="GET", sse=(), how=None)
    tap, conn, _ = back.split("/")
    for t in times:
        story.item(back, "ping", t=begin + t)
        story.add(Point.EDGE_TAP, Kind.CHUNK, begin + t, tap=tap, conn=int(conn), dir="down", length=9)
    for t in came:
        story.item(front, "ping", t=begin + t)
    if cut is not None:
        story.end(front, "fin", t=begin + cut)
        story.leave(back, t=begin + cut)
    story.at(begin + seconds).stimulus("end")
    return story


def test_heartbeats_that_pass() -> None:
    story = left_alone([15.0], [15.0])
    assert isinstance(verdict("MGC952", story), Pass)
    assert isinstance(verdict("MGC953", story), Pass)


@pytest.mark.parametrize("came", [[], [25.0]])
def test_heartbeats_that_the_edge_holds(came: list[float]) -> None:
    found = failure("MGC952", left_alone([15.0], came))
    assert (found.charged_to, found.symptom) == (Hop.EDGE, "proxy-buffers-sse")


def test_without_a_heartbeat_there_is_none_to_pass() -> None:
    assert isinstance(verdict("MGC952", left_alone([], [])), NotApplicable)


def test_a_stream_that_the_edge_cuts_before_a_beat_was_due() -> None:
    found = failure("MGC953", left_alone([], [], cut=5.0))
    assert (found.charged_to, found.symptom) == (Hop.EDGE, "intermediary-idle-cut")
    assert "5.0 s in silence (0 beats behind the edge, 0 before it)" in found.observed


def test_a_stream_that_is_cut_though_it_beats() -> None:
    found = failure("MGC953", left_alone([15.0], [15.0], cut=25.0))
    assert found.charged_to is Hop.EDGE


def test_a_stream_that_is_cut_for_the_replica_had_missed_its_beat() -> None:
    found = failure("MGC953", left_alone([], [], cut=25.0))
    assert (found.charged_to, found.symptom) == (Hop.GATEWAY, "idle-stream-no-heartbeat")


def test_a_stream_that_the_replica_ended() -> None:
    story = Story()
    story.stimulus("wait", seconds=9.0, t=0.0)
    story.exchange(edge=1, t=0.01, method="GET", sse=(), how="complete", length=5.0)
    story.exchange("a", t=0.01, method="GET", sse=(), how="complete", length=5.02)
    assert isinstance(verdict("MGC953", story), Pass)


@pytest.mark.parametrize(("ended", "kind"), [(2.0, Pass), (None, Fail)])
def test_a_stream_that_its_client_left(ended: float | None, kind: type[Verdict]) -> None:
    story = Story()
    back = story.exchange(edge=1, t=0.01, method="GET", sse=(), how=None)
    story.leave(story.exchange("a", t=0.01, method="GET", sse=(), how=None), t=2.0)
    if ended is not None:
        story.leave(back, t=ended)
    story.at(7.5).exchange("a", t=7.5, method="GET", status=409, response=error(1))
    found = verdict("MGC965", story)
    assert isinstance(found, kind)
    if isinstance(found, Fail):
        assert (found.charged_to, found.symptom) == (Hop.EDGE, "get-sse-409-stale")
        assert "next GET was answered 409" in found.observed


def quiet_call(**front: Any) -> Story:
    story = Story()
    story.stimulus("call.long", seconds=20.0)
    begin = story.now
    asked = request("tools/call", 1, name="slow", arguments={"nonce": "n"})
    story.exchange(
        edge=1, t=begin, request=asked, **{"status": None, "how": "abandoned", "length": 5.0, **front.pop("back", {})}
    )
    story.exchange("a", t=begin, request=asked, **front)
    return story


def test_a_call_that_the_edge_waits_for() -> None:
    story = quiet_call(back={"status": 200, "sse": [result(1)], "after": 20.0}, sse=[result(1)], after=20.01)
    assert isinstance(verdict("MGC954", story), Pass)


@pytest.mark.parametrize(
    ("front", "said"),
    [
        ({"status": 504, "body": "<html>", "after": 5.0}, "nginx answered 504 itself after 5.0 s"),
        (
            {"sse": [], "after": 0.01, "length": 5.0, "how": "fin", "back": {"status": 200, "sse": (), "how": None}},
            "ended the response",
        ),
    ],
)
def test_a_call_that_the_edge_ends(front: dict[str, Any], said: str) -> None:
    found = failure("MGC954", quiet_call(**front))
    assert found.charged_to is Hop.EDGE
    assert said in found.observed


# routes ---------------------------------------------------------------------------------------------------------------


def test_a_handshake_with_the_edge() -> None:
    story = Story()
    passage(story, back={}, request=INITIALIZE, sse=[result(0)])
    assert isinstance(verdict("MGC956", story, tls="private-ca"), Pass)
    assert isinstance(verdict("MGC956", story, tls="none"), NotExercised)


def test_a_certificate_that_is_not_accepted() -> None:
    story = Story()
    why = "TLS handshake with the server: CERTIFICATE_VERIFY_FAILED: certificate has expired"
    story.add(Point.CLIENT_TAP, Kind.CONN_FAILED, tap="client:a", conn=1, error=why)
    found = failure("MGC956", story, tls="expired")
    assert (found.charged_to, found.observed) == (Hop.EDGE, "CERTIFICATE_VERIFY_FAILED: certificate has expired")


def test_no_connection_says_nothing_of_the_certificate() -> None:
    story = Story()
    story.refused()
    assert isinstance(verdict("MGC956", story, tls="expired"), NotExercised)


def test_posts_that_are_served_are_routed_and_not_redirected() -> None:
    story = Story()
    passage(story, back={}, request=LIST, sse=[TOOLS])
    for rule_id in ("MGC957", "MGC958", "MGC959", "MGC960"):
        assert isinstance(verdict(rule_id, story), Pass), rule_id


@pytest.mark.parametrize(("back", "hop"), [(None, Hop.EDGE), ({}, Hop.GATEWAY)])
def test_a_redirect_to_the_other_spelling(back: dict[str, Any] | None, hop: Hop) -> None:
    story = Story()
    location = {"Location": "http://gw.example/mcp/"}
    passage(story, back=back, request=LIST, status=307, body="moved", response_headers=location)
    found = failure("MGC957", story)
    assert (found.charged_to, found.symptom) == (hop, "slash-redirect")


def test_a_redirect_to_elsewhere_is_another_matter() -> None:
    story = Story()
    passage(story, request=LIST, status=302, body="", response_headers={"Location": "https://gw.example/login"})
    assert isinstance(verdict("MGC957", story), Pass)


def respelled(**answer: Any) -> Story:
    story = Story()
    story.stimulus("endpoint.respelled", url="http://127.0.0.1:1/mcp/")
    told = answer.pop("told", "https")
    connected = {"tap": "client:a", "conn": 77, "upstream": "127.0.0.1:8443", "host": "edge.test:8443"}
    story.add(Point.CLIENT_TAP, Kind.CONN_CONNECTED, **connected)
    front = {"request": INITIALIZE, "headers": {"Host": "127.0.0.1:1"}, "target": "/mcp/", "conn": 77, **answer}
    passage(story, back={"headers": {"X-Forwarded-Proto": told} if told else {}}, **front)
    return story


@pytest.mark.parametrize("location", ["/mcp", "https://edge.test:8443/mcp"])
def test_a_redirect_that_leads_back(location: str) -> None:
    story = respelled(status=307, body="", response_headers={"Location": location})
    assert isinstance(verdict("MGC966", story, tls="private-ca"), Pass)


def test_a_spelling_that_is_served_leads_nowhere() -> None:
    assert isinstance(verdict("MGC966", respelled(sse=[TOOLS]), tls="private-ca"), Pass)
    assert isinstance(verdict("MGC966", respelled(sse=[TOOLS]), tls="none"), NotExercised)


@pytest.mark.parametrize(("told", "hop"), [("https", Hop.GATEWAY), ("", Hop.EDGE)])
@pytest.mark.parametrize("location", ["http://edge.test:8443/mcp", "https://127.0.0.1:9001/mcp"])
def test_a_redirect_that_leads_elsewhere(location: str, told: str, hop: Hop) -> None:
    story = respelled(status=307, body="", response_headers={"Location": location}, told=told)
    found = failure("MGC966", story, tls="private-ca")
    assert (found.charged_to, found.symptom) == (hop, "slash-redirect")


def test_an_edge_that_answers_in_the_gateway_s_place() -> None:
    story = Story()
    passage(story, request=LIST, status=404, body="<html>", response_headers={"Content-Type": "text/html"})
    found = failure("MGC958", story)
    assert (found.charged_to, found.symptom) == (Hop.EDGE, "wrong-route-html")


def test_a_bad_gateway_is_another_matter() -> None:
    story = Story()
    passage(story, request=LIST, status=502, body="<html>")
    assert isinstance(verdict("MGC958", story), Pass)


@pytest.mark.parametrize(
    ("front", "back", "said"),
    [
        ({"session": "s-1"}, {"session": None}, "dropped mcp-session-id of POST tools/list"),
        (
            {"headers": {"Accept": "application/json, text/event-stream"}},
            {"headers": {"Accept": "*/*"}},
            "changed accept",
        ),
        ({}, {"issue_session": "s-1"}, "dropped mcp-session-id of the answer 200"),
    ],
)
def test_a_header_that_is_lost(front: dict[str, Any], back: dict[str, Any], said: str) -> None:
    story = Story()
    passage(story, back=back, **{"request": LIST, "sse": [TOOLS], **front})
    found = failure("MGC959", story)
    assert (found.charged_to, found.symptom) == (Hop.EDGE, "header-lost-at-edge")
    assert said in found.observed


@pytest.mark.parametrize(("behind", "hop"), [("replicas", Hop.EDGE), ("gw.example", Hop.GATEWAY)])
def test_a_host_that_is_refused(behind: str, hop: Hop) -> None:
    story = Story()
    refused = {"status": 421, "body": "Invalid Host header"}
    passage(story, back={"headers": {"Host": behind}}, request=LIST, headers={"Host": "gw.example"}, **refused)
    found = failure("MGC960", story)
    assert (found.charged_to, found.symptom) == (hop, "host-header-421")


def test_a_refusal_that_passes() -> None:
    story = Story()
    passage(story, back={}, request=LIST, status=404, response=error(1))
    assert isinstance(verdict("MGC961", story), Pass)


def test_a_page_in_a_refusal_s_place() -> None:
    story = Story()
    front = {"status": 404, "body": "<html>", "response_headers": {"Content-Type": "text/html"}}
    passage(story, back={"response": error(1), "response_headers": {}}, request=LIST, **front)
    found = failure("MGC961", story)
    assert (found.charged_to, found.symptom) == (Hop.EDGE, "wrong-route-html")


def test_a_refusal_that_never_reached_the_client() -> None:
    story = Story()
    passage(story, back={"status": 404, "response": error(1)}, request=LIST, status=None, how="abandoned")
    assert isinstance(verdict("MGC961", story), NotApplicable)


# replicas -------------------------------------------------------------------------------------------------------------


def test_a_session_that_stays() -> None:
    story = Story()
    opened(story, "a", "s-1", 1)
    listed(story, "a", "s-1", 1)
    assert "0 of 1 requests (0%)" in str(verdict("MGC955", story, replicas=2))


REFUSED = {"status": 404, "sse": None, "response": error(1)}


def test_a_session_that_is_asked_for_elsewhere() -> None:
    story = Story()
    opened(story, "a", "s-1", 1)
    for replica in (1, 2, 1, 2):
        listed(story, "a", "s-1", replica, **(REFUSED if replica == 2 else {}))
    found = failure("MGC955", story, replicas=2)
    assert (found.charged_to, found.symptom) == (Hop.EDGE, "replica-affinity-missing")
    assert "2 of 4 requests (50%)" in found.observed
    assert "cookie" not in found.observed


def test_replicas_that_share_their_sessions_do_no_harm() -> None:
    story = Story()
    opened(story, "a", "s-1", 1)
    listed(story, "a", "s-1", 2)
    assert isinstance(verdict("MGC955", story, replicas=2), Pass)


COOKIE = {"response_headers": {"Set-Cookie": "edge_route=1"}}


def test_a_cookie_that_the_client_did_not_keep_is_told() -> None:
    story = Story()
    opened(story, "a", "s-1", 1, **COOKIE)
    listed(story, "a", "s-1", 2, **REFUSED)
    assert "the client never sent it back" in failure("MGC955", story, replicas=2).observed


def test_luck_without_the_cookie_is_no_pass() -> None:
    story = Story()
    opened(story, "a", "s-1", 1, **COOKIE)
    listed(story, "a", "s-1", 1)
    assert isinstance(verdict("MGC955", story, replicas=2), Inconclusive)


def test_a_gateway_without_sessions_needs_no_affinity() -> None:
    story = Story()
    opened(story, "a", None, 1)
    assert isinstance(verdict("MGC955", story, replicas=2), NotApplicable)
    assert isinstance(verdict("MGC955", story, replicas=1), NotExercised)


def test_what_lands_elsewhere_after_a_loss_is_another_matter() -> None:
    story = Story()
    opened(story, "a", "s-1", 1)
    listed(story, "a", "s-1", 1)
    story.stimulus("replica.kill", replica=1, tap="edge:1")
    listed(story, "a", "s-1", 2, **REFUSED)
    assert isinstance(verdict("MGC955", story, replicas=2), Pass)


def lost() -> Story:
    story = Story()
    opened(story, "a", "s-1", 1)
    story.stimulus("replica.killed", replica=1, tap="edge:1")
    return story.at(6.0)


def test_newcomers_are_served_by_who_is_left() -> None:
    story = lost()
    opened(story, "b", "s-2", 2)
    assert isinstance(verdict("MGC962", story, replicas=2), Pass)


def test_newcomers_are_sent_to_who_is_gone() -> None:
    story = lost()
    passage(story, "b", request=INITIALIZE, status=502, body="<html>")
    found = failure("MGC962", story, replicas=2)
    assert (found.charged_to, found.symptom) == (Hop.EDGE, "dead-replica-in-rotation")


def test_an_edge_is_given_time_to_find_out() -> None:
    story = lost().at(2.0)
    passage(story, "b", request=INITIALIZE, status=502, body="<html>")
    assert isinstance(verdict("MGC962", story, replicas=2), NotExercised)


@pytest.mark.parametrize("answer", [REFUSED, {}])
def test_a_lost_session_is_refused_or_served(answer: dict[str, Any]) -> None:
    story = lost()
    listed(story, "a", "s-1", 2, **answer)
    assert isinstance(verdict("MGC963", story, replicas=2), Pass)


def test_a_lost_session_is_refused_with_the_wrong_status() -> None:
    story = lost()
    listed(story, "a", "s-1", 2, **{**REFUSED, "status": 400})
    found = failure("MGC963", story, replicas=2)
    assert (found.charged_to, found.symptom) == (Hop.GATEWAY, "unknown-session-wrong-status")


def test_a_lost_session_meets_the_edge_s_own_error() -> None:
    story = lost()
    passage(story, "a", request=LIST, session="s-1", status=503, body="<html>")
    found = failure("MGC963", story, replicas=2)
    assert (found.charged_to, found.symptom) == (Hop.EDGE, "dead-replica-in-rotation")


def test_an_answer_that_comes_when_the_client_has_left_is_late() -> None:
    story = Story()
    story.stimulus("replica.pause", replica=1, tap="edge:1")
    begin = story.now
    story.exchange(edge=1, t=begin, request=LIST, sse=[TOOLS], after=14.0)
    story.leave(story.exchange("a", t=begin, request=LIST, sse=[TOOLS], after=14.0), t=begin + 12.0)
    assert isinstance(verdict("MGC964", story, replicas=2), Fail)


@pytest.mark.parametrize(
    ("front", "kind"),
    [
        ({"status": 504, "body": "<html>", "after": 6.0}, Pass),
        ({"status": None, "how": "abandoned", "length": 12.0}, Fail),
        ({"status": None, "how": "abandoned", "length": 3.0}, Pass),
    ],
)
def test_a_silent_replica(front: dict[str, Any], kind: type[Verdict]) -> None:
    story = Story()
    story.stimulus("replica.pause", replica=1, tap="edge:1")
    passage(story, back={"status": None, "how": "abandoned"}, request=LIST, **front)
    found = verdict("MGC964", story, replicas=2)
    assert isinstance(found, kind), found
    assert not isinstance(found, Fail) or found.charged_to is Hop.EDGE
