"""The commands that a diagnosis prints can be typed as they are, in their order, and show the failure again."""

from __future__ import annotations

import re
import shlex
import subprocess

from conformance.diagnosis.reproduce import reproduce
from tests.evidence_builder import Story, error, notification, request, result


def commands(story: Story, *exchanges: str, **header: object) -> list[str]:
    """Return the printed commands for a verdict that rests on some exchanges, without that of replay."""
    transcript = story.transcript(**header)
    decisive = tuple(seq for item in transcript.exchanges if item.id in exchanges for seq in item.events)
    lines = reproduce(transcript, decisive, "MGC999", "evidence/file.jsonl")
    typed = "\n".join(lines)
    assert subprocess.run(["bash", "-n"], input=typed, text=True, check=False).returncode == 0, typed
    return list(lines[:-1])


def sent(lines: list[str]) -> list[str]:
    return [line for line in lines if "curl " in line]


def test_each_session_has_a_variable_of_its_own() -> None:
    story = Story()
    story.connect("a", session="s-a")
    story.connect("b", session="s-b")
    calls = [story.call(name, session=f"s-{name}") for name in ("a", "b")]
    lines = sent(commands(story, *calls))
    assert [line.split("=")[0] for line in lines if "$(curl" in line] == ["SESSION", "SESSION_2"]
    assert [re.findall(r"Session-Id: [$](\w+)", line) for line in lines[-2:]] == [["SESSION"], ["SESSION_2"]]


def test_an_initialize_that_matters_is_shown_and_its_session_is_kept() -> None:
    story = Story()
    opened = story.initialize()
    story.initialized()
    first, told, last = sent(commands(story, opened, story.call()))
    assert first.startswith("SESSION=$(curl -sN -i ")
    assert "tee -a /dev/stderr" in first
    assert "notifications/initialized" in told
    assert '"Mcp-Session-Id: $SESSION"' in last


def test_an_ended_session_is_ended_first() -> None:
    story = Story()
    story.connect()
    story.exchange(method="DELETE", session="s-1", status=200)
    lines = sent(commands(story, story.listing(status=404, sse=None)))
    assert [shlex.split(line)[shlex.split(line).index("-X") + 1] for line in lines[-2:]] == ["DELETE", "POST"]


def test_an_adopted_session_id_is_sent_as_it_was() -> None:
    story = Story()
    story.initialize(session="made-up", headers={"Mcp-Session-Id": "made-up"})
    lines = sent(commands(story, story.listing(session="made-up")))
    assert all("'Mcp-Session-Id: made-up'" in line for line in lines)


def test_a_call_is_in_the_background_while_it_is_cancelled() -> None:
    story = Story()
    story.connect()
    begun = story.now
    call = story.call(t=begun, after=3.0)
    cancel = story.exchange(
        request=notification("notifications/cancelled", requestId=1), session="s-1", status=202, t=begun + 0.5
    )
    *_, called, slept, cancelled, waited = commands(story, call, cancel)
    assert called.endswith(" &")
    assert slept.startswith("sleep 0.5")
    assert "notifications/cancelled" in cancelled
    assert waited.startswith("wait")


def test_a_body_that_is_left_to_the_evidence_keeps_its_command_whole() -> None:
    story = Story()
    opened = story.exchange(
        request=request("initialize", 0, padding="x" * 5000),
        issue_session="s-1",
        sse=[result(0)],
    )
    begun = story.now
    call = story.exchange(request=request("tools/call", 1, text="x" * 5000), session="s-1", sse=[], t=begun, after=3.0)
    cancel = story.exchange(
        request=notification("notifications/cancelled", requestId=1), session="s-1", status=202, t=begun + 0.5
    )
    lines = commands(story, opened, call, cancel)
    first, second = (number for number, line in enumerate(lines) if line.startswith("# body.json: "))
    assert lines[first + 1].startswith("SESSION=$(curl ")
    assert lines[first + 1].endswith("print $2}')")
    assert lines[second + 1].endswith(" @body.json &")
    assert not any("#" in lines[number + 1] for number in (first, second))


def test_a_call_that_is_left_is_left_after_the_same_time() -> None:
    story = Story()
    story.connect()
    assert " --max-time 0.8 " in commands(story, story.call(sse=[], after=0.3, length=0.5, how="abandoned"))[-1]


def test_what_is_called_while_a_stream_is_open_belongs_to_it() -> None:
    story = Story()
    story.connect()
    get = story.exchange(method="GET", session="s-1", sse=[], how=None)
    story.call(nonce="triggers")
    lines = sent(commands(story, get))
    assert "-X GET" in lines[-2]
    assert lines[-2].endswith(" &")
    assert "triggers" in lines[-1]


def test_so_it_does_where_a_notification_after_it_matters_too() -> None:
    story = Story()
    story.connect("b", session="s-b")
    story.initialize("a")
    get = story.exchange("a", method="GET", session="s-1", sse=[], how=None)
    story.call("b", nonce="triggers", session="s-b")
    lines = sent(commands(story, get, story.initialized("a")))
    assert "-X GET" in lines[-3]
    assert "triggers" in lines[-2]
    assert "notifications/initialized" in lines[-1]


def test_what_only_the_backend_saw_is_shown_by_what_the_client_asked_before() -> None:
    story = Story()
    story.connect()
    begun = story.now
    story.call(nonce="asked", t=begun, after=0.5)
    lines = commands(
        story, story.exchange(backend=True, request=request("tools/call", 7), sse=[error(7)], t=begun + 0.1)
    )
    assert lines[0].startswith("mcp-gateway-conformance witness --show ")
    assert "asked" in lines[-1]


