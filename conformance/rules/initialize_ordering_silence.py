"""Family initialize_ordering, a backend that takes initialize and never answers it (MGC127)."""

from __future__ import annotations

from functools import partial

from conformance import timing
from conformance.evidence.transcript import Exchange, Transcript
from conformance.rules.base import Inputs, Level, Precondition, Side, charge, fail, rule
from conformance.rules.initialize_ordering_evidence import SUITE, handshakes, lagged, posted, said
from conformance.rules.keep_alive_evidence import cut_by_server, primed
from conformance.rules.verdicts import Inconclusive, NotApplicable, Pass, Verdict


def unanswered_handshakes(transcript: Transcript) -> bool:
    """Whether the gateway sent a backend an initialize that was never answered."""
    shaken = handshakes(transcript)
    return bool(shaken) and all(item.answer is None for item in shaken)


def _was_answered(exchange: Exchange) -> bool:
    return exchange.answer() is not None or (exchange.status or 0) >= 400


def _broken_off(transcript: Transcript, exchange: Exchange) -> bool:
    """Whether the server's side ended the exchange and had neither answered nor refused."""
    return not _was_answered(exchange) and cut_by_server(transcript, exchange)


NEVER_INITIALIZED = Precondition(
    "backend-never-initialized",
    "an initialize of a client and one of the gateway's that its backend never answered",
    lambda transcript: unanswered_handshakes(transcript) and bool(posted(transcript, "initialize")),
)


@rule(
    id="MGC127",
    title="A backend that never answers initialize is given up in time",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.SERVER,
    requirements=("INIT-10",),
    when=NEVER_INITIALIZED,
    failure_classes=("initialize-hang", "empty-200-stream"),
)
def silence_is_given_up(inputs: Inputs) -> Verdict:
    """Judge how long a client's initialize waits for a backend that never answers the gateway's.

    What it checks: where the target claims a request_timeout, the client has its answer within that time: a JSON-RPC
    message or an error status. With a claim or without, a response does not end before one has come.
    Why it matters: one dead backend must not keep every client of the gateway from connecting.
    A failing exchange: claims request_timeout = 25; POST initialize → nothing in 28 s, or the end of the connection
    A conforming exchange: claims request_timeout = 25; POST initialize → a result without that backend, or an error
    Known gaps: without a claim no time is too long; a gateway that passes initialize on as it is then waits by design.
    Whether a stream with event ids that was closed can be resumed is not tried.
    """
    through = inputs.through
    asked = posted(through, "initialize")[0]
    if _was_answered(asked):
        took = through.over_for_client(asked) - asked.t
        return Pass(f"the client's initialize was answered {asked.status} after {took:.1f} s", asked.events)
    if _broken_off(through, asked):
        return _ended(inputs, asked)
    claimed = through.header.get("claims", {}).get("request_timeout")
    if claimed is None:
        return NotApplicable("the target claims no request_timeout, so no time is too long")
    waited = through.over_for_client(asked) - asked.t
    if waited < claimed + timing.CLAIM_TOLERANCE or lagged(through, asked.t, through.over_for_client(asked)):
        return Inconclusive(f"initialize was watched for {waited:.1f} s; the target claims {claimed:.0f} s")
    return fail(
        f"an answer within {claimed:.0f} s, as the target claims",
        f"none came in {waited:.1f} s",
        asked,
        symptom="initialize-hang",
    )


def _ended(inputs: Inputs, asked: Exchange) -> Verdict:
    """Judge an initialize whose response the server's side ended without an answer."""
    if primed(asked):
        return Inconclusive("the stream gave event ids and was closed; whether it can be resumed is not driven here")
    return fail(
        "a result or an error for the client's initialize",
        f"it ended after {inputs.through.over_for_client(asked) - asked.t:.1f} s, answered {said(asked)}",
        asked,
        charged_to=charge(inputs, asked, partial(_broken_off, inputs.through)),
        symptom="empty-200-stream" if asked.is_stream and asked.how == "complete" else "initialize-hang",
    )
