"""Family session_reuse, the gateway as client: which backend session serves which client, and how it ends."""

from __future__ import annotations

from itertools import combinations

from conformance import timing
from conformance.evidence.transcript import Exchange, Transcript
from conformance.rules.answers import without_good_result
from conformance.rules.base import Inputs, Level, Precondition, Side, fail, rule
from conformance.rules.session_reuse_evidence import (
    NO_SESSIONS,
    NOT_ENDED,
    SESSION_HEADER,
    SUITE,
    BackendKey,
    Call,
    ClientSession,
    accepted,
    after_end,
    backend_initializes,
    by_session,
    client_session,
    delete_refused,
    deletes,
    ended_at,
    forgotten,
    issued_ids,
    lost_sessions,
    posted,
    said,
    sessionless,
    sessionless_backend,
)
from conformance.rules.verdicts import Inconclusive, NotApplicable, NotExercised, Pass, Verdict

DISCOVER = "server/discover"
"""Opening probe of a client that speaks both eras; it belongs to no session (2026-07-28 basic/versioning)."""

NO_BACKEND_SESSIONS = NotApplicable("the backend issues no session ids")


def _called(transcript: Transcript) -> dict[ClientSession, int]:
    counts: dict[ClientSession, int] = {}
    for item in posted(transcript, "tools/call"):
        counts[client_session(item)] = counts.get(client_session(item), 0) + 1
    return counts


CALLS = Precondition(
    "calls-in-session",
    "two calls in one client session",
    lambda transcript: max(_called(transcript).values(), default=0) > 1,
)
TWO_CLIENTS = Precondition(
    "calls-of-two-clients",
    "calls in the sessions of two clients",
    lambda transcript: len({tap for tap, _ in _called(transcript)}) > 1,
)
BACKEND_SESSION = Precondition(
    "backend-session",
    "a session that the gateway opened at a backend",
    lambda transcript: bool(backend_initializes(transcript)) or bool(transcript.processes),
)
ENDED = Precondition(
    "session-ended-and-watched",
    "a client's DELETE of a session in which it had called a tool",
    lambda transcript: (
        any(_called(transcript).get(client_session(item)) for item in deletes(transcript)) or sessionless(transcript)
    ),
)
FORGOTTEN = Precondition(
    "backend-forgot-session",
    "a 404 of a backend for a session that it had issued",
    lambda transcript: bool(forgotten(transcript)) or sessionless(transcript),
)


@rule(
    id="MGC207",
    title="One client session has one backend session",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.CLIENT,
    requirements=("SESS-01",),
    when=CALLS,
    failure_classes=("upstream-session-per-call",),
)
def one_backend_session_per_client_session(inputs: Inputs) -> Verdict:
    """Judge in how many backend sessions the calls of one client session arrive.

    What it checks: all calls of a client session that reach one backend reach it in the same session or child process.
    Why it matters: servers keep state by session: a browser's page, a login, a counter. It is gone with each new one.
    A failing exchange: two calls of one client; backend tap: initialize, call, DELETE, initialize, call, DELETE
    A conforming exchange: two calls of one client; backend tap: initialize, call, call
    Known gaps: other requests than tools/call may go to sessions of the gateway's own; a session that the backend
    itself forgot (404, or 400 from then on), and a child that ended by itself, may be replaced.
    """
    if not issued_ids(inputs.through):
        return NO_SESSIONS
    if sessionless_backend(inputs.through):
        return NO_BACKEND_SESSIONS
    lost = lost_sessions(inputs.through)
    judged = [found for found in by_session(inputs.through).values() if len(found) > 1]
    for found in judged:
        for tap in {call.backend[0] for call in found}:
            reached = [call for call in found if call.backend[0] == tap and call.backend not in lost]
            sessions = {call.backend for call in reached}
            if len(sessions) > 1:
                return fail(
                    "every call of a client session arrives in one backend session",
                    f"{len(reached)} calls of one client session arrived in {len(sessions)} sessions at {tap}",
                    *(call.link.client for call in reached),
                    events=tuple(call.link.backend.seq for call in reached),
                    symptom="upstream-session-per-call",
                )
    if not judged:
        return Inconclusive("no two calls of a client session could be linked to what the backend got")
    return Pass(f"{len(judged[0])} calls of one client session in one backend session", _events(*judged[0]))


def _events(*calls: Call) -> tuple[int, ...]:
    return tuple(sorted(seq for call in calls for seq in (*call.link.client.events, call.link.backend.seq)))


