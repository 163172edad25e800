"""Family spin_up: changes under a running gateway: its engine restarted (MGC523), its backend revoked (MGC524)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from conformance.evidence.events import Event
from conformance.evidence.transcript import Exchange, Transcript
from conformance.rules.answers import said, without_good_result
from conformance.rules.base import Inputs, Level, Precondition, Side, fail, rule
from conformance.rules.spin_up_removal import removal
from conformance.rules.spin_up_start import SUITE
from conformance.rules.spin_up_times import SpunUp, client_trigger, shared_containers, spun_up
from conformance.rules.verdicts import Inconclusive, NotExercised, Pass, Verdict

LOST: Final = "engine.lost"
BACK: Final = "engine.back"
REVOKED: Final = "backend.revoked"


def _served_before(transcript: Transcript, step: str) -> bool:
    """Whether a call had a result before a step that did happen."""
    steps = transcript.stimuli(step)
    calls = (i for i in transcript.client() if i.rpc_method == "tools/call" and not without_good_result(i))
    return bool(steps) and any(item.t < steps[0].t for item in calls)


ENGINE_RESTARTED = Precondition(
    "spin-up-engine-restarted",
    "an engine that was gone for a while and came back, a session having been served before",
    lambda transcript: _served_before(transcript, LOST) and bool(transcript.stimuli(BACK)),
)
BACKEND_REVOKED = Precondition(
    "spin-up-revoked",
    "a backend that was taken away from a running gateway, a session having been served before",
    lambda transcript: _served_before(transcript, REVOKED),
)


def _since(transcript: Transcript, step: Event, until: Event | None = None) -> tuple[Exchange, ...]:
    """Return the clients' requests after a step, and before another."""
    return tuple(
        item
        for item in transcript.client()
        if item.rpc_method is not None and item.t > step.t and (until is None or item.t < until.t)
    )


def _hung(exchanges: Iterable[Exchange]) -> Exchange | None:
    """Return the first request that was given up unanswered."""
    return next((item for item in exchanges if item.answer() is None and item.how in ("open", "abandoned")), None)


@rule(
    id="MGC523",
    title="A container engine that was restarted is found again",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.SERVER,
    requirements=("SPIN-22",),
    when=ENGINE_RESTARTED,
    failure_classes=("engine-loss-not-recovered", "docker-socket-unusable"),
)
def engine_is_found_again(inputs: Inputs) -> Verdict:
    """Judge what a gateway makes of an engine that is gone for a while in the middle of its work.

    What it checks: while the engine is gone, requests end in an answer or an error; once it is back, a new session's
    call has a result.
    Why it matters: engines are updated under running gateways; one that must be restarted with them is down until
    somebody notices.
    A failing exchange: engine back; initialize → result, tools/call → error "engine unavailable", five times in 10 s
    A conforming exchange: engine gone: initialize → error; engine back: create → 201, tools/call → result
    Known gaps: the socket is closed and opened again; what an engine that restarts does to containers is its own.
    """
    through = inputs.through
    lost, back = through.stimuli(LOST)[0], through.stimuli(BACK)[0]
    if hung := _hung(_since(through, lost, back)):
        expected = "an answer or an error while the engine is gone"
        return fail(expected, f"{hung.rpc_method} had none", hung, symptom="docker-socket-unusable")
    calls = [item for item in _since(through, back) if item.rpc_method == "tools/call"]
    served = next((item for item in calls if not without_good_result(item)), None)
    if served is not None:
        return Pass(f"a new session is served {served.t - back.t:.1f} s after the engine is back", served.events)
    last = (calls or list(_since(through, back)))[-1:]
    if any(item.since > back.t and item.died is None and not _said_anything(item) for item in spun_up(through)):
        return Inconclusive("the new session's container was still starting")
    what = said(last[0]) if last else "a refused connection"
    return fail(
        "a new session's call has a result once the engine is back",
        f"its last request got {what}",
        *last,
        events=(lost.seq, back.seq),
        symptom="engine-loss-not-recovered",
    )


def _said_anything(item: SpunUp) -> bool:
    return item.process is not None and any(message.direction == "down" for message in item.process.messages)


@rule(
    id="MGC524",
    title="A revoked backend is gone, from open sessions too, and its container with it",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.SERVER,
    requirements=("SPIN-23",),
    when=BACKEND_REVOKED,
    failure_classes=("revoked-entry-served", "container-leak-or-storm"),
)
def revoked_is_gone(inputs: Inputs) -> Verdict:
    """Judge what is left of a backend that an administrator took away from the running gateway.

    What it checks: no call of its tools has a result any more, in the open session or in a new one; no container is
    created for it; those that it had are removed within REMOVED_AFTER seconds.
    Why it matters: who revokes a server does so because nobody may use it any longer, those who are connected included.
    A failing exchange: DELETE of the entry → 204; open session: tools/call → result
    A conforming exchange: DELETE of the entry → 204; die, destroy; open session: tools/call → error
    Known gaps: that open sessions are told by a notification is judged where lists change.
    """
    through = inputs.through
    revoked = through.stimuli(REVOKED)[0]
    calls = [item for item in _since(through, revoked) if item.rpc_method == "tools/call"]
    served = [item for item in calls if not without_good_result(item)]
    if served:
        trigger = client_trigger(through)
        whose = "the open session" if trigger is not None and served[0].tap == trigger.tap else "a new session"
        return fail(
            "no call of a revoked backend has a result",
            f"{whose} had one {served[0].t - revoked.t:.1f} s after the revocation",
            *served,
            events=(revoked.seq,),
            symptom="revoked-entry-served",
        )
    if not calls:
        return NotExercised("a call of the revoked backend's tool")
    begun = through.stimuli("backend.revoke")[0]
    created = [item for item in spun_up(through) if item.since > revoked.t]
    if created:
        events = tuple(item.created.seq for item in created)
        observed = f"{len(created)} were created after the revocation"
        return fail("no container of a revoked backend", observed, events=events, symptom="revoked-entry-served")
    verdict = removal(through, spun_up(through), begun, "the revocation")
    if not isinstance(verdict, Pass):
        return verdict
    kind = "the shared one" if shared_containers(through) else f"{len(spun_up(through))} container(s)"
    return Pass(f"{kind}: {verdict.observed}; a call is answered with {said(calls[-1])}", verdict.events)
