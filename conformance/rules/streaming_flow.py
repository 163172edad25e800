"""Family streaming, flow: heads, events and ends of streams come when they are due (MGC604 to 608)."""

from __future__ import annotations

from itertools import pairwise
from statistics import median
from typing import Final

from conformance import timing
from conformance.evidence.links import Link
from conformance.evidence.transcript import Exchange, Message, Transcript
from conformance.rules.base import Inputs, Level, Precondition, Side, charge, fail, rule
from conformance.rules.keep_alive_evidence import (
    Silence,
    answer_or_end,
    asked_progress,
    backend_answer,
    backend_progress,
    calls,
    cancelled_calls,
    client_progress,
    cut_by_server,
    lagged,
    links_of,
    primed,
)
from conformance.rules.streaming_events import SUITE, asked_in
from conformance.rules.verdicts import Inconclusive, NotApplicable, NotExercised, Pass, Verdict

LATE_EVENT: Final = "sse-late-event"
FLOOD: Final = "sse-flood"
READS_AGAIN: Final = "reads-again"


def spaced(transcript: Transcript) -> tuple[Exchange, ...]:
    """Return the calls that asked for progress."""
    return tuple(call for call in calls(transcript) if asked_progress(call) is not None)


def beside_unread(transcript: Transcript) -> tuple[Exchange, ...]:
    """Return the calls of other clients while one client read nothing of a stream: before it read again."""
    flooded = asked_in(transcript, FLOOD)
    again = transcript.stimuli(READS_AGAIN)
    if not flooded or not again:
        return ()
    unread = flooded[0]
    return tuple(call for call in calls(transcript) if call.tap != unread.tap and unread.t < call.t < again[0].t)


def post_streams(transcript: Transcript) -> tuple[Exchange, ...]:
    """Return the POSTs of requests that were answered on an event stream."""
    return tuple(
        item
        for item in transcript.client()
        if item.method == "POST" and item.is_stream and item.rpc_method is not None and item.status == 200
    )


LATE_FIRST_EVENT: Final = Precondition(
    "late-first-event",
    "a call whose backend sent its first event late",
    lambda transcript: bool(asked_in(transcript, LATE_EVENT)),
)
ANSWERED_STREAM: Final = Precondition(
    "answered-stream", "a call that reached the backend", lambda transcript: bool(calls(transcript))
)
SPACED_EVENTS: Final = Precondition(
    "spaced-events", "a call that asked for progress", lambda transcript: bool(spaced(transcript))
)
UNREAD_STREAM: Final = Precondition(
    "unread-stream",
    "calls of one client while another read nothing of its stream",
    lambda transcript: bool(beside_unread(transcript)),
)


@rule(
    id="MGC604",
    title="The head of a call's stream is sent before its first event",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.TRANSPARENCY,
    requirements=("SSEW-05",),
    when=LATE_FIRST_EVENT,
    failure_classes=("proxy-buffers-sse",),
)
def head_comes_first(inputs: Inputs) -> Verdict:
    """Judge whether the client learns that its call is under way before the first event is there.

    What it checks: where a call is answered on an event stream, the response's head reaches the client before the
    backend, which sent its own head at once, has sent its first event.
    Why it matters: what holds the head until a byte follows it makes a working call look like a dead server, and
    clients and intermediaries give up on it.
    A failing exchange: head leaves the backend at 0.0 s, its first event at 2.0 s; the client has the head at 2.0 s
    A conforming exchange: the client has the head at 0.0 s and the event at 2.0 s
    Known gaps: a gateway that answers this call with JSON has nothing to send before it.
    """
    through = inputs.through
    for call in asked_in(through, LATE_EVENT):
        exchange = next((link.exchange for link in links_of(through, call)), None)
        if exchange is None or exchange.t_response is None or not exchange.beats:
            return Inconclusive("the call has no event at the backend")
        if call.t_response is None or not call.is_stream:
            return NotApplicable(f"the call was answered {call.status} {call.content_type}, not on a stream")
        first = exchange.beats[0]
        if call.t_response < first.t:
            ahead = first.t - call.t_response
            return Pass(f"the head came {ahead:.2f} s before the backend's first event", call.events)
        late = Silence(exchange.t_response, call.t_response)
        return lagged(through, late, (first.t - exchange.t_response) * timing.HELD_SHARE) or fail(
            "the response's head before the backend sends its first event",
            f"it came {call.t_response - exchange.t_response:.2f} s after the backend's head, with the first event",
            call,
            events=(first.seq,),
            symptom="proxy-buffers-sse",  # that other messages of the backend never come is another matter
        )
    return NotExercised("a call whose first event comes late")


