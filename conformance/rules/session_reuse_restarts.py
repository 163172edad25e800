"""Family session_reuse: what becomes of sessions over restarts, and of what vanished clients leave behind."""

from __future__ import annotations

from conformance import timing
from conformance.evidence.events import Kind
from conformance.evidence.transcript import Exchange, StdioProcess, Transcript
from conformance.rules.answers import without_result
from conformance.rules.base import Inputs, Level, Precondition, Side, charge, fail, rule
from conformance.rules.session_reuse_evidence import (
    SESSION_HEADER,
    SUITE,
    issued_ids,
    said,
    sessionless,
)
from conformance.rules.session_reuse_ids import ISSUED
from conformance.rules.verdicts import Inconclusive, NotApplicable, NotExercised, Pass, Verdict

_ERROR, _NOT_FOUND, _SERVER_ERROR = 400, 404, 500
VANISHED = "clients.vanished"
WATCHED = "clients.watched"
LEAK = "session-leak"


def step_at(transcript: Transcript, name: str) -> float | None:
    """Return when the scenario took its last step of that name, in seconds; None if it never did."""
    steps = transcript.stimuli(name)
    return steps[-1].t if steps else None


def lists_after(transcript: Transcript, t: float | None) -> tuple[Exchange, ...]:
    """Return the clients' tools/list after a time, in order."""
    found = [i for i in transcript.client() if i.rpc_method == "tools/list" and t is not None and i.t > t]
    return tuple(sorted(found, key=lambda item: item.t))


def lists_meanwhile(transcript: Transcript) -> tuple[Exchange, ...]:
    """Return the clients' tools/list that were answered between the stop of the backend and its next start."""
    until = step_at(transcript, "backend.start")
    found = lists_after(transcript, step_at(transcript, "backend.stop"))
    return tuple(item for item in found if until is not None and item.t < until and item.answer() is not None)


def ended_children(transcript: Transcript) -> tuple[StdioProcess, ...]:
    """Return the stdio backends that ended while the gateway ran on."""
    stopped = step_at(transcript, "gateway.stop") or transcript.end
    return tuple(item for item in transcript.processes if item.t_exit is not None and item.t_exit < stopped)


GATEWAY_RESTARTED = Precondition(
    "gateway-restarted",
    "requests after a restart of the gateway",
    lambda transcript: len(lists_after(transcript, step_at(transcript, "gateway.start"))) > 1,
)
BACKEND_RESTARTED = Precondition(
    "backend-restarted",
    "requests after a restart of the backend",
    lambda transcript: bool(
        step_at(transcript, "backend.stop") and lists_after(transcript, step_at(transcript, "backend.ready"))
    ),
)
BACKEND_DOWN = Precondition(
    "backend-down",
    "tools/list answered while the backend was stopped",
    lambda transcript: bool(lists_meanwhile(transcript)),
)
CLIENTS_VANISHED = Precondition(
    "clients-vanished",
    "clients that left without ending their sessions",
    lambda transcript: step_at(transcript, WATCHED) is not None,
)
CHILD_ENDED = Precondition(
    "stdio-child-ended",
    "a backend on stdio that ended while the gateway ran on",
    lambda transcript: bool(ended_children(transcript)),
)


@rule(
    id="MGC216",
    title="A session keeps the id that its initialize gave it",
    suite=SUITE,
    level=Level.MAY,
    side=Side.SERVER,
    requirements=("SESSION-01",),
    when=ISSUED,
    failure_classes=("session-id-changed",),
)
def session_id_stays(inputs: Inputs) -> Verdict:
    """Judge the session ids on responses after initialize.

    What it checks: a response to a request that carried a session id names that id or none.
    Why it matters: the id is handed out with the answer to initialize and nowhere else; a client that meets another one
    later has no rule by which to choose, and half of its requests go astray.
    A failing exchange: POST initialize → Mcp-Session-Id: s1; POST initialized, s1 → 202, Mcp-Session-Id: s2
    A conforming exchange: POST initialize → Mcp-Session-Id: s1; POST initialized, s1 → 202
    Known gaps: ids on refusals of requests without one are MGC212's.
    """
    if sessionless(inputs.through):
        return NotApplicable("no session id is ever issued")
    issued = issued_ids(inputs.through)
    for item in inputs.through.client():
        sent, got = item.headers.get(SESSION_HEADER), item.response_headers.get(SESSION_HEADER)
        if sent in issued and got not in (None, sent) and item.rpc_method != "initialize":
            return fail(
                "the session's own id, or none",
                f"the answer to {item.method} {item.rpc_method or ''} named another".replace("  ", " "),
                item,
                charged_to=charge(inputs, item, _renamed),
            )
    return Pass(f"{len(issued)} sessions kept the ids that initialize gave them")


