"""Family clients on hand-written evidence: a real client's steps, whose fault one is, and the view that judges it."""

from __future__ import annotations

from typing import Any

import pytest

from conformance import timing
from conformance.evidence.client_view import as_seen_by_client
from conformance.evidence.events import Hop
from conformance.judging import judge_files
from conformance.rules.all import rule_named
from conformance.rules.base import Inputs, judge
from conformance.rules.verdicts import Fail, Inconclusive, NotExercised, Pass, Verdict
from conformance.stage.plan import Cell
from tests.evidence_builder import RESULT, Story, error, notification, request, result

CLIENT = {"client": "some-client", "client_version": "1.0"}
RULES = {"connect": 901, "list": 902, "call": 903, "stream": 904, "idle": 905, "restart": 906, "close": 907}
TEXT = [{"type": "text", "text": "n-1"}]


class ClientStory(Story):
    """A story told by a real client: its steps around the exchanges of the client `real`."""

    def begin(self, step: str, note: str = "") -> None:
        self.stimulus("client.step", client="real", step=step, note=note)

    def said(self, step: str, *, ok: bool = True, detail: str = "", **data: Any) -> None:
        self.stimulus("client.answer", client="real", step=step, ok=ok, detail=detail, data=data)

    def called(
        self, answer: Any = None, *, step: str = "call", note: str = "n-1", token: Any = None, **more: Any
    ) -> None:
        """A call: what the gateway answered, and what the backend did; the client says nothing yet."""
        meta = {} if token is None else {"_meta": {"progressToken": token}}
        asked = request("tools/call", 7, name="echo", arguments={"nonce": "n-1"}, **meta)
        self.begin(step, note)
        given = {"request": asked, "session": "s-1", "sse": [answer or result(7, content=TEXT)]} | more
        self.exchange("real", **given)


def verdict(step: str, story: Story, control: Story | None = None, **header: Any) -> Verdict:
    rule = rule_named(f"MGC{RULES[step]}")
    assert rule is not None
    straight = control.transcript(**CLIENT) if control is not None else None
    return judge(rule, Inputs(story.transcript(**CLIENT, **header), straight))


def failure(step: str, story: Story, control: Story | None = None, **header: Any) -> Fail:
    found = verdict(step, story, control, **header)
    assert isinstance(found, Fail), found
    assert found.events
    return found


def connected() -> ClientStory:
    story = ClientStory()
    story.begin("connect")
    story.connect("real")
    story.said("connect", protocol="2025-11-25")
    return story


@pytest.mark.parametrize("step", RULES)
def test_a_step_that_was_not_asked_for_is_not_exercised(step: str) -> None:
    story = ClientStory()
    story.stimulus("client.cannot", client="real", step=step)
    assert isinstance(verdict(step, story), NotExercised)


@pytest.mark.parametrize("step", RULES)
def test_a_client_that_does_what_it_is_asked_passes(step: str) -> None:
    story = connected()
    if step != "connect":
        story.begin(step, "n-1" if step in ("call", "stream", "idle") else "")
        story.said(step, tools=["echo"], text="it says n-1", progress=2)
    assert isinstance(verdict(step, story), Pass)


@pytest.mark.parametrize("step", RULES)
def test_a_step_that_failed_without_a_request_is_the_clients(step: str) -> None:
    story = connected() if step != "connect" else ClientStory()
    story.begin(step)
    story.said(step, ok=False, detail="Error: no such file")
    found = failure(step, story)
    assert (found.charged_to, found.symptom) == (Hop.CLIENT, "client-stumbles")
    assert "no such file" in found.observed


def test_an_initialize_that_was_refused_is_the_gateways() -> None:
    story = ClientStory()
    story.begin("connect")
    story.exchange("real", request=request("initialize", 0), status=403, response=error(0))
    story.said("connect", ok=False, detail="Error: 403")
    found = failure("connect", story)
    assert (found.charged_to, found.symptom) == (Hop.GATEWAY, "client-turned-away")


