"""Family edges, streams: what a replica sends passes the edge when it was sent, and to its end (MGC950 to 954, MGC965).

The tap behind the edge is held against the one before it. What the edge did is charged to the edge.
"""

from __future__ import annotations

from typing import Final

from conformance import timing
from conformance.evidence.events import Hop
from conformance.evidence.transcript import Beat, Transcript
from conformance.rules.base import Inputs, Level, Side, fail, rule
from conformance.rules.edges_evidence import SUITE, Passage, calls, edged, passages, streams, title
from conformance.rules.keep_alive_evidence import (
    LONGEST_SILENCE,
    Silence,
    cut_by_server,
    lagged,
    longest_silence,
)
from conformance.rules.verdicts import Fail, Inconclusive, NotApplicable, Pass, Verdict

BUFFERS: Final = "proxy-buffers-sse"
FEWEST: Final = 3
"""Events of a call whose arrival is compared with their departure: two gaps at least."""


def _spaced(transcript: Transcript) -> tuple[Passage, ...]:
    """Return the calls that a replica answered with several events on a stream, apart in time."""
    found = []
    for item in calls(transcript):
        back = item.back
        if back is not None and len(back.beats) >= FEWEST and _span(back.beats) >= timing.SPACED_EVERY:
            found.append(item)
    return tuple(found)


def _span(beats: tuple[Beat, ...]) -> float:
    return beats[-1].t - beats[0].t


def _left_alone(transcript: Transcript) -> tuple[Passage, ...]:
    waits = [event.t + float(event.data["seconds"]) for event in transcript.stimuli("wait")]
    return tuple(item for item in streams(transcript) if any(end > item.front.t for end in waits))


def _left(transcript: Transcript) -> tuple[Passage, ...]:
    """Return the GET streams that clients left, long enough before the end of the evidence."""
    return tuple(
        item
        for item in streams(transcript)
        if (t := transcript.left_at(item.front)) is not None and t + timing.RELAY_PROMPT <= transcript.end
    )


def _long_calls(transcript: Transcript) -> tuple[Passage, ...]:
    begun = [event.t for event in transcript.stimuli("call.long")]
    return tuple(item for item in calls(transcript) if any(t <= item.front.t for t in begun))


CALL_EVENTS: Final = edged(
    "edge-call-events", "a call that was answered with several events, apart in time, behind an edge", _spaced
)
GET: Final = edged("edge-get", "a GET that a replica behind an edge answered with a stream", streams)
QUIET_GET: Final = edged("edge-quiet-get", "a GET stream behind an edge that was left alone", _left_alone)
LEFT_STREAM: Final = edged("edge-left-stream", "a GET stream behind an edge that its client left", _left)
QUIET_CALL: Final = edged("edge-quiet-call", "a call behind an edge that said nothing for long", _long_calls)


@rule(
    id="MGC950",
    title="A call's events pass the edge as they come",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.SERVER,
    requirements=("EDGE-01",),
    when=CALL_EVENTS,
    failure_classes=(BUFFERS,),
)
def events_pass_as_they_come(inputs: Inputs) -> Verdict:
    """Judge when the events of a call's stream come out of the edge.

    What it checks: no event stays in the edge for more than half of the time over which the replica sent them.
    Why it matters: progress that comes with the answer is no progress; users see a tool that hangs, and clients whose
    timeouts progress should reset give up.
    A failing exchange: five events leave the gateway 0.25 s apart and arrive together, 1.5 s after the first
    A conforming exchange: each event arrives a few milliseconds after it has left
    Known gaps: an edge that holds less than half of the time, and events larger than a buffer.
    """
    through, undecided = inputs.through, None
    for item in _spaced(through):
        front, back = item.front, item.back
        assert back is not None
        if front.status is None or len(front.beats) < len(back.beats):
            return _held(item, f"{len(front.beats)} of {len(back.beats)} events came out of {title(through)}")
        worst = max(zip(front.beats, back.beats, strict=False), key=lambda pair: pair[0].t - pair[1].t)
        held, span = Silence(worst[1].t, worst[0].t), _span(back.beats)
        if held.seconds > span * timing.HELD_SHARE:
            said = (
                f"{title(through)} held an event for {held.seconds:.2f} s of the {span:.2f} s in which they were sent"
            )
            undecided = lagged(through, held, span * timing.HELD_SHARE)
            if undecided is None:
                return _held(item, said)
    return undecided or Pass(
        "each event came out of the edge when the replica sent it", _spaced(through)[0].front.events
    )


