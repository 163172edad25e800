"""Family spin_up: several sessions at a gateway that starts containers.

Whom a container serves (MGC514), clients that come at once (MGC515), and the session after the first (MGC516).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from conformance import timing
from conformance.evidence.links import links
from conformance.evidence.transcript import Exchange, Transcript
from conformance.rules.answers import said, without_good_result
from conformance.rules.base import Inputs, Level, Precondition, Side, fail, rule
from conformance.rules.spin_up_cause import why_not_served
from conformance.rules.spin_up_start import NOTHING_STARTED, SERVES_NOBODY, SUITE, lagged, started
from conformance.rules.spin_up_times import (
    SpinUpTimes,
    SpunUp,
    client_times,
    client_trigger,
    shared_containers,
    spun_up,
)
from conformance.rules.verdicts import Fail, Inconclusive, NotApplicable, NotExercised, Pass, Verdict

TOGETHER: Final = "clients.together"
CONNECTED: Final = "clients.connected"
AGAIN: Final = "session.again"


def declared(transcript: Transcript) -> str | None:
    """Return whom the target says that a container serves: `call`, `session`, `shared`; None where it does not say."""
    found = transcript.header.get("claims", {}).get("containers")
    return str(found) if found else None


def _met(transcript: Transcript) -> Mapping[str, tuple[str, ...]]:
    """Return the processes that the calls of each client's session were made in, in order, by the client's tap."""
    found: dict[str, list[str]] = defaultdict(list)
    for link in links(transcript):
        if link.backend.method == "tools/call" and link.backend.session and not without_good_result(link.client):
            found[link.client.tap].append(link.backend.session)
    return {tap: tuple(processes) for tap, processes in found.items()}


TWO_SESSIONS = Precondition(
    "spin-up-two-sessions",
    "two sessions at one time, several calls served in each, at a gateway that starts its backend as a container",
    lambda transcript: (
        bool(transcript.header.get("spin_up")) and sum(len(met) > 1 for met in _met(transcript).values()) > 1
    ),
)
CAME_TOGETHER = Precondition(
    "spin-up-together",
    "clients that came at one time to a gateway which starts its backend as a container",
    lambda transcript: bool(transcript.header.get("spin_up")) and bool(transcript.stimuli(TOGETHER)),
)
CAME_AGAIN = Precondition(
    "spin-up-again",
    "a session after one that was served and ended, at a gateway which starts its backend as a container",
    lambda transcript: bool(transcript.header.get("spin_up")) and bool(transcript.stimuli(AGAIN)),
)


@dataclass(frozen=True, slots=True)
class _Sharing:
    """How calls were spread over processes. how: as in the claim, `mixed` for none of the three; what: in words."""

    how: str
    what: str


def _sharing(met: Mapping[str, tuple[str, ...]]) -> _Sharing:
    everyone = [process for processes in met.values() for process in processes]
    distinct = len(set(everyone))
    what = f"{len(everyone)} calls of {len(met)} sessions were served by {distinct} container(s)"
    if distinct == 1:
        return _Sharing("shared", what)
    if distinct == len(everyone):
        return _Sharing("call", f"{what}, one for each call")
    whole = all(len(set(processes)) == 1 for processes in met.values())
    if whole and distinct == len(met):
        return _Sharing("session", f"{what}, one for each session")
    return _Sharing("mixed", what)


@rule(
    id="MGC514",
    title="Containers are shared, or kept apart, as the gateway declares",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.CLIENT,
    requirements=("SPIN-13",),
    when=TWO_SESSIONS,
    failure_classes=("upstream-session-shared", "ephemeral-state-loss", "container-leak-or-storm"),
)
def shared_as_declared(inputs: Inputs) -> Verdict:
    """Judge which container serves the calls of two sessions against what the target declares.

    What it checks: `claims.containers`: with `session` each session's calls meet one process, another in each session;
    with `shared` all meet the same; with `call` each meets its own. Calls are told apart by their nonces.
    Why it matters: what one user's server keeps in memory is another's in a shared container, and lost between two
    calls in one that lives for a call; both are right only where they are meant.
    A failing exchange: `containers = "session"`; sessions A and B call; one process sees both
    A conforming exchange: `containers = "session"`; A's calls in one process, B's in another
    Known gaps: a target that declares nothing is not judged; state that containers share on a volume is not seen.
    """
    wanted, met = declared(inputs.through), _met(inputs.through)
    seen = _sharing(met)
    if wanted is None:
        return NotApplicable(f"the target declares no claims.containers; {seen.what}")
    calls = tuple(item.seq for item in inputs.through.client() if item.rpc_method == "tools/call")
    if seen.how == wanted:
        return Pass(f"declared: {wanted}; {seen.what}", calls)
    if wanted == "shared":
        symptom = "container-leak-or-storm"
    elif any(len(set(processes)) > 1 for processes in met.values()) and wanted == "session":
        symptom = "ephemeral-state-loss"
    else:
        symptom = "upstream-session-shared"
    return fail(f"containers as declared: {wanted}", seen.what, events=calls, symptom=symptom)


@rule(
    id="MGC515",
    title="Clients that come at once are all served, by no more containers than there are sessions",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.SERVER,
    requirements=("SPIN-14",),
    when=CAME_TOGETHER,
    failure_classes=("container-leak-or-storm", "container-not-ready"),
)
def no_herd(inputs: Inputs) -> Verdict:
    """Judge what becomes of clients that all send their first requests while no container runs.

    What it checks: until all have their sessions no more containers are created than sessions were asked for (one in
    all where `claims.containers` is `shared`), nor afterwards where none was created yet; and one call of each client
    that has its session is answered with a result.
    Why it matters: the first minute after a deployment is when all clients come back at once; a gateway that starts a
    container for each request, or the same one twice, runs out of memory just then.
    A failing exchange: four initializes within 10 ms; seven containers created
    A conforming exchange: four initializes within 10 ms; four containers, four results
    Known gaps: a container for each call is judged where one session makes several; four clients are no storm.
    """
    trigger = client_trigger(inputs.through)
    if trigger is None or not started(inputs.through):
        return NOTHING_STARTED
    through = inputs.through
    sessions = [item for item in through.client() if item.rpc_method == "initialize"]
    created = _created(through, trigger.t)
    most = _most(through, len(sessions))
    if len(created) > most:
        return fail(
            f"at most {most} container(s) for {len(sessions)} clients that came at once",
            f"{len(created)} were created",
            *sessions,
            events=tuple(item.created.seq for item in created),
            symptom="container-leak-or-storm",
        )
    if not any(answer.result is not None for item in sessions if (answer := item.answer()) is not None):
        return NotExercised("a client that has its session: that initialize was not answered is judged elsewhere")
    if why_not_served(through):
        return SERVES_NOBODY
    if unserved := _unserved(through):
        first = unserved[0]
        if _slowly(through):
            return Inconclusive(f"a call was answered with {said(first)}, and a backend was still starting")
        observed = f"of {len(sessions)} clients {len(unserved)} had none: {said(first)}"
        return fail("a result for each client that came", observed, *unserved, symptom="container-not-ready")
    had = len(shared_containers(through)) or len(created)
    return Pass(f"{len(sessions)} clients at once, all served by {had} container(s)", trigger.events)


def _created(transcript: Transcript, since: float) -> list[SpunUp]:
    """Return the containers that were created while clients waited for their sessions; if there are none, all.

    What a session that is there makes of its own requests is another rule's.
    """
    created = [item for item in spun_up(transcript) if item.since >= since]
    until = transcript.stimuli(CONNECTED)
    early = [item for item in created if not until or item.since <= until[0].t]
    return early or created


def _most(transcript: Transcript, sessions: int) -> int:
    """Return how many containers may be created for sessions that are asked for at once."""
    wanted = declared(transcript)
    if wanted == "shared":
        return 0 if shared_containers(transcript) else 1
    calls = sum(item.rpc_method == "tools/call" for item in transcript.client())
    return sessions + calls if wanted == "call" else sessions


def _unserved(transcript: Transcript) -> list[Exchange]:
    """Return the last call of each client that had its session and none of whose calls had a result."""
    by_tap: dict[str, list[Exchange]] = {
        item.tap: []
        for item in transcript.client()
        if item.rpc_method == "initialize" and not without_good_result(item)
    }
    for item in transcript.client():
        if item.rpc_method == "tools/call" and item.tap in by_tap:
            by_tap[item.tap].append(item)
    return [items[-1] for items in by_tap.values() if items and all(without_good_result(item) for item in items)]


def _slowly(transcript: Transcript) -> bool:
    """Whether a started container's server had not answered initialize within SPIN_UP of its start."""
    for _, times in client_times(transcript):
        up, heard = times.started, times.backend_initialized
        if up is not None and times.died is None and (heard is None or heard - up > timing.SPIN_UP):
            return True
    return False


