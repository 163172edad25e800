"""The model of registrations on evidence written by hand, the sequences it is searched with, and how one is told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

import pytest

from conformance.search.registration_model import BEGIN, CALLED, CLERK, LISTED, OPEN, STEP, State, departures, expected
from conformance.search.registration_reproduction import reproduction
from conformance.search.registration_steps import By, Change, Step, alphabet, renamed, without
from tests.evidence_builder import Story, request

ADD = Step("one", Change.ADD, By.OWNER)
REMOVE = Step("one", Change.REMOVE, By.OWNER)
DISABLE = Step("one", Change.DISABLE, By.OWNER)
TAPS = {"one": "backend:main", "two": "backend:second"}
STATUSES = {
    "refused": [401, 403],
    "absent": [404],
    "repeated": [409],
    **{change: [200, 201] for change in ("add", "remove", "enable", "disable")},
}


class Told:
    """A sequence told step by step: the change, what it is answered, and what sessions see afterwards."""

    def __init__(self) -> None:
        self.story = Story()
        self.story.connect(OPEN, session="s-open")
        tools = {"one": "one_echo", "two": "two_echo"}
        urls = {"one": "http://127.0.0.1:5001/mcp", "two": "http://127.0.0.1:5002/mcp"}
        known = {"tools": tools, "tool": "echo", "taps": TAPS, "urls": urls, "id_in": "id"}
        self.story.stimulus(BEGIN, statuses=STATUSES, **known)
        self.number = 0
        self.id: str | int = "8c1f"

    def step(
        self,
        step: Step,
        status: int = 200,
        *,
        opened: Sequence[str] = (),
        new: Sequence[str] | None = None,
        reached: str = "",
        spoken: str = "",
    ) -> Told:
        """Tell of a step. opened, new: what each kind of session lists. reached: the backend that a call of one reaches.

        spoken: the method of a request to the server.
        """
        self.number += 1
        self.story.stimulus(STEP, number=self.number, server=step.server, change=str(step.change), by=str(step.by))
        body = {"id": self.id} if status < 300 else {"message": "no"}
        asked = {"name": "one", "url": "http://127.0.0.1:5001/mcp"}
        target = "/servers" if step.change is Change.ADD else f"/servers/{quote(str(self.id))}"
        headers = {"Authorization": "Bearer owner"}
        self.story.exchange(CLERK, target=target, request=asked, status=status, response=body, headers=headers)
        if spoken:
            self.story.exchange(backend=True, request=request(spoken), sse=[])
        self.story.stimulus(LISTED)
        self.story.listing(OPEN, session="s-open", tools=opened)
        self.story.listing(f"new{self.number}", session=f"s-{self.number}", tools=opened if new is None else new)
        nonce = f"n-{self.number}"
        self.story.stimulus(CALLED, server="one", nonce=nonce)
        begin = self.story.now
        self.story.call(OPEN, nonce=nonce, session="s-open", t=begin, after=0.5)
        if reached:
            self.story.call(backend=reached, nonce=nonce, session="b-1", t=begin + 0.1)
        self.story.at(begin + 1.0)
        return self

    def kinds(self) -> list[str]:
        """Return the kinds of the departures."""
        return [item.kind for item in departures(self.story.transcript())]


MAIN = "main"
SHOWN: dict[str, Any] = {"opened": ["one_echo"], "reached": MAIN}


def test_what_the_model_says_departs_nowhere() -> None:
    told = Told().step(ADD, 201, **SHOWN).step(ADD, 409, **SHOWN).step(DISABLE).step(REMOVE).step(REMOVE, 404)
    assert told.kinds() == []


@pytest.mark.parametrize("now", [{}, SHOWN])
def test_a_registration_of_a_disabled_server_may_enable_it_or_not(now: dict[str, Any]) -> None:
    assert Told().step(ADD, **SHOWN).step(DISABLE).step(ADD, 200, **now).step(REMOVE).kinds() == []


@pytest.mark.parametrize(
    ("now", "kinds"),
    [
        ({"status": 500}, ["answered 500"]),
        ({"opened": ["one_echo"], "new": []}, ["its tools are listed in an open session"]),
        ({"opened": [], "new": ["one_echo"]}, ["its tools are listed in a new session"]),
        ({"reached": MAIN}, ["its tool is served in an open session"]),
        (
            {"opened": ["two_echo"]},
            [f"the other server's tools are listed in {a} session" for a in ("an open", "a new")],
        ),
        ({"opened": ["one_one_echo"]}, ["the tools of no such server are listed"]),
    ],
)
def test_what_is_left_of_a_removed_server(now: dict[str, Any], kinds: list[str]) -> None:
    told = Told().step(ADD, **SHOWN).step(REMOVE, **now)
    assert told.kinds() == [f"remove by the owner of a server that is enabled: {kind}" for kind in kinds]


def test_a_registered_server_that_nobody_sees() -> None:
    missing = [f"its tools are missing in {a} session" for a in ("an open", "a new")]
    told = Told().step(ADD, reached="second")
    not_served = "its tool is not served in an open session"
    assert [kind.partition(": ")[2] for kind in told.kinds()] == [*missing, not_served]


def test_a_tool_that_is_listed_twice() -> None:
    told = Told().step(ADD, opened=["one_echo", "one_echo"], new=["one_echo"], reached=MAIN)
    assert told.kinds() == [
        "add by the owner of a server that is absent: its tools are listed twice in an open session"
    ]


@pytest.mark.parametrize("by", [By.NOBODY, By.OTHER])
def test_who_may_not_changes_nothing(by: By) -> None:
    step = Step("one", Change.ADD, by)
    assert Told().step(step, 401).kinds() == []
    assert "answered 200" in Told().step(step, 200).kinds()[0]
    assert "the server was spoken to" in Told().step(step, 401, spoken="initialize").kinds()[0]
    assert Told().step(ADD, **SHOWN).step(Step("one", Change.REMOVE, by), 403, **SHOWN).kinds() == []


def test_only_another_user_may_be_told_that_there_is_no_such_server() -> None:
    assert Told().step(Step("one", Change.REMOVE, By.OTHER), 404).kinds() == []
    assert "answered 404" in Told().step(Step("one", Change.REMOVE, By.NOBODY), 404).kinds()[0]


def test_what_follows_a_departure_is_not_held_against_anyone() -> None:
    told = Told().step(ADD).step(REMOVE, 500)
    assert {item.step for item in departures(told.story.transcript())} == {1}


def test_where_servers_stand_after_a_sequence() -> None:
    nobody = Step("one", Change.REMOVE, By.NOBODY)
    assert expected((ADD, DISABLE, nobody)) == {"one": State.DISABLED, "two": State.ABSENT}


def test_sequences_have_one_spelling() -> None:
    other = Step("two", Change.ADD, By.OWNER)
    assert without((ADD, other), 0) == (ADD,)
    assert set(renamed((ADD,))) == {(ADD,), (other,)}
    assert alphabet(("add", "remove"), others=False).sequences is not None


def test_a_sequence_is_told_as_commands() -> None:
    lines = reproduction(Told().step(ADD, 201, **SHOWN).step(REMOVE, **SHOWN).story.transcript())
    told = "\n".join(lines)
    assert "SERVER_ONE=http://127.0.0.1:9001/mcp" in told
    assert "# 2. the owner: remove one" in told
    (added,) = (line for line in lines if line.startswith("ID_ONE="))
    assert "'\"$SERVER_ONE\"'" in added
    assert '"$ROOT/servers"' in added
    assert any("$ROOT/servers/$ID_ONE" in line for line in lines)
    assert sum('"tools/list"' in line for line in lines) == 2, "the last look of each kind of session, and no other"


@pytest.mark.parametrize("given", [1, "$(reboot) x"])
def test_the_id_that_a_gateway_gives_is_a_variable(given: str | int) -> None:
    told = Told()
    told.id = given
    lines = reproduction(told.step(ADD, 201, **SHOWN).step(REMOVE, **SHOWN).story.transcript())
    assert any('"$ROOT/servers/$ID_ONE"' in line for line in lines)
    assert any("http://127.0.0.1:9001" in line for line in lines), "an id is replaced nowhere else"
    assert not any("reboot" in line for line in lines)
