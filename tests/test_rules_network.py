"""The rules of suite network on hand-written evidence."""

from __future__ import annotations

from typing import Any

import pytest

from conformance import timing
from conformance.diagnosis.classify import classify
from conformance.evidence.events import Hop, Kind, Point
from conformance.rules.all import rule_named
from conformance.rules.base import Inputs, judge
from conformance.rules.verdicts import Fail, HarnessFault, Inconclusive, NotExercised, Pass, Verdict
from tests.evidence_builder import Story, error, request, result
from tests.network_stories import SECURE, SEEN, connected, handshake_failed, probe, tried

SILENT = {"status": None, "sse": None, "how": "abandoned", "after": 0.0, "length": timing.CLAIM_OBSERVED + 5}


def verdict(rule_id: str, story: Story, **header: Any) -> Verdict:
    rule = rule_named(rule_id)
    assert rule is not None
    return judge(rule, Inputs(story.transcript(**header)))


def classified(rule_id: str, story: Story, **header: Any) -> tuple[str, Hop, float]:
    rule = rule_named(rule_id)
    assert rule is not None
    inputs = Inputs(story.transcript(**header))
    found = judge(rule, inputs)
    assert isinstance(found, Fail), found
    named = classify(rule, found, inputs)
    return named.failure_class, named.hop, named.confidence


# MGC980: the way to the backend -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", SEEN)
def test_980_each_fault_is_named_with_its_hop_and_told_from_its_neighbours(kind: str) -> None:
    failure_class, hop, confidence = classified("MGC980", tried(kind))
    assert failure_class == kind
    assert hop is not Hop.GATEWAY
    assert confidence >= 0.9


@pytest.mark.parametrize("kind", SEEN)
def test_980_a_fault_that_was_brought_about_is_seen_for_what_it_is(kind: str) -> None:
    assert isinstance(verdict("MGC980", tried(kind), network_fault=kind), Pass)
    assert isinstance(verdict("MGC980", tried(""), network_fault=kind), HarnessFault)
    other = "port-closed" if kind != "port-closed" else "connect-blocked"
    assert isinstance(verdict("MGC980", tried(kind), network_fault=other), HarnessFault)


def test_980_an_open_way_that_the_gateway_goes() -> None:
    story = tried("", **connected())
    assert isinstance(verdict("MGC980", story, network_fault="none"), Inconclusive)
    story.initialize(backend=True)
    assert isinstance(verdict("MGC980", story, network_fault="none"), Pass)


def test_980_what_a_probe_sends_is_not_the_gateway_s() -> None:
    story = tried("", **connected())
    story.add(Point.BACKEND_TAP, Kind.CONN_OPEN, tap="backend:main", conn=3, peer="10.1.2.9:5000")
    story.exchange(backend=True, conn=3, request=request("ping"), response=error(1))
    assert isinstance(verdict("MGC980", story, network_fault="none"), Inconclusive)


def test_980_tls_that_nobody_asked_for_is_the_gateway_s() -> None:
    story = tried("")
    hello = {"tap": "backend:main", "conn": 7, "dir": "up", "why": "not HTTP", "head": "\x16\x03\x01\x02\x00\x01"}
    story.add(Point.BACKEND_TAP, Kind.HTTP_UNPARSED, **hello)
    assert classified("MGC980", story)[:2] == ("tls-to-plain-http", Hop.GATEWAY)


def test_980_plain_http_to_an_https_url_is_the_gateway_s() -> None:
    story = Story()
    probe(story, **SECURE, tls={"ok": True, "version": "TLSv1.3", "error": ""})
    story.stimulus("trigger")
    handshake_failed(story, "TLS handshake with the client: HTTP_REQUEST")
    assert classified("MGC980", story)[:2] == ("plain-http-to-tls", Hop.GATEWAY)


def test_980_without_a_probe_there_is_nothing_to_judge() -> None:
    story = Story()
    story.initialize()
    assert isinstance(verdict("MGC980", story), NotExercised)


# MGC981: the way to the gateway -------------------------------------------------------------------------------------


def fronts(*ways: str) -> Story:
    story = Story()
    for way in ways:
        probe(story, "client", way=way, **SEEN.get(way, {}))
    return story


def test_981_a_gateway_that_accepts_beside_ways_that_are_wrong() -> None:
    told = verdict("MGC981", fronts("none", "none", "port-closed", "tls-name-or-trust"))
    assert isinstance(told, Pass)
    assert told.observed.endswith("port-closed, tls-name-or-trust")
    assert isinstance(verdict("MGC981", fronts("none")), Pass)


def test_981_a_port_is_closed_filtered_wrongly_published_or_another_s() -> None:
    kinds = ("port-closed", "connect-blocked", "published-port-dead", "accepts-but-silent")
    assert isinstance(verdict("MGC981", fronts("none", *kinds)), Pass)
    for way in kinds:
        for other in set(kinds) - {way}:
            story = fronts("none")
            probe(story, "client", way=way, **SEEN[other])
            assert isinstance(verdict("MGC981", story), HarnessFault)
    story = fronts("none")
    probe(story, "client", way="container-loopback-unreachable", **SEEN["container-loopback-unreachable"])
    assert isinstance(verdict("MGC981", story), Pass)