@rule(
    id="MGC208",
    title="Two clients share no backend session",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.CLIENT,
    requirements=("SESS-02",),
    when=TWO_CLIENTS,
    failure_classes=("upstream-session-shared",),
)
def clients_share_no_backend_session(inputs: Inputs) -> Verdict:
    """Judge whether calls of two clients arrive in one backend session.

    What it checks: no backend session or child process gets calls of two clients.
    Why it matters: what a server keeps by session, one user's data included, is then served to the other.
    A failing exchange: client a calls counter → 1, client b calls counter → 2; one session at the backend tap
    A conforming exchange: client a calls counter → 1, client b calls counter → 1; two sessions at the backend tap
    Known gaps: a session that is handed on after its first client has left is seen only when both call in this run.
    """
    if sessionless_backend(inputs.through):
        return NO_BACKEND_SESSIONS
    found = by_session(inputs.through)
    pairs = [(one, other) for one, other in combinations(found, 2) if one[0] != other[0]]
    if not pairs:
        return Inconclusive("the calls of no two clients could be linked to what the backend got")
    for one, other in pairs:
        shared = {call.backend for call in found[one]} & {call.backend for call in found[other]}
        if shared:
            meeting = [call for call in (*found[one], *found[other]) if call.backend in shared]
            return fail(
                "each client's calls arrive in backend sessions of its own",
                f"calls of {one[0]} and {other[0]} arrived in one session at {min(shared)[0]}",
                *(call.link.client for call in meeting),
                events=tuple(call.link.backend.seq for call in meeting),
                symptom="upstream-session-shared",
            )
    return Pass(f"{len(found)} client sessions, none in another's backend session", _events(*found[pairs[0][0]]))


@rule(
    id="MGC209",
    title="The gateway sends its backend session's id on every later request",
    suite=SUITE,
    level=Level.MUST,
    side=Side.CLIENT,
    requirements=("SESSION-04",),
    when=BACKEND_SESSION,
    failure_classes=("session-id-demanded", "server-messages-not-relayed", "session-leak"),
)
def session_id_goes_with_every_request(inputs: Inputs) -> Verdict:
    """Judge the requests that the gateway sends to an HTTP backend which issued a session id.

    What it checks: all but initialize carry an id, notifications, GET and DELETE included.
    Why it matters: the backend refuses what comes without it; a GET or DELETE lost so is easily overlooked.
    A failing exchange: initialize → Mcp-Session-Id: 6c3f; gateway → backend GET without Mcp-Session-Id
    A conforming exchange: initialize → Mcp-Session-Id: 6c3f; gateway → backend GET with Mcp-Session-Id: 6c3f
    Known gaps: which of several issued ids a request carries is judged by where calls arrive (MGC207, MGC208).
    """
    opened = backend_initializes(inputs.through)
    if not opened:
        return NotApplicable("the backend is not reached over HTTP")
    if sessionless_backend(inputs.through):
        return NO_BACKEND_SESSIONS
    since = {item.tap: item for item in reversed(opened) if SESSION_HEADER in item.response_headers}
    later = [item for item in inputs.through.backend if _in_session(item, since.get(item.tap))]
    for item in later:
        if SESSION_HEADER not in item.headers and not _before_an_initialize(inputs.through.backend, item):
            return fail(
                "Mcp-Session-Id on every request after initialize",
                f"{item.method} {item.rpc_method or ''} went to the backend without it and was answered {said(item)}",
                since[item.tap],
                item,
                symptom=_SYMPTOMS.get(item.method, ""),
            )
    if not later:
        return NotExercised("a request to the backend after its initialize")
    return Pass(f"{len(later)} requests to the backend, each with a session id", later[0].events)


def _before_an_initialize(exchanges: tuple[Exchange, ...], item: Exchange) -> bool:
    """Whether what the gateway posts next there is an initialize: the request came too early, which is MGC104's."""
    later = [other for other in exchanges if other.tap == item.tap and other.method == "POST" and other.t > item.t]
    return item.method == "POST" and bool(later) and later[0].rpc_method == "initialize"


_SYMPTOMS = {"POST": "session-id-demanded", "GET": "server-messages-not-relayed", "DELETE": "session-leak"}


def _in_session(item: Exchange, opened: Exchange | None) -> bool:
    """Whether a request to the backend belongs to a session, as all do at the endpoint that issued one."""
    if opened is None or item.target != opened.target or item.seq <= max(opened.events):
        return False
    return item.rpc_method not in ("initialize", DISCOVER)


