"""Family isolation: two backends behind one gateway with tools of the same names (MGC850 to 852)."""

from __future__ import annotations

from typing import Final

from conformance.evidence.transcript import Exchange, Transcript
from conformance.rules.base import Inputs, Level, Precondition, Side, fail, rule
from conformance.rules.initialize_ordering_evidence import listed
from conformance.rules.isolation_bystanders import beside, held_up, slow_call
from conformance.rules.isolation_evidence import SUITE
from conformance.rules.session_reuse_evidence import posted
from conformance.rules.two_backends_evidence import FIRST, SECOND, calls_of, name_of, reached, second_is
from conformance.rules.verdicts import NotExercised, Pass, Verdict

MANGLED: Final = "tool-name-mangled"
_CALLED: Final = {FIRST: "the first backend", SECOND: "the second backend"}


def _lists(transcript: Transcript) -> tuple[Exchange, ...]:
    """Return the lists of tools that clients got while both backends were there."""
    found = posted(transcript, "tools/list") if second_is(transcript, "works") else ()
    return tuple(item for item in found if listed(item, "tools") is not None)


def _tool(transcript: Transcript) -> str:
    """Return the name of a tool that both backends have."""
    return next((str(event.data["tool"]) for event in transcript.stimuli("two.expected")), "")


LISTED: Final = Precondition(
    "tools-of-two-listed",
    "a list of tools of a gateway that has two backends",
    lambda transcript: bool(_lists(transcript)),
)
CALLED: Final = Precondition(
    "tool-of-two-called",
    "calls of a tool that two backends have, one at each",
    lambda transcript: all(calls_of(transcript, backend) for backend in (FIRST, SECOND)),
)
BESIDE: Final = Precondition(
    "call-beside-slow-backend",
    "a call at one backend beside a slow one at another",
    lambda transcript: bool(_beside(transcript)),
)


def _beside(transcript: Transcript) -> tuple[Exchange, ...]:
    """Return the calls that a client made beside its own slow one, at another backend than that one."""
    slow = slow_call(transcript)
    if slow is None or not second_is(transcript, "works"):
        return ()
    return tuple(
        item
        for item in beside(transcript, same_session=True)
        if reached(transcript, item).isdisjoint(reached(transcript, slow))
    )


@rule(
    id="MGC850",
    title="Of two backends' tools with one name, both are offered",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.TRANSPARENCY,
    requirements=("AGG-01",),
    when=LISTED,
    failure_classes=(MANGLED,),
    needs_plain_tools=True,
)
def both_tools_are_offered(inputs: Inputs) -> Verdict:
    """Judge the list of tools where two backends have the same ones.

    What it checks: two names in it hold the name of a tool that both have, and no name comes twice.
    Why it matters: a tool that gives way to another one of its name is gone, and nothing says so.
    A failing exchange: both backends list echo; the gateway lists echo once
    A conforming exchange: both backends list echo; the gateway lists a_echo and b_echo
    Known gaps: names that hold no part of the backend's are not recognised; how long they are is not judged.
    """
    tool, found = _tool(inputs.through), _lists(inputs.through)
    for item in found:
        names = listed(item, "tools") or ()
        twice = sorted({name for name in names if names.count(name) > 1})
        own = sorted({name for name in names if tool in name})
        if twice or len(own) < len(_CALLED):
            return fail(
                f"a name for each of the two tools {tool}, and no name twice",
                f"{', '.join(twice)} came twice" if twice else f"it has {', '.join(own) or 'none'}",
                item,
                symptom=MANGLED,
            )
    return Pass(f"{len(found)} list(s) with a name for each tool", found[0].events)


@rule(
    id="MGC851",
    title="Each of two backends' tools with one name leads to its own backend",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.TRANSPARENCY,
    requirements=("AGG-02",),
    when=CALLED,
    failure_classes=(MANGLED,),
)
def each_name_leads_to_its_backend(inputs: Inputs) -> Verdict:
    """Judge where calls arrive that name the same tool of one backend and of the other.

    What it checks: each arrives at the backend whose tool was named, and there alone.
    Why it matters: two databases have a tool `query`; the wrong one answers just as readily.
    A failing exchange: call a_echo → arrives at a; call b_echo → arrives at a
    A conforming exchange: call a_echo → arrives at a; call b_echo → arrives at b
    Known gaps: which name is whose is as the target's manifest says; a name that is not listed is MGC850's.
    """
    offered = {name for item in _lists(inputs.through) for name in listed(item, "tools") or ()}
    judged: list[Exchange] = []
    for backend, words in _CALLED.items():
        for call in calls_of(inputs.through, backend):
            name = name_of(inputs.through, call)
            if inputs.through.meta_tool is None and name not in offered:
                continue
            judged.append(call)
            taps = reached(inputs.through, call)
            if taps != {backend}:
                where = " and ".join(_CALLED[tap] for tap in sorted(taps) if tap in _CALLED) or "no backend"
                return fail(f"a call of {name} arrives at {words}", f"it arrived at {where}", call, symptom=MANGLED)
    if not judged:
        return NotExercised("a call by a name that is listed: MGC850 judges the list")
    return Pass(f"{len(judged)} calls arrived where their names say", judged[0].events)


@rule(
    id="MGC852",
    title="A slow call at one backend does not hold up another backend's",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.TRANSPARENCY,
    requirements=("AGG-09",),
    when=BESIDE,
    failure_classes=("head-of-line-block",),
)
def other_backend_is_not_held_up(inputs: Inputs) -> Verdict:
    """Judge how long a quick call at one backend takes beside a slow one at the other, in one session.

    What it checks: it waits for no more than HELD_SHARE of what is left of the slow call.
    Why it matters: the slowest backend would set the pace of all.
    A failing exchange: call b_slow (2 s); 0.2 s later call a_echo → answered after 1.8 s
    A conforming exchange: call b_slow (2 s); 0.2 s later call a_echo → answered after 0.01 s
    Known gaps: clients of other sessions are not driven.
    """
    return held_up(inputs, _beside(inputs.through))