def test_the_probe_for_a_modern_server_may_be_refused() -> None:
    story = ClientStory()
    story.begin("connect")
    story.exchange("real", request=request("server/discover", 0), status=400, response=error(0))
    story.connect("real")
    story.said("connect", ok=False, detail="Error: unexpected")
    assert failure("connect", story).charged_to is Hop.CLIENT


@pytest.mark.parametrize(
    ("get", "charged"),
    [
        ({"status": 405}, Hop.CLIENT),
        ({"status": 200, "sse": []}, Hop.CLIENT),
        ({"status": 400}, Hop.GATEWAY),
        ({"status": 200, "body": "<html>"}, Hop.GATEWAY),
        ({"status": None, "how": "abandoned"}, Hop.CLIENT),
        ({"status": None, "how": "rst"}, Hop.GATEWAY),
        ({"status": None, "how": "abandoned", "after": timing.ANSWER, "length": 1.0}, Hop.GATEWAY),
    ],
)
def test_what_came_of_its_get_decides_too(get: dict[str, Any], charged: Hop) -> None:
    story = ClientStory()
    story.begin("connect")
    story.connect("real")
    story.exchange("real", method="GET", session="s-1", **get)
    story.said("connect", ok=False, detail="Error: stream")
    assert failure("connect", story).charged_to is charged


@pytest.mark.parametrize(
    ("method", "code", "charged"),
    [
        ("prompts/list", -32601, Hop.CLIENT),
        ("prompts/list", -32603, Hop.GATEWAY),
        ("logging/setLevel", -32601, Hop.GATEWAY),
        ("tools/list", -32601, Hop.GATEWAY),
    ],
)
def test_what_was_never_declared_may_be_refused(method: str, code: int, charged: Hop) -> None:
    story = ClientStory()
    story.begin("connect")
    story.initialize("real", sse=[result(0, **{**RESULT, "capabilities": {"tools": {}, "logging": {}}})])
    story.exchange("real", request=request(method), session="s-1", response=error(1, code))
    story.said("connect", ok=False, detail="Error: unexpected")
    assert failure("connect", story).charged_to is charged


@pytest.mark.parametrize(
    ("session", "over", "charged"),
    [("s-1", False, Hop.CLIENT), ("s-1", True, Hop.GATEWAY), ("s-2", False, Hop.GATEWAY)],
)
def test_a_second_stream_may_be_refused_beside_an_open_one(session: str, *, over: bool, charged: Hop) -> None:
    story = ClientStory()
    story.begin("connect")
    story.connect("real")
    story.exchange("real", method="GET", session=session, sse=[], how="complete" if over else None)
    story.exchange("real", method="GET", session="s-1", status=409, response=error(None))
    story.said("connect", ok=False, detail="Error: stream")
    assert failure("connect", story).charged_to is charged


def test_whether_a_list_too_long_to_be_kept_holds_any_is_not_known() -> None:
    def listed(answer: Any, *, ok: bool = True, names: tuple[str, ...] = ()) -> ClientStory:
        story = connected()
        story.begin("list")
        story.listing("real", sse=[answer])
        story.said("list", ok=ok, detail="" if ok else "Error: out of memory", tools=list(names))
        return story

    straight = listed(result(1, tools=[{"name": "echo"}]), names=("echo",))
    assert isinstance(verdict("list", listed(result(1)), straight), Inconclusive)
    assert failure("list", listed(result(1, tools=[])), straight).charged_to is Hop.GATEWAY
    assert failure("list", listed(result(1), ok=False), straight).charged_to is Hop.CLIENT
    assert failure("list", listed(result(1, tools={}), ok=False), straight).charged_to is Hop.GATEWAY


def test_an_empty_list_is_judged_by_what_it_lists_straight_at_the_backend() -> None:
    def listed(*tools: str, names: tuple[str, ...] = ()) -> ClientStory:
        story = connected()
        story.begin("list")
        story.listing("real", tools=tools)
        story.said("list", tools=list(names))
        return story

    assert isinstance(verdict("list", listed(), listed()), Pass)
    assert failure("list", listed(), listed("echo", names=("echo",))).charged_to is Hop.GATEWAY
    assert failure("list", listed("echo"), listed("echo", names=("echo",))).charged_to is Hop.CLIENT


