"""Family transparency, timeouts: what becomes of a call that its backend never answers.

2025-11-25 basic/lifecycle, Timeouts.
"""

from __future__ import annotations

from typing import Final

from conformance import timing
from conformance.evidence.links import Link
from conformance.evidence.transcript import Exchange, Transcript
from conformance.rules.base import Inputs, Level, Precondition, Side, fail, rule
from conformance.rules.keep_alive_evidence import backend_answer, calls, links_of, succeeded
from conformance.rules.verdicts import Inconclusive, Pass, Verdict

SUITE: Final = "transparency"


def _unanswered(transcript: Transcript) -> tuple[Exchange, ...]:
    """Return calls that reached the backend, and that the backend neither answered nor refused nor broke off."""
    linked = [(call, links_of(transcript, call)) for call in calls(transcript)]
    return tuple(
        call for call, reached in linked if reached and all(_silent(transcript, call, link) for link in reached)
    )


def _silent(transcript: Transcript, call: Exchange, link: Link) -> bool:
    """Whether the backend said nothing; that it ends its response once the call is given up says nothing either."""
    exchange = link.exchange
    if backend_answer(transcript, link) is not None:
        return False
    if exchange is None or exchange.t_end is None or exchange.how in ("open", "abandoned"):
        return True
    cancels = [m.t for m in transcript.backend_messages if m.method == "notifications/cancelled" and m.t >= exchange.t]
    return exchange.t_end >= min([transcript.over_for_client(call), *cancels])


SILENT = Precondition(
    "call-never-answered",
    "a call that reached the backend and was not answered there",
    lambda transcript: bool(_unanswered(transcript) and transcript.stimuli("call.never-answered")),
)


@rule(
    id="MGC738",
    title="A call that its backend never answers is ended in time",
    suite=SUITE,
    level=Level.SHOULD,
    side=Side.CLIENT,
    requirements=("TIME-01",),
    when=SILENT,
    failure_classes=("hang-on-upstream-error",),
)
def silence_is_timed_out(inputs: Inputs) -> Verdict:
    """Judge how long a call waits for a backend that says nothing.

    What it checks: an answer comes within the time that the target claims; with no claim, others' calls go on.
    Why it matters: a request without a timeout holds its client, a session and a connection for ever.
    A failing exchange: claims request_timeout = 25; tools/call → comments for ever
    A conforming exchange: claims request_timeout = 25; tools/call → {"error": {"code": -32001}} after 25 s
    Known gaps: which time would be right is the gateway's choice; a claim of more than a minute is not waited for.
    """
    through = inputs.through
    call = _unanswered(through)[0]
    claimed = through.header.get("claims", {}).get("request_timeout")
    if claimed is None:
        beside = [item for item in calls(through) if item.t > call.t and item.tap == call.tap and succeeded(item)]
        if not beside:
            return Inconclusive("no timeout is claimed, and no call beside the unanswered one shows that others go on")
        return Pass("no timeout is claimed; a call beside the unanswered one was answered", beside[0].events)
    answer = call.answer()
    waited = (answer.t if answer is not None else through.over_for_client(call)) - call.t
    limit = claimed + timing.CLAIM_TOLERANCE
    over = answer is not None or call.how in ("complete", "fin", "rst")
    if over and waited <= limit:
        return Pass(f"it was ended after {waited:.1f} s of the {claimed:.0f} s claimed", call.events)
    if waited <= limit:
        return Inconclusive(f"it was watched for {waited:.1f} s, and the target claims {claimed:.0f} s")
    if through.lag(call.t, call.t + waited) > (waited - limit) * timing.LAG_SHARE:
        return Inconclusive(f"it took {waited:.1f} s, but the machine was too busy")
    return fail(
        f"an answer within {claimed:.0f} s, as the target claims",
        f"it was answered after {waited:.1f} s" if over else f"no answer came in {waited:.1f} s",
        call,
        symptom="hang-on-upstream-error",
    )
