"""Family initialize_ordering: one of two backends is not there when the gateway starts (MGC140 to 143)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from conformance import timing
from conformance.evidence.events import Kind, Point
from conformance.evidence.exchanges import is_outline
from conformance.evidence.transcript import Exchange, Transcript
from conformance.rules.answers import without_result
from conformance.rules.base import Inputs, Level, Precondition, Side, fail, rule
from conformance.rules.initialize_ordering_evidence import SUITE, lagged, listed, posted, said
from conformance.rules.two_backends_evidence import (
    FIRST,
    READY,
    SECOND,
    STARTED,
    calls_of,
    expected,
    second_is,
    step_at,
    told,
    unserved,
)
from conformance.rules.verdicts import Inconclusive, NotExercised, Pass, Verdict

ONE_BAD: Final = "one-bad-backend-empties-all"


def _before(transcript: Transcript, method: str) -> tuple[Exchange, ...]:
    """Return the requests of one method that clients made before the second backend was started."""
    return tuple(item for item in posted(transcript, method) if item.t < step_at(transcript, STARTED))


def _lists_of_first(transcript: Transcript) -> tuple[Exchange, ...]:
    """Return the lists that name the first backend's tool, made before the second backend was started."""
    name = expected(transcript).get(FIRST)
    return tuple(item for item in _before(transcript, "tools/list") if name in (listed(item, "tools") or ()))


def _tried(transcript: Transcript) -> bool:
    """Whether a client initialized, or tried to connect, before the second backend was started."""
    return bool(_before(transcript, "initialize") or _refusals(transcript))


def _refusals(transcript: Transcript) -> tuple[int, ...]:
    """Return `seq` of each connection of a client that nobody accepted before the second backend was started."""
    failed = transcript.of(Kind.CONN_FAILED)
    return tuple(e.seq for e in failed if e.point is Point.CLIENT_TAP and e.t < step_at(transcript, STARTED))


DOWN: Final = Precondition(
    "second-backend-down",
    "a client that came while one of two backends was down from the gateway's start on",
    lambda transcript: second_is(transcript, "down") and _tried(transcript),
)
SILENT: Final = Precondition(
    "second-backend-silent",
    "a client that came while one of two backends answers no initialize",
    lambda transcript: second_is(transcript, "silent") and _tried(transcript),
)
PARTIAL: Final = Precondition(
    "list-without-second",
    "a list of tools while one of two backends was down",
    lambda transcript: second_is(transcript, "down") and bool(_before(transcript, "tools/list")),
)
LATE: Final = Precondition(
    "second-backend-late",
    "a client that came after the second of two backends had been started",
    lambda transcript: (
        second_is(transcript, "down")
        and any(item.t > step_at(transcript, READY) for item in posted(transcript, "initialize"))
    ),
)


@rule(
    id="MGC140",
    title="A backend that is down takes nothing of another's away",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.SERVER,
    requirements=("AGG-03",),
    when=DOWN,
    failure_classes=(ONE_BAD,),
)
def down_backend_harms_none(inputs: Inputs) -> Verdict:
    """Judge what a client gets of one backend while the gateway's other one refuses connections.

    What it checks: initialize has a result, tools/list names the tool of the backend that is there, a call of it a
    result.
    Why it matters: of a dozen backends one is always down; it must not empty the other eleven.
    A failing exchange: one of two backends down; POST tools/list → error, or []
    A conforming exchange: one of two backends down; POST tools/list → the other's tools
    Known gaps: the gateway is given ready.seconds to listen, and may be still reaching its backends when it does: what
    is answered, if with an error status alone, is judged of the last client before the other backend is started, and
    clients come for RELAY_PROMPT until one is served. A list of the gateway's own tools in place of its backends' is
    not judged; one that is too long to be kept whole is taken to hold the tool.
    """
    return _harmless(inputs.through)


@rule(
    id="MGC141",
    title="A backend that never answers initialize takes nothing of another's away",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.SERVER,
    requirements=("AGG-04",),
    when=SILENT,
    failure_classes=(ONE_BAD,),
)
def silent_backend_harms_none(inputs: Inputs) -> Verdict:
    """Judge what a client gets of one backend while the gateway's other one takes initialize and says nothing.

    What it checks: initialize, tools/list and a call each have a result within HANG_OBSERVATION, and the list names the
    tool of the backend that answers.
    Why it matters: a backend that hangs must not hang everybody; clients give up on initialize and do not come back.
    A failing exchange: one of two backends silent; POST initialize → nothing in 12 s
    A conforming exchange: one of two backends silent; POST initialize → a result after 5 s
    Known gaps: how soon within that time is not judged; of what is answered, only the last client's, as in MGC140.
    """
    return _harmless(inputs.through)


