"""Family session_reuse, the gateway as server: session ids, and what becomes of requests without a live one."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from conformance.evidence.redact import Facts, facts
from conformance.evidence.transcript import Exchange, Transcript
from conformance.rules.base import Inputs, Level, Precondition, Side, charge, fail, rule
from conformance.rules.preconditions import initializes
from conformance.rules.session_reuse_evidence import (
    NO_SESSIONS,
    NOT_ENDED,
    SESSION_HEADER,
    SUITE,
    accepted,
    after_end,
    charge_outside_sessions,
    delete_refused,
    deletes,
    issued_ids,
    lagged,
    said,
    sessionless,
    with_unknown_id,
    without_id,
)
from conformance.rules.verdicts import Inconclusive, Pass, Verdict

SAMPLE: Final = 12
"""Session ids looked at together: a counter or a clock shows in so many, and starting as many children is cheap."""

ENOUGH_BITS: Final = 64
"""Least size of what differs between ids, in bits; the specification's own examples, UUIDs, have 122."""

_BITS: Final = {"decimal": 3.32, "hex": 4.0}
"""Bits of one character by alphabet; 6 for the wider ones."""


def refused(transcript: Transcript) -> tuple[Exchange, ...]:
    """Return the clients' requests that were answered with a 4xx or 5xx status."""
    return tuple(item for item in transcript.client() if item.status is not None and item.status >= 400)


ISSUED = Precondition(
    "session-issued", "an initialize that was answered with a result", lambda transcript: bool(initializes(transcript))
)
SAMPLED = Precondition(
    "session-ids-sampled",
    f"{SAMPLE} initializes that were answered with a result",
    lambda transcript: len(initializes(transcript)) >= SAMPLE,
)
WITHOUT_ID = Precondition(
    "post-without-session",
    "a POST or DELETE without a session id by a client that had initialized",
    lambda transcript: bool(without_id(transcript)) or sessionless(transcript),
)
UNKNOWN_ID = Precondition(
    "post-unknown-session",
    "a POST or DELETE with a session id that was issued to nobody",
    lambda transcript: bool(with_unknown_id(transcript)),
)
DELETED = Precondition(
    "session-deleted",
    "a client's DELETE of its session",
    lambda transcript: bool(deletes(transcript)) or sessionless(transcript),
)
USED_AFTER_END = Precondition(
    "session-used-after-end",
    "a request with the id of a session after its DELETE",
    lambda transcript: bool(after_end(transcript)) or delete_refused(transcript) or sessionless(transcript),
)
REFUSED = Precondition(
    "request-refused", "a request that was refused with an HTTP status", lambda transcript: bool(refused(transcript))
)


@rule(
    id="MGC201",
    title="Session ids are visible ASCII",
    suite=SUITE,
    level=Level.MUST,
    side=Side.SERVER,
    requirements=("SESSION-03",),
    when=ISSUED,
    failure_classes=("session-id-demanded",),
)
def session_ids_are_visible_ascii(inputs: Inputs) -> Verdict:
    """Judge the characters of each session id that the gateway issues.

    What it checks: every character lies between 0x21 and 0x7E.
    Why it matters: clients send the id back in a header; one with a space or beyond ASCII is cut or never arrives.
    A failing exchange: initialize → Mcp-Session-Id: session 9f2c
    A conforming exchange: initialize → Mcp-Session-Id: 1868a90c-0cf5-4a0e-a1f5-6c3f8d4e2b7a
    Known gaps: white space at the ends is removed by every HTTP parser and cannot be seen.
    """
    opened = [item for item in initializes(inputs.through) if SESSION_HEADER in item.response_headers]
    if not opened:
        return NO_SESSIONS
    for item in opened:
        if not _visible(item):
            return fail(
                "a session id of characters between 0x21 and 0x7E",
                f"the id {item.response_headers[SESSION_HEADER]!r} was issued",
                item,
                charged_to=charge(inputs, item, lambda other: not _visible(other)),
                symptom="session-id-demanded",
            )
    return Pass(f"{len(opened)} session id(s), all visible ASCII", opened[0].events)


def _visible(item: Exchange) -> bool:
    value = item.response_headers.get(SESSION_HEADER, "-")
    known = facts(value)
    if known is not None:
        return known.alphabet != "other"
    return bool(value) and all("\x21" <= character <= "\x7e" for character in value)


