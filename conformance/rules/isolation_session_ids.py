"""Family isolation, session ids: those of one side stay on it, and out of URLs (MGC833)."""

from __future__ import annotations

import json
from collections.abc import Iterator

from conformance.evidence.transcript import Exchange, Transcript
from conformance.rules.answers import without_result
from conformance.rules.base import Inputs, Level, Precondition, Side, charge, fail, rule
from conformance.rules.isolation_evidence import SUITE
from conformance.rules.session_reuse_evidence import SESSION_HEADER, backend_initializes, issued_ids
from conformance.rules.verdicts import Pass, Verdict
from conformance.spec.revisions import STREAMABLE_LEGACY


def backend_ids(transcript: Transcript) -> frozenset[str]:
    """Return the session ids that backends gave the gateway."""
    found = (item.response_headers.get(SESSION_HEADER) for item in backend_initializes(transcript))
    return frozenset(value for value in found if value)


def shown(item: Exchange) -> Iterator[tuple[str, str]]:
    """Yield what a response shows, each part with its name.

    The session's own header is left out, and so are results of tools/call: the witness itself tells there which session
    a call came in.
    """
    yield from (
        (f"the header {name}", value) for name, value in item.response_headers.items() if name != SESSION_HEADER
    )
    if item.rpc_method != "tools/call" or without_result(item):
        yield from (("a message", json.dumps(message.payload)) for message in item.messages())
        yield "the body", item.body_text
        yield from (("an event", beat.text) for beat in item.beats)


def _errors(transcript: Transcript) -> tuple[Exchange, ...]:
    return tuple(item for item in transcript.client() if item.rpc_method == "tools/call" and without_result(item))


REFUSED_BEHIND = Precondition(
    "backend-session-behind-errors",
    "a session that the backend gave the gateway, and a call of a client that failed",
    lambda transcript: bool(backend_ids(transcript) and _errors(transcript)),
)


@rule(
    id="MGC833",
    title="Session ids stay on their side and out of URLs",
    suite=SUITE,
    level=Level.MUST,
    side=Side.TRANSPARENCY,
    requirements=("SESSION-10",),
    when=REFUSED_BEHIND,
    failure_classes=("credential-exposed",),
    revisions=STREAMABLE_LEGACY[-1:],
)
def session_ids_are_kept(inputs: Inputs) -> Verdict:
    """Judge where session ids turn up that are not the client's own.

    What it checks: no header, error or message that a client gets holds the id of a backend's session, unless it is
    that client's own id (a gateway that passes ids through); no URL of the gateway's requests holds any session id.
    Why it matters: whoever knows a session id can use the session; errors and URLs are logged everywhere.
    A failing exchange: tools/call → error "POST /mcp failed in session 3f2a…"
    A conforming exchange: tools/call → error "the backend answered with HTTP status 500"
    Known gaps: results of calls are not searched, nor ids that are encoded.
    """
    through, ids = inputs.through, backend_ids(inputs.through)
    for item in through.client():
        for part, text in shown(item):
            for value in ids:
                if value in text and value != item.session:
                    return fail(
                        "no session id of the backend's where a client sees it",
                        f"{part} of the answer to {item.rpc_method or item.method} holds one",
                        item,
                        charged_to=charge(inputs, item, lambda theirs: _tells(theirs, ids)),
                        symptom="credential-exposed",
                    )
    for item in through.backend:
        if any(value in item.target for value in (*ids, *issued_ids(through))):
            return fail(
                "session ids in header fields only",
                f"the URL of {item.method} to the backend holds one",
                item,
                symptom="credential-exposed",
            )
    failed = _errors(through)
    return Pass(f"{len(failed)} failed call(s), and no answer or URL shows a session id", failed[0].events)


def _tells(theirs: Exchange, ids: frozenset[str]) -> bool:
    """Whether the backend itself put the id of a session where it is no header's value."""
    return any(value in text for _, text in shown(theirs) for value in ids)
