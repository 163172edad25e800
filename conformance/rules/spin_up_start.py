"""Family spin_up: backends that the gateway starts as containers, from the trigger to the listed tools.

PRACTICE throughout: no specification says how a gateway brings its backends up.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from conformance import timing
from conformance.evidence.events import Hop, Kind, Point
from conformance.evidence.transcript import Exchange, Transcript
from conformance.rules.answers import said
from conformance.rules.base import Inputs, Level, Precondition, Side, fail, rule
from conformance.rules.spin_up_cause import astray, mount_note, why_not_served, why_not_started
from conformance.rules.spin_up_times import (
    SpinUpTimes,
    SpunUp,
    client_trigger,
    engine_requests,
    gateway_container,
    shared_containers,
    spin_up_times,
    spun_up,
)
from conformance.rules.verdicts import Inconclusive, NotExercised, Pass, Verdict

SUITE: Final = "spin_up"
NOTHING_STARTED: Final = NotExercised("a container of the backend's image: that none was started is MGC501's to judge")
SERVES_NOBODY: Final = NotExercised("a container whose server says something: why it says nothing is MGC517's to judge")

TRIGGERED = Precondition(
    "spin-up-triggered",
    "a client that initialized with a gateway which starts its backend as a container, or was to and went elsewhere",
    lambda transcript: (
        bool(transcript.header.get("spin_up"))
        and (client_trigger(transcript) is not None or astray(transcript) is not None)
    ),
)
SESSIONS = Precondition(
    "spin-up-sessions",
    "a client that used its session with a gateway which starts its backend as a container",
    lambda transcript: bool(transcript.header.get("spin_up")) and client_trigger(transcript) is not None,
)


def started(transcript: Transcript) -> tuple[SpunUp, ...]:
    """Return the containers of the backend's image that were started."""
    return tuple(item for item in spun_up(transcript) if item.started is not None)


def lagged(transcript: Transcript, start: float, seconds: float, limit: float) -> bool:
    """Whether a busy machine could have made `seconds` from `start` exceed `limit`."""
    return transcript.lag(start, start + seconds) > (seconds - limit) * timing.LAG_SHARE


@rule(
    id="MGC501",
    title="The trigger leads to a container that is created and started",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.CLIENT,
    requirements=("SPIN-01",),
    when=TRIGGERED,
    failure_classes=(
        "enabled-but-not-started",
        "docker-socket-unusable",
        "image-missing",
        "container-command-missing",
        "entry-not-enabled",
        "wrong-gateway-instance",
    ),
)
def container_is_started(inputs: Inputs) -> Verdict:
    """Judge whether the backend's container exists once a client has come.

    What it checks: the engine reports create and start of a container of the backend's image.
    Why it matters: a gateway can report success, and list nothing for ever, without having started anything.
    A failing exchange: initialize → result, tools/list → []; the engine reports nothing
    A conforming exchange: initialize → result; the engine reports create, then start
    Known gaps: a gateway that names the image by its digest is not recognised.
    """
    if started(inputs.through):
        times = spin_up_times(inputs.through)
        return Pass(f"a container was started; {times.sentence()}", (started(inputs.through)[0].created.seq,))
    trigger = client_trigger(inputs.through)
    where = (trigger,) if trigger else ()
    expected = "the engine creates and starts a container of the backend's image"
    note = mount_note(inputs.through)
    if found := why_not_started(inputs.through):
        observed, symptom = f"{found.what}{note}", found.failure_class
        return fail(expected, observed, *where, events=found.events, charged_to=found.hop, symptom=symptom)
    refused = [item for item in engine_requests(inputs.through) if (item.status or 0) >= 400]
    if refused:
        why = f"the engine answered {refused[0].method} {refused[0].target} with {refused[0].status}{note}"
        return fail(expected, why, *where, *refused[:1], charged_to=Hop.RUNTIME, symptom="enabled-but-not-started")
    if spun_up(inputs.through):
        observed, seq = "one was created and never started", spun_up(inputs.through)[0].created.seq
        return fail(expected, observed, *where, events=(seq,), symptom="enabled-but-not-started")
    asked = "asked it for something else" if any(engine_requests(inputs.through)) else "never asked it for anything"
    success = "; initialize was answered with a result all the same" if trigger and _result(trigger) else ""
    observed = f"the engine reported none, and the gateway {asked}{success}{note}"
    return fail(expected, observed, *where, symptom="enabled-but-not-started")


