"""Family isolation, what a web page is told that a gateway lets in: which headers it may use, and who (MGC840, 841)."""

from __future__ import annotations

from typing import Final

from conformance.evidence.transcript import Exchange, Transcript
from conformance.rules.base import Inputs, Level, Precondition, Side, fail, rule
from conformance.rules.isolation_evidence import SUITE
from conformance.rules.verdicts import Pass, Verdict

PAGE: Final = "page.asked"
ALLOWED: Final = "access-control-allow-origin"
NEEDED: Final = ("content-type", "mcp-session-id", "mcp-protocol-version")
"""Request headers of a session that a browser sends only where the answer to its preflight allows them."""
_CREDENTIALS: Final = ("authorization", "cookie")


def of_page(transcript: Transcript) -> tuple[Exchange, ...]:
    """Return the answered requests of the page that the drive plays."""
    pages = {event.data.get("origin") for event in transcript.stimuli(PAGE)}
    return tuple(
        item for item in transcript.client() if item.headers.get("origin") in pages and item.status is not None
    )


def _let_in(transcript: Transcript) -> tuple[Exchange, ...]:
    """Return the answers that let the page in."""
    return tuple(item for item in of_page(transcript) if ALLOWED in item.response_headers)


def _nobody(inputs: Inputs) -> Pass:
    return Pass("no page is let in: no answer has Access-Control-Allow-Origin", of_page(inputs.through)[0].events)


def _listed(value: str) -> frozenset[str]:
    return frozenset(name.strip().lower() for name in value.split(",") if name.strip())


PAGE_ASKED = Precondition(
    "page-asked",
    "a preflight and an initialize of a web page",
    lambda transcript: any(item.method == "OPTIONS" for item in of_page(transcript)),
)


@rule(
    id="MGC840",
    title="A page that is let in can use its session",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.SERVER,
    requirements=("ISO-20",),
    when=PAGE_ASKED,
    failure_classes=("cors-headers-hidden",),
)
def page_can_use_its_session(inputs: Inputs) -> Verdict:
    """Judge what a gateway that lets a web page in allows that page to send and to read.

    What it checks: the preflight allows Content-Type, Mcp-Session-Id and MCP-Protocol-Version; where initialize issues
    a session, its answer exposes Mcp-Session-Id (Fetch, CORS protocol). Who lets no page in owes none anything.
    Why it matters: initialize succeeds, and every request after it lacks the session that the page could not read.
    A failing exchange: OPTIONS → Access-Control-Allow-Headers: Content-Type, Accept
    A conforming exchange: OPTIONS → Access-Control-Allow-Headers: content-type, mcp-session-id, mcp-protocol-version
    Known gaps: one page is played, of this machine; which origins should be let in is the operator's to say.
    """
    asked = _let_in(inputs.through)
    if not asked:
        return _nobody(inputs)
    for item in asked:
        if item.method == "OPTIONS":
            allowed = _listed(item.response_headers.get("access-control-allow-headers", ""))
            lacking = [name for name in NEEDED if name not in allowed and "*" not in allowed]
            expected = f"the preflight allows {', '.join(NEEDED)}"
        else:
            exposed = _listed(item.response_headers.get("access-control-expose-headers", ""))
            issued = "mcp-session-id" in item.response_headers
            lacking = ["mcp-session-id"] if issued and not exposed & {"mcp-session-id", "*"} else []
            expected = "the answer that issues a session exposes Mcp-Session-Id"
        if lacking:
            observed = f"{item.method} was answered without {', '.join(lacking)}"
            return fail(expected, observed, item, symptom="cors-headers-hidden")
    return Pass(f"a page may send and read what a session needs ({len(asked)} answers)", asked[0].events)


@rule(
    id="MGC841",
    title="Not every page is let in beside a credential",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.SERVER,
    requirements=("ISO-21",),
    when=PAGE_ASKED,
    failure_classes=("origin-not-checked",),
)
def wildcard_is_not_beside_credentials(inputs: Inputs) -> Verdict:
    """Judge whom a gateway lets in that takes credentials.

    What it checks: no answer to a request with a credential, nor one that allows credentials, lets every origin in.
    Why it matters: whatever page has, or is given, a token may then call tools with it and read what they say.
    A failing exchange: POST initialize, Authorization: Bearer … → 200, Access-Control-Allow-Origin: *
    A conforming exchange: POST initialize, Authorization: Bearer … → 200, Access-Control-Allow-Origin: https://app.example
    Known gaps: a gateway that echoes whatever origin asks is not told from one that has a list.
    """
    asked = _let_in(inputs.through)
    if not asked:
        return _nobody(inputs)
    for item in asked:
        everyone = item.response_headers[ALLOWED].strip() == "*"
        taken = item.response_headers.get("access-control-allow-credentials", "").strip().lower() == "true"
        if everyone and (taken or any(name in item.headers for name in _CREDENTIALS)):
            beside = "a credential" if not taken else "Access-Control-Allow-Credentials: true"
            return fail(
                "the origins that may use credentials are named",
                f"{item.method} was answered with Access-Control-Allow-Origin: * beside {beside}",
                item,
                symptom="origin-not-checked",
            )
    return Pass("no answer lets every page in beside a credential", asked[0].events)
