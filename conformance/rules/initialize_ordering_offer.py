"""Family initialize_ordering: what a backend offers is offered through the gateway (MGC113, MGC117)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from conformance import timing
from conformance.evidence.events import JSON
from conformance.evidence.transcript import Exchange, Transcript
from conformance.rules.answers import without_result
from conformance.rules.base import Inputs, Level, Precondition, Side, fail, rule
from conformance.rules.initialize_ordering_evidence import (
    SUITE,
    handshakes,
    lagged,
    listed,
    posted,
    said,
    sound_initializes,
)
from conformance.rules.preconditions import initializes
from conformance.rules.verdicts import Inconclusive, NotApplicable, Pass, Verdict

CAPABILITIES: Final = ("tools", "prompts", "resources", "logging", "completions")
"""What servers of the legacy revisions declare and gateways can pass on (basic/lifecycle, Capability Negotiation)."""

LISTS: Final = (("tools/list", "tools"), ("prompts/list", "prompts"), ("resources/list", "resources"))

LATE_BACKEND = Precondition(
    "late-backend",
    "a backend that got ready after a client had connected, and a new client after that",
    lambda transcript: (
        bool(transcript.stimuli("late.expected"))
        and any(item.t > ready(transcript) for item in sound_initializes(transcript))
        and any(item.t < ready(transcript) for item in sound_initializes(transcript))
    ),
)
CAPABILITIES_COMPARED = Precondition(
    "capabilities-compared", "an initialize that was answered", lambda transcript: bool(initializes(transcript))
)


def ready(transcript: Transcript) -> float:
    """Return when the late backend was ready, in seconds; the recording's end when it never was."""
    started = transcript.stimuli("backend.ready")
    return started[0].t if started else transcript.end


def declared(transcript: Transcript) -> Mapping[str, JSON]:
    """Return the capabilities in the first answer to a client's initialize."""
    for item in initializes(transcript):
        answer = item.answer()
        offered = answer.result.get("capabilities") if answer is not None and answer.result is not None else None
        if isinstance(offered, Mapping):
            return offered
    return {}


def declared_by_backend(transcript: Transcript, capability: str) -> bool:
    """Whether a backend declared the capability to the gateway, or none was seen to answer initialize."""
    answers = [item.answer.result for item in handshakes(transcript) if item.answer and item.answer.result]
    offered = [answer.get("capabilities") for answer in answers]
    return not offered or any(isinstance(item, Mapping) and capability in item for item in offered)


def _outcome(transcript: Transcript, method: str, key: str) -> tuple[Exchange | None, int]:
    """Return the exchange that listed, and how many items; one that is too long to be kept whole counts as one."""
    for item in posted(transcript, method):
        names = listed(item, key)
        return item, len(names) if names is not None else int(not without_result(item))
    return None, 0


@rule(
    id="MGC113",
    title="Tools of a backend that starts late appear",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.SERVER,
    requirements=("INIT-05",),
    when=LATE_BACKEND,
    failure_classes=("empty-tools-startup-race", "initialize-hang"),
    needs_plain_tools=True,
)
def late_tools_appear(inputs: Inputs) -> Verdict:
    """Judge whether new clients get the tools of a backend that was not there when the gateway started.

    What it checks: a client that connects RELAY_PROMPT seconds after the backend got ready is given its tools.
    Why it matters: services start in any order; otherwise the gateway must be restarted by hand, and nobody knows why.
    A failing exchange: backend ready, 5 s later initialize → 200, tools/list → {"tools": []}
    A conforming exchange: backend ready, initialize → 200, tools/list → its tools
    Known gaps: clients that were connected before are judged in suite get_sse (list_changed); a list that is too
    long to be kept whole is taken to hold the tool.
    """
    expected = inputs.through.stimuli("late.expected")[0]
    since = ready(inputs.through)
    asked = [item for item in posted(inputs.through, "tools/list") if item.t > since]
    for item in asked:
        names = listed(item, "tools")
        if str(expected.data["tool"]) in (names or ()) or (names is None and not without_result(item)):
            return Pass(
                f"{expected.data['tool']} was listed {item.t - since:.1f} s after the backend was ready", item.events
            )
    last = [item for item in (*sound_initializes(inputs.through), *asked) if item.t > since][-1]
    if last.t - since < timing.RELAY_PROMPT:
        return Inconclusive(f"nobody asked later than {last.t - since:.1f} s after the backend was ready")
    if lagged(inputs.through, since, last.t):
        return Inconclusive("the machine was too busy while the tools were awaited")
    names = listed(last, "tools") if last in asked else None
    found = f"listed {len(names)} tool(s)" if names is not None else f"answered {said(last)} to {last.rpc_method}"
    hung = last.rpc_method == "initialize" and last.status is None
    return fail(
        f"{expected.data['tool']} is listed to a client that connects after the backend got ready",
        f"{last.t - since:.1f} s after that the gateway {found}",
        last,
        events=(expected.seq,),
        # an error for ever is the empty list's twin: what was found at the start is never looked at again
        symptom="initialize-hang" if hung else "empty-tools-startup-race",
    )


@rule(
    id="MGC117",
    title="What the backend offers is not lost",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.SERVER,
    requirements=("INIT-06",),
    when=CAPABILITIES_COMPARED,
    failure_classes=("silent-partial-aggregate",),
    needs_control=True,
)
def capabilities_are_kept(inputs: Inputs) -> Verdict:
    """Judge capabilities and lists against those of the backend itself.

    What it checks: each capability the control run declares is declared, and each list it fills is filled.
    Why it matters: clients do not ask for what is not declared; half of a server is gone and nothing says so.
    A failing exchange: control → {"tools": {}, "prompts": {}}, through the gateway → {"tools": {}}
    A conforming exchange: control → {"tools": {}, "prompts": {}}, through the gateway → {"tools": {}, "prompts": {}}
    Known gaps: a list with some items missing passes, as gateways rename and merge; so do lost sub-capabilities.
    """
    assert inputs.control is not None
    opened = initializes(inputs.through)[0]
    there, here = declared(inputs.control), declared(inputs.through)
    kept = [name for name in CAPABILITIES if name in there and declared_by_backend(inputs.through, name)]
    if not kept:
        return NotApplicable("the backend itself declares no capability")
    lost = [name for name in kept if name not in here]
    if lost:
        return fail(
            f"the backend's capabilities: {', '.join(kept)}",
            f"not declared through the gateway: {', '.join(lost)}",
            opened,
            symptom="silent-partial-aggregate",
        )
    for method, key in LISTS:
        item, count = _outcome(inputs.through, method, key)
        if item is not None and key in kept and not count and _outcome(inputs.control, method, key)[1]:
            return fail(
                f"{method} lists what the backend lists",
                f"it was answered {said(item)} and no {key}",
                item,
                symptom="silent-partial-aggregate",
            )
    return Pass(f"declared as by the backend: {', '.join(kept)}", opened.events)