@pytest.mark.parametrize(
    ("behind", "charged"),
    [
        (result(3, content=TEXT), Hop.GATEWAY),
        (error(3), Hop.BACKEND),
        (error(3, code=-32600, message="Server not initialized"), Hop.GATEWAY),
    ],
)
def test_an_error_of_the_backends_own_is_the_backends(behind: Any, charged: Hop) -> None:
    story = connected()
    story.connect(backend=True, session="b-1")
    story.called(error(7), length=1.0)
    asked = request("tools/call", 3, name="echo", arguments={"nonce": "n-1"})
    story.exchange(backend=True, session="b-1", request=asked, sse=[behind], t=story.now - 0.9)
    story.said("call", ok=False, detail="Error: failed")
    assert failure("call", story).charged_to is charged


def test_what_the_backend_refuses_with_400_the_gateway_asked_wrongly() -> None:
    story = connected()
    story.called(result(7, content=TEXT, isError=True), headers={"MCP-Protocol-Version": "2026-07-28"}, length=1.0)
    asked = request("tools/call", 3, name="echo", arguments={"nonce": "n-1"})
    story.exchange(backend=True, request=asked, status=400, response=error(3), t=story.now - 0.9)
    story.said("call", text="Unsupported protocol version", is_error=True)
    found = failure("call", story)
    assert (found.charged_to, found.symptom) == (Hop.GATEWAY, "era-mismatch")


def test_a_result_without_the_calls_text_is_charged_to_who_lost_it() -> None:
    def lost(answer: Any, behind: Any) -> Fail:
        story = connected()
        story.connect(backend=True, session="b-1")
        story.called(answer, length=1.0)
        asked = request("tools/call", 3, name="echo", arguments={"nonce": "n-1"})
        story.exchange(backend=True, session="b-1", request=asked, sse=[behind], t=story.now - 0.9)
        story.said("call", text="something else")
        return failure("call", story)

    mine, other = result(7, content=TEXT), result(7, content=[])
    assert lost(mine, mine).charged_to is Hop.CLIENT
    assert lost(other, mine).charged_to is Hop.GATEWAY
    assert lost(other, other).charged_to is Hop.BACKEND


def test_a_call_whose_result_is_an_error_was_not_done() -> None:
    story = connected()
    story.called(result(7, content=TEXT, isError=True))
    story.said("call", text="n-1", is_error=True)
    assert failure("call", story).charged_to is Hop.GATEWAY


@pytest.mark.parametrize(
    ("token", "came", "asked_with", "sent", "charged"),
    [
        (None, None, None, None, Hop.CLIENT),
        (0, 0, 4, 4, Hop.CLIENT),
        (0, None, 4, 4, Hop.GATEWAY),
        (0, 1, 4, 4, Hop.GATEWAY),
        (0, None, None, None, Hop.GATEWAY),
        (0, None, 4, None, Hop.BACKEND),
    ],
)
def test_lost_progress_is_charged_to_who_lost_it(
    token: Any, came: Any, asked_with: Any, sent: Any, charged: Hop
) -> None:
    story = connected()
    story.connect(backend=True, session="b-1")
    reports = [] if came is None else [notification("notifications/progress", progressToken=came, progress=1)]
    behind = [] if sent is None else [notification("notifications/progress", progressToken=sent, progress=1)]
    story.called(step="stream", token=token, sse=[*reports, result(7, content=TEXT)], length=1.0)
    meta = {} if asked_with is None else {"_meta": {"progressToken": asked_with}}
    asked = request("tools/call", 3, name="echo", arguments={"nonce": "n-1"}, **meta)
    sse = [*behind, result(3, content=TEXT)]
    story.exchange(backend=True, session="b-1", request=asked, sse=sse, t=story.now - 0.9)
    story.said("stream", text="n-1", progress=0)
    assert failure("stream", story).charged_to is charged