@rule(
    id="MGC202",
    title="Session ids are unique and not guessable",
    suite=SUITE,
    level=Level.MUST,
    side=Side.SERVER,
    requirements=("SESSION-12", "SESSION-02"),
    when=SAMPLED,
    failure_classes=("session-not-bound-to-principal",),
)
def session_ids_are_unguessable(inputs: Inputs) -> Verdict:
    """Judge the ids of a dozen sessions together.

    What it checks: no two are equal, and the characters in which they differ can hold 64 bits.
    Why it matters: whoever guesses an id uses another's session, where nothing else binds it to its user.
    A failing exchange: initialize → Mcp-Session-Id: session-41; initialize → Mcp-Session-Id: session-42
    A conforming exchange: two initializes → two random UUIDs
    Known gaps: a counter behind a hash looks random; of redacted ids only the length is known.
    """
    ids = issued_ids(inputs.through)
    opened = [item for item in initializes(inputs.through) if SESSION_HEADER in item.response_headers]
    if not ids:
        return NO_SESSIONS
    if len(ids) < SAMPLE:
        return Inconclusive(f"only {len(ids)} of {SAMPLE} initializes issued a session id")
    bits = varying_bits(ids)
    if len(set(ids)) == len(ids) and bits >= ENOUGH_BITS:
        return Pass(f"{len(ids)} different ids that vary in {bits:.0f} bits", opened[0].events)
    repeated = len(ids) - len(set(ids))
    return fail(
        f"ids that never repeat and vary in at least {ENOUGH_BITS} bits",
        f"{repeated} of {len(ids)} ids repeat an earlier one"
        if repeated
        else f"the ids vary in {bits:.0f} bits only, as {ids[0]!r} and {ids[1]!r} do",
        *opened[:2],
        charged_to=charge(inputs, opened[0], _issues(ids[0])),
        symptom="session-not-bound-to-principal",
    )


def _issues(value: str) -> Callable[[Exchange], bool]:
    return lambda other: other.response_headers.get(SESSION_HEADER) == value


def varying_bits(ids: Iterable[str]) -> float:
    """Return how many bits the characters can hold in which the ids differ; for redacted ids, all their characters."""
    values = tuple(ids)
    tokens = [known for known in map(facts, values) if known is not None]
    if tokens:
        return min(known.length * _bits_of(known) for known in tokens)
    aligned = (values, tuple(value[::-1] for value in values))  # ids of different lengths match at either end
    varying = min(sum(len(set(column)) > 1 for column in zip(*side, strict=False)) for side in aligned)
    characters = set("".join(values)) - {"-"}
    if characters <= set("0123456789"):
        return varying * _BITS["decimal"]
    return varying * (_BITS["hex"] if characters <= set("0123456789abcdefABCDEF") else 6.0)


def _bits_of(known: Facts) -> float:
    return _BITS.get(known.alphabet, 6.0)


@rule(
    id="MGC203",
    title="A request without a session id is refused where ids are issued",
    suite=SUITE,
    level=Level.SHOULD,
    side=Side.SERVER,
    requirements=("SESSION-05",),
    when=WITHOUT_ID,
    failure_classes=("unknown-session-wrong-status", "error-misclassified"),
)
def missing_session_is_refused(inputs: Inputs) -> Verdict:
    """Judge POST and DELETE without Mcp-Session-Id by a client that was given one.

    What it checks: a 4xx status.
    Why it matters: served without an id, the request runs in a session that is nobody's or everybody's.
    A failing exchange: POST tools/list without Mcp-Session-Id → 200 and the list
    A conforming exchange: POST tools/list without Mcp-Session-Id → 400
    Known gaps: which 4xx is not judged, 400 is the one the specification names; GET is MGC306's.
    """
    if not issued_ids(inputs.through):
        return NO_SESSIONS
    asked = without_id(inputs.through)
    for item in asked:
        if item.status is None and lagged(inputs.through, item):
            return Inconclusive("the machine was too busy while the refusal was awaited")
        if not _refused_4xx(item):
            return fail(
                f"{item.method} without a session id is refused with 400",
                f"it was answered {said(item)}",
                item,
                charged_to=charge_outside_sessions(inputs, item, _refused_4xx),
                symptom="unknown-session-wrong-status" if accepted(item) else "error-misclassified",
            )
    return Pass(f"{len(asked)} request(s) without an id, refused with {asked[0].status}", asked[0].events)


def _refused_4xx(item: Exchange) -> bool:
    return item.status is not None and 400 <= item.status < 500


def _gone(item: Exchange) -> bool:
    """Whether an exchange says that there is no such session; 405 where the method is not offered at all."""
    return item.status == 404 or (item.status == 405 and item.method != "POST")


@rule(
    id="MGC204",
    title="An unknown session id is answered 404",
    suite=SUITE,
    level=Level.MUST,
    side=Side.SERVER,
    requirements=("SESSION-06",),
    when=UNKNOWN_ID,
    failure_classes=("unknown-session-wrong-status",),
)
def unknown_session_is_404(inputs: Inputs) -> Verdict:
    """Judge POST and DELETE with a session id that the gateway never issued.

    What it checks: where ids are issued, POST is answered 404, DELETE 404 or 405.
    Why it matters: 404 is what makes a client initialize anew; with any other status it stays on the dead id.
    A failing exchange: POST tools/list with an unknown Mcp-Session-Id → 400
    A conforming exchange: POST tools/list with an unknown Mcp-Session-Id → 404
    Known gaps: to the gateway it may as well be one it has forgotten, which is why the row on ended ids holds; GET is
    MGC310's.
    """
    if not issued_ids(inputs.through):
        return NO_SESSIONS
    return _all_gone(inputs, with_unknown_id(inputs.through), "a session id that was never issued")


