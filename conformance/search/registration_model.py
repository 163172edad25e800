"""Evidence against the model of registrations: what is listed and served after each change. Pure.

The model: a server is absent, enabled or disabled. Its owner's changes move it, and each made twice is as made once;
nobody else's do, and the gateway does not so much as speak to a server for them. The tools of an enabled server are
listed and served, once each and by that server, in sessions that were open before the change as in new ones; those of
any other are neither.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from conformance.evidence.events import JSON, Event, Hop
from conformance.evidence.links import nonce_of
from conformance.evidence.transcript import Exchange, Transcript
from conformance.rules.session_reuse_evidence import lagged
from conformance.search.departure import Departure
from conformance.search.registration_steps import SERVERS, By, Change, Step, Steps
from conformance.spec.catalogue import Level

BEGIN: Final = "registration.begin"
"""Stimulus before a sequence: what each status means, by what it means, and the tap of each server."""
STEP: Final = "registration.step"
"""Stimulus before each step: its number, the server, the change, and by whom."""
LISTED: Final = "registration.listed"
"""Stimulus before the lists of a step that count: by then what was changed had its time."""
CALLED: Final = "registration.called"
"""Stimulus before a call of a server's tool: the server, and the call's nonce."""
CLERK: Final = "clerk"
"""Client that sends the requests which change what is registered."""
OPEN: Final = "open"
"""Client whose session was opened before the first step. All others open theirs after the step."""
_SOURCE: Final = "registration model"


class State(StrEnum):
    """Where a server stands."""

    ABSENT = "absent"
    ENABLED = "enabled"
    DISABLED = "disabled"


_MOVES: Final[Mapping[tuple[State, Change], State]] = {
    (State.ABSENT, Change.ADD): State.ENABLED,
    (State.ENABLED, Change.DISABLE): State.DISABLED,
    (State.ENABLED, Change.REMOVE): State.ABSENT,
    (State.DISABLED, Change.ENABLE): State.ENABLED,
    (State.DISABLED, Change.REMOVE): State.ABSENT,
}
"""What the owner's changes lead to; any other leaves what is."""


def after(state: State, step: Step) -> State:
    """Return where a server stands once a step was made with it."""
    return _MOVES.get((state, step.change), state) if step.by is By.OWNER else state


def expected(sequence: Steps) -> dict[str, State]:
    """Return where each server stands after a sequence."""
    states = dict.fromkeys(SERVERS, State.ABSENT)
    for step in sequence:
        states[step.server] = after(states[step.server], step)
    return states


def open_to_both(state: State, step: Step) -> bool:
    """Whether a step may leave a server disabled as it was, or enable it: a registration of what is registered."""
    return state is State.DISABLED and step.change is Change.ADD and step.by is By.OWNER


@dataclass(frozen=True, slots=True)
class _Made:
    """A step as it was driven. state: where the server stood before it. until: when the next one began."""

    number: int
    step: Step
    state: State
    t: float
    until: float

    @property
    def kind(self) -> str:
        """The step in words that leave out the server's name."""
        return f"{self.step.change} by {self.step.by} of a server that is {self.state}"


def departures(transcript: Transcript) -> tuple[Departure, ...]:
    """Return how a sequence departs from the model at the first step that does; what follows may all come of that."""
    begun = transcript.stimuli(BEGIN)
    if not begun:
        return ()
    states = dict.fromkeys(SERVERS, State.ABSENT)
    events = transcript.stimuli(STEP)
    for event, following in zip(events, [*events[1:], None], strict=True):
        step = Step(event.data["server"], Change(event.data["change"]), By(event.data["by"]))
        until = following.t if following is not None else transcript.end
        made = _Made(event.data["number"], step, states[step.server], event.t, until)
        loose = open_to_both(made.state, step)
        states[step.server] = _listed_as(transcript, begun[0], made) if loose else after(made.state, step)
        found = tuple(_found(transcript, begun[0], made, states))
        if found:
            return found
    return ()


def _found(transcript: Transcript, begun: Event, made: _Made, states: Mapping[str, State]) -> Iterator[Departure]:
    yield from _answered(transcript, begun, made)
    yield from _reached(transcript, begun, made)
    yield from _strays(transcript, begun, made)
    for server in SERVERS:
        wanted = 1 if states[server] is State.ENABLED else 0
        whose = "its" if server == made.step.server else "the other server's"
        yield from _lists(transcript, begun, made, server, wanted, whose)
        yield from _calls(transcript, begun, made, server, wanted, whose)


def _answered(transcript: Transcript, begun: Event, made: _Made) -> Iterator[Departure]:
    """Judge the status with which the change was answered."""
    statuses: Mapping[str, list[int]] = begun.data["statuses"]
    allowed = set(statuses["refused"])
    if made.step.by is By.OTHER and made.state is State.ABSENT:
        allowed |= set(statuses["absent"])
    elif made.step.by is By.OWNER and made.state is State.ABSENT and made.step.change is not Change.ADD:
        allowed = set(statuses["absent"])
    elif made.step.by is By.OWNER:
        allowed = set(statuses[made.step.change])
        if after(made.state, made.step) is made.state:
            allowed |= set(statuses["repeated"])
    for item in _within(transcript, CLERK, made):
        if item.status in allowed or (item.status is None and lagged(transcript, item)):
            continue
        yield _departure(
            f"{made.kind}: answered {item.status if item.status is not None else 'not at all'}",
            f"one of the statuses {', '.join(map(str, sorted(allowed)))}",
            f"{item.method} {item.target} was answered {item.status} {item.body_text[:80] or item.body or ''}"[:200],
            made,
            item,
        )


