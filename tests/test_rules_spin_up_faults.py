"""Rules MGC509 to MGC511 on evidence written by hand: what is said when no container can be started."""

from __future__ import annotations

from typing import Any

import pytest

from conformance import timing
from conformance.evidence.events import Hop, Kind, Point
from conformance.rules.all import rule_named
from conformance.rules.verdicts import Fail, Inconclusive, NotExercised, Pass
from tests.evidence_builder import RESULT, Story, error, request, result
from tests.spin_up_stories import IDS, TRIGGER, container, failure, gateway, used, verdict


def vain(*, spin_up: str = "image-missing", **answer: Any) -> Story:
    """A client initializes with a gateway that asked the engine for an image it does not have."""
    story = gateway()
    story.stimulus("trigger", t=TRIGGER)
    if spin_up == "image-missing":
        story.exchange(engine=True, target="/v1.41/containers/create", status=404, response={"message": "No such"})
    elif spin_up == "engine-denied":
        story.exchange(engine=True, target="/v1.41/containers/create", status=None, how="open")
    asked = request("initialize", 0)
    story.exchange("a", **({"request": asked, "sse": [error(0)], "t": TRIGGER + 0.1} | answer))
    return story


# what cannot be started ---------------------------------------------------------------------------------------------

SILENT = {"status": None, "sse": None, "how": "abandoned", "after": 0.0, "length": timing.ANSWER}
EMPTY = {"sse": [], "how": "complete"}
CONNECTED = {"sse": [result(0, **RESULT)]}
FAULTS = {
    "MGC509": ("image-missing", "enabled-but-not-started"),
    "MGC511": ("engine-denied", "docker-socket-unusable"),
}


def story_of(rule_id: str, **answer: Any) -> tuple[Story, dict[str, Any]]:
    """Return evidence of the fault that a rule is about, and its header."""
    if rule_id != "MGC510":
        spin_up = FAULTS[rule_id][0]
        return vain(spin_up=spin_up, **answer), {"spin_up": spin_up}
    story = vain(spin_up="works", **answer)
    container(story, answer=None)
    story.engine_event("die", t=11.0, exit_code=3)
    story.engine_event("destroy", t=11.1)
    return story, {}


@pytest.mark.parametrize("rule_id", IDS[8:])
@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"status": 502, "sse": None, "body": "bad gateway"},
        {"status": None, "sse": None, "how": "fin"},
    ],
    ids=["json-rpc", "http", "closed"],
)
def test_an_error_of_any_kind_passes(rule_id: str, answer: dict[str, Any]) -> None:
    story, header = story_of(rule_id, **answer)
    assert isinstance(verdict(rule_id, story, **header), Pass)


@pytest.mark.parametrize("rule_id", IDS[8:])
def test_an_error_on_the_first_list_is_an_error_too(rule_id: str) -> None:
    story, header = story_of(rule_id, **CONNECTED)
    story.listing("a", sse=[error(1)])
    assert isinstance(verdict(rule_id, story, **header), Pass)


@pytest.mark.parametrize(
    ("rule_id", "answer", "expected"),
    [
        ("MGC509", SILENT, "initialize-hang"),
        ("MGC510", SILENT, "initialize-hang"),
        ("MGC511", SILENT, "docker-socket-unusable"),
        ("MGC509", EMPTY, "empty-200-stream"),
        ("MGC510", EMPTY, "empty-200-stream"),
        ("MGC511", EMPTY, "docker-socket-unusable"),
    ],
)
def test_silence_is_a_failure(rule_id: str, answer: dict[str, Any], expected: str) -> None:
    story, header = story_of(rule_id, **answer)
    assert failure(rule_id, story, **header) == (Hop.GATEWAY, expected)


@pytest.mark.parametrize(
    ("rule_id", "expected"),
    [("MGC509", "enabled-but-not-started"), ("MGC510", "dead-child-zombie"), ("MGC511", "docker-socket-unusable")],
)
def test_an_empty_list_is_no_error(rule_id: str, expected: str) -> None:
    story, header = story_of(rule_id, **CONNECTED)
    story.listing("a")
    rule = rule_named(rule_id)
    assert rule is not None
    found = verdict(rule_id, story, **header)
    assert isinstance(found, Fail)
    assert found.symptom == expected


@pytest.mark.parametrize(("rule_id", "spin_up"), [("MGC509", "image-missing"), ("MGC511", "engine-missing")])
def test_a_gateway_that_ended_refuses_connections(rule_id: str, spin_up: str) -> None:
    story = gateway(until=5.0)
    if spin_up == "image-missing":
        story.exchange(engine=True, target="/v1.41/containers/create", status=404, t=3.0)
    story.stimulus("trigger", t=TRIGGER)
    story.add(Point.CLIENT_TAP, Kind.CONN_FAILED, TRIGGER + 0.1, tap="client:a", conn=1, error="no upstream is set")
    found = verdict(rule_id, story, spin_up=spin_up)
    assert isinstance(found, Pass)
    assert "ended with status 1" in found.observed


def test_509_a_pull_that_the_engine_does_not_answer_leaves_it_open() -> None:
    story, header = story_of("MGC509", **SILENT)
    story.exchange(engine=True, target="/v1.41/images/create?fromImage=x", status=None, how=None, t=TRIGGER + 0.2)
    assert isinstance(verdict("MGC509", story, **header), Inconclusive)


@pytest.mark.parametrize(("rule_id", "spin_up"), [("MGC509", "image-missing"), ("MGC511", "engine-denied")])
def test_a_gateway_that_asks_the_engine_for_nothing_is_judged_elsewhere(rule_id: str, spin_up: str) -> None:
    story = used(gateway(), listed=())
    assert isinstance(verdict(rule_id, story, spin_up=spin_up), NotExercised)


def test_511_success_without_an_engine_shows_nothing() -> None:
    assert isinstance(verdict("MGC511", used(gateway(), listed=()), spin_up="engine-missing"), NotExercised)
