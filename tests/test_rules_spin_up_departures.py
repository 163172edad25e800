"""Rules MGC512 and MGC513 on evidence written by hand: containers that die under a session, and clients that vanish."""

from __future__ import annotations

from typing import Any

import pytest

from conformance.evidence.events import Hop, Kind, Point
from conformance.rules.verdicts import Inconclusive, NotExercised, Pass
from tests.evidence_builder import Story, error, request, result
from tests.spin_up_stories import GATEWAY, container, failure, gateway, gone, used, verdict

DIED = 15.0
ERROR = {"sse": [error(7)]}


def call(story: Story, t: float, client: str = "a", **answer: Any) -> None:
    asked = request("tools/call", 7, name="get_current_time", arguments={})
    story.exchange(client, **({"request": asked, "sse": [result(7, content=[])], "session": "s-1", "t": t} | answer))


def killed(**before: Any) -> Story:
    """A container that is killed under a session whose call came to `before`, a result if nothing is said."""
    story = gateway()
    container(story)
    used(story)
    call(story, 14.0, **before)
    story.stimulus("containers.kill", t=DIED - 0.1, containers=["c-1"])
    gone(story, "c-1", DIED + 0.1, died=DIED)
    return story


TOLD = {"sse": [result(7, content=[], isError=True)]}
REFUSED = {"sse": None, "status": 404}
BROKEN = {"sse": None, "status": 502}


def went_on(old: dict[str, Any], new: dict[str, Any] | None, *, again: bool = True) -> Story:
    story = killed()
    call(story, 15.5, **ERROR)
    if again:
        container(story, "c-2", t=16.0)
    call(story, 20.0, **old)
    if new is not None:
        story.initialize("new", t=24.0)
        call(story, 25.0, "new", **new)
    return story


@pytest.mark.parametrize("old", [{}, REFUSED], ids=["served again", "refused"])
def test_512_a_death_that_is_dealt_with_passes(old: dict[str, Any]) -> None:
    assert isinstance(verdict("MGC512", went_on(old, {})), Pass)


@pytest.mark.parametrize(
    ("old", "new", "failure_class"),
    [
        (ERROR, ERROR, "dead-child-zombie"),
        (TOLD, TOLD, "dead-child-zombie"),
        (BROKEN, None, "dead-child-zombie"),
        (REFUSED, ERROR, "dead-child-zombie"),
        (ERROR, {}, "stale-session-after-restart"),
        ({"sse": [], "how": None}, {}, "hang-on-upstream-error"),
        ({"sse": []}, {}, "empty-200-stream"),
    ],
    ids=["errors for ever", "told as results", "no new session", "only new ones fail", "old ones", "hang", "empty"],
)
def test_512_a_session_over_a_dead_container_fails(
    old: dict[str, Any], new: dict[str, Any] | None, failure_class: str
) -> None:
    assert failure("MGC512", went_on(old, new, again=False)) == (Hop.GATEWAY, failure_class)


def test_512_a_gateway_that_ends_with_its_backend_passes() -> None:
    story = went_on(ERROR, None, again=False)
    story.add(Point.STAGE, Kind.PROCESS_EXIT, 20.0, name="gateway", pid=1, code=1, container=GATEWAY)
    assert isinstance(verdict("MGC512", story), Pass)


def test_512_another_container_that_is_still_starting_leaves_it_undecided() -> None:
    story = went_on(ERROR, ERROR, again=False)
    container(story, "c-2", t=24.9, answer=None)
    assert isinstance(verdict("MGC512", story), Inconclusive)


def test_512_a_death_that_nobody_brought_about_is_not_judged() -> None:
    story = gateway()
    container(story)
    used(story)
    gone(story, "c-1", DIED)
    assert isinstance(verdict("MGC512", story), NotExercised)


def test_512_a_session_that_was_never_served_shows_nothing() -> None:
    story = killed(**ERROR)
    call(story, 20.0, **ERROR)
    assert isinstance(verdict("MGC512", story), NotExercised)


def vanished(*removed: float, containers: int = 2, expired: float | None = None, until: float = 40.0) -> Story:
    """Two clients vanish at 15 s; the containers are removed at the times given, the others are left."""
    story = gateway()
    used(story)
    used(story, "b", t=11.0)
    for number in range(containers):
        container(story, f"c-{number}", t=10.1 + number)
    story.stimulus("clients.vanished", t=15.0, clients=2)
    if expired is not None:
        story.stimulus("clients.expired", t=expired, seconds=expired - 15.0)
    for number, t in enumerate(removed):
        gone(story, f"c-{number}", t)
    story.stimulus("clients.watched", t=until)
    return story


@pytest.mark.parametrize(
    "story",
    [vanished(), vanished(15.5, 15.6), vanished(18.5, 19.0, expired=18.0), vanished(16.0, 32.0, expired=18.0)],
    ids=["nothing declared", "removed at once", "removed when expired", "one late but in time"],
)
def test_513_what_is_declared_is_kept(story: Story) -> None:
    assert isinstance(verdict("MGC513", story), Pass)


@pytest.mark.parametrize(
    "story",
    [vanished(containers=3), vanished(expired=18.0), vanished(16.0, 34.0, expired=18.0)],
    ids=["more than clients", "kept", "too late"],
)
def test_513_what_is_left_is_a_leak(story: Story) -> None:
    assert failure("MGC513", story) == (Hop.GATEWAY, "container-leak-or-storm")


def test_513_a_container_that_all_share_is_left_of_nobody() -> None:
    story = gateway()
    container(story, t=1.5)
    used(story)
    story.stimulus("clients.vanished", t=15.0, clients=1)
    story.stimulus("clients.expired", t=18.0, seconds=3.0)
    story.stimulus("clients.watched", t=40.0)
    assert isinstance(verdict("MGC513", story), Pass)