def _result(exchange: Exchange) -> Mapping[str, object] | None:
    answer = exchange.answer()
    return answer.result if answer is not None else None


@rule(
    id="MGC502",
    title="It is the gateway under test that asks for the container",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.CLIENT,
    requirements=("SPIN-02",),
    when=TRIGGERED,
    failure_classes=("wrong-gateway-instance",),
)
def gateway_asks_for_it(inputs: Inputs) -> Verdict:
    """Judge who asked the engine for each container of the backend's image.

    What it checks: its create request passed this gateway's engine tap, and came from the gateway's own container.
    Why it matters: a second gateway, started on the side, has its own configuration and outlives the first.
    A failing exchange: a container that the gateway started asks the engine for the backend's
    A conforming exchange: POST /containers/create at the gateway's tap, from the gateway's container → 201 with the id
    Known gaps: where the kernel does not say who is at the socket's other end, the tap alone decides.
    """
    containers, gateway = spun_up(inputs.through), gateway_container(inputs.through)
    if not containers:
        return NOTHING_STARTED
    expected = "each container of the backend's image is asked for by the gateway under test"
    for item in containers:
        if item.asked is None and _blind(inputs.through):
            return Inconclusive("part of what went to the engine through the gateway's tap could not be read")
        if item.asked is None:
            return fail(
                expected,
                f"container {item.id[:12]} was created, and no request for it passed the gateway's engine tap",
                events=(item.created.seq,),
                symptom="wrong-gateway-instance",
            )
        if gateway is not None and item.asker not in (None, gateway):
            return fail(
                expected,
                f"container {item.id[:12]} was asked for by {str(item.asker)[:12]}; the gateway is {gateway[:12]}",
                item.asked,
                symptom="wrong-gateway-instance",
            )
    known = "and by the gateway's own container" if gateway and all(item.asker for item in containers) else ""
    return Pass(f"{len(containers)} container(s), each asked for through the gateway's engine tap {known}".rstrip())


def _blind(transcript: Transcript) -> bool:
    """Whether the engine tap met bytes it could not read; streams of attached containers are not meant to be read."""
    return any(
        event.point is Point.ENGINE_TAP and "upgraded" not in str(event.data.get("why"))
        for event in transcript.of(Kind.HTTP_UNPARSED)
    )


@rule(
    id="MGC503",
    title="The container is started soon after the trigger",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.CLIENT,
    requirements=("SPIN-03",),
    when=TRIGGERED,
    failure_classes=("container-not-ready",),
)
def started_soon(inputs: Inputs) -> Verdict:
    """Judge the time from the trigger to the container's start.

    What it checks: the engine reports start within SPIN_UP seconds of the first client's initialize; of the gateway's
    own start where one container serves all clients.
    Why it matters: clients give up on initialize; each second before the start is one that the server does not have.
    A failing exchange: initialize … 12 s … POST /containers/create
    A conforming exchange: initialize, POST /containers/create after 0.02 s, start after 0.3 s
    Known gaps: a gateway slower than a healthy one but below the limit passes.
    """
    times = spin_up_times(inputs.through)
    if times.trigger is None or times.started is None:
        return NOTHING_STARTED
    took = times.started - times.trigger
    if took <= timing.SPIN_UP:
        return Pass(times.sentence("asked", "created", "started", "spoke"), (started(inputs.through)[0].created.seq,))
    if lagged(inputs.through, times.trigger, took, timing.SPIN_UP):
        return Inconclusive(f"it took {took:.1f} s, and the machine was too busy meanwhile")
    if took - timing.SPIN_UP <= times.uncertainty:
        return Inconclusive(f"it took {took:.3f} s, and the engine's clock is uncertain by {times.uncertainty:.3f} s")
    engine = times.started - times.asked if times.asked is not None else 0.0
    trigger = client_trigger(inputs.through)
    return fail(
        f"start within {timing.SPIN_UP} s of the trigger",
        f"start after {took:.1f} s, of which {engine:.1f} s after the engine was asked",
        *((trigger,) if trigger else ()),
        events=(started(inputs.through)[0].created.seq,),
        charged_to=Hop.RUNTIME if engine > took / 2 else Hop.GATEWAY,
    )