def test_lost_progress_without_a_tap_behind_is_nobodys() -> None:
    story = connected()
    story.called(step="stream", token=3)
    story.said("stream", text="n-1", progress=0)
    assert isinstance(verdict("stream", story, backend_tapped=False), Inconclusive)


@pytest.mark.parametrize(
    ("status", "claims", "charged", "symptom"),
    [
        (400, {}, Hop.GATEWAY, "unknown-session-wrong-status"),
        (404, {}, Hop.GATEWAY, "stale-session-after-restart"),
        (404, {"session_idle_timeout": 5.0}, Hop.CLIENT, "client-stumbles"),
    ],
)
def test_a_session_lost_in_silence(status: int, claims: dict[str, float], charged: Hop, symptom: str) -> None:
    story = connected()
    story.called(step="idle", status=status, sse=None, response=error(7))
    story.said("idle", ok=False, detail="Error")
    found = failure("idle", story, claims={"sessions": "stateful", **claims})
    assert (found.charged_to, found.symptom if charged is Hop.GATEWAY else symptom) == (charged, symptom)


@pytest.mark.parametrize(
    ("status", "charged", "symptom"),
    [
        (404, Hop.CLIENT, "stale-session-after-restart"),
        (400, Hop.GATEWAY, "unknown-session-wrong-status"),
        (500, Hop.GATEWAY, "stale-session-after-restart"),
    ],
)
def test_404_after_a_restart_is_the_sign_to_begin_anew(status: int, charged: Hop, symptom: str) -> None:
    story = connected()
    story.stimulus("gateway.start")
    for _ in range(3):
        story.called(step="restart", status=status, sse=None, response=error(7))
        story.said("restart", ok=False, detail="Error")
    found = failure("restart", story)
    assert (found.charged_to, found.symptom) == (charged, symptom)


@pytest.mark.parametrize(("same", "kind"), [(True, Fail), (False, NotExercised)])
def test_a_key_that_is_gone_with_a_restarts_state_shows_nothing(same: bool, kind: type[Verdict]) -> None:
    story = connected()
    story.stimulus("gateway.restarted", same_credentials=same)
    story.called(step="restart", status=401, sse=None, body="Unauthorized")
    story.said("restart", ok=False, detail="Error")
    assert isinstance(verdict("restart", story), kind)


def test_each_restart_of_a_rolling_one_counts() -> None:
    story = connected()
    for number, status in ((1, 200), (2, 404)):
        story.stimulus("replica.ready", replica=number, tap=f"edge:{number}")
        answer = {} if status == 200 else {"status": status, "sse": None, "response": error(7)}
        story.called(step="restart", **answer)
        story.said("restart", ok=status == 200, **({"text": "n-1"} if status == 200 else {"detail": "Error"}))
    found = failure("restart", story)
    assert (found.charged_to, found.symptom) == (Hop.CLIENT, "stale-session-after-restart")
    story.called(step="restart")
    story.said("restart", text="n-1")
    told = verdict("restart", story)
    assert isinstance(told, Pass)
    assert told.observed == "call 1 and 2 after the restart had its result"


def test_a_later_call_after_the_restart_is_enough() -> None:
    story = connected()
    story.called(step="restart", status=500, sse=None, response=error(7))
    story.said("restart", ok=False, detail="Error")
    story.called(step="restart")
    story.said("restart", text="n-1")
    assert isinstance(verdict("restart", story), Pass)


def test_a_client_whose_delete_is_never_answered_is_kept_by_the_gateway() -> None:
    story = connected()
    story.begin("close")
    story.exchange("real", method="DELETE", session="s-1", status=None, how="open")
    story.said("close", ok=False, detail="no answer within 30 s")
    assert failure("close", story).charged_to is Hop.GATEWAY


