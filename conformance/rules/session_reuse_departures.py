"""Family session_reuse: what a client's leaving does to the clients after it (MGC240)."""

from __future__ import annotations

from conformance.rules.answers import without_result
from conformance.rules.base import Inputs, Level, Precondition, Side, charge, fail, rule
from conformance.rules.session_reuse_evidence import SUITE, posted, said
from conformance.rules.verdicts import Inconclusive, Pass, Verdict

COME_AND_GONE = Precondition(
    "clients-come-and-go",
    "a client that ended its session, and another that initialized after that",
    lambda transcript: (
        len(posted(transcript, "initialize")) > 1 and any(x.method == "DELETE" for x in transcript.client())
    ),
)


@rule(
    id="MGC240",
    title="A client that ends its session harms no later one",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.SERVER,
    requirements=("SESS-05",),
    when=COME_AND_GONE,
    failure_classes=("one-client-kills-all",),
)
def departures_harm_nobody(inputs: Inputs) -> Verdict:
    """Judge whether clients are served one after the other, each after the one before has ended its session.

    What it checks: every client's initialize has a result; the first one's too, where the readiness probe had one.
    Why it matters: an exception in the teardown of one session that ends what all share takes the gateway from
    everybody the first time that anybody leaves in order (python-sdk#822).
    A failing exchange: initialize (A) → 200, DELETE (A) → 200, initialize (B) → 500
    A conforming exchange: initialize (A) → 200, DELETE (A) → 200, initialize (B) → 200
    Known gaps: clients that leave without DELETE are not part of it.
    """
    asked = posted(inputs.through, "initialize")
    for position, item in enumerate(asked):
        if not without_result(item):
            continue
        if position == 0 and not inputs.through.probe_answered:
            return Inconclusive(f"the first client was not served either: its initialize was answered {said(item)}")
        before = "the client" if position else "the readiness probe"
        return fail(
            "a client is served after another has ended its session",
            f"after {before} before it had ended its session, initialize was answered {said(item)}",
            *asked[max(0, position - 1) : position + 1],
            charged_to=charge(inputs, item, without_result),
            symptom="one-client-kills-all",
        )
    return Pass(f"{len(asked)} clients came and went, each was served", asked[-1].events)