def test_another_path_and_what_is_done_beside_requests_are_told() -> None:
    story = Story()
    story.connect()
    story.listing()
    story.stimulus("backend.stop")
    lines = commands(story, story.listing(target="/mcp/"))
    assert lines[-2] == "# now stop the backend"
    assert '"${GATEWAY%/mcp}/mcp/"' in lines[-1]


def test_a_path_that_a_server_made_up_runs_nothing_in_a_shell() -> None:
    story = Story()
    story.connect()
    story.listing()
    line = commands(story, story.listing(target='/mcp/$(reboot)"`'))[-1]
    assert r'"${GATEWAY%/mcp}/mcp/\$(reboot)\"\`"' in line


def test_headers_that_curl_adds_are_suppressed_where_none_was_sent() -> None:
    story = Story()
    (line,) = sent(commands(story, story.exchange(request=request("ping"), response=result(1))))
    assert "-H 'Accept:' -H 'Content-Type:'" in line


def test_each_credential_has_a_variable_of_its_own() -> None:
    story = Story()
    asked = [
        story.exchange(request=request("ping"), response=result(1), headers={"Authorization": f"Bearer {name}"})
        for name in ("alice", "bob")
    ]
    lines = commands(story, *asked)
    assert [line.partition("=")[0] for line in lines if "='Bearer ...'" in line] == ["AUTHORIZATION", "AUTHORIZATION_2"]
    assert [re.findall(r"authorization: [$](\w+)", line) for line in sent(lines)] == [
        ["AUTHORIZATION"],
        ["AUTHORIZATION_2"],
    ]
    assert not [line for line in lines if "alice" in line]


def test_a_witness_that_the_gateway_starts_is_told_as_its_command() -> None:
    story = Story()
    story.connect()
    story.stdio_start()
    (first, *_) = commands(story, story.call())
    assert first.startswith("# the backend, which the gateway starts: mcp-gateway-conformance witness ")
    assert first.endswith(" --face stdio")


def test_a_second_backend_is_told_with_its_state() -> None:
    story = Story()
    story.connect()
    first, second, *_ = commands(story, story.listing(), second_backend="silent")
    assert "--listen 127.0.0.1:9000" in first
    assert "--script hang_on_initialize --listen 127.0.0.1:9001" in second


def test_an_edge_and_what_happens_to_replicas_is_told() -> None:
    story = Story()
    story.stimulus("replica.kill", replica=1, tap="edge:1", pid=1)
    edge = {"name": "nginx", "title": "nginx", "replicas": 2, "features": ["affinity cookie"], "variant": {}}
    lines = commands(story, story.listing(session=None), edge=edge)
    assert any(line.startswith("# nginx before 2 replica(s) of the gateway: affinity cookie") for line in lines)
    assert "mcp-gateway-conformance run --target gateway --edge nginx --rule MGC999" in lines
    assert any(line.endswith("# the edge before the gateway") for line in lines)
    assert any("kill a replica of the gateway" in line for line in lines)


def test_another_backend_is_named() -> None:
    story = Story()
    cell = "gateway/process/everything/2025-11-25/2025-11-25/story"
    assert commands(story, story.listing(), cell=cell, backend_version="1.2")[0] == "# the backend: everything 1.2"


def test_a_get_that_its_client_closed_is_closed_before_the_next_even_where_the_gateway_noticed_late() -> None:
    for ends_late in (False, True):
        story = Story()
        story.connect()
        begun = story.now
        first = story.exchange(method="GET", session="s-1", sse=[], t=begun, how=None)
        story.leave(first, begun + 0.7)
        if not ends_late:
            story.end(first, "abandoned", begun + 0.7)
        again = story.exchange(method="GET", session="s-1", status=409, t=begun + 4.7)
        if ends_late:
            story.end(first, "complete", begun + 6.0)
        opened, slept, reopened = commands(story, first, again)[-3:]
        assert " --max-time 0.7 -X GET " in opened
        assert not opened.endswith("&")
        assert slept.startswith("sleep 4.0 ")
        assert "--max-time" not in reopened


def test_a_get_that_the_gateway_ended_is_left_open() -> None:
    story = Story()
    story.connect()
    begun = story.now
    first = story.exchange(method="GET", session="s-1", sse=[], t=begun, how=None)
    story.leave(first, begun + 29.99)
    story.end(first, "complete", begun + 30.0)
    assert "--max-time" not in commands(story, first)[-1]


def test_an_idle_time_that_the_scenario_waited_is_waited() -> None:
    story = Story()
    story.connect()
    first = story.listing()
    story.stimulus("wait", seconds=20.0, why="the session has neither a request nor a stream")
    last = story.listing(t=story.now + 20.0, status=404, sse=None)
    assert commands(story, first, last)[-2].startswith("sleep 20.0 ")


def test_a_list_that_lacks_an_added_tool_comes_after_its_addition_and_the_list_before() -> None:
    story = Story()
    story.connect()
    story.listing()
    story.call(request=request("tools/call", 3, name="x_add_tool", arguments={"nonce": "n-1", "name": "added"}))
    lines = sent(commands(story, story.listing()))
    assert [re.findall(r'"method": "([^"]*)"', line) for line in lines[-3:]] == [
        ["tools/list"],
        ["tools/call"],
        ["tools/list"],
    ]
    assert "x_add_tool" in lines[-2]
