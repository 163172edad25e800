"""Family isolation, what a gateway remembers: lists and results of one client at another (MGC812, MGC813)."""

from __future__ import annotations

from typing import Final

from conformance.evidence.links import nonce_of
from conformance.evidence.transcript import Exchange, Transcript
from conformance.rules.answers import without_result
from conformance.rules.base import Inputs, Level, Precondition, Side, fail, rule
from conformance.rules.isolation_evidence import SUITE, share_backend_session
from conformance.rules.session_reuse_evidence import posted, sessionless
from conformance.rules.verdicts import Inconclusive, NotApplicable, NotExercised, Pass, Verdict

OWN_TOOL: Final = "own-tool.added"


def own_tool(transcript: Transcript) -> tuple[str, str] | None:
    """Return the name of the tool that the backend added to one client's session, and that client's tap."""
    for event in transcript.stimuli(OWN_TOOL):
        return str(event.data["tool"]), f"client:{event.data['client']}"
    return None


def lists_after(transcript: Transcript) -> tuple[Exchange, ...]:
    """Return the lists of tools that clients had after the tool was added."""
    added = transcript.stimuli(OWN_TOOL)
    return tuple(
        item for item in posted(transcript, "tools/list") if added and item.t > added[0].t and not without_result(item)
    )


def _listed(item: Exchange) -> list[str]:
    answer = item.answer()
    tools = answer.result.get("tools") if answer is not None and answer.result is not None else None
    return [str(t.get("name", "")) for t in tools if isinstance(t, dict)] if isinstance(tools, list) else []


def equal_calls(transcript: Transcript) -> tuple[tuple[Exchange, ...], ...]:
    """Return the answered calls that two clients made with the same nonce, so with the same arguments, by nonce."""
    by_nonce: dict[str, list[Exchange]] = {}
    for item in posted(transcript, "tools/call"):
        nonce = nonce_of(item)
        if nonce is not None and not without_result(item):
            by_nonce.setdefault(nonce, []).append(item)
    return tuple(tuple(found) for found in by_nonce.values() if len({item.tap for item in found}) > 1)


LISTED = Precondition(
    "own-tool-listed",
    "lists of two clients after the backend had added a tool to the session of one",
    lambda transcript: len({item.tap for item in lists_after(transcript)}) > 1,
)
EQUAL_CALLS = Precondition(
    "equal-calls",
    "two clients' answered calls with the same arguments",
    lambda transcript: bool(equal_calls(transcript)),
)


@rule(
    id="MGC812",
    title="A list made for one client is not shown to another",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.TRANSPARENCY,
    requirements=("ISO-09",),
    when=LISTED,
    failure_classes=("cache-crosses-clients",),
    needs_plain_tools=True,
)
def lists_do_not_cross(inputs: Inputs) -> Verdict:
    """Judge the tools that one client sees after the backend added one to another client's session.

    What it checks: the tool is in no list but those of the client whose session has it, and in one of these.
    Why it matters: servers list what a user may do; a list kept for all shows one user the tools of another.
    A failing exchange: a's session gets the tool x; a: tools/list → …, x; b: tools/list → …, x
    A conforming exchange: a's session gets the tool x; a: tools/list → …, x; b: tools/list → …
    Known gaps: prompts and resources are not listed; where both clients share one backend session, MGC208 says so. A
    gateway that shows the tool to nobody, as one with a list of before for everybody, is not judged.
    """
    added = own_tool(inputs.through)
    if added is None:
        return Inconclusive("no tool was added")
    name, owner = added
    lists = lists_after(inputs.through)
    naming = [item for item in lists if inputs.through.tool_names.standing_for(name, _listed(item))]
    for item in naming:
        if item.tap == owner:
            continue
        if share_backend_session(inputs.through, owner, item.tap):
            return NotApplicable("both clients are served in one backend session, which has the tool")
        return fail(
            "a tool of one client's session is listed to that client only",
            f"{item.tap} was shown {name}, which the session of {owner} alone has",
            item,
            symptom="cache-crosses-clients",
        )
    if not naming and sessionless(inputs.through):
        return NotApplicable("no session is issued, so that no tool can be one client's alone")
    if not naming:
        return NotExercised(f"a list of {owner} with the tool that its session was given")
    others = [item for item in lists if item.tap != owner]
    return Pass(f"{len(others)} list(s) of others without the tool", others[0].events)


@rule(
    id="MGC813",
    title="A call is never answered with another client's result",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.TRANSPARENCY,
    requirements=("ISO-10",),
    when=EQUAL_CALLS,
    failure_classes=("cache-crosses-clients",),
)
def results_do_not_cross(inputs: Inputs) -> Verdict:
    """Judge whether equal calls of two clients both reach the backend.

    What it checks: the backend gets as many calls with the same arguments as clients were given results for.
    Why it matters: a result depends on who asks and when; one from a cache is another user's data.
    A failing exchange: a and b: tools/call echo {x}; the backend gets one call, and both get its result
    A conforming exchange: a and b: tools/call echo {x}; the backend gets two calls
    Known gaps: a cache that is keyed by more than the arguments and filled by the same client is not seen.
    """
    pairs = equal_calls(inputs.through)
    for found in pairs:
        nonce = nonce_of(found[0])
        reached = [m for m in inputs.through.backend_messages if m.direction == "up" and m.nonce == nonce]
        if len(reached) < len(found):
            return fail(
                "each call reaches the backend",
                f"{len(found)} calls with the same arguments were answered, and {len(reached)} reached the backend",
                *found,
                symptom="cache-crosses-clients",
            )
    return Pass(f"{len(pairs)} pair(s) of equal calls, and each call reached the backend", pairs[0][0].events)