def _harmless(transcript: Transcript) -> Verdict:
    """Judge initialize, the list and the call made while the second backend was of no use."""
    refused = _refusals(transcript)
    if refused and not _before(transcript, "initialize"):
        return fail("the gateway listens", "it accepted no connection", events=refused, symptom=ONE_BAD)
    last = max(_before(transcript, "initialize"), key=lambda item: item.t).tap
    seen = tuple(step for step in _steps(transcript) if step[0].tap == last or _left_waiting(step[0]))
    for item, wanted, wrong in seen:
        if not wrong:
            continue
        until = transcript.end_of(item)
        if item.answer() is None and lagged(transcript, item.t, until):
            return Inconclusive("the machine was too busy while an answer was awaited")
        return fail(wanted, wrong, item, symptom=ONE_BAD)
    return Pass(f"{len(seen)} requests were served", tuple(seq for item, _, _ in seen for seq in item.events))


def _left_waiting(item: Exchange) -> bool:
    """Whether a request was neither answered nor refused; a gateway that is still starting may refuse it."""
    return item.answer() is None and (item.status or 0) < 400


def _steps(transcript: Transcript) -> Iterator[tuple[Exchange, str, str]]:
    """Yield what was asked while the second backend was of no use, what was wanted, and what is wrong, if anything."""
    for item in _before(transcript, "initialize"):
        yield item, "a result for initialize", f"it was answered {said(item)}" if without_result(item) else ""
    name = expected(transcript).get(FIRST, "")
    for item in _before(transcript, "tools/list") if transcript.meta_tool is None else ():
        names = listed(item, "tools")
        wrong = f"it was answered {said(item)}" if names is None else f"{len(names)} tools, and not that one"
        there = name in (names or ()) or is_outline(item)
        yield item, f"tools/list names {name}, of the backend that is there", "" if there else wrong
    for item in calls_of(transcript, FIRST):
        if item.t < step_at(transcript, STARTED):
            yield item, f"a result for the call of {name}", f"it was answered {told(item)}" if unserved(item) else ""


@rule(
    id="MGC142",
    title="A list that lacks a backend's part says so",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.SERVER,
    requirements=("AGG-05",),
    when=PARTIAL,
    failure_classes=("silent-partial-aggregate",),
    needs_plain_tools=True,
)
def partial_list_says_so(inputs: Inputs) -> Verdict:
    """Judge the list of tools while one of two backends is down.

    What it checks: it names the missing backend's tools all the same, or has something in `_meta`, or its client is
    sent a log message.
    Why it matters: to a client half a list looks whole; nobody looks for a fault, and the model does without.
    A failing exchange: one of two backends down; POST tools/list → the other's tools and nothing else
    A conforming exchange: … → {"tools": […], "_meta": {"com.example/unavailable": ["b"]}}
    Known gaps: what `_meta` or the log message says is not read.
    """
    partial = _lists_of_first(inputs.through)
    if not partial:
        return NotExercised("a list with the tools of the backend that is there: MGC140 judges why there is none")
    missing = expected(inputs.through).get(SECOND, "")
    for item in partial:
        answer = item.answer()
        told = answer is not None and bool((answer.result or {}).get("_meta"))
        if missing not in (listed(item, "tools") or ()) and not told and not _logged(inputs.through, item):
            return fail(
                f"tools/list names {missing}, or says that a backend is missing",
                "it names the other backend's tools and says no more",
                item,
                symptom="silent-partial-aggregate",
            )
    return Pass("the list is whole, or says that it is not", partial[0].events)


def _logged(transcript: Transcript, item: Exchange) -> bool:
    """Whether the client of a request was sent a log message before the second backend was started."""
    return any(
        message.method == "notifications/message" and message.t < step_at(transcript, STARTED)
        for message in transcript.client_messages()
        if message.tap == item.tap
    )


@rule(
    id="MGC143",
    title="A second backend that starts late is served",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.SERVER,
    requirements=("AGG-06",),
    when=LATE,
    failure_classes=("empty-tools-startup-race",),
)
def late_second_backend_is_served(inputs: Inputs) -> Verdict:
    """Judge calls of new clients once the backend that was down when the gateway started is up.

    What it checks: a client that connects RELAY_PROMPT seconds after the backend got ready has its call served.
    Why it matters: otherwise the gateway must be restarted, and the sessions with its other backends with it.
    A failing exchange: second backend ready; 5 s later initialize, tools/call → -32602 unknown tool
    A conforming exchange: second backend ready; initialize, tools/call → its result
    Known gaps: clients that were connected before are not judged.
    """
    since = step_at(inputs.through, READY)
    made = [item for item in calls_of(inputs.through, SECOND) if item.t > since]
    for item in made:
        if not unserved(item):
            return Pass(f"a call was served {item.t - since:.1f} s after the backend was ready", item.events)
    last = [*(item for item in posted(inputs.through, "initialize") if item.t > since), *made][-1]
    if last.t - since < timing.RELAY_PROMPT:
        return Inconclusive(f"nobody called later than {last.t - since:.1f} s after the backend was ready")
    if lagged(inputs.through, since, last.t):
        return Inconclusive("the machine was too busy while the backend's tools were awaited")
    return fail(
        f"a result for the call of {expected(inputs.through).get(SECOND)} by a client that connects afterwards",
        f"{last.t - since:.1f} s after the backend was ready {last.rpc_method} was answered {told(last)}",
        last,
        symptom="empty-tools-startup-race",
    )
