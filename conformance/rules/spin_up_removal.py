"""Family spin_up: what becomes of the containers when a session, or the gateway itself, ends."""

from __future__ import annotations

from collections.abc import Iterable

from conformance import timing
from conformance.evidence.events import Event, Kind
from conformance.evidence.transcript import Transcript
from conformance.rules.base import Inputs, Level, Precondition, Side, fail, rule
from conformance.rules.spin_up_start import NOTHING_STARTED, SUITE, started
from conformance.rules.spin_up_times import (
    SpunUp,
    client_trigger,
    clock_uncertainty,
    shared_containers,
    spun_up,
)
from conformance.rules.verdicts import Fail, Inconclusive, NotExercised, Pass, Verdict

ENDED = Precondition(
    "spin-up-ended",
    "the end of a session, and the orderly stop of a gateway that starts its backend as a container",
    lambda transcript: bool(transcript.stimuli("session.end")) and bool(transcript.stimuli("gateway.stop")),
)
KILLED = Precondition(
    "spin-up-killed",
    "SIGKILL of a gateway that starts its backend as a container",
    lambda transcript: bool(transcript.stimuli("gateway.kill")),
)


@rule(
    id="MGC506",
    title="The container is removed when its session, and at the latest its gateway, ends",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.CLIENT,
    requirements=("SPIN-06",),
    when=ENDED,
    failure_classes=("container-leak-or-storm",),
)
def removed_at_the_end(inputs: Inputs) -> Verdict:
    """Judge what remains after DELETE, and after the gateway was stopped in order.

    What it checks: the session's container is removed within REMOVED_AFTER seconds of an accepted DELETE; any other
    within that time of the gateway's stop.
    Why it matters: each container left holds memory until somebody notices; gateways have left hundreds.
    A failing exchange: DELETE → 200; 15 s later the session's container still runs
    A conforming exchange: DELETE → 200, die after 0.1 s, destroy after 0.2 s
    Known gaps: a container shared by all clients has no session to end with; a session that cannot be deleted (405) is
    judged by the gateway's stop alone.
    """
    if not started(inputs.through):
        return NOTHING_STARTED
    told = []
    shared = {item.id for item in shared_containers(inputs.through)}
    own = [item for item in _of_client(inputs.through) if item.id not in shared]
    ended = inputs.through.stimuli("session.end")[0]
    if shared:
        told.append("shared by all clients, so kept after the session's end")
    elif not _deleted(inputs.through):
        told.append("the session could not be deleted")
    else:
        verdict = removal(inputs.through, own, ended, "an accepted DELETE")
        if not isinstance(verdict, Pass):
            return verdict
        told.append(verdict.observed)
    verdict = removal(inputs.through, spun_up(inputs.through), inputs.through.stimuli("gateway.stop")[0], "its stop")
    if not isinstance(verdict, Pass):
        return verdict
    return Pass("; ".join([*told, verdict.observed]), verdict.events)


def _of_client(transcript: Transcript) -> tuple[SpunUp, ...]:
    """Return the containers that were created because a client came."""
    trigger = client_trigger(transcript)
    return tuple(item for item in spun_up(transcript) if trigger is not None and item.since >= trigger.t)


def _deleted(transcript: Transcript) -> bool:
    return any(item.method == "DELETE" and item.status in {200, 202, 204} for item in transcript.client())


def removal(transcript: Transcript, containers: Iterable[SpunUp], after: Event, what: str) -> Verdict:
    """Judge whether each container is removed within the limit after an event."""
    watched, latest, events = tuple(containers), 0.0, [after.seq]
    for item in watched:
        took = (item.removed.t if item.removed is not None else transcript.end) - after.t
        if item.removed is None or took > timing.REMOVED_AFTER:
            orphans = [one for one in watched if one.removed is None or one.removed.t - after.t > timing.REMOVED_AFTER]
            many = f"{len(orphans)} of {len(watched)} are left"
            return _undecided(transcript, item, took, after) or _left(item, took, what, after, many)
        latest = max(latest, took)
        events.append(item.removed.seq)
    return Pass(f"all removed {latest:.3f} s after {what}" if latest > 0 else f"none was left at {what}", tuple(events))


