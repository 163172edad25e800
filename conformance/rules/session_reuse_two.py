"""Family session_reuse: sessions before two backends, of which one dies and comes back (MGC250, MGC251)."""

from __future__ import annotations

from typing import Final

from conformance import timing
from conformance.evidence.transcript import Exchange, Transcript
from conformance.rules.base import Inputs, Level, Precondition, Side, fail, rule
from conformance.rules.session_reuse_evidence import SUITE
from conformance.rules.two_backends_evidence import (
    DIED,
    FIRST,
    READY,
    SECOND,
    STARTED,
    calls_of,
    name_of,
    step_at,
    told,
    unserved,
)
from conformance.rules.verdicts import Inconclusive, Pass, Verdict


def _meanwhile(transcript: Transcript) -> tuple[Exchange, ...]:
    """Return the calls at the backend that lives while the other one is dead."""
    died, back = step_at(transcript, DIED), step_at(transcript, STARTED)
    return tuple(item for item in calls_of(transcript, FIRST) if died < item.t < back)


def _again(transcript: Transcript) -> tuple[Exchange, ...]:
    """Return the calls at the backend that had died, once it is back."""
    return tuple(item for item in calls_of(transcript, SECOND) if item.t > step_at(transcript, READY))


def _served_before(transcript: Transcript, backend: str) -> bool:
    """Whether a backend's tool was served before the second backend died."""
    return any(item.t < step_at(transcript, DIED) and not unserved(item) for item in calls_of(transcript, backend))


OTHER_DIED: Final = Precondition(
    "second-backend-died",
    "a call at one of two backends in a session in which the other has died",
    lambda transcript: bool(_meanwhile(transcript)),
)
RESTARTED: Final = Precondition(
    "second-backend-restarted",
    "a call at one of two backends after it was restarted",
    lambda transcript: bool(_again(transcript)),
)


@rule(
    id="MGC250",
    title="A backend that dies takes no other's calls with it",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.TRANSPARENCY,
    requirements=("AGG-07",),
    when=OTHER_DIED,
    failure_classes=("fault-poisons-session",),
)
def death_harms_no_other_backend(inputs: Inputs) -> Verdict:
    """Judge calls at one backend after the other backend of the session was stopped.

    What it checks: each has a result, in the session in which both backends were used before.
    Why it matters: a session is all that a client has; with it go the tools of every backend that is well.
    A failing exchange: call at b, b dies, call at a → 404 or an error
    A conforming exchange: call at b, b dies, call at a → its result
    Known gaps: what the calls at the dead backend get is judged in suite keep_alive, of a gateway before one alone.
    """
    if not _served_before(inputs.through, FIRST):
        return Inconclusive("the backend that lives was not served before the other one died either")
    made = _meanwhile(inputs.through)
    for item in made:
        if unserved(item):
            return fail(
                f"a result for the call of {name_of(inputs.through, item)}, whose backend lives",
                f"after the other backend was stopped it was answered {told(item)}",
                item,
                symptom="fault-poisons-session",
            )
    return Pass(f"{len(made)} calls were served while the other backend was dead", made[0].events)


@rule(
    id="MGC251",
    title="One of two backends that was restarted is served again",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.TRANSPARENCY,
    requirements=("AGG-08",),
    when=RESTARTED,
    failure_classes=("stale-session-after-restart",),
)
def restarted_backend_is_served(inputs: Inputs) -> Verdict:
    """Judge calls at a backend that was stopped and started again beside another one.

    What it checks: one of them has a result, at the latest RELAY_PROMPT seconds after it was ready, in a new session.
    Why it matters: backends are deployed one by one; a gateway that needs a restart for it ends every other session.
    A failing exchange: b restarts; call at b → error, again and again, in a new session too
    A conforming exchange: b restarts; call at b → its result, or an error and in the next session its result
    Known gaps: a backend that listens at another address after its restart is not driven.
    """
    if not _served_before(inputs.through, SECOND):
        return Inconclusive("the backend was not served before it died either")
    made = _again(inputs.through)
    for number, item in enumerate(made, 1):
        if not unserved(item):
            return Pass(f"call {number} of {len(made)} after the restart had a result", item.events)
    waited = made[-1].t - step_at(inputs.through, READY)
    if waited < timing.RELAY_PROMPT:
        return Inconclusive(f"nobody called later than {waited:.1f} s after the backend was ready")
    return fail(
        f"a result for the call of {name_of(inputs.through, made[-1])} after its backend was restarted",
        f"{len(made)} calls were answered {told(made[-1])}",
        *made[-2:],
        symptom="stale-session-after-restart",
    )