@rule(
    id="MGC504",
    title="initialize is answered although its container has only begun to start",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.SERVER,
    requirements=("SPIN-04",),
    when=TRIGGERED,
    failure_classes=("container-not-ready",),
)
def initialize_is_answered(inputs: Inputs) -> Verdict:
    """Judge the answer to the initialize that found no container running.

    What it checks: it is answered with a result, by the gateway at once or by the backend once that is up.
    Why it matters: clients do not try again; what is refused while the container starts is lost to them.
    A failing exchange: initialize → error "backend not ready"; 0.8 s later the container answers
    A conforming exchange: initialize, container start, backend's answer, initialize → result
    Known gaps: one container is awaited; queues of several are not driven.
    """
    trigger, times = client_trigger(inputs.through), spin_up_times(inputs.through)
    if trigger is None or not started(inputs.through):
        return NOTHING_STARTED
    if times.initialized is not None:
        return Pass(times.sentence("started", "spoke", "backend_initialized", "initialized"), trigger.events)
    if why_not_served(inputs.through):
        return SERVES_NOBODY
    if trigger.answer() is None and _asked_in_vain(inputs.through, trigger.t_end):
        return Inconclusive(f"the backend had not answered either; {times.sentence('started', 'backend_initialized')}")
    return fail(
        "initialize is held until the container answers, or answered without it",
        f"it was answered with {said(trigger)}; {times.sentence('started', 'spoke', 'backend_initialized')}",
        trigger,
        symptom="container-not-ready",
    )


def _asked_in_vain(transcript: Transcript, until: float | None) -> bool:
    """Whether a backend that still ran at a time, in seconds, had been asked for initialize and not answered."""
    end = until if until is not None else transcript.end
    for process in transcript.processes:
        asked = [message for message in process.messages if message.method == "initialize"]
        answers = [message for message in process.messages if message.direction == "down" and message.t < end]
        if asked and not answers and (process.t_exit is None or process.t_exit > end):
            return True
    return False


def _slow(times: SpinUpTimes) -> bool:
    """Whether the backend needed longer than SPIN_UP to answer initialize, so that giving up on it was no fault."""
    if times.started is None or times.died is not None:
        return False
    return times.backend_initialized is None or times.backend_initialized - times.started > timing.SPIN_UP


@rule(
    id="MGC505",
    title="The started backend's tools are listed",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.TRANSPARENCY,
    requirements=("SPIN-05",),
    when=TRIGGERED,
    failure_classes=("empty-tools-startup-race", "container-not-ready", "silent-partial-aggregate"),
    needs_plain_tools=True,
)
def tools_are_listed(inputs: Inputs) -> Verdict:
    """Judge the first tools/list after a successful initialize.

    What it checks: it names every tool that the backend in the container lists, under whatever prefix.
    Why it matters: clients ask once; a list that was taken too early stays empty for the whole session.
    A failing exchange: tools/list → []; backend's own list, a second later: get_current_time, convert_time
    A conforming exchange: tools/list → get_current_time, convert_time
    Known gaps: later pages are not fetched by this rule; names that were changed otherwise than by a prefix count as
    missing.
    """
    trigger, times = client_trigger(inputs.through), spin_up_times(inputs.through)
    if not started(inputs.through):
        return NOTHING_STARTED
    if trigger is None or times.initialized is None:
        return NotExercised("a session: that initialize was not answered with a result is MGC504's to judge")
    if why_not_served(inputs.through):
        return SERVES_NOBODY
    lists = [i for i in inputs.through.client() if i.tap == trigger.tap and i.rpc_method == "tools/list"]
    offered = _backend_tools(inputs.through)
    if not lists or not offered:
        return Inconclusive("no tools/list was made" if not lists else "the backend never listed its tools")
    names = _names(_result(lists[0]))
    missing = [tool for tool in offered if not inputs.through.tool_names.standing_for(tool, names)]
    if not missing:
        return Pass(f"{len(names)} tools; {times.sentence('started', 'initialized', 'listed')}", lists[0].events)
    if _result(lists[0]) is None and _slow(times):
        return Inconclusive(f"the backend itself was slow; {times.sentence('started', 'spoke', 'backend_initialized')}")
    if _result(lists[0]) is None:
        symptom, observed = "container-not-ready", f"it was answered with {said(lists[0])}"
    elif not names:
        symptom, observed = "empty-tools-startup-race", f"it was empty; the backend lists {len(offered)}"
    else:
        symptom, observed = "silent-partial-aggregate", f"it lacks {', '.join(missing)}"
    return fail("the first tools/list names every tool of the backend", observed, lists[0], symptom=symptom)


