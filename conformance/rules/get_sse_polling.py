"""Family get_sse, polling: the gateway as client of a stream whose connection ended early.

Source: 2025-11-25 basic/transports § Sending Messages 6 and § Resumability and Redelivery 2.
"""

from __future__ import annotations

from conformance import timing
from conformance.evidence.transcript import Exchange
from conformance.rules.base import Inputs, Level, Side, fail, rule
from conformance.rules.get_sse_evidence import SUITE
from conformance.rules.get_sse_resumption_evidence import (
    BROKEN,
    CLOSED_EARLY,
    LAST_EVENT_ID,
    RETURNED,
    broke_off,
    closed_early,
    last_id,
    retry_of,
    returns,
    waits,
)
from conformance.rules.verdicts import Fail, Inconclusive, Pass, Verdict
from conformance.spec.revisions import Revision


@rule(
    id="MGC313",
    title="The gateway polls a stream that its backend closed early",
    suite=SUITE,
    level=Level.SHOULD,
    side=Side.CLIENT,
    requirements=("POST-12",),
    revisions=(Revision.V2025_11_25,),
    when=CLOSED_EARLY,
    failure_classes=("resumption-broken",),
)
def early_close_is_polled(inputs: Inputs) -> Verdict:
    """Judge what the gateway does after its backend closed a call's connection without ending its stream.

    What it checks: a GET with the stream's last event id follows the close.
    Why it matters: servers close early so as not to hold connections for minutes; who does not return loses the answer.
    A failing exchange: POST → id: 1-0, retry: 700, end of the response; no GET; the client gets an error
    A conforming exchange: POST → id: 1-0, retry: 700, end; 0.7 s later GET with Last-Event-ID: 1-0 → the answer
    Known gaps: a gateway that relays the close to its client depends on the client; the driving one does poll.
    """
    for left in closed_early(inputs.through):
        if (verdict := _not_resumed(inputs, left, "the backend closed the connection of a stream early")) is not None:
            return verdict
    polled = [back for left in closed_early(inputs.through) for back in returns(inputs.through, left)]
    return Pass("the gateway came back for the stream with its last event id", polled[0].events)


@rule(
    id="MGC314",
    title="The gateway waits out `retry` before it reconnects",
    suite=SUITE,
    level=Level.MUST,
    side=Side.CLIENT,
    requirements=("POST-14",),
    revisions=(Revision.V2025_11_25,),
    when=RETURNED,
    failure_classes=("resumption-broken",),
)
def retry_is_obeyed(inputs: Inputs) -> Verdict:
    """Judge how soon the gateway comes back for a stream whose server said when.

    What it checks: between the end of the connection and the GET lie at least the milliseconds of the last `retry`.
    Why it matters: a server sheds load by that number; clients that ignore it poll in a tight loop.
    A failing exchange: retry: 700, end of the response; GET with Last-Event-ID 3 ms later
    A conforming exchange: retry: 700, end of the response; GET with Last-Event-ID 701 ms later
    Known gaps: that it comes back at all is MGC313's; later than asked is never a failure.
    """
    pauses = []
    for left, back, asked in waits(inputs.through):
        pause = back.t - (left.t_end or left.t)
        pauses.append(pause)
        short = asked - timing.RETRY_EARLY - pause
        if short <= 0:
            continue
        if inputs.through.lag(left.t, back.t) >= short:
            return Inconclusive("the machine was too busy: times are off by as much as the reconnection came too early")
        return fail(
            f"no reconnection before the {asked:.3f} s that the backend asked for",
            f"it came back after {pause:.3f} s",
            left,
            back,
        )
    return Pass(f"it came back after {min(pauses):.3f} s at the soonest")


@rule(
    id="MGC315",
    title="The gateway resumes a stream that broke off",
    suite=SUITE,
    level=Level.SHOULD,
    side=Side.CLIENT,
    requirements=("RES-04",),
    when=BROKEN,
    failure_classes=("resumption-broken",),
)
def broken_stream_is_resumed(inputs: Inputs) -> Verdict:
    """Judge what the gateway does after its backend's connection broke in the middle of a stream with event ids.

    What it checks: a GET follows whose Last-Event-ID is the last id that came.
    Why it matters: the backend still has the answer; a gateway that gives up loses it, one that repeats the call runs
    it twice.
    A failing exchange: POST → id: 1-1 and a connection reset; no GET; the client gets an error
    A conforming exchange: POST → id: 1-1 and a connection reset; GET with Last-Event-ID: 1-1 → the answer
    Known gaps: a gateway that relays the cut to its client depends on the client; the driving one does resume.
    """
    for left in broke_off(inputs.through):
        if (verdict := _not_resumed(inputs, left, "the connection of a stream broke off")) is not None:
            return verdict
    resumed = [back for left in broke_off(inputs.through) for back in returns(inputs.through, left)]
    return Pass("the gateway resumed the stream from its last event id", resumed[0].events)


def _not_resumed(inputs: Inputs, left: Exchange, what: str) -> Fail | Inconclusive | None:
    """Return the verdict where a stream that ended early was not resumed from its last event id."""
    backs = returns(inputs.through, left)
    wanted = f"GET with Last-Event-ID {last_id(left)!r}, the last that came"
    if any(back.headers.get(LAST_EVENT_ID) == last_id(left) for back in backs):
        return None
    if backs:
        return fail(wanted, f"its GET names the older {backs[0].headers.get(LAST_EVENT_ID)!r}", left, backs[0])
    ended = left.ended(left.t)
    asked = retry_of(left)
    due = ended + (timing.RECONNECT if asked is None else asked) + timing.RECONNECTED
    gave_up = [item for item in inputs.through.client() if item.t <= ended and _answered_within(item, ended, due)]
    deleted = (item.t for item in inputs.through.client() if item.method == "DELETE" and item.t >= ended)
    if not gave_up and min(deleted, default=inputs.through.end) < due:
        return Inconclusive("the session or the recording ended before a gateway that waits had to come back")
    if inputs.through.lag(ended, inputs.through.end) > timing.RECONNECTED * timing.LAG_SHARE:
        return Inconclusive("the machine was too busy while the reconnection was awaited")
    return fail(wanted, f"{what}, and the gateway did not come back for it", *gave_up[:1], left)


def _answered_within(item: Exchange, begin: float, end: float) -> bool:
    answer = item.answer() if item.rpc_method == "tools/call" else None
    return answer is not None and begin <= answer.t <= end