@rule(
    id="MGC210",
    title="The backend session ends with the client's",
    suite=SUITE,
    level=Level.SHOULD,
    side=Side.CLIENT,
    requirements=("SESSION-08",),
    when=ENDED,
    failure_classes=("session-leak",),
)
def backend_session_ends_with_the_clients(inputs: Inputs) -> Verdict:
    """Judge what becomes of a backend session after the client ended its own with DELETE.

    What it checks: within SESSION_END the gateway has sent DELETE for it, or its child process has exited.
    Why it matters: sessions and processes that nobody uses pile up until the backend or the host runs out of memory.
    A failing exchange: client → gateway DELETE → 200; gateway → backend nothing
    A conforming exchange: client → gateway DELETE → 200; gateway → backend DELETE
    Known gaps: a session that several clients share must outlive each, that it is shared is MGC208's; clients that
    leave without DELETE are not judged here.
    """
    through = inputs.through
    if not issued_ids(through):
        return NO_SESSIONS
    if sessionless_backend(through):
        return NO_BACKEND_SESSIONS
    found = by_session(through)
    ended = [item for item in deletes(through) if accepted(item) and found.get(client_session(item))]
    watched = [item for item in ended if through.end - item.ended(item.t) >= timing.SESSION_END]
    if not watched:
        return _unwatched(through, ended)
    for item in watched:
        own = {call.backend for call in found[client_session(item)]}
        others = {call.backend for session, calls in found.items() if session != client_session(item) for call in calls}
        if own & others:
            return NotApplicable("the backend session is shared with another client's, so it must go on")
        left = [backend for backend in own if _left_over(through, backend, item.ended(item.t) + timing.SESSION_END)]
        if left and through.lag(item.ended(item.t), through.end) > timing.SESSION_END * timing.LAG_SHARE:
            return Inconclusive("the machine was too busy while the end of the backend session was awaited")
        if left:
            return fail(
                f"the backend session is ended within {timing.SESSION_END:.0f} s of the client's DELETE",
                f"DELETE was answered {item.status}; {len(left)} session(s) at {left[0][0]} had neither a DELETE nor an"
                " exit by then",
                item,
                events=tuple(call.link.backend.seq for call in found[client_session(item)]),
                symptom="session-leak",
            )
    return Pass("the backend session ended with the client's", watched[0].events)


def _left_over(transcript: Transcript, backend: BackendKey, until: float) -> bool:
    end = ended_at(transcript, backend)
    return end is None or end > until


def _unwatched(transcript: Transcript, ended: list[Exchange]) -> Verdict:
    if ended:
        return Inconclusive("the recording ended before a backend session had to be over")
    if delete_refused(transcript):
        return NOT_ENDED
    return Inconclusive("no call of an ended session could be linked to a backend session")


@rule(
    id="MGC211",
    title="A session that the backend forgot is opened anew",
    suite=SUITE,
    level=Level.MUST,
    side=Side.CLIENT,
    requirements=("SESSION-07",),
    when=FORGOTTEN,
    failure_classes=("stale-session-after-restart",),
)
def forgotten_session_is_renewed(inputs: Inputs) -> Verdict:
    """Judge what the gateway does after a backend's 404 for its session.

    What it checks: an initialize without a session id, after which requests succeed; or 404 for the client in turn, in
    the session that the gateway gave it.
    Why it matters: otherwise one restart of a backend fails every later call until the gateway is restarted too.
    A failing exchange: backend → gateway 404; gateway → client error, and the same again for each later request
    A conforming exchange: backend → gateway 404; gateway → backend initialize, initialized, tools/call
    Known gaps: the request that met the 404 may fail; that it is not executed twice is judged in suite transparency.
    What a gateway answers from a list that it keeps shows nothing.
    """
    through = inputs.through
    if not forgotten(through):
        return NO_SESSIONS
    lost = forgotten(through)[0]
    known = lost.answered_since
    later = [item for item in posted(through) if item.t > known and _wants_an_answer(through, item)]
    told = [item for item in _in_sessions(through) if item.status == 404 and item.answered_since >= known]
    others = [item for item in later if item.tap not in {client.tap for client in told}]
    if told and not any(map(without_good_result, others)):
        return Pass("the client's own session ended with 404, so that it initializes anew", told[-1].events)
    again = [item for item in through.backend if item.rpc_method == "initialize" and item.tap == lost.tap]
    renewed = [item for item in again if item.t >= known]
    if renewed and SESSION_HEADER in renewed[0].headers:
        return fail(
            "the new initialize carries no session id",
            "it carries the id of the session that the backend forgot, or another",
            lost,
            renewed[0],
            symptom="stale-session-after-restart",
        )
    served = [item for item in later if renewed and item.t > renewed[0].t and not without_good_result(item)]
    if served:
        return Pass("the gateway initialized anew, and later requests were served", (*lost.events, *served[0].events))
    if not later:
        return Inconclusive("the client asked nothing after the backend had forgotten the session")
    unserved = [item for item in others if without_good_result(item)]
    if not unserved:
        return Inconclusive("no later request of the client needed the session at the backend")
    return fail(
        "after a backend's 404 an initialize without a session id, and requests that succeed again",
        f"{len(renewed)} initialize(s) after it; {len(unserved)} of the client's {len(others)} later request(s) had no "
        f"result or a tool's error, the last of them was answered {said(unserved[-1])}",
        lost,
        unserved[-1],
        symptom="stale-session-after-restart",
    )


def _in_sessions(transcript: Transcript) -> tuple[Exchange, ...]:
    """Return what clients sent in sessions that the gateway had given them and they had not ended."""
    known, over = issued_ids(transcript), {item.id for item in after_end(transcript)}
    return tuple(i for i in transcript.client() if i.headers.get(SESSION_HEADER) in known and i.id not in over)


def _wants_an_answer(transcript: Transcript, item: Exchange) -> bool:
    """Whether a client's request is to be served: it opens a session, or is made in a live one where there are any."""
    if item.rpc_method == "initialize" or not issued_ids(transcript):
        return True
    return item.id in {other.id for other in _in_sessions(transcript)}
