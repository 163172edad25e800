"""Family get_sse, several streams: a session with more than one stream, at once or one after the other.

Source: basic/transports § Multiple Connections.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from conformance import timing
from conformance.evidence.events import Hop
from conformance.evidence.links import links
from conformance.evidence.transcript import Exchange, Message, Transcript
from conformance.rules.base import Inputs, Level, Side, charge, fail, rule
from conformance.rules.get_sse_evidence import SUITE, open_streams, said
from conformance.rules.get_sse_resumption_evidence import LAST_EVENT_ID, REOPENED, SEVERAL, at_once, carries, reopened
from conformance.rules.verdicts import Inconclusive, NotApplicable, NotExercised, Pass, Verdict


@rule(
    id="MGC326",
    title="Several streams of one session run side by side",
    suite=SUITE,
    level=Level.MAY,
    side=Side.SERVER,
    requirements=("MULTI-01",),
    when=SEVERAL,
    failure_classes=("head-of-line-block",),
)
def streams_run_side_by_side(inputs: Inputs) -> Verdict:
    """Judge three slow calls that one session makes at once, beside GET streams.

    What it checks: each is answered; they are with the backend together, not each after the one before; and in all they
    take no longer than BESIDE_SHARE of their sum.
    Why it matters: clients hold several streams at once; one slow tool then stalls every other.
    A failing exchange: three calls of 1 s at once, answered after 1, 2 and 3 s
    A conforming exchange: three calls of 1 s at once, answered after 1 s each
    Known gaps: whether a slow reader of one stream stalls the others is judged in suite streaming.
    """
    calls = at_once(inputs.through)
    for call in calls:
        if call.answer() is None:
            charged = charge(inputs, call, lambda item: item.answer() is None)
            return fail(
                "an answer to each of the calls made at once", f"one got {said(call)}", call, charged_to=charged
            )
    behind = _behind(inputs.through, calls)
    if len(behind) > 1 and all(_waited(one, other, inputs.through) for one, other in pairwise(behind)):
        return fail("calls made at once are made of the backend at once", "each waited for the one before", *calls)
    said_long = inputs.through.stimuli("calls.at-once")
    asked = float(said_long[0].data.get("seconds", 0.0)) if said_long else 0.0
    if not asked:
        return NotExercised("calls made at once whose length is known")
    took = _taken(calls, behind)
    limit = asked * len(calls) * timing.BESIDE_SHARE
    if took <= limit:
        return Pass(f"{len(calls)} calls of {asked:.1f} s each took {took:.2f} s", calls[0].events)
    if took - inputs.through.lag(calls[0].t, inputs.through.end) * len(calls) <= limit:
        return Inconclusive("the machine was too busy while the calls ran")
    late = any(item.end - item.begin > limit for item in behind)
    return fail(
        f"{len(calls)} calls of {asked:.1f} s side by side, within {limit:.2f} s",
        f"they took {took:.2f} s",
        *calls,
        charged_to=Hop.BACKEND if late else Hop.GATEWAY,
    )


@rule(
    id="MGC327",
    title="A progress report goes out on one stream",
    suite=SUITE,
    level=Level.MUST,
    side=Side.SERVER,
    requirements=("MULTI-02",),
    when=SEVERAL,
    failure_classes=("server-messages-garbled",),
)
def progress_on_one_stream(inputs: Inputs) -> Verdict:
    """Judge on how many streams of a session each progress report of its calls arrives.

    What it checks: no report of one token and one value comes down two streams.
    Why it matters: a broadcast makes clients count twice, and tells apart nothing when several calls run at once.
    A failing exchange: progress 1 of token t on the call's stream, and progress 1 of token t on the GET stream
    A conforming exchange: progress 1 of token t on the call's stream only
    Known gaps: which of the streams is not judged; what a GET with Last-Event-ID repeats is no second delivery.
    """
    seen: dict[tuple[str, str, str], Exchange] = {}
    for item, report in _reports(inputs):
        key = (item.tap, repr(report.params.get("progressToken")), repr(report.params.get("progress")))
        first = seen.setdefault(key, item)
        if first.id != item.id:
            return fail(
                "each progress report on one stream",
                f"progress {report.params.get('progress')} of one call came down two streams of the session",
                first,
                item,
                events=(report.seq,),
                charged_to=charge(inputs, item, carries(report.payload)),
            )
    if not seen:
        return NotApplicable("no progress report reached a client: its calls are not answered on streams")
    return Pass(f"{len(seen)} progress reports, each on one stream")


@rule(
    id="MGC329",
    title="A GET stream that its client closed can be opened again",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.SERVER,
    requirements=("GET-06",),
    when=REOPENED,
    failure_classes=("get-sse-409-stale",),
)
def get_can_be_reopened(inputs: Inputs) -> Verdict:
    """Judge the GETs of a client that had closed its GET stream.

    What it checks: one of them is answered with a stream, at the latest some seconds after the first was closed.
    Why it matters: connections drop; a server that holds the old stream for alive refuses its client with 409 for ever.
    A failing exchange: client closes GET; GET → 409, and after 3.5 s GET → 409 again
    A conforming exchange: client closes GET; GET → 200 text/event-stream, perhaps after one 409
    Known gaps: a connection that dies without a FIN is not driven here.
    """
    if not open_streams(inputs.through):
        return NotApplicable("no GET stream: GET was not answered with one")
    pairs = list(reopened(inputs.through))
    for first, again in pairs:
        if not any(item.status == 200 and item.is_stream for item in again):
            return fail(
                "the GET stream can be opened again after its client closed it",
                f"{len(again)} GET(s) later it was answered {said(again[-1])}",
                first,
                again[-1],
                charged_to=charge(inputs, again[-1], lambda item: item.status != 200),
            )
    if not pairs:
        return NotExercised(REOPENED.missing)
    return Pass("the GET stream was opened again", pairs[0][1][0].events)


@dataclass(frozen=True, slots=True)
class _Behind:
    """From when until when a call was with the backend, when its client had made it and had the answer (seconds)."""

    begin: float
    end: float
    made: float
    answered: float


def _behind(transcript: Transcript, calls: tuple[Exchange, ...]) -> list[_Behind]:
    """Return when each of the calls was with the backend, in order, as far as it was answered there."""
    made = {call.id: call for call in calls}
    found = []
    for link in links(transcript):
        sessions = [item for item in transcript.backend_sessions if link.backend in item.messages]
        answer = sessions[0].response_to(link.backend) if sessions else None
        if link.client.id in made and answer is not None:
            found.append(_Behind(link.backend.t, answer.t, link.client.t, _answered(made[link.client.id])))
    return sorted(found, key=lambda item: item.begin)


def _taken(calls: tuple[Exchange, ...], behind: list[_Behind]) -> float:
    """Return how long the calls took, in seconds.

    Where each was with the backend beside the one before, that is the longest from when the backend had it: what a busy
    gateway takes before it makes one, such as to start a backend for it, is no order among them.
    """
    if len(behind) == len(calls) and all(other.begin < one.end for one, other in pairwise(behind)):
        return max(item.answered - item.begin for item in behind)
    return max(_answered(call) for call in calls) - min(call.t for call in calls)


def _waited(one: _Behind, other: _Behind, transcript: Transcript) -> bool:
    """Whether a call was kept back until another was answered, and not by a busy machine."""
    kept = other.begin - other.made
    return one.end <= other.begin and kept > max(timing.KEPT_BACK, transcript.lag(other.made, other.begin))


def _answered(exchange: Exchange) -> float:
    answer = exchange.answer()
    return answer.t if answer is not None else float("inf")


def _reports(inputs: Inputs) -> Iterator[tuple[Exchange, Message]]:
    for item in inputs.through.client():
        if LAST_EVENT_ID not in item.headers:
            for message in item.messages():
                if message.method == "notifications/progress":
                    yield item, message