@rule(
    id="MGC605",
    title="A call's stream does not end before the answer",
    suite=SUITE,
    level=Level.SHOULD,
    side=Side.TRANSPARENCY,
    requirements=("POST-15", "POST-18"),
    when=ANSWERED_STREAM,
    failure_classes=("middleware-breaks-stream", "empty-200-stream"),
)
def streams_carry_the_answer(inputs: Inputs) -> Verdict:
    """Judge the streams of calls that the backend has answered.

    What it checks: no stream is ended by the gateway's side without the answer, unless an event id was given before.
    Why it matters: a client whose stream ends without an answer does not know whether the call was carried out.
    A failing exchange: POST tools/call → 200 text/event-stream, one notification, end; backend → the result
    A conforming exchange: POST tools/call → 200 text/event-stream, one notification, the result, end
    Known gaps: a stream that neither ends nor carries the answer is not this rule's. That of a call which its client
    cancelled ends rightly.
    """
    through = inputs.through
    judged, cancelled = 0, cancelled_calls(through)
    for call in calls(through):
        linked = links_of(through, call)
        sent = backend_answer(through, linked[-1]) if linked else None
        if sent is None or not call.is_stream:
            continue
        judged += 1
        if call.answer() is not None or primed(call) or not cut_by_server(through, call) or call.id in cancelled:
            continue
        came = sum(beat.what == "event" for beat in call.beats)
        return fail(
            "the stream carries the answer, which the backend has given",
            f"it ended ({call.how}) after {came} events without it",
            call,
            events=(sent.seq,),
            symptom="middleware-breaks-stream" if came else "empty-200-stream",
        )
    if not judged:
        return NotApplicable("no call that the backend answered was answered on a stream")
    return Pass(f"{judged} streams carried the answer to their end")


@rule(
    id="MGC606",
    title="A call's stream ends once the answer is sent",
    suite=SUITE,
    level=Level.SHOULD,
    side=Side.SERVER,
    requirements=("POST-19",),
    when=ANSWERED_STREAM,
    failure_classes=("session-leak",),
)
def streams_end_with_the_answer(inputs: Inputs) -> Verdict:
    """Judge how long the streams of requests stay open after the answer.

    What it checks: each ends within STREAM_END of its response, before the client has lost patience.
    Why it matters: each stream that is left open keeps a connection, and a browser has six of them.
    A failing exchange: POST tools/call → 200 text/event-stream, the result; no end, the client leaves after 2 s
    A conforming exchange: POST tools/call → 200 text/event-stream, the result, end
    Known gaps: an end that comes late but before the client leaves is not told from one at once.
    """
    through = inputs.through
    answered = [(item, answer) for item in post_streams(through) if (answer := item.answer()) is not None]
    if not answered:
        return NotApplicable("no request was answered on a stream")
    for item, answer in answered:
        after = Silence(answer.t, through.over_for_client(item))
        if cut_by_server(through, item) or after.seconds < timing.STREAM_END:
            continue
        return fail(
            "the end of the stream once the response was sent",
            f"it was still open {after.seconds:.1f} s later, when the client left",
            item,
            charged_to=charge(inputs, item, lambda other: _lingers(through, other)),
        )
    return Pass(f"{len(answered)} streams ended with the response", answered[0][0].events)


def _lingers(transcript: Transcript, exchange: Exchange) -> bool:
    answer = exchange.answer()
    return answer is not None and transcript.over_for_client(exchange) - answer.t >= timing.STREAM_END


@rule(
    id="MGC607",
    title="Each event arrives before the next one is sent",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.TRANSPARENCY,
    requirements=("FLOW-02",),
    when=SPACED_EVENTS,
    failure_classes=("proxy-buffers-sse", "server-messages-not-relayed"),
    needs_control=True,
)
def events_are_not_held(inputs: Inputs) -> Verdict:
    """Judge how long each event of a call is under way through the gateway, beside the same call without it.

    What it checks: of the backend's evenly spaced events each reaches the client before the next one leaves, also where
    the client offers to take them compressed. The pass says how long the median event took, and how long the first byte
    took with and without the gateway.
    Why it matters: what gathers events into blocks, or compresses them, turns a live stream into bursts.
    A failing exchange: events leave each 0.25 s; the first four reach the client together with the fifth
    A conforming exchange: each event reaches the client within milliseconds
    Known gaps: whoever relays no progress at all is another rule's.
    """
    judged = [_not_held(inputs, call) for call in spaced(inputs.through)]
    return next((verdict for verdict in judged if not isinstance(verdict, Pass)), judged[0])


