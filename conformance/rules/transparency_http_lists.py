"""Family transparency, lists: paged lists and the offers that initialize declares.

2025-11-25 server/utilities/pagination; server/tools, server/prompts and server/resources, Capabilities. The page on
pagination says MUST of opaque cursors only; what else it asks for is SHOULD, and judged here as what deployments need.
"""

from __future__ import annotations

from functools import partial

from conformance import timing
from conformance.evidence.exchanges import is_outline
from conformance.evidence.tool_names import ToolNames
from conformance.evidence.transcript import Exchange
from conformance.rules.answers import said, without_result
from conformance.rules.base import OWN_TOOLS, Inputs, Level, Side, charge, fail, rule
from conformance.rules.keep_alive_evidence import primed
from conformance.rules.transparency_http_pages import (
    INVALID_CURSOR,
    INVALID_PARAMS,
    LIST_FOLLOWED,
    PAGED_BACKEND,
    SUITE,
    Walk,
    cursor_of,
    foreign_cursors,
    names_in,
    never_issued,
    next_cursor,
    walks,
)
from conformance.rules.transparency_messages_evidence import lag_decided
from conformance.rules.verdicts import Inconclusive, NotApplicable, Pass, Verdict


@rule(
    id="MGC721",
    title="A list has every item of the backend's, once",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.TRANSPARENCY,
    requirements=("LIST-02",),
    when=LIST_FOLLOWED,
    failure_classes=("pagination-broken",),
    needs_control=True,
)
def list_is_whole(inputs: Inputs) -> Verdict:
    """Compare a list that a client followed to its end with the backend's own, from the control run.

    What it checks: the union of all pages has each of the backend's names, if with a prefix, and no name twice.
    Why it matters: a tool on a lost page does not exist for the client, and nothing says so.
    A failing exchange: backend lists 14 tools in 4 pages; through the gateway a client gets 4 tools and no nextCursor
    A conforming exchange: the gateway relays the pages, or joins them to one
    Known gaps: names are compared by their ends; of two backends behind one gateway, one may stand in for the other. A
    page that is too long to be kept in the evidence leaves its list unjudged, and an empty result looks like one.
    """
    wanted = {walk.method: walk for walk in walks(inputs.control) if walk.ended} if inputs.control is not None else {}
    judged: list[str] = []
    unkept: list[str] = []
    own = inputs.through.meta_tool is not None
    for walk in walks(inputs.through):
        if own and walk.method == "tools/list":
            continue
        if any(map(is_outline, walk.pages)):
            unkept.append(f"{walk.method}: too long to be kept whole in the evidence")
            continue
        names = names_in(walk)
        offered = names_in(wanted[walk.method]) if walk.method in wanted else ()
        if not offered:
            continue
        spelled = inputs.through.tool_names if walk.method == "tools/list" else ToolNames()
        lost = [name for name in offered if not spelled.standing_for(name, names)]
        doubled = sorted({name for name in names if names.count(name) > 1})
        if lost or doubled:
            return fail(
                f"{walk.method} gives, over all its pages, the {len(offered)} items of the backend, each once",
                _difference(walk, lost, doubled),
                *walk.pages,
            )
        judged.append(f"{walk.method}: {len(names)} items in {len(walk.pages)} page(s)")
    if unkept and not judged:
        return Inconclusive("; ".join(unkept))
    if not judged:
        return OWN_TOOLS if own else Inconclusive("no list was read to its end straight at the backend")
    unjudged = [f"tools/list is not judged, as {OWN_TOOLS.why}"] if own else []
    return Pass("; ".join(judged + unkept + unjudged), walks(inputs.through)[0].events)


def _difference(walk: Walk, lost: list[str], doubled: list[str]) -> str:
    pages = f"in {len(walk.pages)} page(s)"
    said = [f"{pages} {', '.join(lost[:5])} and {len(lost)} in all are missing"] if lost else []
    return "; ".join(said + ([f"{', '.join(doubled[:5])} came more than once"] if doubled else []))


@rule(
    id="MGC722",
    title="Following a list's cursors comes to an end",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.SERVER,
    requirements=("LIST-02",),
    when=LIST_FOLLOWED,
    failure_classes=("pagination-broken",),
)
def list_ends(inputs: Inputs) -> Verdict:
    """Judge the cursors that a client gets while it follows a list.

    What it checks: no nextCursor comes twice in one list, and each cursor is answered with a page: with no error of
    JSON-RPC or HTTP, no stream without an answer, no silence.
    Why it matters: a client that follows the cursors never gets to the end: 8 tools become 160.
    A failing exchange: {"cursor": "c2"} → {"tools": [page 1], "nextCursor": "c2"}
    A conforming exchange: {"cursor": "c2"} → {"tools": [page 2]}
    Known gaps: a list of ever new cursors is not told from a long one. A client that left before HANG_OBSERVATION
    seconds shows nothing; whether a stream with event ids that was closed can be resumed is not tried.
    """
    through = inputs.through
    followed = walks(through)
    for walk in followed:
        last = walk.pages[-1]
        if walk.repeated:
            return fail(
                f"the last page of {walk.method} has no nextCursor",
                f"page {len(walk.pages)} gave the cursor {next_cursor(last)!r} that an earlier page had given",
                *walk.pages[-2:],
                charged_to=charge(inputs, last, partial(_same_circle, last)),
            )
        if cursor_of(last) is not None and without_result(last):
            return _no_page(inputs, walk)
    return Pass(f"{len(followed)} list(s) came to an end", followed[0].events)


