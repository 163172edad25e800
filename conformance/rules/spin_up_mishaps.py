"""Family spin_up: what clients are told when the container starts and comes to nothing, or is not meant to start."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from conformance.evidence.events import Hop
from conformance.evidence.transcript import Transcript
from conformance.rules import spin_up_cause as why
from conformance.rules.answers import said, without_good_result
from conformance.rules.base import Inputs, Level, Precondition, Side, fail, rule
from conformance.rules.spin_up_cause import Cause
from conformance.rules.spin_up_faults import told, tried, verdict_on
from conformance.rules.spin_up_start import SUITE, started
from conformance.rules.spin_up_times import spun_up
from conformance.rules.verdicts import NotExercised, Pass, Verdict

_SILENT_SCRIPT: Final = "silent"


def _in(kind: str) -> Callable[[Transcript], bool]:
    return lambda transcript: transcript.header.get("spin_up") == kind and tried(transcript)


PROGRAM_MISSING = Precondition(
    "spin-up-program-missing",
    "a client of a gateway whose backend's image lacks the program that it is to run",
    _in("command-missing"),
)
SILENT = Precondition(
    "spin-up-silent",
    "a client of a gateway whose backend's container runs and never answers",
    lambda transcript: (
        bool(transcript.header.get("spin_up"))
        and transcript.header.get("witness_script") == _SILENT_SCRIPT
        and tried(transcript)
    ),
)
MEMORY_SHORT = Precondition(
    "spin-up-memory-short",
    "a client of a gateway whose backend's container is killed for its memory",
    _in("memory-short"),
)
NOT_ENABLED = Precondition(
    "spin-up-not-enabled",
    "a client of a gateway that knows its backend and was not told to use it",
    _in("not-enabled"),
)


def _told_an_error(inputs: Inputs, found: Cause | None, missing: str) -> Verdict:
    """Judge whether a client was told an error where the evidence shows that the mishap has happened."""
    if found is None:
        return NotExercised(missing)
    what = told(inputs.through)
    fault = f"{found.what} [{found.failure_class}]"
    return verdict_on(inputs.through, what, fault, what.symptom("dead-child-zombie"))


@rule(
    id="MGC518",
    title="A program that is missing in the image is answered with an error, not with a hang",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.SERVER,
    requirements=("SPIN-17",),
    when=PROGRAM_MISSING,
    failure_classes=("initialize-hang", "hang-on-upstream-error", "empty-200-stream", "dead-child-zombie"),
)
def missing_program_is_an_error(inputs: Inputs) -> Verdict:
    """Judge what a client is told when the engine creates the container and cannot run its program.

    What it checks: initialize, or the tools/list after it, ends in an error, as for MGC509.
    Why it matters: a misspelled entrypoint leaves a created container and a gateway that waits for its first word.
    A failing exchange: engine: start → 400 "executable file not found"; gateway: initialize … nothing in 20 s
    A conforming exchange: engine: start → 400 "executable file not found"; gateway: initialize → error -32603
    Known gaps: whether the error names the program is not judged.
    """
    found = why.program_missing(inputs.through)
    return _told_an_error(inputs, found, "a container whose program the engine could not run")


@rule(
    id="MGC519",
    title="A container whose server stays silent is answered with an error, not with a hang",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.SERVER,
    requirements=("SPIN-18",),
    when=SILENT,
    failure_classes=("initialize-hang", "hang-on-upstream-error", "empty-200-stream", "dead-child-zombie"),
)
def silent_container_is_an_error(inputs: Inputs) -> Verdict:
    """Judge what a client is told while the container runs and its server says nothing.

    What it checks: initialize, or the tools/list after it, ends in an error, as for MGC509.
    Why it matters: an image that speaks another transport looks healthy to the engine; without a limit of the gateway's
    own its clients wait until theirs is over, each time.
    A failing exchange: engine: start; stdin: initialize; gateway: initialize … nothing in 20 s
    A conforming exchange: engine: start; stdin: initialize; gateway: initialize → error "not answered" after 10 s
    Known gaps: limits longer than the 20 s that the client waits count as none.
    """
    heard = any(m.direction == "down" for item in inputs.through.processes for m in item.messages)
    up = next((item for item in started(inputs.through) if item.process is not None), None)
    if up is None or heard:
        return NotExercised("a container that runs and says nothing")
    asked = up.process is not None and any(message.method == "initialize" for message in up.process.messages)
    what = f"container {up.id[:12]} runs, {'was asked to initialize and' if asked else 'and'} says nothing"
    found = Cause("container-silent", Hop.BACKEND, what, (up.created.seq,))
    return _told_an_error(inputs, found, "")


@rule(
    id="MGC520",
    title="A container that is killed for its memory is answered with an error, not with a hang",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.SERVER,
    requirements=("SPIN-19",),
    when=MEMORY_SHORT,
    failure_classes=("initialize-hang", "hang-on-upstream-error", "empty-200-stream", "dead-child-zombie"),
)
def killed_for_memory_is_an_error(inputs: Inputs) -> Verdict:
    """Judge what a client is told when the engine's memory limit ends the server while it starts.

    What it checks: initialize, or the tools/list after it, ends in an error, as for MGC509.
    Why it matters: the kernel gives no last words: whoever waits for the server's own error waits for ever.
    A failing exchange: engine: start, oom, die (137); gateway: initialize … nothing in 20 s
    A conforming exchange: engine: start, oom, die (137); gateway: initialize → error -32603
    Known gaps: a gateway that starts it again without end is told from the count of containers alone.
    """
    found = why.out_of_memory(inputs.through)
    return _told_an_error(inputs, found, "a container that was killed for its memory")


@rule(
    id="MGC522",
    title="A backend that is known and not enabled is not started, and calls of it end in an error",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.SERVER,
    requirements=("SPIN-21",),
    when=NOT_ENABLED,
    failure_classes=("entry-not-enabled",),
)
def known_is_not_enabled(inputs: Inputs) -> Verdict:
    """Judge what a gateway makes of a backend that stands in its catalogue only.

    What it checks: no container of the backend's image is created, and a call of its tool ends in an error (a session
    that is refused is one).
    Why it matters: an entry that is not enabled was not approved; and a call that is left waiting for it, or answered
    as if it had been made, hides that from the one who could enable it.
    A failing exchange: catalogue: time, not enabled; tools/call get_current_time … nothing in 12 s
    A conforming exchange: catalogue: time, not enabled; tools/call get_current_time → error -32602
    Known gaps: whether the list tells of entries that could be enabled is the gateway's choice.
    """
    through = inputs.through
    if created := spun_up(through):
        events = tuple(item.created.seq for item in created)
        return fail("no container of an entry that is not enabled", f"{len(created)} were created", events=events)
    calls = [item for item in through.client() if item.rpc_method == "tools/call"]
    if not calls:
        return verdict_on(through, told(through), "the entry is not enabled", "entry-not-enabled")
    last = calls[-1]
    told_error = last.status is not None and last.how not in ("open", "abandoned") and without_good_result(last)
    empty = last.answer() is None and (last.status or 0) < 400
    if told_error and not empty:
        return Pass(f"nothing is started, and a call is answered with {said(last)}", last.events)
    return fail("a call of a backend that is not enabled ends in an error", f"it got {said(last)}", last)