@rule(
    id="MGC516",
    title="The session after the first is served as that was",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.SERVER,
    requirements=("SPIN-15",),
    when=CAME_AGAIN,
    failure_classes=("enabled-but-not-started", "container-not-ready"),
)
def served_again(inputs: Inputs) -> Verdict:
    """Judge the warm start: a second session, once the first has ended and its container is gone.

    What it checks: where the first session's call had a result, the second one's has one too, and its container, where
    it needs one of its own, is started within SPIN_UP seconds if the first one's was. Both starts are timed, the cold
    and the warm.
    Why it matters: a gateway that takes a backend for running because it once was serves the first client only.
    A failing exchange: first session served, ended, container removed; second: tools/list → [], no container
    A conforming exchange: cold: start +0.41 s, first result +1.32 s; warm: start +0.22 s, first result +0.95 s
    Known gaps: that the warm start is the faster one is shown and not judged: page caches are not the gateway's.
    """
    clients = client_times(inputs.through)
    if not started(inputs.through):
        return NOTHING_STARTED
    if len(clients) < 2 or clients[0][1].first_result is None:
        return NotExercised("a first session that was served: that it was not is judged elsewhere")
    (_, cold), (tap, warm) = clients[0], clients[-1]
    told = "; ".join(
        f"{name} {times.sentence('started', 'backend_initialized', 'listed', 'first_result')}"
        for name, times in (("cold", cold), ("warm", warm))
    )
    asked = [item for item in inputs.through.client() if item.tap == tap and item.rpc_method is not None]
    if warm.first_result is None:
        return _lost(inputs.through, asked[-1], told)
    late = _took(warm)
    if not warm.shared and late > timing.SPIN_UP + warm.uncertainty and _took(cold) <= timing.SPIN_UP:
        if warm.trigger is not None and lagged(inputs.through, warm.trigger, late, timing.SPIN_UP):
            return Inconclusive(f"it took {late:.1f} s, and the machine was too busy meanwhile")
        return fail(f"start within {timing.SPIN_UP} s", told, asked[0], symptom="container-not-ready")
    return Pass(told, (*asked[0].events, *asked[-1].events))


def _took(times: SpinUpTimes) -> float:
    """Return the seconds from the trigger to the container's start, 0 where one of them was not seen."""
    return times.started - times.trigger if times.started is not None and times.trigger is not None else 0.0


def _lost(transcript: Transcript, last: Exchange, told: str) -> Fail | Inconclusive:
    """Return what it means that the second session's call had no result."""
    if _slowly(transcript):
        return Inconclusive(f"the backend itself was slow; {told}")
    begun = any(item.since > transcript.stimuli(AGAIN)[0].t for item in started(transcript))
    symptom = "container-not-ready" if begun else "enabled-but-not-started"
    how = "though its container was started" if begun else "and no container was started for it"
    return fail("a result in the second session", f"{said(last)}, {how}; {told}", last, symptom=symptom)