def _held(item: Passage, observed: str, expected: str = "events pass as they come") -> Fail:
    coding = item.front.response_headers.get("content-encoding", "")
    coded = f"; it had compressed them ({coding})" if coding not in ("", "identity") else ""
    return fail(expected, observed + coded, *item.exchanges, charged_to=Hop.EDGE, symptom=BUFFERS)


@rule(
    id="MGC951",
    title="The head of a GET stream passes the edge at once",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.SERVER,
    requirements=("EDGE-02",),
    when=GET,
    failure_classes=(BUFFERS,),
)
def head_passes_at_once(inputs: Inputs) -> Verdict:
    """Judge when a client learns that its GET stream is open.

    What it checks: the response's head comes out of the edge within 5 s of leaving the replica.
    Why it matters: a proxy that waits for the first bytes of a body keeps a client waiting until the first heartbeat;
    clients that open the stream before they go on seem to hang on connecting.
    A failing exchange: the gateway answers GET with 200 at 0.0 s; the client has the head at 15.0 s, with a heartbeat
    A conforming exchange: the client has the head at 0.0 s
    Known gaps: a head that is late by less, and one that the client did not wait for.
    """
    through = inputs.through
    for item in streams(through):
        back = item.back
        assert back is not None
        assert back.t_response is not None
        came = item.front.t_response if item.front.t_response is not None else through.over_for_client(item.front)
        late = Silence(back.t_response, came)
        if late.seconds > timing.HEADERS_PROMPT:
            never = "" if item.front.t_response is not None else " and had not passed it on when the client left"
            said = f"{title(through)} had the head for {late.seconds:.1f} s{never}"
            return lagged(through, late, timing.HEADERS_PROMPT) or _held(item, said, "the head passes at once")
    first = streams(through)[0]
    if first.front.t_response is None:
        return Inconclusive("the client left before the head had to be there")
    return Pass("the head came out of the edge when the replica sent it", first.front.events)


@rule(
    id="MGC952",
    title="Heartbeats pass the edge",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.SERVER,
    requirements=("EDGE-03",),
    when=QUIET_GET,
    failure_classes=(BUFFERS,),
)
def heartbeats_pass(inputs: Inputs) -> Verdict:
    """Judge whether what keeps a stream alive behind the edge keeps it alive before it, too.

    What it checks: every comment and event that a replica sends on a GET stream comes out of the edge within 5 s.
    Why it matters: heartbeats that a proxy collects protect nothing: the next hop, or the client, cuts a stream on
    which it sees no byte, while the server's log shows that it beats.
    A failing exchange: the gateway sends `: ping` at 15 s; nothing has come out of the edge when the client leaves
    A conforming exchange: `: ping` leaves the gateway at 15.0 s and arrives at 15.0 s
    Known gaps: beats that were under way when the client left.
    """
    through = inputs.through
    beaten = 0
    for item in _left_alone(through):
        back = item.back
        assert back is not None
        end = through.over_for_client(item.front)
        due = [beat for beat in back.beats if beat.t + timing.RELAY_PROMPT <= end]
        beaten += len(due)
        for number, beat in enumerate(due):
            came = item.front.beats[number].t if number < len(item.front.beats) else end
            late = Silence(beat.t, came)
            if late.seconds >= timing.RELAY_PROMPT:
                said = (
                    f"{len(back.beats)} beats reached {title(through)}, {len(item.front.beats)} came out of it in time"
                )
                return lagged(through, late, timing.RELAY_PROMPT) or _held(item, said, "heartbeats pass at once")
    if not beaten:
        return NotApplicable("the replica sent nothing on the stream that had to pass before the client left")
    return Pass(f"{beaten} beats came out of the edge when they were sent", _left_alone(through)[0].front.events)


