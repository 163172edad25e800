"""Family transparency, cancellation by the gateway itself: of calls that it gives up (MGC750).

Legacy basic/lifecycle, Timeouts.
"""

from __future__ import annotations

from conformance import timing
from conformance.evidence.links import Basis, Link, links
from conformance.evidence.transcript import Transcript
from conformance.rules.base import Inputs, Level, Side, fail, rule
from conformance.rules.keep_alive_evidence import backend_answer
from conformance.rules.transparency_cancellation_evidence import (
    SUITE,
    cancels,
    lagged,
    named_by,
    over_at,
    same,
    same_session,
    told_about,
)
from conformance.rules.transparency_http_timeouts import SILENT
from conformance.rules.verdicts import Inconclusive, NotApplicable, Pass, Verdict


@rule(
    id="MGC750",
    title="A call is cancelled when it is given up, and not before",
    suite=SUITE,
    level=Level.SHOULD,
    side=Side.CLIENT,
    requirements=("TIME-02",),
    when=SILENT,
    failure_classes=("timed-out-call-runs-on",),
)
def timeout_is_a_cancel(inputs: Inputs) -> Verdict:
    """Judge what the backend of a silent call hears when its gateway ends the call, or does not end it.

    What it checks: by CANCEL_PROMPT after the end that the gateway gives the call, notifications/cancelled names the
    gateway's request; and none does while the client is left to wait.
    Why it matters: a tool that nobody waits for any more runs on, and the client that tries again has it run twice.
    A failing exchange: client ← {"error": {"code": -32001}} after 25 s; gateway → backend nothing
    A conforming exchange: client ← {"error": {"code": -32001}} after 25 s; gateway → backend cancelled, its own id
    Known gaps: a gateway that claims no timeout, or one beyond a minute, is only seen to keep the call. A call
    whose stream is cut without an answer was lost rather than given up, and is other rules'.
    """
    through = inputs.through
    seen: list[str] = []
    lost: list[str] = []
    silent = [link for link in links(through) if link.basis is Basis.NONCE and backend_answer(through, link) is None]
    for link in silent:
        over, told = over_at(through, link.client), told_about(through, link.backend)
        if over is None:
            until = _waits_until(through, link)
            if told is not None and until - told.t > timing.CANCEL_PROMPT:
                left_waiting = f"it was cancelled, and the client left to wait for {until - told.t:.1f} s more"
                return fail("an end for the client too", left_waiting, link.client, events=(told.seq,))
            seen.append(f"kept for {until - link.client.t:.1f} s, and not cancelled")
        elif told is not None:
            seen.append(f"ended after {over - link.client.t:.1f} s, and cancelled")
        elif link.client.is_stream and link.client.answer() is None:
            lost.append(f"the stream of the call was cut without an answer after {over - link.client.t:.1f} s")
        elif through.end - over < timing.CANCEL_PROMPT or lagged(through, over, through.end):
            return Inconclusive("a cancel was not waited for long enough after the call, or the machine was too busy")
        else:
            nothing = (
                f"the call was ended after {over - link.client.t:.1f} s, and in {through.end - over:.1f} s none came"
            )
            return fail("notifications/cancelled at the backend", nothing, link.client, events=(link.backend.seq,))
    if not seen:
        return NotApplicable("; ".join(lost))
    return Pass("; ".join(seen), tuple(seq for link in silent for seq in link.client.events))


def _waits_until(transcript: Transcript, link: Link) -> float:
    """Return until when the client of a call waits for it: until it cancels or leaves, in seconds."""
    call = link.client
    given_up = [
        item.t for item in cancels(transcript) if same_session(item, call) and same(named_by(item), call.request["id"])
    ]
    left = transcript.left_at(call)
    return min([transcript.end, *given_up, *([] if left is None else [left])])
