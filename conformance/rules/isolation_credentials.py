"""Family isolation, where each user has a credential: requests without, with a wrong one, and whose it is (MGC834-839).

Judged where the target's manifest names the credentials of two users; others demand none.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from conformance.evidence.transcript import Exchange, Transcript
from conformance.rules.base import Inputs, Level, Precondition, Side, fail, rule
from conformance.rules.isolation_evidence import SUITE
from conformance.rules.session_reuse_evidence import SESSION_HEADER, accepted, said
from conformance.rules.transparency_http_posts import is_rpc
from conformance.rules.verdicts import NotApplicable, Pass, Verdict
from conformance.spec.revisions import STREAMABLE_LEGACY

CREDENTIALS: Final = "credentials.tried"
UNAUTHORIZED: Final = 401
IN_QUERY: Final = frozenset(("access_token", "token", "api_key", "apikey", "authorization"))
"""Names under which credentials are put into queries (RFC 6750 section 2.3, and usage)."""


# whose a request is --------------------------------------------------------------------------------------------------


def names(transcript: Transcript) -> tuple[str, ...]:
    """Return the header names, in lower case, that carry credentials in this drive; empty where none are demanded."""
    return tuple(str(name).lower() for event in transcript.stimuli(CREDENTIALS) for name in event.data["headers"])


def _carried(transcript: Transcript, item: Exchange) -> tuple[str | None, ...]:
    return tuple(item.headers.get(name) for name in names(transcript))


def users(transcript: Transcript) -> dict[tuple[str | None, ...], str | None]:
    """Return the users' credentials, each with the session id that it was given at initialize."""
    taps = {f"client:{user}" for event in transcript.stimuli(CREDENTIALS) for user in event.data["users"]}
    return {
        _carried(transcript, item): item.response_headers.get(SESSION_HEADER)
        for item in transcript.client()
        if item.rpc_method == "initialize" and item.tap in taps and accepted(item)
    }


def _judged(transcript: Transcript, wanted: Callable[[Exchange], bool]) -> tuple[Exchange, ...]:
    answered = (item for item in transcript.client() if item.status is not None and not _needs_none(item))
    return tuple(item for item in answered if names(transcript) and wanted(item))


def _needs_none(item: Exchange) -> bool:
    """Whether a request needs no credential: the server's metadata, a CORS preflight, or what is posted to sign in."""
    return item.is_metadata or item.method == "OPTIONS" or (item.method == "POST" and not is_rpc(item.request))


def without_credential(transcript: Transcript) -> tuple[Exchange, ...]:
    """Return the answered requests that carried no credential."""
    return _judged(transcript, lambda item: not any(_carried(transcript, item)))


def invalid_credential(transcript: Transcript) -> tuple[Exchange, ...]:
    """Return the answered requests with a credential that is no user's."""
    valid = users(transcript)
    return _judged(transcript, lambda item: any(_carried(transcript, item)) and _carried(transcript, item) not in valid)


def of_another(transcript: Transcript) -> tuple[Exchange, ...]:
    """Return the answered requests with one user's credential and the session id of another."""
    owners = {session: carried for carried, session in users(transcript).items() if session is not None}
    return _judged(
        transcript,
        lambda item: (
            item.headers.get(SESSION_HEADER) in owners
            and _carried(transcript, item) in users(transcript)
            and owners[item.headers[SESSION_HEADER]] != _carried(transcript, item)
        ),
    )


def tokens(transcript: Transcript) -> frozenset[str]:
    """Return the credentials that clients carried, without their schemes."""
    return frozenset(
        value.rpartition(" ")[2] for item in transcript.client() for value in _carried(transcript, item) if value
    )


def _brought(name: str, missing: str, found: Callable[[Transcript], object]) -> Precondition:
    return Precondition(f"credential-{name}", missing, lambda transcript: bool(found(transcript)))


MISSING = _brought("missing", "an answered request without the credential that is demanded", without_credential)
INVALID = _brought("invalid", "an answered request with an invalid credential", invalid_credential)
OF_ANOTHER = _brought("of-another", "a user's answered request with another user's session id", of_another)
USED = _brought(
    "used", "a client with a credential, and a request of the gateway's over HTTP", lambda t: tokens(t) and t.backend
)