def _reached(transcript: Transcript, begun: Event, made: _Made) -> Iterator[Departure]:
    """Judge whether the gateway spoke to a server that nobody who may had it register."""
    if made.step.by is By.OWNER or made.state is not State.ABSENT:
        return
    tap = begun.data["taps"][made.step.server]
    for item in transcript.backend:
        if item.tap == tap and item.method == "POST" and made.t <= item.t < made.until:
            yield _departure(
                f"{made.kind}: the server was spoken to",
                "no request to a server that is registered by nobody who may",
                f"the gateway sent it {item.rpc_method}",
                made,
                item,
            )
            return


def _lists(
    transcript: Transcript, begun: Event, made: _Made, server: str, wanted: int, whose: str
) -> Iterator[Departure]:
    """Judge how often a server's tool is listed, to a session that was open and to a new one."""
    name = begun.data["tools"][server]
    for item in _last_lists(transcript, made):
        names = _names(item)
        if names is None or names.count(name) == wanted:
            continue
        where = "an open session" if item.tap == f"client:{OPEN}" else "a new session"
        said = "missing" if not names.count(name) else "listed" if not wanted else "listed twice"
        yield _departure(
            f"{made.kind}: {whose} tools are {said} in {where}",
            f"{name} is listed {'once' if wanted else 'not at all'}",
            f"{where} is shown {', '.join(names) or 'no tool'}",
            made,
            item,
        )


def _strays(transcript: Transcript, begun: Event, made: _Made) -> Iterator[Departure]:
    """Judge whether lists show the tool for a server that has none of the names: what a second entry looks like."""
    for item in _last_lists(transcript, made):
        shown = transcript.tool_names.standing_for(begun.data["tool"], _names(item) or ())
        strays = sorted(set(shown) - set(begun.data["tools"].values()))
        if strays:
            yield _departure(
                f"{made.kind}: the tools of no such server are listed",
                "tools of the servers that were registered, under their names",
                f"{', '.join(strays)} is listed",
                made,
                item,
            )
            return


def _calls(
    transcript: Transcript, begun: Event, made: _Made, server: str, wanted: int, whose: str
) -> Iterator[Departure]:
    """Judge whether a call of a server's tool in the open session reached that server, and no other."""
    for event in transcript.stimuli(CALLED):
        if event.data["server"] != server or not made.t <= event.t < made.until:
            continue
        nonce = event.data["nonce"]
        taps = {message.tap for message in transcript.backend_messages if message.nonce == nonce}
        if taps == ({begun.data["taps"][server]} if wanted else set()):
            continue
        made_by = [item for item in transcript.client(OPEN) if nonce_of(item) == nonce]
        yield _departure(
            f"{made.kind}: {whose} tool is {'not served' if wanted else 'served'} in an open session",
            f"a call of it reaches {'that server' if wanted else 'no server'}",
            f"it reached {', '.join(sorted(taps)) or 'none'}",
            made,
            *made_by[:1],
        )


def _listed_as(transcript: Transcript, begun: Event, made: _Made) -> State:
    """Return where the step left its server, from the list of a new session."""
    name = begun.data["tools"][made.step.server]
    shown = [_names(item) or [] for item in _last_lists(transcript, made) if item.tap != f"client:{OPEN}"]
    return State.ENABLED if shown and name in shown[-1] else State.DISABLED


def _last_lists(transcript: Transcript, made: _Made) -> list[Exchange]:
    """Return the lists of a step that count: the last of the open session and the last of a new one."""
    since = max((event.t for event in transcript.stimuli(LISTED) if made.t <= event.t < made.until), default=made.t)
    last: dict[bool, Exchange] = {}
    for item in transcript.client():
        if item.rpc_method == "tools/list" and since <= item.t < made.until:
            last[item.tap == f"client:{OPEN}"] = item
    return list(last.values())


def _names(item: Exchange) -> list[str] | None:
    """Return the names that a list shows, None where it was not answered with one."""
    answer = item.answer()
    tools: JSON = answer.result.get("tools") if answer is not None and answer.result is not None else None
    return [str(tool.get("name")) for tool in tools if isinstance(tool, dict)] if isinstance(tools, list) else None


def _within(transcript: Transcript, client: str, made: _Made) -> list[Exchange]:
    return [item for item in transcript.client(client) if made.t <= item.t < made.until]


def _departure(kind: str, wanted: str, observed: str, made: _Made, *items: Exchange) -> Departure:
    return Departure(
        kind=kind,
        expected=wanted,
        observed=observed,
        level=Level.PRACTICE,
        rows=(),
        source=_SOURCE,
        charged_to=Hop.GATEWAY,
        events=tuple(seq for item in items for seq in item.events),
        step=made.number,
    )
