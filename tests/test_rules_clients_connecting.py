"""Why a real client did not connect, on hand-written evidence: each cause, and what it is told apart from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from conformance.diagnosis.classify import Classified
from conformance.evidence.events import Hop, Kind, Point
from conformance.judging import judge_files
from conformance.rules.all import rule_named
from conformance.rules.verdicts import Fail, Pass
from conformance.stage.plan import Cell
from tests.evidence_builder import error, request, result
from tests.test_rules_clients import CLIENT, ClientStory, connected, failure, verdict

CELL = Cell("gateway", "process", "witness", "2025-11-25", "2025-11-25", "client-some-client")
INITIALIZE = request("initialize", 0, protocolVersion="2025-11-25", capabilities={}, clientInfo={"name": "c"})
NEVER: dict[str, Any] = {"status": None, "how": "abandoned", "after": 30.0, "length": 30.0}
"""How a request looks that its client gave up after a minute."""


def gave_up(story: ClientStory) -> ClientStory:
    story.said("connect", ok=False, detail="Exception: Control request timeout: initialize")
    return story


def served_later(key: str, other: str) -> ClientStory:
    """The client's key is refused with 500, and taken in another spelling from who comes after it."""
    story = ClientStory()
    story.begin("connect")
    story.exchange("real", request=INITIALIZE, headers={"Authorization": key}, status=500, response=error(0))
    gave_up(story)
    story.initialize("other-client", session="s-9", headers={"Authorization": other})
    return story


def begun() -> ClientStory:
    story = ClientStory()
    story.connect("sentinel", session="s-0")
    story.begin("connect")
    return story


def hung(*behind: str) -> ClientStory:
    """The client's list has no answer; `backend:NAME`s of `behind` leave the gateway's initialize unanswered."""
    story = begun()
    story.connect("real")
    begin = story.now
    story.initialize(backend=True, session="b-1", t=begin)
    for name in behind:
        story.exchange(backend=name, t=begin + 0.1, request=INITIALIZE, status=None, how=None)
    story.exchange("real", method="GET", session="s-1", t=begin, after=15.0, how=None, sse=[])
    story.exchange("real", request=request("tools/list", 1), session="s-1", t=begin, **NEVER)
    return gave_up(story)


def old_client(*, served: bool = True) -> ClientStory:
    """A client of HTTP+SSE at an endpoint that serves Streamable HTTP to others, or to nobody."""
    story = ClientStory()
    if served:
        story.connect("sentinel", session="s-0")
    story.begin("connect")
    story.exchange("real", method="GET", status=None, how="abandoned", after=15.0, length=15.0)
    return gave_up(story)


def new_client(*, old_endpoint: bool = True) -> ClientStory:
    """A client of Streamable HTTP that is refused; a GET of the same path then names an endpoint, or is refused too."""
    story = begun()
    story.exchange("real", target="/sse", request=INITIALIZE, status=405)
    gave_up(story)
    if old_endpoint:
        get = story.exchange("other-transport", target="/sse", method="GET", sse=[], how=None)
        story.raw_event(get, "endpoint", "/messages?session=1")
    else:
        story.exchange("other-transport", target="/sse", method="GET", status=404)
    return story


def refused(key: str, *others: str) -> ClientStory:
    """The client's key is refused; the same key, or another one, was taken from the sentinel in these spellings."""
    story = ClientStory()
    for spelled in others:
        story.initialize("sentinel", session="s-0", headers={"Authorization": spelled})
    story.begin("connect")
    story.exchange("real", request=INITIALIZE, headers={"Authorization": key}, status=401, response=error(0))
    return gave_up(story)


def both_transports(story: ClientStory) -> ClientStory:
    """The endpoint names one to post to as well, whoever asks."""
    get = story.exchange("other-transport", method="GET", sse=[], how=None)
    story.raw_event(get, "endpoint", "/messages?session=1")
    return story


@pytest.mark.parametrize(
    ("story", "charged", "symptom", "said"),
    [
        (hung("other"), Hop.GATEWAY, "one-bad-backend-empties-all", "tools/list had no answer in 60.0 s"),
        (hung(), Hop.GATEWAY, "initialize-hang", "no backend left anything unanswered"),
        (old_client(), Hop.CONFIGURATION, "transport-mismatch", "it speaks HTTP+SSE, and its GET had no response"),
        (old_client(served=False), Hop.GATEWAY, "client-turned-away", "GET had no response"),
        (new_client(), Hop.CONFIGURATION, "transport-mismatch", "initialize was answered 405"),
        (new_client(old_endpoint=False), Hop.GATEWAY, "client-turned-away", "initialize was answered 405"),
        (refused("k1", "Bearer k1"), Hop.CONFIGURATION, "auth-scheme-mismatch", "taken as `authorization: Bearer …`"),
        (refused("Bearer k1", "k1"), Hop.GATEWAY, "auth-scheme-mismatch", "taken as `authorization: …`"),
        (both_transports(refused("k1", "Bearer k1")), Hop.CONFIGURATION, "auth-scheme-mismatch", "answered 401 as"),
        (refused("k2", "Bearer k1"), Hop.GATEWAY, "client-turned-away", "initialize was answered 401"),
    ],
)
def test_each_cause_is_told_from_the_others(story: ClientStory, charged: Hop, symptom: str, said: str) -> None:
    found = failure("connect", story)
    assert (found.charged_to, found.symptom) == (charged, symptom)
    assert "Control request timeout" in found.observed
    assert said in found.observed