def _not_held(inputs: Inputs, call: Exchange) -> Verdict:
    through = inputs.through
    linked = links_of(through, call)
    sent = _sent_within(through, linked[0]) if len(linked) == 1 else ()
    got = client_progress(through, call)
    if len(sent) < 2:
        return NotExercised("a backend that reported progress several times in one linked call")
    if not got:
        return NotApplicable("no progress reaches the client at all")
    pairs = _paired(sent, got)
    if not pairs:
        return NotApplicable("no progress that reaches the client bears a number that the backend reported")
    for (left, came), (following, _) in pairwise(pairs):
        held = Silence(left.t, came.t)
        if came.t > following.t:
            return lagged(through, held, (following.t - left.t) * timing.HELD_SHARE) or fail(
                f"each event before the next one, {following.t - left.t:.2f} s later, has left the backend",
                f"one took {held.seconds:.2f} s{_coding(call)}",
                call,
                events=(left.seq, came.seq),
                symptom="proxy-buffers-sse",
            )
    took = median(came.t - left.t for left, came in pairs)
    return Pass(
        f"the median of {len(pairs)} events took {took * 1000:.1f} ms; {_first_bytes(inputs, call)}", call.events
    )


def _sent_within(transcript: Transcript, link: Link) -> tuple[Message, ...]:
    """Return the progress that the backend reported while it had the call: a gateway may use a token for two calls."""
    answer = backend_answer(transcript, link)
    until = answer.t if answer is not None else transcript.end
    return tuple(sent for sent in backend_progress(transcript, link) or () if link.backend.t <= sent.t <= until)


def _coding(call: Exchange) -> str:
    coding = call.response_headers.get("content-encoding")
    return f", the stream being compressed ({coding})" if coding else ""


def _paired(sent: tuple[Message, ...], got: tuple[Message, ...]) -> list[tuple[Message, Message]]:
    """Pair departures with arrivals by the progress they report."""
    arrived = {value: message for message in reversed(got) if (value := _reported(message)) is not None}
    return [(message, arrived[value]) for message in sent if (value := _reported(message)) in arrived]


def _reported(message: Message) -> float | None:
    """Return the progress that a notification reports; None where it is no number."""
    value = message.params.get("progress")
    return value if isinstance(value, int | float) else None


def _first_bytes(inputs: Inputs, call: Exchange) -> str:
    direct = spaced(inputs.control) if inputs.control is not None else ()
    times = [item.beats[0].t - item.t for item in (call, *direct[:1]) if item.beats]
    if len(times) < 2:
        return "the time to the first event without the gateway was not measured"
    return f"the first event came after {times[0]:.3f} s, without the gateway after {times[1]:.3f} s"


@rule(
    id="MGC608",
    title="A client that does not read holds up no other",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.SERVER,
    requirements=("FLOW-08",),
    when=UNREAD_STREAM,
    failure_classes=("head-of-line-block",),
)
def unread_streams_hold_up_nobody(inputs: Inputs) -> Verdict:
    """Judge the calls of one client while another leaves a large answer unread.

    What it checks: each has a result before the first client reads on, which is HANG_OBSERVATION later. A refusal is
    none; a result that takes its time meanwhile was not held up by the unread stream.
    Why it matters: one suspended laptop must not stop everybody (modelcontextprotocol/python-sdk#1764).
    A failing exchange: A leaves 6 MiB unread; B: POST tools/call → nothing in 12 s; A reads on; B is answered
    A conforming exchange: A leaves 6 MiB unread; B: POST tools/call → the result
    Known gaps: calls of the same session, and streams shorter than what sockets hold.
    """
    through = inputs.through
    beside, again = beside_unread(through), through.stimuli(READS_AGAIN)[0].t
    for call in beside:
        answer = call.answer()
        served = answer is not None and answer.result is not None
        over = answer_or_end(through, call) if served else through.over_for_client(call)
        waited = Silence(call.t, min(over, again))
        if served and over <= again:
            continue
        said = f"was answered with the error {answer.error}" if answer is not None and answer.error else "had no result"
        refused = not served and over <= again and (answer is not None or cut_by_server(through, call))
        # No lag of the harness makes a refusal of what would have been a result.
        return (None if refused else lagged(through, waited, timing.RELAY_PROMPT / 2)) or fail(
            "a result while the other client reads nothing",
            f"it {said} in {waited.seconds:.1f} s (status {call.status})",
            call,
        )
    slowest = max((answer.t - call.t for call in beside if (answer := call.answer()) is not None), default=0.0)
    return Pass(f"{len(beside)} calls were answered beside it, the slowest after {slowest:.3f} s", beside[0].events)