def _same_circle(last: Exchange, behind: Exchange) -> bool:
    """Whether the backend was asked for that very page and gave the same cursor."""
    return (cursor_of(behind), next_cursor(behind)) == (cursor_of(last), next_cursor(last))


def _no_page(inputs: Inputs, walk: Walk) -> Verdict:
    """Judge a list whose last cursor got no result."""
    last = walk.pages[-1]
    waited = inputs.through.over_for_client(last) - last.t
    if last.answer() is None and last.how in ("abandoned", "open") and waited < timing.HANG_OBSERVATION:
        return Inconclusive(f"the page that a cursor leads to was waited for only {waited:.1f} s")
    if last.answer() is None and lag_decided(inputs.through, last):
        return Inconclusive("the machine was too busy while the page was awaited")
    if last.answer() is None and primed(last):
        return Inconclusive("the stream gave event ids and was closed; whether it can be resumed is not driven here")
    return fail(
        "the cursor that a page gave leads to the next page",
        f"the client got {said(last)}",
        *walk.pages[-2:],
        charged_to=charge(inputs, last, without_result),
    )


@rule(
    id="MGC723",
    title="The gateway returns the backend's cursors as they came",
    suite=SUITE,
    level=Level.MUST,
    side=Side.CLIENT,
    requirements=("LIST-02",),
    when=PAGED_BACKEND,
    failure_classes=("pagination-broken",),
)
def cursors_are_opaque(inputs: Inputs) -> Verdict:
    """Judge the cursors in the list requests that a gateway sends to its backend.

    What it checks: each is one that the backend has given, or one that a client of the gateway has sent.
    Why it matters: what a cursor means is its server's affair; a decoded, shortened or guessed one is invalid there.
    A failing exchange: backend → nextCursor "cGFnZS1hdDo0"; gateway → {"cursor": "page-at:4"}
    A conforming exchange: backend → nextCursor "cGFnZS1hdDo0"; gateway → {"cursor": "cGFnZS1hdDo0"}
    Known gaps: a cursor that was given in another list is not told from this list's own.
    """
    sent, foreign = foreign_cursors(inputs.through)
    if foreign:
        return fail(
            "a cursor as the backend gave it",
            f"the gateway sent {foreign[0].params.get('cursor')!r}, which neither the backend nor a client had said",
            events=tuple(message.seq for message in foreign),
        )
    if not sent:
        return NotApplicable("the gateway followed none of the backend's cursors")
    return Pass(f"{len(sent)} cursor(s) went back as they had come", tuple(message.seq for message in sent))


@rule(
    id="MGC724",
    title="A cursor that was never given is refused with -32602",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.SERVER,
    requirements=("LIST-02",),
    when=INVALID_CURSOR,
    failure_classes=("pagination-broken", "error-misclassified"),
)
def invalid_cursor_is_refused(inputs: Inputs) -> Verdict:
    """Judge the answer to a list request with a cursor that no page gave.

    What it checks: it is the error -32602 (Invalid params).
    Why it matters: a client with a stale cursor that gets page 1 for it takes it for the next page, again and again.
    A failing exchange: {"cursor": "never-issued"} → {"tools": [page 1], "nextCursor": "c2"}
    A conforming exchange: {"cursor": "never-issued"} → {"error": {"code": -32602}}
    Known gaps: a cursor that was valid and has expired cannot be made from outside.
    """
    for asked in never_issued(inputs.through):
        if not _accepted(asked):
            continue
        answer = asked.answer()
        listed = answer is not None and answer.result is not None
        code = (answer.error or {}).get("code") if answer is not None else None
        return fail(
            f"the error {INVALID_PARAMS} for a cursor that was never given",
            "it was answered with a list" if listed else f"it was answered {asked.status} with the error {code}",
            asked,
            charged_to=charge(inputs, asked, partial(_accepted_too, asked)),
            symptom="pagination-broken" if listed else "error-misclassified",
        )
    first = never_issued(inputs.through)[0]
    return Pass(f"refused with {INVALID_PARAMS}", first.events)


def _accepted(exchange: Exchange) -> bool:
    """Whether a list request was answered otherwise than with -32602."""
    answer = exchange.answer()
    return answer is None or (answer.error or {}).get("code") != INVALID_PARAMS


def _accepted_too(asked: Exchange, behind: Exchange) -> bool:
    """Whether the backend was asked with the same cursor and did not refuse it either."""
    return cursor_of(behind) == cursor_of(asked) and _accepted(behind)
