"""Family spin_up: containers that die under a session (MGC512), and those of clients that vanish (MGC513)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from conformance.evidence.events import Event, Kind
from conformance.evidence.transcript import Exchange, Transcript
from conformance.rules.answers import said, without_result
from conformance.rules.base import Inputs, Level, Precondition, Side, fail, rule
from conformance.rules.spin_up_removal import removal
from conformance.rules.spin_up_start import NOTHING_STARTED, SUITE, started
from conformance.rules.spin_up_times import GATEWAY, SpunUp, client_trigger, shared_containers, spun_up
from conformance.rules.verdicts import Inconclusive, Pass, Verdict

KILL: Final = "containers.kill"
VANISHED: Final = "clients.vanished"
EXPIRED: Final = "clients.expired"
WATCHED: Final = "clients.watched"


def _died(transcript: Transcript) -> Event | None:
    """Return the end of a container that the drive had killed, a call having been served before; None otherwise."""
    killed = {name for step in transcript.stimuli(KILL) for name in step.data.get("containers", ())}
    served = [item.t for item in transcript.client() if item.rpc_method == "tools/call" and not without_result(item)]
    ends = (item.died for item in spun_up(transcript) if item.died is not None and item.id in killed)
    return next((end for end in ends if any(t < end.t for t in served)), None)


CONTAINER_DIED = Precondition(
    "spin-up-container-died",
    "a container that was killed in the middle of a session which it had served",
    lambda transcript: _died(transcript) is not None,
)
CLIENTS_VANISHED = Precondition(
    "spin-up-clients-vanished",
    "clients of a gateway that starts its backend as a container which left without ending their sessions",
    lambda transcript: bool(transcript.header.get("spin_up")) and bool(transcript.stimuli(WATCHED)),
)


@dataclass(frozen=True, slots=True)
class _Session:
    """What became of a session's calls. how: `served`, `refused`, `error`, `hang` or `empty`; last: its last call."""

    how: str
    what: str
    last: Exchange


def _session(calls: Iterable[Exchange]) -> _Session | None:
    """Return what the last of a session's calls came to, None when there was none."""
    last = next(reversed(tuple(calls)), None)
    if last is None:
        return None
    answer = last.answer()
    if answer is not None and answer.result is not None:
        failed = bool(answer.result.get("isError"))
        return _Session("error" if failed else "served", "a result that is an error" if failed else "a result", last)
    if answer is None and last.how in ("open", "abandoned"):
        return _Session("hang", "nothing, while it was waited for", last)
    if last.status is None or 400 <= last.status < 500:
        return _Session("refused", said(last), last)
    if answer is None and last.status < 400:
        return _Session("empty", said(last), last)
    return _Session("error", said(last), last)


def _answered(container: SpunUp) -> bool:
    """Whether a container's server has said anything."""
    return container.process is not None and any(item.direction == "down" for item in container.process.messages)


_TOLD_NOTHING: Final = {"hang": "hang-on-upstream-error", "empty": "empty-200-stream"}