def test_a_backend_that_never_answers_holds_who_has_no_other() -> None:
    story = begun()
    story.connect("real")
    begin = story.now
    story.exchange(backend=True, t=begin + 0.1, request=INITIALIZE, status=None, how=None)
    story.exchange("real", request=request("tools/list", 1), session="s-1", t=begin, **NEVER)
    found = failure("connect", gave_up(story))
    assert (found.charged_to, found.symptom) == (Hop.BACKEND, "initialize-hang")
    assert "behind the gateway initialize had none of its backend" in found.observed


def test_which_step_hangs_and_what_went_before_it_is_said() -> None:
    found = failure("connect", hung("other"))
    assert "after initialize (0.0 s), notifications/initialized (0.0 s) had been answered" in found.observed
    assert "its GET was answered 200 after 15.0 s" in found.observed


def test_how_the_client_fares_without_the_gateway_is_said() -> None:
    found = failure("connect", hung("other"), connected())
    assert "straight at the backend the client needs 0.1 s for it" in found.observed


def test_a_client_that_waits_long_and_connects_passes() -> None:
    story = begun()
    story.connect("real")
    story.exchange("real", request=request("tools/list", 1), session="s-1", sse=[result(1, tools=[])], after=50.0)
    story.said("connect")
    assert isinstance(verdict("connect", story), Pass)


def classified(story: ClientStory, folder: Path) -> Classified:
    rule = rule_named("MGC901")
    assert rule is not None
    found = judge_files(CELL, rule, story.write(folder / "evidence.jsonl", **CLIENT), None)
    assert isinstance(found.verdict, Fail)
    assert found.classified is not None
    return found.classified


@pytest.mark.parametrize(
    ("story", "expected"),
    [
        (old_client(), ("transport-mismatch", 0.9)),
        (new_client(), ("transport-mismatch", 0.9)),
        (refused("k1", "Bearer k1"), ("auth-scheme-mismatch", 0.9)),
        (served_later("k1", "Bearer k1"), ("auth-scheme-mismatch", 0.9)),
    ],
)
def test_the_neighbours_are_ruled_out(story: ClientStory, expected: tuple[str, float], tmp_path: Path) -> None:
    found = classified(story, tmp_path)
    assert (found.failure_class, found.confidence) == expected


def test_a_hang_is_told_from_a_refusal_and_from_the_other_transport(tmp_path: Path) -> None:
    story = begun()
    story.exchange("real", request=INITIALIZE, **NEVER)
    found = classified(gave_up(story), tmp_path)
    assert found.failure_class == "initialize-hang"
    made = {item.neighbour: item.made for item in found.separations}
    assert made["client-turned-away"]
    assert made["transport-mismatch"]
    assert made["get-sse-dead-stream"]


def test_what_an_application_on_stdio_was_told_is_said() -> None:
    story = begun()
    run = {"tap": "application:real", "process": "p-1"}
    story.add(Point.APPLICATION_TAP, Kind.STDIO_START, **run, pid=1, argv=["bridge"])
    story.add(Point.APPLICATION_TAP, Kind.STDIO_FRAME, **run, dir="up", message=request("initialize", 0))
    story.exchange("real", request=INITIALIZE, **NEVER)
    story.add(Point.APPLICATION_TAP, Kind.STDIO_FRAME, **run, dir="down", message=error(0, -32001))
    found = failure("connect", gave_up(story))
    assert found.symptom == "initialize-hang"
    assert "on stdio initialize was answered error -32001 after 60.0 s" in found.observed


def test_a_list_that_hangs_is_told_from_one_that_is_refused() -> None:
    for answered, symptom in ((NEVER, "initialize-hang"), ({"status": 400}, "client-turned-away")):
        story = connected()
        story.begin("list")
        story.exchange("real", request=request("tools/list", 1), session="s-1", **answered)
        story.said("list", ok=False, detail="McpError: MCP error -32001: Request timed out")
        assert failure("list", story).symptom == symptom


def test_a_stream_that_is_opened_again_without_sessions_is_none_of_the_other_transport() -> None:
    story = begun()
    story.connect("real", session=None)
    story.said("connect")
    story.begin("list")
    story.exchange("real", method="GET", sse=[], how=None)
    story.exchange("real", request=request("tools/list", 1), status=400)
    story.said("list", ok=False, detail="Error: 400")
    assert failure("list", story).symptom == "client-turned-away"