def _names(result: Mapping[str, object] | None) -> tuple[str, ...]:
    tools = result.get("tools") if result else None
    listed = tools if isinstance(tools, list) else []
    return tuple(str(tool.get("name")) for tool in listed if isinstance(tool, Mapping))


def _backend_tools(transcript: Transcript) -> tuple[str, ...]:
    """Return the names in the backend's own answers to tools/list."""
    found: dict[str, None] = {}
    for session in transcript.backend_sessions:
        asked = [message.id for message in session.messages if message.method == "tools/list"]
        for message in session.messages:
            if message.is_response and message.id in asked:
                found.update(dict.fromkeys(_names(message.result)))
    return tuple(found)


@rule(
    id="MGC508",
    title="A session starts one container, however many requests it makes",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.CLIENT,
    requirements=("SPIN-08",),
    when=SESSIONS,
    failure_classes=("container-leak-or-storm", "ephemeral-state-loss"),
)
def one_container_for_a_session(inputs: Inputs) -> Verdict:
    """Judge the number of containers against the number of sessions.

    What it checks: from the first initialize on, no more containers are created than initialize requests were made; of
    a gateway that declares one for each call (`claims.containers`), than there were requests.
    Why it matters: a container for each call costs a start each time, loses the backend's state, and piles up.
    A failing exchange: initialize, tools/list, three tools/call; five containers
    A conforming exchange: initialize, tools/list, three tools/call; one container
    Known gaps: a container started again because the first one crashed counts as one more.
    """
    trigger = client_trigger(inputs.through)
    if trigger is None or not started(inputs.through):
        return NOTHING_STARTED
    if why_not_served(inputs.through):
        return SERVES_NOBODY
    sessions = [item for item in inputs.through.client() if item.rpc_method == "initialize"]
    shared = len(shared_containers(inputs.through))
    own = [item for item in spun_up(inputs.through) if item.since >= trigger.t]
    peak = _peak(own)
    by_call = inputs.through.header.get("claims", {}).get("containers") == "call"
    if len(own) <= (_requests(inputs.through) if by_call else len(sessions)):
        what = f"{shared} container(s) for all clients, none for" if shared else f"{len(own)} container(s) for"
        return Pass(f"{what} {len(sessions)} session(s) with {_requests(inputs.through)} requests", trigger.events)
    return fail(
        f"at most one container for each of {len(sessions)} session(s)",
        f"{len(own)} were created for {_requests(inputs.through)} requests, {peak} of them at one time",
        trigger,
        events=tuple(item.created.seq for item in own),
        symptom="container-leak-or-storm" if peak > len(sessions) else "ephemeral-state-loss",
    )


def _requests(transcript: Transcript) -> int:
    return sum(1 for item in transcript.client() if item.rpc_method is not None)


def _peak(containers: list[SpunUp]) -> int:
    """Return how many existed at one time at the most; all on the engine's clock, so that no offset matters."""
    changes = [(item.created.t, 1) for item in containers]
    changes += [(item.died.t, -1) for item in containers if item.died is not None]
    count = peak = 0
    for _, change in sorted(changes):
        count += change
        peak = max(peak, count)
    return peak