@rule(
    id="MGC834",
    title="A client's token stays at the gateway",
    suite=SUITE,
    level=Level.MUST,
    side=Side.TRANSPARENCY,
    requirements=("AUTH-06",),
    when=USED,
    failure_classes=("credential-exposed",),
    revisions=STREAMABLE_LEGACY[1:],
)
def token_is_not_passed_on(inputs: Inputs) -> Verdict:
    """Judge whether the credentials of clients reach the backend.

    What it checks: no header field and no URL of the gateway's requests holds one (2025-06-18 authorization, Access
    Token Privilege Restriction), unless the manifest says that it hands them on by design.
    Why it matters: a backend that gets the token can use it against the gateway and everything else it opens.
    A failing exchange: client → gateway Authorization: Bearer x; gateway → backend Authorization: Bearer x
    A conforming exchange: client → gateway Authorization: Bearer x; gateway → backend Authorization: Bearer y
    Known gaps: bodies are not searched, nor a token that is handed on encoded.
    """
    if inputs.through.header.get("claims", {}).get("relays_credentials"):
        return NotApplicable("it hands its clients' credentials on by design")
    known = tokens(inputs.through)
    for item in inputs.through.backend:
        held = [name for name, value in item.headers.items() if any(token in value for token in known)]
        if any(token in item.target for token in known):
            held.append("the URL")
        if held:
            return fail(
                "no credential of a client on the gateway's own requests",
                f"{item.method} to the backend carries a client's token in {held[0]}",
                item,
                symptom="credential-exposed",
            )
    count = len(inputs.through.backend)
    return Pass(f"none of {count} request(s) to the backend carries a client's token", inputs.through.backend[0].events)


@rule(
    id="MGC835",
    title="No token in a URL",
    suite=SUITE,
    level=Level.MUST,
    side=Side.CLIENT,
    requirements=("AUTH-07",),
    when=USED,
    failure_classes=("credential-exposed",),
)
def token_is_not_in_the_query(inputs: Inputs) -> Verdict:
    """Judge the URLs of the gateway's requests.

    What it checks: none has a parameter that is named as credentials are, or a value that is the gateway's own token
    (2025-03-26 authorization, Token Requirements).
    Why it matters: URLs are logged by every hop and kept in histories.
    A failing exchange: gateway → backend POST /mcp?access_token=x
    A conforming exchange: gateway → backend POST /mcp, Authorization: Bearer x
    Known gaps: a client's own token in a URL is MGC834's.
    """
    own = {item.headers["authorization"].rpartition(" ")[2] for item in _with_credential(inputs.through.backend)}
    for item in inputs.through.backend:
        for name, value in parse_qsl(urlsplit(item.target).query):
            if name.lower() in IN_QUERY or value in own:
                return fail(
                    "credentials in header fields only",
                    f"{item.method} to the backend has the parameter {name}",
                    item,
                    symptom="credential-exposed",
                )
    return Pass(f"{len(inputs.through.backend)} URL(s) without a credential", inputs.through.backend[0].events)


def _with_credential(exchanges: tuple[Exchange, ...]) -> tuple[Exchange, ...]:
    return tuple(item for item in exchanges if "authorization" in item.headers)


@rule(
    id="MGC836",
    title="A session id is no credential",
    suite=SUITE,
    level=Level.MUST,
    side=Side.SERVER,
    requirements=("AUTH-01", "SESSION-11"),
    when=MISSING,
    failure_classes=("session-not-bound-to-principal",),
)
def session_id_is_no_credential(inputs: Inputs) -> Verdict:
    """Judge requests that name a session and carry no credential.

    What it checks: none is answered 2xx: the credential is needed on every request of a session (2025-03-26
    authorization, Token Requirements; security best practices, Session Hijacking).
    Why it matters: session ids stand in logs; who finds one is otherwise somebody else.
    A failing exchange: POST tools/list, Mcp-Session-Id of a signed-in user, no Authorization → 200
    A conforming exchange: POST tools/list, Mcp-Session-Id of a signed-in user, no Authorization → 401
    Known gaps: which status refuses is MGC838's, for invalid credentials; metadata, CORS preflights and POSTs whose
    body is no JSON-RPC need none.
    """
    return _refused(without_credential(inputs.through), "without a credential")


