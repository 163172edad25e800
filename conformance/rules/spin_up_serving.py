"""Family spin_up: a container that was started serves (MGC517), also through a read-only mount (MGC521)."""

from __future__ import annotations

import re
from typing import Final

from conformance.evidence.events import Kind
from conformance.evidence.transcript import Transcript
from conformance.rules.base import Inputs, Level, Precondition, Side, fail, rule
from conformance.rules.spin_up_cause import mount_note, why_not_served
from conformance.rules.spin_up_start import NOTHING_STARTED, SUITE, TRIGGERED, started
from conformance.rules.spin_up_times import GATEWAY, client_trigger, spin_up_times
from conformance.rules.verdicts import NotExercised, Pass, Verdict

_READ_ONLY_TEXT: Final = re.compile(r"read[ -]?only|EROFS", re.IGNORECASE)

READ_ONLY = Precondition(
    "spin-up-read-only",
    "a client of a gateway to which the engine's socket is mounted read-only",
    lambda transcript: (
        transcript.header.get("spin_up") == "engine-read-only" and client_trigger(transcript) is not None
    ),
)


def _served(transcript: Transcript) -> bool:
    times = spin_up_times(transcript)
    return times.listed is not None or times.first_result is not None


@rule(
    id="MGC517",
    title="The container that was started serves its client",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.CLIENT,
    requirements=("SPIN-16",),
    when=TRIGGERED,
    failure_classes=(
        "container-exits-at-once",
        "container-silent",
        "container-oom-killed",
        "container-command-missing",
        "container-port-unpublished",
    ),
)
def container_serves(inputs: Inputs) -> Verdict:
    """Judge why a container that was started answers nobody.

    What it checks: where the first client got neither a tool listed nor a result of a call, what the engine, the stdio
    tap and the container's own data say of its server: ended at once, killed for memory, no such program, silent,
    listening where nobody can reach it.
    Why it matters: to a client all of these are one and the same EOF or timeout, and each is mended elsewhere.
    A failing exchange: initialize → error; engine: create, start, oom, die (137)
    A conforming exchange: initialize → result, tools/list → get_current_time, convert_time
    Known gaps: a server that answers, and answers nonsense, serves; other suites judge what it says.
    """
    through = inputs.through
    if not started(through):
        return NOTHING_STARTED
    if _served(through):
        return Pass(f"it serves; {spin_up_times(through).sentence('started', 'spoke', 'listed', 'first_result')}")
    found = why_not_served(through)
    if found is None:
        return NotExercised("a server that says nothing: what its gateway makes of its answers is judged elsewhere")
    trigger = client_trigger(through)
    return fail(
        "the server in the container answers, and its client has tools or a result",
        f"{found.what}{mount_note(through)}",
        *((trigger,) if trigger else ()),
        events=found.events,
        charged_to=found.hop,
        symptom=found.failure_class,
    )


@rule(
    id="MGC521",
    title="A read-only mount of the engine's socket hinders nobody",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.CLIENT,
    requirements=("SPIN-20",),
    when=READ_ONLY,
    failure_classes=("enabled-but-not-started",),
)
def read_only_mount_is_no_cause(inputs: Inputs) -> Verdict:
    """Judge whether a gateway starts its container through a socket that is mounted read-only.

    What it checks: the engine reports create and start; where it does not, whether the gateway, in its log or in what
    it tells its client, gives the mount as the reason. What a read-only bind forbids is to change the file; connecting
    to a socket and writing to that connection is no change of it, and the engine's API is not restricted by it.
    Why it matters: where spin-up fails the read-only mount is suspected first, and is never the reason; a gateway that
    believes so itself refuses to work in the deployment that is taken for the safer one.
    A failing exchange: mount `ro`; a probe's create is taken by the engine; the gateway asks the engine for nothing
    A conforming exchange: mount `ro`; POST /containers/create → 201, start → 204, tools listed
    Known gaps: an engine whose socket stands behind a proxy that permits reading only is MGC511's case.
    """
    through = inputs.through
    note = mount_note(through).removeprefix("; ")
    if not note:
        return NotExercised("an engine that took a change through the read-only mount")
    trigger = client_trigger(through)
    where = (trigger,) if trigger else ()
    if started(through):
        times = spin_up_times(through)
        return Pass(f"{note}; {times.sentence('created', 'started', 'listed')}", where[0].events if where else ())
    blaming = _blaming(through)
    if not blaming:
        return NotExercised("a gateway that lets the mount keep it: why it starts nothing is MGC501's to judge")
    return fail(
        "a container is created and started, as through any other mount",
        f"none was started, and the gateway says: {blaming[0][1][:160]!r}; {note}",
        *where,
        events=tuple(seq for seq, _ in blaming),
        symptom="enabled-but-not-started",
    )


def _blaming(transcript: Transcript) -> list[tuple[int, str]]:
    """Return event and text of what the gateway logged, or told a client, about something that is read-only."""
    logged = ((e.seq, str(e.data.get("line"))) for e in transcript.of(Kind.LOG) if e.data.get("source") == GATEWAY)
    told = ((item.seq, str(answer.error)) for item in transcript.client() if (answer := item.answer()) and answer.error)
    return [(seq, text) for seq, text in (*logged, *told) if _READ_ONLY_TEXT.search(text)]