def _renamed(exchange: Exchange) -> bool:
    sent, got = exchange.headers.get(SESSION_HEADER), exchange.response_headers.get(SESSION_HEADER)
    return sent is not None and got not in (None, sent)


@rule(
    id="MGC218",
    title="After a restart of the gateway clients can go on",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.SERVER,
    requirements=("SESS-07",),
    when=GATEWAY_RESTARTED,
    failure_classes=("stale-session-after-restart",),
)
def gateway_restart_is_survived(inputs: Inputs) -> Verdict:
    """Judge a session's id after the gateway was restarted, and a client that connects then.

    What it checks: a request with the old id is answered, by its result or a 4xx and no server error; a client that
    initializes anew is served.
    Why it matters: every deployment restarts gateways under open sessions; clients begin anew only where they are told.
    A failing exchange: restart; POST tools/list, Mcp-Session-Id: s1 → 500
    A conforming exchange: restart; POST tools/list, Mcp-Session-Id: s1 → 404; POST initialize → 200
    Known gaps: which 4xx it is, is MGC204's and MGC205's.
    """
    stale, *fresh = lists_after(inputs.through, step_at(inputs.through, "gateway.start"))
    if without_result(stale) and not _ERROR <= (stale.status or 0) < _SERVER_ERROR:
        return fail("a result or a 4xx for the id of before the restart", f"it was answered {said(stale)}", stale)
    for item in fresh:
        if without_result(item):
            return fail("a result for a client that initialized after the restart", f"it got {said(item)}", item)
    return Pass(f"the old id was answered {said(stale)}, a new client was served", stale.events)


@rule(
    id="MGC219",
    title="After a restart of the backend clients are served again",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.TRANSPARENCY,
    requirements=("SESS-08",),
    when=BACKEND_RESTARTED,
    failure_classes=("stale-session-after-restart", "dead-child-zombie"),
)
def backend_restart_is_survived(inputs: Inputs) -> Verdict:
    """Judge a session whose backend was restarted, and the client's next session where the first one is gone.

    What it checks: one of the requests in the RELAY_PROMPT seconds after the restart, and the first one after them, has
    a result, at the latest in a new session.
    Why it matters: a gateway that remembers the backend's old session or connection for ever needs a restart itself.
    A failing exchange: backend restarts; POST tools/list → error, again and again, in a new session too
    A conforming exchange: backend restarts; POST tools/list → the list, or 404 and after initialize the list
    Known gaps: backends on stdio are the gateway's own children and are not restarted here.
    """
    ready = step_at(inputs.through, "backend.ready") or 0.0
    asked = lists_after(inputs.through, ready)
    for number, item in enumerate(asked, 1):
        if not without_result(item):
            return Pass(f"request {number} of {len(asked)} after the restart had a result", item.events)
    if asked[-1].t - ready < timing.RELAY_PROMPT:
        return Inconclusive(f"nobody asked later than {asked[-1].t - ready:.1f} s after the backend was ready")
    return fail(
        "a result after the backend was restarted",
        f"{len(asked)} requests got {said(asked[-1])}",
        *asked[-2:],
        symptom="stale-session-after-restart",
    )


@rule(
    id="MGC222",
    title="A backend that is down is not told as one without tools",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.TRANSPARENCY,
    requirements=("SESS-09",),
    when=BACKEND_DOWN,
    failure_classes=("silent-partial-aggregate",),
    needs_plain_tools=True,
)
def down_is_not_empty(inputs: Inputs) -> Verdict:
    """Judge tools/list while the gateway's backend is stopped.

    What it checks: the answer is an error, names tools, or says in `_meta` that something is missing.
    Why it matters: a client that is told of an empty list drops its tools, and nobody looks for the fault.
    A failing exchange: backend stopped; POST tools/list → {"tools": []}
    A conforming exchange: backend stopped; POST tools/list → {"error": {"code": -32000, …}}
    Known gaps: what `_meta` says is not read; which of several backends is missing is not judged.
    """
    asked = lists_meanwhile(inputs.through)
    for item in asked:
        answer = item.answer()
        result = answer.result if answer is not None else None
        if result is not None and result.get("tools") == [] and not result.get("_meta"):
            return fail("an error, or a sign that something is missing", "the list was empty and said no more", item)
    return Pass(f"tools/list was answered {said(asked[0])} while the backend was down", asked[0].events)