@rule(
    id="MGC837",
    title="A session serves only the user who opened it",
    suite=SUITE,
    level=Level.SHOULD,
    side=Side.SERVER,
    requirements=("SESSION-13",),
    when=OF_ANOTHER,
    failure_classes=("session-not-bound-to-principal",),
)
def session_is_its_users(inputs: Inputs) -> Verdict:
    """Judge the requests of one user with the session id of another.

    What it checks: none of POST, GET and DELETE is answered 2xx (security best practices, Session Hijacking).
    Why it matters: a user who learns another's session id reads their stream and acts in their name.
    A failing exchange: POST tools/list, Mcp-Session-Id of a, Authorization of b → 200
    A conforming exchange: POST tools/list, Mcp-Session-Id of a, Authorization of b → 404
    Known gaps: that the refusal looks like that of an unknown session is not demanded.
    """
    return _refused(of_another(inputs.through), "with another user's session id")


def _refused(asked: tuple[Exchange, ...], what: str) -> Verdict:
    for item in asked:
        if accepted(item):
            return fail(
                f"a request {what} is refused",
                f"{item.rpc_method or item.method} {what} was answered {said(item)}",
                item,
                symptom="session-not-bound-to-principal",
            )
    return Pass(f"{len(asked)} request(s) {what} refused, the first with {asked[0].status}", asked[0].events)


@rule(
    id="MGC838",
    title="An invalid credential is answered 401",
    suite=SUITE,
    level=Level.MUST,
    side=Side.SERVER,
    requirements=("AUTH-02",),
    when=INVALID,
    failure_classes=("error-misclassified", "session-not-bound-to-principal"),
)
def invalid_credential_is_401(inputs: Inputs) -> Verdict:
    """Judge the answer to requests with a credential that was given to nobody.

    What it checks: each is answered 401, in a session and before one (2025-03-26 authorization, Token Handling).
    Why it matters: 401 is what makes a client sign in again; with 404 it begins a new session, with 500 it gives up.
    A failing exchange: POST tools/list, Authorization: Bearer <expired> → 500
    A conforming exchange: POST tools/list, Authorization: Bearer <expired> → 401
    Known gaps: a token that expires in the middle of a stream is not driven.
    """
    asked = invalid_credential(inputs.through)
    for item in asked:
        if item.status != UNAUTHORIZED:
            return fail(
                "401 for an invalid credential",
                f"{item.rpc_method or item.method} was answered {said(item)}",
                item,
                symptom="session-not-bound-to-principal" if accepted(item) else "error-misclassified",
            )
    return Pass(f"{len(asked)} request(s) with an invalid credential answered 401", asked[0].events)


@rule(
    id="MGC839",
    title="The gateway's own credential is on every request",
    suite=SUITE,
    level=Level.MUST,
    side=Side.CLIENT,
    requirements=("AUTH-01",),
    when=USED,
    failure_classes=("credential-dropped",),
)
def own_credential_is_on_every_request(inputs: Inputs) -> Verdict:
    """Judge whether a gateway that presents a credential to its backend does so on every request.

    What it checks: where one request to a backend carries Authorization, all do, GET and DELETE too (2025-03-26
    authorization, Token Requirements), but for those that ask how to sign in: the first ones, and any initialize, that
    are answered 401.
    Why it matters: the backend refuses the one without; streams then stay dead and sessions are never ended.
    A failing exchange: gateway → backend POST with Authorization; gateway → backend DELETE without
    A conforming exchange: gateway → backend POST, GET and DELETE, each with Authorization
    Known gaps: whether the credential is the right one is the backend's to say; metadata and POSTs whose body is no
    JSON-RPC need none.
    """
    presented = _with_credential(inputs.through.backend)
    if not presented:
        return NotApplicable("the gateway presents no credential to its backend")
    since = {item.tap: item.seq for item in reversed(presented)}
    for item in inputs.through.backend:
        if item.tap not in since or "authorization" in item.headers or _needs_none(item):
            continue
        asks = item.status == UNAUTHORIZED and (item.seq < since[item.tap] or item.rpc_method == "initialize")
        if not asks:
            return fail(
                "Authorization on every request to the backend",
                f"{item.method} {item.rpc_method or ''} to the backend has none, and {len(presented)} others have",
                item,
                symptom="credential-dropped",
            )
    return Pass(f"{len(presented)} request(s) to the backend, each with a credential", presented[0].events)