def _undecided(transcript: Transcript, item: SpunUp, took: float, after: Event) -> Inconclusive | None:
    """Return why a container that was still there `took` seconds after an event tells nothing of the gateway."""
    name, limit = f"container {item.id[:12]}", timing.REMOVED_AFTER
    if took <= limit:
        return Inconclusive(f"{name} was watched for only {took:.1f} s")
    if item.removed is not None and took - limit <= clock_uncertainty(transcript):
        return Inconclusive(f"{name} was removed after {took:.3f} s, and the engine's clock is not that certain")
    if transcript.lag(after.t, after.t + limit) > limit * timing.LAG_SHARE:
        return Inconclusive(f"{name} was still there after {took:.1f} s, but the machine was too busy meanwhile")
    if _starting(transcript, item, after):
        return Inconclusive(f"{name} was told to end in time, by the end of its stdin; its server was still starting")
    if _is_the_engines(transcript, item, after):
        return Inconclusive(f"{name} ended in time; that the engine itself removes it (--rm) took {took:.1f} s")
    return None


def _left(item: SpunUp, took: float, what: str, after: Event, many: str) -> Fail:
    """Return the failure of a container that was still there `took` seconds after an event; many: how many were."""
    state = "had ended but was not removed" if _ended_in_time(item, after) else "still ran"
    return fail(
        f"the container is removed within {timing.REMOVED_AFTER} s of {what}",
        f"container {item.id[:12]} {state} {timing.REMOVED_AFTER} s after it; it was watched for {took:.1f} s; {many}",
        events=(after.seq, item.created.seq),
        symptom="container-leak-or-storm",
    )


def _ended_in_time(item: SpunUp, after: Event) -> bool:
    return item.died is not None and item.died.t - after.t <= timing.REMOVED_AFTER


def _starting(transcript: Transcript, item: SpunUp, after: Event) -> bool:
    """Whether a container's stdin ended in time, but its server had not said a word yet and may not have read that."""
    if item.process is None:
        return False
    until = after.t + timing.REMOVED_AFTER
    ends = [e for e in transcript.of(Kind.STDIO_EOF) if e.data["process"] == item.process.process]
    told = any(e.data.get("dir") == "up" and e.t <= until for e in ends)
    return told and not any(m.direction == "down" and m.t <= after.t for m in item.process.messages)


def _is_the_engines(transcript: Transcript, item: SpunUp, after: Event) -> bool:
    """Whether only the engine's part was left: the container had ended and is one that the engine itself removes."""
    inspected = [e for e in transcript.of(Kind.CONTAINER_INSPECT) if e.data.get("container") == item.id]
    return _ended_in_time(item, after) and any(e.data["inspect"].get("auto_remove") for e in inspected)


@rule(
    id="MGC507",
    title="No container is left when the gateway is killed",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.CLIENT,
    requirements=("SPIN-07",),
    when=KILLED,
    failure_classes=("container-leak-or-storm",),
)
def nothing_left_after_a_kill(inputs: Inputs) -> Verdict:
    """Judge what remains of a gateway that had no chance to clean up.

    What it checks: every container that existed at SIGKILL is removed within REMOVED_AFTER seconds of it.
    Why it matters: gateways get killed, for memory or by an impatient orchestrator; what each leaves adds up.
    A failing exchange: two sessions, SIGKILL; 15 s later their containers still run, and nobody knows them
    A conforming exchange: two sessions, SIGKILL; their stdin ends, die after 0.5 s, destroy after 0.6 s
    Known gaps: a backend that ignores the end of its stdin would remain with any gateway; the ones driven here end.
    """
    killed = inputs.through.stimuli("gateway.kill")[0]
    alive = [
        item
        for item in started(inputs.through)
        if item.since < killed.t and (item.removed is None or item.removed.t > killed.t)
    ]
    if not alive:
        return NotExercised("a container that existed when the gateway was killed")
    verdict = removal(inputs.through, alive, killed, "SIGKILL")
    return Pass(f"{len(alive)} container(s), {verdict.observed}") if isinstance(verdict, Pass) else verdict
