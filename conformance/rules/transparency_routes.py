"""Family transparency: the endpoint answers on both spellings of its path (MGC780)."""

from __future__ import annotations

from typing import Final
from urllib.parse import urljoin, urlsplit

from conformance.evidence.transcript import Exchange, Transcript
from conformance.rules.answers import without_result
from conformance.rules.base import Inputs, Level, Precondition, Side, charge, fail, rule
from conformance.rules.verdicts import Inconclusive, Pass, Verdict

_REDIRECTS: Final = (301, 302, 303, 307, 308)


def spellings(transcript: Transcript) -> tuple[Exchange, ...]:
    """Return the first initialize at each path asked for, in order, where the paths differ in a trailing slash only."""
    first: dict[str, Exchange] = {}
    for item in transcript.client():
        if item.rpc_method == "initialize":
            first.setdefault(item.target, item)
    return tuple(first.values()) if len(first) > 1 and len({path.rstrip("/") for path in first}) == 1 else ()


def leads_to(exchange: Exchange, path: str) -> bool:
    """Whether a redirect's Location is that path, on whatever origin."""
    location = urljoin(exchange.target, exchange.response_headers.get("location", ""))
    return exchange.status in _REDIRECTS and urlsplit(location).path == path


BOTH_SPELLINGS: Final = Precondition(
    "endpoint-spellings",
    "initialize at the endpoint's path with and without a slash at its end",
    lambda t: len(spellings(t)) > 1,
)


@rule(
    id="MGC780",
    title="The endpoint is served with and without a slash at its end",
    suite="transparency",
    level=Level.PRACTICE,
    side=Side.SERVER,
    requirements=("ROUTE-01",),
    when=BOTH_SPELLINGS,
    failure_classes=("slash-redirect", "wrong-route-html"),
)
def both_spellings_are_served(inputs: Inputs) -> Verdict:
    """Judge whether it matters how a user has spelled the endpoint's path.

    What it checks: initialize has a result at `/mcp` and at `/mcp/`, without a redirect between them.
    Why it matters: users write either, most clients do not follow a redirect of a POST, and one that is followed can
    lose the body or, where the Location names another scheme, the credentials (sparfenyuk/mcp-proxy#89,
    modelcontextprotocol/python-sdk#1168).
    A failing exchange: POST /mcp/ → 200, POST /mcp → 404; or POST /mcp → 307, Location: /mcp/
    A conforming exchange: POST /mcp/ → 200, POST /mcp → 200
    Known gaps: paths that differ in more than the slash, and a Location that depends on X-Forwarded-Proto.
    """
    declared, other = spellings(inputs.through)[:2]
    if without_result(declared):
        return Inconclusive(f"initialize at {declared.target}, the endpoint itself, was answered {declared.status}")
    if other.status is None:
        return Inconclusive(f"initialize at {other.target} had no response, so no route answered")
    if not without_result(other):
        return Pass(f"initialize was served at {declared.target} and at {other.target}", other.events)
    redirected = leads_to(other, declared.target)
    return fail(
        f"initialize at {other.target} is served as at {declared.target}",
        f"it was answered {other.status}" + (f" with Location {declared.target}" if redirected else ""),
        declared,
        other,
        charged_to=charge(inputs, other, without_result),
        symptom="slash-redirect" if redirected else "wrong-route-html",
    )
