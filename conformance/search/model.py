"""Evidence against the lifecycle tables: which exchanges depart from them. Pure; the tables are `spec.lifecycle`.

It is made for evidence in which one step follows another, as the search drives them: where requests overlap, no order
of them is the client's own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from conformance.evidence.events import Hop
from conformance.evidence.transcript import Exchange, Transcript
from conformance.rules.session_reuse_evidence import SESSION_HEADER, accepted, backend_knows, lagged, said
from conformance.search.departure import Departure
from conformance.spec.catalogue import Level
from conformance.spec.lifecycle import LIFECYCLE, STREAMS, Answer, Event, Row, State, Stream, StreamRow

BEGIN: Final = "search.begin"
"""Stimulus before a sequence; `issues_ids` says whether the gateway was seen to give session ids."""
STEP: Final = "search.step"
"""Stimulus before each step, with its `number`."""

_BY_STATUS: Final = {
    400: Answer.BAD_REQUEST,
    404: Answer.NOT_FOUND,
    405: Answer.NOT_ALLOWED,
    409: Answer.CONFLICT,
    429: Answer.BUSY,
    503: Answer.BUSY,
}
_ALIVE: Final = (State.OPENED, State.READY)


@dataclass(slots=True)
class _Machine:
    """Where each session stands, by its id. listening: how many GET streams are open."""

    issues_ids: bool
    states: dict[str, State] = field(default_factory=dict)
    streams: dict[str, Stream] = field(default_factory=dict)
    listening: Counter[str] = field(default_factory=Counter)

    def state(self, item: Exchange) -> State:
        if not self.issues_ids:
            return State.SESSIONLESS
        named = item.headers.get(SESSION_HEADER)
        return State.STRANGER if named is None else self.states.get(named, State.UNKNOWN)

    def stream(self, named: str) -> Stream:
        if self.states.get(named) is State.OPENED and self.streams.get(named) is not Stream.OPEN:
            return Stream.EARLY
        return self.streams.get(named, Stream.NONE)

    def answered(self, named: str, moved: Stream) -> None:
        if moved is Stream.OPEN:
            self.listening[named] += 1
        if moved is not Stream.EARLY:
            self.streams[named] = moved

    def ended(self, named: str) -> None:
        self.listening[named] -= 1
        if not self.listening[named]:
            self.streams[named] = Stream.CLOSED


def departures(transcript: Transcript) -> tuple[Departure, ...]:
    """Return every departure of a sequence, in order; none for what the harness's own lag could have caused."""
    machine = _Machine(_issues_ids(transcript))
    found: list[Departure] = []
    steps = [(item.t, item, False) for item in transcript.client()]
    steps += [(item.t_end, item, True) for item in transcript.client() if _opened(item) and item.t_end is not None]
    for _, item, ended in sorted(steps, key=lambda step: (step[0], step[2])):
        if ended:
            machine.ended(item.headers.get(SESSION_HEADER, ""))
            continue
        event, answer = event_of(item), answer_of(item)
        if answer is Answer.SILENCE and item.status is None and lagged(transcript, item):
            continue
        found += _step(machine, transcript, item, event, answer)
    return tuple(found)


def _issues_ids(transcript: Transcript) -> bool:
    told = transcript.stimuli(BEGIN)
    return bool(told and told[0].data.get("issues_ids")) or any(
        item.rpc_method == "initialize" and accepted(item) and SESSION_HEADER in item.response_headers
        for item in transcript.client()
    )


def _step(machine: _Machine, transcript: Transcript, item: Exchange, event: Event, answer: Answer) -> list[Departure]:
    """Judge one exchange and move the machine on."""
    state = machine.state(item)
    named = item.headers.get(SESSION_HEADER, "")
    if event is Event.GET and state in _ALIVE:
        stream = machine.stream(named)
        row_of_stream = STREAMS[stream][event]
        if answer in row_of_stream.answers:
            machine.answered(named, row_of_stream.answers[answer])
            return []
        _follow(machine, named, answer)
        return [] if answer is Answer.BUSY else [_departure(transcript, item, row_of_stream, state, answer)]
    row = LIFECYCLE[state][event]
    found = [] if answer in {*row.answers, Answer.BUSY} else [_departure(transcript, item, row, state, answer)]
    if state in (*_ALIVE, State.ENDED):
        machine.states[named] = row.answers.get(answer, machine.states[named])
        _follow(machine, named, answer)
    issued = item.response_headers.get(SESSION_HEADER)
    if event in (Event.INITIALIZE, Event.INITIALIZE_MALFORMED) and answer is Answer.RESULT and issued is not None:
        if issued in machine.states and not (issued == named and state in _ALIVE):
            found.append(_twice(transcript, item, state))
        machine.states[issued] = State.OPENED
    return found


