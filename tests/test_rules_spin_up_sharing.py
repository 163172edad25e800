"""Rules MGC514 to MGC516 on evidence written by hand: several sessions at a gateway that starts containers."""

from __future__ import annotations

from typing import Any

import pytest

from conformance import timing
from conformance.evidence.events import Hop
from conformance.rules.spin_up_times import client_times
from conformance.rules.verdicts import Inconclusive, NotApplicable, NotExercised, Pass
from tests.evidence_builder import Story, error, request, result
from tests.spin_up_stories import TRIGGER, WORKS, container, failure, gateway, gone, used, verdict


def claimed(containers: str | None) -> dict[str, Any]:
    return {"claims": {"containers": containers}}


# whom a container serves --------------------------------------------------------------------------------------------


def two_sessions(*met: str) -> Story:
    """Clients a and b call in turn, twice each; `met` names the container that serves each of the four calls."""
    story = gateway()
    for number, name in enumerate(sorted(set(met))):
        container(story, name, t=TRIGGER + 0.1 + number)
    used(story, "a")
    used(story, "b", t=TRIGGER + 1)
    for number, name in enumerate(met):
        t, nonce = TRIGGER + 5 + number, f"n-{number:016x}"
        sent = request("tools/call", number + 10, name="echo", arguments={"nonce": nonce})
        story.exchange("ab"[number % 2], request=sent, sse=[result(number + 10, content=[])], t=t, length=0.1)
        story.stdio("up", sent | {"id": number + 5}, f"process of {name}", t=t + 0.01)
    return story


@pytest.mark.parametrize(
    ("containers", "met"),
    [("session", "xyxy"), ("shared", "xxxx"), ("call", "wxyz")],
)
def test_514_as_declared_passes(containers: str, met: str) -> None:
    assert isinstance(verdict("MGC514", two_sessions(*met), **claimed(containers)), Pass)


@pytest.mark.parametrize(
    ("containers", "met", "expected"),
    [
        ("session", "xxxx", "upstream-session-shared"),
        ("session", "wxyz", "ephemeral-state-loss"),
        ("session", "xyzy", "ephemeral-state-loss"),
        ("shared", "xyxy", "container-leak-or-storm"),
        ("call", "xyxy", "upstream-session-shared"),
    ],
)
def test_514_otherwise_than_declared_fails(containers: str, met: str, expected: str) -> None:
    assert failure("MGC514", two_sessions(*met), **claimed(containers)) == (Hop.GATEWAY, expected)


def test_514_what_is_not_declared_is_shown_and_not_judged() -> None:
    found = verdict("MGC514", two_sessions(*"xxxx"))
    assert isinstance(found, NotApplicable)
    assert "4 calls of 2 sessions were served by 1 container(s)" in found.why


# clients that come at once ------------------------------------------------------------------------------------------


def together(containers: int, *, clients: int = 4, served: bool = True) -> Story:
    """Clients come within 40 ms, each has a result after 2 s or an error; so many containers are started."""
    story = gateway()
    story.stimulus("clients.together", t=TRIGGER - 0.01, clients=clients)
    for number in range(containers):
        container(story, f"c-{number}", t=TRIGGER + 0.1 + number / 100)
    for number in range(clients):
        name = f"at-once{number}"
        used(story, name, t=TRIGGER + number / 100)
        answer = result(9, content=[]) if served or number else error(9)
        story.exchange(name, request=request("tools/call", 9), sse=[answer], t=TRIGGER + 2 + number / 10)
    return story


@pytest.mark.parametrize("containers", [1, 3, 4])
def test_515_no_more_containers_than_sessions_pass(containers: int) -> None:
    assert isinstance(verdict("MGC515", together(containers)), Pass)


def test_515_more_containers_than_sessions_fail() -> None:
    assert failure("MGC515", together(5)) == (Hop.GATEWAY, "container-leak-or-storm")


def test_515_a_second_container_for_all_fails() -> None:
    assert isinstance(verdict("MGC515", together(1), **claimed("shared")), Pass)
    assert failure("MGC515", together(2), **claimed("shared")) == (Hop.GATEWAY, "container-leak-or-storm")


def test_515_one_for_each_call_is_declared() -> None:
    assert isinstance(verdict("MGC515", together(8), **claimed("call")), Pass)


def test_515_a_client_without_a_result_fails() -> None:
    assert failure("MGC515", together(4, served=False)) == (Hop.GATEWAY, "container-not-ready")


def test_515_a_backend_that_was_still_starting_leaves_it_open() -> None:
    story = together(3, served=False)
    container(story, "slow", t=TRIGGER + 0.3, answer=None)
    assert isinstance(verdict("MGC515", story), Inconclusive)


# the session after the first ----------------------------------------------------------------------------------------


def again(*, first: bool = True, second: bool = True, started: bool = True, late: float = 0.0) -> Story:
    """The session of `cold` ends at 15 s, that of `warm` begins at 20 s."""
    story = gateway()
    container(story)
    used(story, "cold")
    called(story, "cold", served=first, t=12.0)
    gone(story, "c-1", 15.3)
    story.stimulus("session.again", t=19.9)
    if started:
        container(story, "c-2", t=20.1 + late)
    used(story, "warm", t=20.0)
    called(story, "warm", served=second, t=22.0 + late)
    return story


def called(story: Story, client: str, *, served: bool, t: float) -> None:
    answer = result(7, content=[]) if served else error(7)
    story.exchange(client, request=request("tools/call", 7), sse=[answer], t=t)


def test_516_both_starts_are_timed() -> None:
    found = verdict("MGC516", again())
    assert isinstance(found, Pass)
    assert "cold from initialize: started +0.400 s" in found.observed
    assert "first result +2.0" in found.observed.partition("warm")[2]


@pytest.mark.parametrize(("started", "expected"), [(False, "enabled-but-not-started"), (True, "container-not-ready")])
def test_516_a_second_session_without_a_result_fails(started: bool, expected: str) -> None:
    assert failure("MGC516", again(second=False, started=started)) == (Hop.GATEWAY, expected)


def test_516_a_late_start_fails() -> None:
    assert failure("MGC516", again(late=timing.SPIN_UP + 1)) == (Hop.GATEWAY, "container-not-ready")


def test_516_a_first_session_that_was_not_served_is_judged_elsewhere() -> None:
    assert isinstance(verdict("MGC516", again(first=False)), NotExercised)


def test_each_client_has_its_own_times() -> None:
    found = dict(client_times(again().transcript(**WORKS)))
    assert found["client:cold"].created == pytest.approx(10.12)
    assert found["client:warm"].created == pytest.approx(20.12)
    assert found["client:warm"].first_result == pytest.approx(22.01, abs=0.01)