@pytest.mark.parametrize(("wrong", "charged"), [(False, Hop.CLIENT), (True, Hop.BACKEND)])
def test_who_fails_straight_at_the_backend_fails_without_the_gateway(wrong: bool, charged: Hop) -> None:
    through, straight = connected(), connected()
    through.called(error(7))
    through.said("call", ok=False, detail="Error")
    straight.called(error(7) if wrong else None)
    straight.said("call", ok=False, detail="Error")
    assert failure("call", through, straight).charged_to is charged


# the view -------------------------------------------------------------------------------------------------------------


def test_the_view_puts_the_client_in_the_gateways_place() -> None:
    story = connected()
    story.connect("sentinel", session="s-9")
    story.connect(backend=True, session="b-1")
    seen = as_seen_by_client(story.transcript(**CLIENT, backend_tapped=False))
    assert [item.tap for item in seen.backend] == ["client:real", "client:real"]
    assert seen.client() == ()
    assert seen.sees_backend


def test_what_the_harness_asks_beside_a_client_is_not_the_clients() -> None:
    story = connected()
    story.exchange("other-transport", method="GET", status=400)
    story.initialize("other-client")
    seen = as_seen_by_client(story.transcript(**CLIENT))
    assert {item.tap for item in seen.backend} == {"client:real"}
    assert isinstance(conduct("MGC104", story), Pass)


def test_of_a_client_that_asks_nothing_nothing_is_said() -> None:
    story = ClientStory()
    story.begin("connect")
    story.connect("other-client")
    assert isinstance(conduct("MGC104", story), NotExercised)


def conduct(rule_id: str, story: Story, **header: Any) -> Verdict:
    rule = rule_named(rule_id)
    assert rule is not None
    return judge(rule, Inputs(story.transcript(**CLIENT | header)))


def unconfirmed() -> ClientStory:
    """The client never confirms its initialize; the gateway does behind."""
    story = ClientStory()
    story.begin("connect")
    story.initialize("real")
    story.listing("real", tools=["echo"], headers={"MCP-Protocol-Version": "2025-11-25"})
    story.connect(backend=True, session="b-1")
    story.listing(backend=True, session="b-1", tools=["echo"])
    return story


def test_what_a_real_client_does_wrong_is_charged_to_it() -> None:
    found = conduct("MGC105", unconfirmed())
    assert isinstance(found, Fail)
    assert found.charged_to is Hop.CLIENT
    assert "in the gateway's place" in found.observed


@pytest.mark.parametrize("rule_id", ["MGC104", "MGC311"])
def test_a_look_for_a_sign_in_is_no_part_of_mcp(rule_id: str) -> None:
    story = ClientStory()
    story.begin("connect")
    metadata = "/.well-known/oauth-protected-resource/mcp"
    story.exchange("real", method="GET", target=metadata, headers={"Accept": "application/json"}, status=404)
    story.connect("real")
    story.exchange("real", method="GET", session="s-1", headers={"Accept": "text/event-stream"}, sse=[])
    assert isinstance(conduct(rule_id, story), Pass)


def test_neither_is_it_an_answer_that_a_client_could_fail_over() -> None:
    story = ClientStory()
    story.begin("connect")
    story.exchange("real", method="GET", target="/.well-known/oauth-authorization-server", status=404)
    story.exchange("real", method="GET", status=400, response=error(None))
    story.connect("real")
    story.said("connect", ok=False, detail="Error: unexpected")
    assert failure("connect", story).charged_to is Hop.CLIENT


def test_without_a_real_client_it_is_the_gateway_that_is_judged() -> None:
    assert isinstance(conduct("MGC105", unconfirmed(), client=""), Pass)


def test_a_clients_failure_is_classified_on_what_the_rule_saw(tmp_path) -> None:
    cell = Cell("gateway", "process", "witness", "2025-11-25", "2025-11-25", "client-some-client")
    rule = rule_named("MGC105")
    assert rule is not None
    found = judge_files(cell, rule, unconfirmed().write(tmp_path / "evidence.jsonl", **CLIENT), None)
    assert found.classified is not None
    assert (found.classified.failure_class, found.classified.hop) == ("init-race-rejected", Hop.CLIENT)