@rule(
    id="MGC205",
    title="An ended session id is answered 404",
    suite=SUITE,
    level=Level.MUST,
    side=Side.SERVER,
    requirements=("SESSION-06",),
    when=USED_AFTER_END,
    failure_classes=("unknown-session-wrong-status",),
)
def ended_session_is_404(inputs: Inputs) -> Verdict:
    """Judge POST, GET and DELETE with the id of a session whose DELETE was answered 2xx.

    What it checks: each is answered 404; GET and DELETE may also be 405.
    Why it matters: a session that lives on after its end keeps state that its user meant to be gone.
    A failing exchange: DELETE → 200, POST tools/list with the same id → 200
    A conforming exchange: DELETE → 200, POST tools/list with the same id → 404
    Known gaps: of the ways in which a session ends only DELETE is driven here.
    """
    if not issued_ids(inputs.through):
        return NO_SESSIONS
    if not after_end(inputs.through):
        return NOT_ENDED
    return _all_gone(inputs, after_end(inputs.through), "the id of a session that was ended")


def _all_gone(inputs: Inputs, asked: tuple[Exchange, ...], what: str) -> Verdict:
    for item in asked:
        if item.status is None and lagged(inputs.through, item):
            return Inconclusive("the machine was too busy while the refusal was awaited")
        if not _gone(item):
            return fail(
                f"404 for {what}",
                f"{item.method} with it was answered {said(item)}",
                item,
                charged_to=charge_outside_sessions(inputs, item, _gone),
                symptom="unknown-session-wrong-status",
            )
    seen = ", ".join(f"{item.method} {item.status}" for item in asked)
    return Pass(f"{what} was answered {seen}", tuple(seq for item in asked for seq in item.events))


@rule(
    id="MGC206",
    title="DELETE of a session is accepted, or refused with 405",
    suite=SUITE,
    level=Level.MAY,
    side=Side.SERVER,
    requirements=("SESSION-09",),
    when=DELETED,
    failure_classes=("session-leak",),
)
def delete_is_answered(inputs: Inputs) -> Verdict:
    """Judge the answer to a client's DELETE of its own live session.

    What it checks: a 2xx status, 404, or 405.
    Why it matters: a client cannot tell from anything else whether its session is over, so it is left behind.
    A failing exchange: DELETE /mcp with a live Mcp-Session-Id → 500
    A conforming exchange: DELETE /mcp with a live Mcp-Session-Id → 200, 202, 204 or 405
    Known gaps: whether the session ended is MGC205's.
    """
    if not issued_ids(inputs.through):
        return NO_SESSIONS
    for item in deletes(inputs.through):
        if item.status is None and lagged(inputs.through, item):
            return Inconclusive("the machine was too busy while the answer to DELETE was awaited")
        if _delete_unsettled(item):
            return fail(
                "DELETE is answered 2xx, 404 or 405",
                f"it was answered {said(item)}",
                item,
                charged_to=charge(inputs, item, _delete_unsettled),
                symptom="session-leak",
            )
    first = deletes(inputs.through)[0]
    return Pass(f"DELETE was answered {first.status}", first.events)


def _delete_unsettled(item: Exchange) -> bool:
    return not (accepted(item) or item.status in (404, 405))


@rule(
    id="MGC212",
    title="A refused request creates no session",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.SERVER,
    requirements=("SESS-04",),
    when=REFUSED,
    failure_classes=("session-minted-on-error",),
)
def refusal_mints_no_session(inputs: Inputs) -> Verdict:
    """Judge the headers of every refusal.

    What it checks: a response with a 4xx or 5xx status names no session but the one that the request named.
    Why it matters: health probes and scanners fill the session table; a client may take the id for its own.
    A failing exchange: POST tools/list without a session id → 400 with Mcp-Session-Id: 6c3f8d4e
    A conforming exchange: POST tools/list without a session id → 400
    Known gaps: a session that is created and not named is not seen.
    """
    found = refused(inputs.through)
    minted = [item for item in found if _mints(item)]
    if minted:
        refusals = ", ".join(f"{item.method} {item.status}" for item in minted)
        return fail(
            "a refusal carries no new session id",
            f"{len(minted)} of {len(found)} refusals carry one ({refusals})",
            *minted,
            charged_to=charge(inputs, minted[0], _mints),
            symptom="session-minted-on-error",
        )
    return Pass(f"{len(found)} refusal(s), none with a new session id", found[0].events)


def _mints(item: Exchange) -> bool:
    given = item.response_headers.get(SESSION_HEADER)
    return (item.status or 0) >= 400 and given is not None and given != item.headers.get(SESSION_HEADER)