@rule(
    id="MGC512",
    title="A container that dies is started again, or its session ends with it",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.SERVER,
    requirements=("SPIN-11",),
    when=CONTAINER_DIED,
    failure_classes=(
        "dead-child-zombie",
        "stale-session-after-restart",
        "hang-on-upstream-error",
        "empty-200-stream",
    ),
)
def death_is_dealt_with(inputs: Inputs) -> Verdict:
    """Judge what a session is worth whose container was killed, and whether a new one is served.

    What it checks: calls of the old session have a result again, or the session is refused (4xx, or no connection); a
    session opened afterwards has a result. A gateway that ends with its backend has told both.
    Why it matters: engines kill containers for memory; a session that only answers errors from then on, or a gateway
    that does in every session, looks connected and is of no use until somebody restarts it.
    A failing exchange: engine: die (137); tools/call → error -32000, five times in 10 s; in a new session the same
    A conforming exchange: engine: die (137); tools/call → error -32000; engine: create, start; tools/call → result
    Known gaps: state that the old container held is lost either way; that the client is told of that is not judged.
    """
    died = _died(inputs.through)
    since = died.t if died is not None else 0.0
    calls = [item for item in inputs.through.client() if item.rpc_method == "tools/call" and item.t > since]
    trigger = client_trigger(inputs.through)
    old = _session(item for item in calls if trigger is not None and item.tap == trigger.tap)
    new = _session(item for item in calls if trigger is not None and item.tap != trigger.tap)
    ended = [e for e in inputs.through.of(Kind.PROCESS_EXIT) if e.data.get("name") == GATEWAY and e.t > since]
    if ended:
        return Pass(f"the gateway ended with its backend, with status {ended[0].data.get('code')}", (ended[0].seq,))
    if old is None:
        return Inconclusive("the session whose container died made no call after that")
    seen = f"the old session's last call was answered with {old.what}"
    also = f"a new session's with {new.what}" if new is not None else "a new session could not be opened"
    if new is not None and new.how == "served" and old.how in ("served", "refused"):
        return Pass(f"{seen}, {also}", (*old.last.events, *new.last.events))
    if any(item.since > since and item.died is None and not _answered(item) for item in spun_up(inputs.through)):
        return Inconclusive(f"{seen}, {also}, and another container was still starting")
    if old.how in _TOLD_NOTHING:
        symptom = _TOLD_NOTHING[old.how]
    elif new is not None and new.how == "served":
        symptom = "stale-session-after-restart"
    else:
        symptom = "dead-child-zombie"
    expected = "after its container died a session is served again or refused, and a new one is served"
    events = (died.seq,) if died is not None else ()
    return fail(expected, f"{seen}, {also}", old.last, events=events, symptom=symptom)


@rule(
    id="MGC513",
    title="Clients that vanish leave at most one container each, and none beyond what is declared",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.CLIENT,
    requirements=("SPIN-12",),
    when=CLIENTS_VANISHED,
    failure_classes=("container-leak-or-storm",),
)
def vanished_leave_no_heap(inputs: Inputs) -> Verdict:
    """Count the containers that are left of clients which broke off their connections without DELETE.

    What it checks: at most one container for each of them; and where the target declares how long it keeps a session
    that nobody uses, every one is removed within REMOVED_AFTER seconds of that time.
    Why it matters: most clients never send DELETE, and each container that stays holds memory.
    A failing exchange: `session_idle_timeout = 3`; three clients vanish; 18 s later three containers still run
    A conforming exchange: … 3.2 s later: die, destroy, three times
    Known gaps: a target that declares no limit may keep one container for each of them for ever.
    """
    through = inputs.through
    if not started(through):
        return NOTHING_STARTED
    gone = int(through.stimuli(VANISHED)[-1].data.get("clients", 0))
    watched = through.stimuli(WATCHED)[-1]
    own = _started_for_clients(through)
    left = [item for item in own if item.removed is None or item.removed.t > watched.t]
    count = f"{len(left)} of {len(own)} containers are left of {gone} clients that vanished"
    if len(left) > gone:
        return fail(
            "at most one container for each client that vanished",
            count,
            events=tuple(item.created.seq for item in left),
            symptom="container-leak-or-storm",
        )
    expired = through.stimuli(EXPIRED)
    if not expired:
        return Pass(f"{count}; no session_idle_timeout is declared that could be waited for", (watched.seq,))
    verdict = removal(through, own, expired[0], "the declared idle time")
    return Pass(f"{count}; {verdict.observed}", verdict.events) if isinstance(verdict, Pass) else verdict


def _started_for_clients(transcript: Transcript) -> tuple[SpunUp, ...]:
    """Return the containers that were created because clients came: none where all share one."""
    trigger = client_trigger(transcript)
    if trigger is None or shared_containers(transcript):
        return ()
    return tuple(item for item in spun_up(transcript) if item.since >= trigger.t)
