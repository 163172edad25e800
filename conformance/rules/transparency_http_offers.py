"""Family transparency, offers: what initialize declares is served.

2025-11-25 server/tools, server/prompts, server/resources, server/utilities/logging and completion, Capabilities.
"""

from __future__ import annotations

from typing import Final

from conformance.evidence.events import Hop
from conformance.evidence.transcript import Exchange, Transcript
from conformance.rules.base import Inputs, Level, Precondition, Side, fail, rule
from conformance.rules.initialize_ordering_offer import declared_by_backend
from conformance.rules.keep_alive_evidence import backend_answer, links_of
from conformance.rules.preconditions import initializes
from conformance.rules.verdicts import Pass, Verdict

SUITE: Final = "transparency"
METHOD_NOT_FOUND: Final = -32601
SERVED_BY: Final = {
    "tools": "tools/list",
    "prompts": "prompts/list",
    "resources": "resources/list",
    "logging": "logging/setLevel",
    "completions": "completion/complete",
}
"""Capability: the method that every server with it has."""


def _asked(transcript: Transcript) -> tuple[tuple[str, Exchange], ...]:
    """Return the clients' requests for what their initialize had declared, each with the capability."""
    found: list[tuple[str, Exchange]] = []
    for opened in initializes(transcript):
        answer = opened.answer()
        declared = (answer.result or {}).get("capabilities") if answer is not None else None
        found += [
            (capability, item)
            for capability in (declared if isinstance(declared, dict) else ())
            for item in transcript.client()
            if item.tap == opened.tap and item.t > opened.t and item.rpc_method == SERVED_BY.get(capability)
        ]
    return tuple(found)


DECLARED = Precondition(
    "capability-declared",
    "a request for something that initialize had declared",
    lambda transcript: bool(_asked(transcript)),
)


@rule(
    id="MGC725",
    title="A declared capability is served",
    suite=SUITE,
    level=Level.MUST,
    side=Side.SERVER,
    requirements=("LIST-06",),
    when=DECLARED,
    failure_classes=("silent-partial-aggregate",),
)
def declared_is_served(inputs: Inputs) -> Verdict:
    """Judge the first request for each capability that a session declares.

    What it checks: none is answered with -32601 (Method not found).
    Why it matters: clients ask only for what is declared, and take a refusal of that for a broken server.
    A failing exchange: initialize → {"capabilities": {"logging": {}}}; logging/setLevel → -32601
    A conforming exchange: initialize → {"capabilities": {"logging": {}}}; logging/setLevel → {}
    Known gaps: other errors pass here, as completion of an unknown prompt is one.
    """
    asked = _asked(inputs.through)
    for capability, item in asked:
        if _code(item) == METHOD_NOT_FOUND:
            behind = [backend_answer(inputs.through, link) for link in links_of(inputs.through, item)]
            unknown = any(
                (answer.error or {}).get("code") == METHOD_NOT_FOUND for answer in behind if answer is not None
            )
            own = unknown and declared_by_backend(inputs.through, capability)
            return fail(
                f"{item.rpc_method} is served, as {capability} is declared",
                f"it was answered with {METHOD_NOT_FOUND}",
                initializes(inputs.through)[0],
                item,
                charged_to=Hop.BACKEND if own else Hop.GATEWAY,
            )
    return Pass(f"served: {', '.join(sorted({capability for capability, _ in asked}))}", asked[0][1].events)


def _code(exchange: Exchange) -> object:
    answer = exchange.answer()
    return (answer.error or {}).get("code") if answer is not None else None
