"""The rule of suite transparency on large texts, on hand-written evidence."""

import hashlib

import pytest

from conformance.evidence.events import Hop, Kind, Point
from conformance.evidence.redact import Redactor
from conformance.rules.all import rule_named
from conformance.rules.base import Inputs, judge
from conformance.rules.verdicts import Fail, Inconclusive, NotExercised, Pass
from conformance.wire.http import body_record
from tests.evidence_builder import Story, error, request, result

REFUSED = {"sse": None, "status": 413, "body": "Payload Too Large"}
ERROR = {"sse": [error(1)]}
LARGE, LARGER = 800_000, 4_000_000


def verdict(story):
    return judge(rule_named("MGC737"), Inputs(story.transcript()))


def asked(text):
    return request("tools/call", 1, name="payload", arguments={"nonce": "n-1", "text": text})


def told(text):
    return {"sse": [result(1, content=[{"type": "text", "text": text}])]}


def payload(size, front, behind=None, *, way="up", arrived="long"):
    story = Story()
    story.connect()
    story.stimulus("payload", nonce="n-1", size=size, way=way)
    story.exchange(request=asked("long"), session="s-1", t=1.0, after=0.5, **front)
    if behind is not None:
        story.exchange(backend=True, request=asked(arrived), session="b-1", t=1.1, **behind)
    return story


def test_nothing_seen_is_not_exercised():
    assert isinstance(verdict(Story()), NotExercised)


@pytest.mark.parametrize("way", ["up", "down"])
def test_737_what_passes_unchanged(way):
    assert isinstance(verdict(payload(LARGE, told("x"), told("x"), way=way)), Pass)


@pytest.mark.parametrize(
    ("front", "behind"),
    [
        (REFUSED, None),
        (ERROR, None),
        ({"sse": None, "status": None, "how": "rst"}, None),
        (told("x"), told("xy")),
        (ERROR, told("x")),
        ({"sse": [result(1, content=[], isError=True)]}, told("x")),
    ],
)
def test_737_a_megabyte_that_does_not_pass(front, behind):
    assert isinstance(verdict(payload(LARGE, front, behind)), Fail)


def test_737_arguments_that_were_changed():
    assert isinstance(verdict(payload(LARGE, told("x"), told("x"), arrived="lon")), Fail)


@pytest.mark.parametrize(
    ("front", "wanted"),
    [(REFUSED, Inconclusive), (ERROR, Inconclusive), ({"sse": None, "status": None, "how": "rst"}, Fail)],
)
def test_737_more_than_a_megabyte_may_be_refused_but_not_lost(front, wanted):
    assert isinstance(verdict(payload(LARGER, front)), wanted)


def test_737_a_backend_that_refuses_is_to_blame():
    assert verdict(payload(LARGE, REFUSED, REFUSED)).charged_to is Hop.BACKEND


def test_737_what_still_moved_when_the_client_gave_up():
    story = payload(LARGER, {"sse": [], "how": "abandoned", "length": 20.0}, {"sse": [], "how": None})
    assert isinstance(verdict(story), Fail)
    story.add(Point.BACKEND_TAP, Kind.CHUNK, 20.0, tap="backend:main", conn=1, dir="down", length=65536)
    assert isinstance(verdict(story), Inconclusive)


@pytest.mark.parametrize(("lag", "wanted"), [(1.0, Fail), (9.0, Inconclusive)])
def test_737_what_was_not_read_while_the_harness_lagged(lag, wanted):
    story = payload(LARGER, {"sse": [], "how": "abandoned", "length": 20.0}, {"sse": [], "how": None})
    story.add(Point.BACKEND_TAP, Kind.CHUNK, 8.0, tap="backend:main", conn=1, dir="down", length=65536)
    story.lag(lag, t=12.0)
    assert isinstance(verdict(story), wanted)


def test_737_what_a_stdio_backend_still_wrote_when_the_client_gave_up():
    story = payload(LARGER, {"sse": [], "how": "abandoned", "length": 20.0})
    story.stdio_start(t=0.5)
    story.stdio("up", asked("long"), t=1.2)
    assert isinstance(verdict(story), Inconclusive)


def test_a_long_string_is_kept_as_its_digest():
    text = "é" * 100_000
    record = body_record(('{"id": 1, "result": {"text": "' + text + '"}}').encode(), Redactor())
    digest = hashlib.sha256(text.encode()).hexdigest()
    assert record["message"] == {"id": 1, "result": {"text": f"100000 characters, SHA-256 {digest}"}}


def test_a_message_that_is_large_all_the_same_is_kept_in_outline():
    body = ('{"id": 1, "result": {"list": [' + "1, " * 100_000 + "1]}}").encode()
    assert body_record(body, Redactor())["message"] == {"id": 1, "result": {}}