@rule(
    id="MGC220",
    title="What vanished clients leave behind ends as declared",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.SERVER,
    requirements=("SESS-06", "LIFE-14"),
    when=CLIENTS_VANISHED,
    failure_classes=("session-leak",),
)
def vanished_sessions_end(inputs: Inputs) -> Verdict:
    """Judge what is left of clients that closed their connections and never came back.

    What it checks: one backend session and one process at most for each of them, those aside that the backend itself
    forgot; and where the target declares how long
    it keeps a session that nobody uses, the ids of the vanished are refused after that time.
    Why it matters: most clients never send DELETE; what they leave behind adds up to the host's memory.
    A failing exchange: `session_idle_timeout = 30`; three clients vanish; 35 s later POST with their id → 200
    A conforming exchange: … → 404
    Known gaps: a target that declares no limit may keep one session for each of them for ever; backend sessions without
    an id, as over HTTP+SSE, are not counted.
    """
    through = inputs.through
    gone = int(through.stimuli(VANISHED)[-1].data.get("clients", 0))
    sessions, processes = _left_behind(through)
    left = f"left behind by {gone} clients: {sessions} backend sessions over HTTP, {processes} processes"
    if max(sessions, processes) > gone:
        return fail(
            "one backend session and one process at most for each client that vanished",
            left,
            events=(through.stimuli(VANISHED)[-1].seq,),
            symptom=LEAK,
        )
    limit = through.header.get("claims", {}).get("session_idle_timeout")
    if limit is None:
        return Pass(f"no session_idle_timeout is declared; {left}")
    probes = [item for item in lists_after(through, step_at(through, WATCHED)) if SESSION_HEADER in item.headers]
    waited = (step_at(through, WATCHED) or 0.0) - (step_at(through, VANISHED) or 0.0)
    if waited < limit:
        return NotExercised(f"a wait of {limit} s, as long as the target says it keeps idle sessions")
    if not probes:
        return Inconclusive("nobody asked with the id of a client that had vanished")
    kept = [item for item in probes if not without_result(item)]
    if kept:
        return fail(
            f"sessions that nobody used for {limit} s are refused",
            f"{len(kept)} of {len(probes)} were served {waited:.0f} s after their clients left; {left}",
            kept[0],
            symptom=LEAK,
        )
    return Pass(f"{len(probes)} sessions were refused {waited:.0f} s after their clients had gone; {left}")


def _left_behind(transcript: Transcript) -> tuple[int, int]:
    """Return how many backend sessions over HTTP and how many processes, begun by the drive, stood when watched."""
    begun, until = step_at(transcript, "scenario.begin") or 0.0, step_at(transcript, WATCHED) or transcript.end
    behind = [item for item in transcript.backend if begun <= item.t <= until]
    # Many a server repeats the id on every response, so that a session of the gateway's own would be counted as new.
    issued = (i.response_headers.get(SESSION_HEADER) for i in behind if i.rpc_method == "initialize")
    opened = {item for item in issued if item is not None}
    ended = {i.headers.get(SESSION_HEADER) for i in behind if i.method == "DELETE" or i.status == _NOT_FOUND}
    running = [p for p in transcript.processes if begun <= p.t <= until and (p.t_exit is None or p.t_exit > until)]
    return len(opened - ended), len(running)


@rule(
    id="MGC221",
    title="A child on stdio is asked to end before it is killed",
    suite=SUITE,
    level=Level.SHOULD,
    side=Side.CLIENT,
    requirements=("LIFE-15",),
    when=CHILD_ENDED,
    failure_classes=("stdio-child-killed",),
)
def children_end_in_order(inputs: Inputs) -> Verdict:
    """Judge how the gateway ends a backend that it runs as a child.

    What it checks: the child's stdin was closed before it ended.
    Why it matters: a child that is killed leaves its own children, lock files and half-written data behind.
    A failing exchange: SIGTERM to the child while its stdin is open
    A conforming exchange: the child's stdin is closed; it ends, or gets SIGTERM some time later
    Known gaps: how long it is given between the steps is not judged; a child that ends by itself is not told apart.
    """
    through = inputs.through
    closed = {e.data["process"]: e.seq for e in through.of(Kind.STDIO_EOF) if e.data.get("dir") == "up"}
    signalled = {e.data["process"]: e for e in reversed(through.of(Kind.STDIO_SIGNAL))}
    asked = 0
    for child in ended_children(through):
        signal, eof = signalled.get(child.process), closed.get(child.process)
        if signal is not None and (eof is None or signal.seq < eof):
            return fail(
                "the child's stdin closed, and only then a signal",
                f"it got signal {signal.data['signal']} while its stdin was open",
                events=(child.seq, signal.seq),
            )
        asked += eof is not None
    if not asked:
        return NotApplicable("no child was ended by the gateway: those that ended did so by themselves")
    return Pass(f"{asked} children ended after their stdin was closed")