@rule(
    id="MGC953",
    title="A quiet stream lives on behind the edge",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.SERVER,
    requirements=("EDGE-04",),
    when=QUIET_GET,
    failure_classes=("intermediary-idle-cut", "idle-stream-no-heartbeat"),
)
def quiet_stream_lives(inputs: Inputs) -> Verdict:
    """Judge whether a GET stream survives being left alone, and whose doing it was if it did not.

    What it checks: the client's side of the stream does not end while the replica's side goes on. Where it ends, the
    silence before it decides: beats that a healthy server sends every 15 s were due or were there, and the edge's limit
    is too short; or the replica had missed a beat, and no limit of the edge's would do.
    Why it matters: a limit of 60 s, or 5 s, ends every stream on which nothing happens; clients then show
    `SSE stream disconnected: TypeError: terminated` and lose the server's messages.
    A failing exchange: the stream is silent for 5.0 s, the edge ends it, the gateway had not
    A conforming exchange: the stream is open 20 s later, and a heartbeat has passed
    Known gaps: limits on the age of a connection that are longer than the stream was watched.
    """
    through = inputs.through
    for item in _left_alone(through):
        front, back = item.front, item.back
        assert back is not None
        if not cut_by_server(through, front) or _ended_first(through, item):
            continue
        began = back.answered_since
        cut = through.end_of(front)
        silence = longest_silence(through, back, began)
        missed = silence.seconds > LONGEST_SILENCE
        heard = f"{len(back.beats)} beats behind the edge, {len(front.beats)} before it"
        return fail(
            "the stream stays open until the client leaves it",
            f"{title(through)} ended it after {cut - began:.1f} s, {silence.seconds:.1f} s in silence ({heard}); "
            + ("the replica had missed its beat" if missed else "a beat each 15 s would not have been in time"),
            *item.exchanges,
            charged_to=Hop.GATEWAY if missed else Hop.EDGE,
            symptom="idle-stream-no-heartbeat" if missed else "intermediary-idle-cut",
        )
    return Pass("the stream was open when the client left it", _left_alone(through)[0].front.events)


def _ended_first(through: Transcript, item: Passage) -> bool:
    """Whether the replica ended its side, and the edge only told the client."""
    back, end = item.back, item.front.t_end
    assert back is not None
    return cut_by_server(through, back) and (back.t_end or 0.0) <= (end if end is not None else through.end)


@rule(
    id="MGC965",
    title="A stream that its client has left is ended towards the replica",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.SERVER,
    requirements=("EDGE-16",),
    when=LEFT_STREAM,
    failure_classes=("get-sse-409-stale",),
)
def left_streams_end(inputs: Inputs) -> Verdict:
    """Judge whether a replica learns that a client has left its stream.

    What it checks: within 5 s after a client closed the connection of its GET stream the edge has ended it behind, too.
    Why it matters: many servers allow one stream in a session; while the proxy holds on to the first one, a client that
    comes back is refused with 409, and what is sent to it meanwhile is lost.
    A failing exchange: the client leaves at 1.0 s; behind the edge the stream is open at 6.0 s, and a GET gets 409
    A conforming exchange: the client leaves at 1.0 s, the edge ends the stream behind at 1.0 s
    Known gaps: clients that vanish without closing their connection.
    """
    through = inputs.through
    for item in _left(through):
        left, back = through.over_for_client(item.front), item.back
        assert back is not None
        held = Silence(left, through.over_for_client(back))
        if held.seconds >= timing.RELAY_PROMPT:
            later = [get.status for get in through.client() if get.method == "GET" and get.t > left]
            again = f"; the client's next GET was answered {later[0]}" if later else ""
            return lagged(through, held, timing.RELAY_PROMPT - timing.PAUSE_NOTICED) or fail(
                "the stream ends behind the edge when its client has left",
                f"{title(through)} held it open for {held.seconds:.1f} s{again}",
                *item.exchanges,
                charged_to=Hop.EDGE,
                symptom="get-sse-409-stale",
            )
    return Pass("the edge ended the stream behind it when its client had left", _left(through)[0].front.events)


@rule(
    id="MGC954",
    title="The edge waits for the answer to a quiet call",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.SERVER,
    requirements=("EDGE-05",),
    when=QUIET_CALL,
    failure_classes=("gateway-timeout-too-short",),
)
def quiet_call_is_answered(inputs: Inputs) -> Verdict:
    """Judge whether a call that says nothing for long is still answered.

    What it checks: the client's call does not end without an answer while the replica is at work on it.
    Why it matters: the tool goes on, its result is lost, and the client, or its user, calls again.
    A failing exchange: POST tools/call → after 5.0 s of silence 504 from the edge, or the end of the stream
    A conforming exchange: POST tools/call → 20 s later its result
    Known gaps: calls that last longer than the one that was made.
    """
    through = inputs.through
    for item in _long_calls(through):
        front, back = item.front, item.back
        assert back is not None
        answer = back.answer()
        ended = front.ended(through.over_for_client(front))
        if front.answer() is not None or (answer is not None and answer.t <= ended) or _ended_first(through, item):
            continue
        how = f"answered {front.status} itself" if back.status is None and front.status else "ended the response"
        return fail(
            "the answer, however long it takes",
            f"{title(through)} {how} after {ended - front.t:.1f} s; the replica had not answered yet",
            *item.exchanges,
            charged_to=Hop.EDGE,
            symptom="gateway-timeout-too-short",
        )
    answered = [item for item in passages(through) if item.front.rpc_method == "tools/call" and item.front.answer()]
    return Pass("the call was answered", answered[0].front.events) if answered else Inconclusive("no call was answered")