def _follow(machine: _Machine, named: str, answer: Answer) -> None:
    """Take a 404 for the end of the session, so that what follows from it is not held against the server again."""
    if answer is Answer.NOT_FOUND and machine.states.get(named) in _ALIVE:
        machine.states[named] = State.ENDED


def _departure(transcript: Transcript, item: Exchange, row: Row | StreamRow, state: State, answer: Answer) -> Departure:
    event = event_of(item)
    allowed = ", ".join(row.answers)
    return Departure(
        kind=f"{event} in state {state}: {answer}",
        expected=f"{event} in state {state} is answered with one of: {allowed}",
        observed=f"it was answered {said(item)}",
        level=row.level,
        rows=row.rows,
        source=row.source,
        charged_to=_blame(transcript, item, state, answer),
        events=item.events,
        step=_step_of(transcript, item),
    )


def _twice(transcript: Transcript, item: Exchange, state: State) -> Departure:
    return Departure(
        kind=f"initialize in state {state}: an id that was issued before",
        expected="each session gets an id of its own",
        observed="the id of an earlier session was issued again",
        level=Level.SHOULD,
        rows=("SESSION-02",),
        source="basic/transports § Session Management 1",
        charged_to=Hop.GATEWAY,
        events=item.events,
        step=_step_of(transcript, item),
    )


def _step_of(transcript: Transcript, item: Exchange) -> int:
    """Return the number of the step under way when an exchange began."""
    return max((event.data["number"] for event in transcript.stimuli(STEP) if event.t <= item.t), default=0)


def _blame(transcript: Transcript, item: Exchange, state: State, answer: Answer) -> Hop:
    """Charge the backend when it answered the same to the same while the request was under way.

    One step follows another, so what passes between gateway and backend meanwhile is the request's doing. A gateway
    that serves who has no session in a live session of the backend has itself to blame.
    """
    until = transcript.end_of(item)
    same = (
        event_of(theirs) is event_of(item) and answer_of(theirs) is answer
        for theirs in transcript.backend
        if theirs.method == item.method
        and item.t <= theirs.t <= until
        and backend_knows(transcript, theirs) == (state in _ALIVE)
    )
    return Hop.BACKEND if any(same) else Hop.GATEWAY


def event_of(item: Exchange) -> Event:
    """Return what the client did with an exchange."""
    if item.method == "GET":
        return Event.GET
    if item.method == "DELETE":
        return Event.DELETE
    if item.rpc_method is None:
        return Event.MALFORMED
    if item.rpc_method == "initialize":
        params = item.request.get("params")
        whole = isinstance(params, Mapping) and {"protocolVersion", "capabilities", "clientInfo"} <= set(params)
        return Event.INITIALIZE if whole else Event.INITIALIZE_MALFORMED
    named = {"notifications/initialized": Event.INITIALIZED, "ping": Event.PING}
    return named.get(item.rpc_method, Event.REQUEST)


def answer_of(item: Exchange) -> Answer:
    """Return what came back for an exchange."""
    if item.status is None:
        return Answer.SILENCE
    if item.status >= 400:
        return _BY_STATUS.get(item.status, Answer.SERVER_ERROR if item.status >= 500 else Answer.REFUSED)
    if not accepted(item):
        return Answer.OTHER
    if item.method == "GET":
        return Answer.STREAM if item.is_stream else Answer.OTHER
    answer = item.answer() if item.method == "POST" else None
    if answer is not None:
        return Answer.ERROR if answer.error is not None else Answer.RESULT
    asked = isinstance(item.request, Mapping) and "id" in item.request
    return Answer.SILENCE if asked else Answer.ACCEPTED


def _opened(item: Exchange) -> bool:
    return item.method == "GET" and answer_of(item) is Answer.STREAM
