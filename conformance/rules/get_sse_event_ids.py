"""Family get_sse, event ids: how streams begin that can be resumed, and what their ids are.

Source: basic/transports § Sending Messages 6 (2025-11-25) and § Resumability and Redelivery 1.
"""

from __future__ import annotations

from conformance import timing
from conformance.evidence.events import Hop
from conformance.evidence.transcript import Beat, Exchange, Transcript
from conformance.rules.base import Inputs, Level, Side, charge, fail, rule
from conformance.rules.get_sse_evidence import SUITE
from conformance.rules.get_sse_resumption_evidence import ANSWERED, LAST_EVENT_ID, SEVERAL, asks, numbered
from conformance.rules.verdicts import NotApplicable, Pass, Verdict
from conformance.spec.revisions import Revision


@rule(
    id="MGC319",
    title="A stream that can be resumed begins with an event id",
    suite=SUITE,
    level=Level.SHOULD,
    side=Side.SERVER,
    requirements=("POST-10",),
    revisions=(Revision.V2025_11_25,),
    when=ANSWERED,
    failure_classes=("resumption-broken",),
)
def streams_are_primed(inputs: Inputs) -> Verdict:
    """Judge the first event of each POST stream whose events carry ids.

    What it checks: it has an id and no data, and comes with the headers, not with the first message.
    Why it matters: a connection that breaks before the first message can then be resumed too; else the answer is lost.
    A failing exchange: POST → 200 text/event-stream; id: 4-1, data: {the answer}
    A conforming exchange: POST → 200 text/event-stream; id: 4-0, data: (empty); id: 4-1, data: {the answer}
    Known gaps: a server that gives no ids at all offers no resumption and is not judged; nor is initialize's stream.
    """
    streams = [item for item in inputs.through.client() if asks(item) and item.rpc_method != "initialize"]
    judged = [item for item in streams if numbered(item)]
    if not judged:
        return NotApplicable("no POST stream carries event ids: nothing can be resumed")
    for item in judged:
        if not _primed(item):
            return fail(
                "an event with an id and no data first, at once",
                f"the first event of the answer to {item.rpc_method} was {_shown(_first(item), item)}",
                item,
                charged_to=charge(inputs, item, lambda other: bool(numbered(other)) and not _primed(other)),
            )
    return Pass(f"{len(judged)} POST stream(s) with event ids, each primed", judged[0].events)


@rule(
    id="MGC320",
    title="A client of an older revision gets no event without data",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.SERVER,
    requirements=("POST-10",),
    revisions=(Revision.V2025_03_26, Revision.V2025_06_18),
    when=ANSWERED,
    failure_classes=("nonconforming-sse-event",),
)
def older_clients_are_not_primed(inputs: Inputs) -> Verdict:
    """Judge the events on streams to clients that negotiated a revision before 2025-11-25.

    What it checks: each event that the client is handed has data.
    Why it matters: priming events came with 2025-11-25; older clients parse the data of each event as JSON.
    A failing exchange: session of 2025-06-18: POST → id: 4-0, data: (empty)
    A conforming exchange: session of 2025-06-18: POST → id: 4-1, data: {the answer}
    Known gaps: the initialize stream, on which the revision is only being negotiated, is judged like the others. What
    only names a reconnection time, or a type of its own, is taken to have no data line, so that no client is handed it;
    what has an id is taken to have an empty one.
    """
    streams = [item for item in inputs.through.client() if item.is_stream]
    if not streams:
        return NotApplicable("nothing is answered with an event stream")
    for item in streams:
        bare = _handed_bare(item)
        if bare:
            return fail(
                "data in every event",
                f"an event without data, id {bare[0].id!r}, in the answer to {item.rpc_method or item.method}",
                item,
                events=(bare[0].seq,),
                charged_to=charge(inputs, item, lambda other: bool(_handed_bare(other))),
            )
    return Pass(f"every event on {len(streams)} stream(s) has data", streams[0].events)


@rule(
    id="MGC321",
    title="An event id is given once in a session",
    suite=SUITE,
    level=Level.MUST,
    side=Side.SERVER,
    requirements=("RES-02",),
    when=SEVERAL,
    failure_classes=("resumption-broken",),
)
def event_ids_are_unique(inputs: Inputs) -> Verdict:
    """Judge the ids of all events of a client, over all its streams.

    What it checks: no id is given to two events; an event that a GET with Last-Event-ID brings again keeps its id.
    Why it matters: an id that stands for two events resumes the wrong stream, or skips messages.
    A failing exchange: the answer to tools/list is id: 1, the answer to the next call is id: 1
    A conforming exchange: the answer to tools/list is id: 3-1, the answer to the next call is id: 4-1
    Known gaps: ids of different sessions may be equal, and are not compared.
    """
    given: dict[tuple[str, str | None, str], tuple[Exchange, Beat]] = {}
    for item in inputs.through.client():
        for beat in numbered(item):
            key = (item.tap, item.session, beat.id or "")
            other, first = given.setdefault(key, (item, beat))
            if first is beat or (LAST_EVENT_ID in item.headers and first.message == beat.message):
                continue
            behind = _collides(inputs.through, beat.id or "")
            return fail(
                "an id of its own for every event of the session",
                f"two events have the id {beat.id!r}",
                other,
                item,
                events=(first.seq, beat.seq),
                charged_to=Hop.BACKEND if behind else Hop.GATEWAY,
            )
    if not given:
        return NotApplicable("no event carries an id")
    return Pass(f"{len(given)} event ids, none twice")


def _events(exchange: Exchange) -> tuple[Beat, ...]:
    return tuple(beat for beat in exchange.beats if beat.what == "event")


def _without_data(exchange: Exchange) -> tuple[Beat, ...]:
    return tuple(beat for beat in _events(exchange) if beat.message is None and not beat.text)


def _handed_bare(exchange: Exchange) -> tuple[Beat, ...]:
    """Return the events without data that are taken to have an empty data line, and are handed to the client."""
    bare = _without_data(exchange)
    return tuple(beat for beat in bare if beat.id is not None or (beat.retry is None and beat.event == "message"))


def _first(exchange: Exchange) -> Beat:
    """Return the first event of a stream that has one with an id; a block that only names a reconnection time is none.

    HTML Living Standard section 9.2.6: without data nothing is dispatched.
    """
    return next(beat for beat in _events(exchange) if beat.id or beat.text or beat.message is not None)


def _primed(exchange: Exchange) -> bool:
    first = _first(exchange)
    prompt = exchange.t_response is not None and first.t - exchange.t_response <= timing.HEADERS_PROMPT
    return bool(first.id) and first in _without_data(exchange) and prompt


def _shown(beat: Beat, exchange: Exchange) -> str:
    if beat.message is not None or beat.text:
        return "a message already"
    waited = beat.t - exchange.answered_since
    return f"without id, or {waited:.1f} s after the headers"


def _collides(transcript: Transcript, event_id: str) -> bool:
    """Whether one session of the backend itself gave the id to events of two of its streams."""
    seen = [(item.tap, item.session) for item in transcript.backend if any(b.id == event_id for b in numbered(item))]
    return len(seen) != len(set(seen))