def test_981_a_way_that_cannot_be_had_is_told_and_not_passed_over() -> None:
    story = fronts("none", "port-closed")
    story.stimulus("front.lacking", way="published-port-dead", why="no engine")
    told = verdict("MGC981", story)
    assert isinstance(told, Pass)
    assert told.observed.endswith("port-closed; not to be had here: published-port-dead")


@pytest.mark.parametrize("kind", ["port-closed", "accepts-but-silent", "published-port-dead"])
def test_981_a_gateway_that_stops_accepting(kind: str) -> None:
    story = fronts("none")
    probe(story, "client", way="none", **SEEN[kind])
    assert classified("MGC981", story)[:2] == (kind, Hop.GATEWAY)


def test_981_a_fault_that_is_not_seen_for_what_it_is_is_ours() -> None:
    story = fronts("none")
    probe(story, "client", way="port-closed", **SEEN["connect-blocked"])
    assert isinstance(verdict("MGC981", story), HarnessFault)


# MGC982 and MGC983: what clients are told ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [{}, {"status": 502, "sse": None, "body": "bad gateway"}, {"status": None, "sse": None, "how": "fin"}],
    ids=["json-rpc", "http", "closed"],
)
@pytest.mark.parametrize(("rule_id", "kind"), [("MGC982", "port-closed"), ("MGC983", "connect-blocked")])
def test_an_error_of_any_kind_passes(rule_id: str, kind: str, answer: dict[str, Any]) -> None:
    assert isinstance(verdict(rule_id, tried(kind, **answer), network_fault=kind), Pass)


@pytest.mark.parametrize(("rule_id", "kind"), [("MGC982", "port-closed"), ("MGC983", "connect-blocked")])
def test_an_error_comes_as_late_as_the_call(rule_id: str, kind: str) -> None:
    story = tried(kind, **connected())
    story.listing("a", tools=["echo"])
    story.call("a", sse=[result(1, content=[], isError=True)])
    assert isinstance(verdict(rule_id, story, network_fault=kind), Pass)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (SILENT, "initialize-hang"),
        ({"sse": [], "how": "complete"}, "empty-200-stream"),
        (connected(), "silent-partial-aggregate"),
    ],
    ids=["hang", "empty", "success"],
)
@pytest.mark.parametrize(("rule_id", "kind"), [("MGC982", "port-closed"), ("MGC983", "connect-blocked")])
def test_what_is_no_error_fails(rule_id: str, kind: str, answer: dict[str, Any], expected: str) -> None:
    failure_class, hop, _ = classified(rule_id, tried(kind, **answer), network_fault=kind)
    assert (failure_class, hop) == (expected, Hop.GATEWAY)


def test_a_gateway_s_own_tool_may_say_it_in_words() -> None:
    tool = {"name": "run", "arguments": {"of": "{tool}", "with": "{arguments}"}, "text_in": "result"}
    for text, expected in (("no tool of that name", Pass), ("n-1", Fail)):
        story = tried("port-closed", **connected())
        asked = request("tools/call", 1, name="run", arguments={"of": "echo", "with": {"nonce": "n-1"}})
        story.exchange("a", request=asked, sse=[result(1, content=[{"type": "text", "text": text}])])
        assert isinstance(verdict("MGC982", story, network_fault="port-closed", meta_tool=tool), expected)


def test_a_gateway_that_has_ended_has_told_an_error() -> None:
    story = Story()
    probe(story, **SEEN["port-closed"])
    story.stimulus("trigger")
    story.add(Point.STAGE, Kind.PROCESS_EXIT, name="gateway", pid=1, code=1)
    story.refused()
    told = verdict("MGC982", story, network_fault="port-closed")
    assert isinstance(told, Pass)
    assert "status 1" in told.observed


def test_982_a_backend_that_is_reached_all_the_same_tells_nothing() -> None:
    story = tried("plain-http-to-tls", **connected())
    story.initialize(backend=True)
    assert isinstance(verdict("MGC982", story, network_fault="plain-http-to-tls"), Inconclusive)


def test_983_less_than_a_minute_is_not_too_long() -> None:
    story = tried("connect-blocked", **(SILENT | {"length": 20.0}))
    assert isinstance(verdict("MGC983", story, network_fault="connect-blocked"), Inconclusive)


@pytest.mark.parametrize("rule_id", ["MGC982", "MGC983", "MGC984"])
def test_where_nothing_is_wrong_there_is_nothing_to_be_told(rule_id: str) -> None:
    assert isinstance(verdict(rule_id, tried("", **connected()), network_fault="none"), NotExercised)


# MGC984: certificates -----------------------------------------------------------------------------------------------

CERTIFICATES = ["tls-name-or-trust", "tls-certificate-expired", "tls-untrusted-issuer"]


@pytest.mark.parametrize("kind", CERTIFICATES)
def test_984_a_handshake_that_is_broken_off(kind: str) -> None:
    story = tried(kind)
    assert isinstance(verdict("MGC984", story, network_fault=kind), NotExercised)
    handshake_failed(story)
    assert isinstance(verdict("MGC984", story, network_fault=kind), Pass)


@pytest.mark.parametrize("kind", CERTIFICATES)
def test_984_requests_after_it(kind: str) -> None:
    story = tried(kind, **connected())
    story.initialize(backend=True)
    failure_class, hop, confidence = classified("MGC984", story, network_fault=kind)
    assert (failure_class, hop) == ("certificate-not-checked", Hop.GATEWAY)
    assert confidence >= 0.9
