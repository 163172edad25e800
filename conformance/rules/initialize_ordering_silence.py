"""Family initialize_ordering, a backend that takes initialize and never answers it (MGC127)."""

from __future__ import annotations

from conformance import timing
from conformance.evidence.transcript import Exchange, Transcript
from conformance.rules.base import Inputs, Level, Precondition, Side, fail, rule
from conformance.rules.initialize_ordering_evidence import SUITE, handshakes, lagged, posted
from conformance.rules.verdicts import Inconclusive, NotApplicable, Pass, Verdict


def unanswered_handshakes(transcript: Transcript) -> bool:
    """Whether the gateway sent a backend an initialize that was never answered."""
    shaken = handshakes(transcript)
    return bool(shaken) and all(item.answer is None for item in shaken)


def _was_answered(exchange: Exchange) -> bool:
    return exchange.answer() is not None or exchange.how in ("complete", "fin", "rst")


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
    failure_classes=("initialize-hang",),
)
def silence_is_given_up(inputs: Inputs) -> Verdict:
    """Judge how long a client's initialize waits for a backend that never answers the gateway's.

    What it checks: where the target claims a request_timeout, the client has its answer within that time.
    Why it matters: one dead backend must not keep every client of the gateway from connecting.
    A failing exchange: claims request_timeout = 25; POST initialize → nothing in 28 s
    A conforming exchange: claims request_timeout = 25; POST initialize → a result without that backend, or an error
    Known gaps: without a claim no time is too long; a gateway that passes initialize on as it is then waits by design.
    """
    through = inputs.through
    asked = posted(through, "initialize")[0]
    if _was_answered(asked):
        took = through.over_for_client(asked) - asked.t
        return Pass(f"the client's initialize was answered {asked.status} after {took:.1f} s", asked.events)
    claimed = through.header.get("claims", {}).get("request_timeout")
    if claimed is None:
        return NotApplicable("the target claims no request_timeout, so no time is too long")
    waited = through.over_for_client(asked) - asked.t
    if waited < claimed + timing.CLAIM_TOLERANCE or lagged(through, asked.t, through.over_for_client(asked)):
        return Inconclusive(f"initialize was watched for {waited:.1f} s; the target claims {claimed:.0f} s")
    return fail(f"an answer within {claimed:.0f} s, as the target claims", f"none came in {waited:.1f} s", asked)
