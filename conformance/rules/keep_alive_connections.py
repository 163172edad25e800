"""Family keep_alive, sessions and TCP connections that nobody uses for a while."""

from __future__ import annotations

from conformance import timing
from conformance.evidence.transcript import Exchange, Transcript
from conformance.rules.answers import without_result
from conformance.rules.base import Inputs, Level, Precondition, Side, charge, fail, rule
from conformance.rules.keep_alive_evidence import SUITE, Reuse, after_pause, announced, reuses
from conformance.rules.verdicts import Inconclusive, Pass, Verdict

SESSION_PAUSE = Precondition(
    "session-pause",
    "a request in a session that had been idle for longer than a keep-alive period",
    lambda transcript: any(True for _ in after_pause(transcript, timing.KEEPALIVE_PERIOD)),
)
CONNECTION_REUSE = Precondition(
    "connection-reuse",
    "a client connection that was idle between two requests, or was closed while it was",
    lambda transcript: bool(reuses(transcript)),
)


@rule(
    id="MGC405",
    title="A session survives a pause",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.SERVER,
    requirements=("SESS-03",),
    when=SESSION_PAUSE,
    failure_classes=("stale-session-after-restart",),
)
def session_survives_pause(inputs: Inputs) -> Verdict:
    """Judge the first request in a session after a pause without requests and streams.

    What it checks: it is answered with a result.
    Why it matters: people think between two calls; many clients do not initialize again when their session is gone.
    A failing exchange: POST tools/list → 200, 20 s, POST tools/list → 404
    A conforming exchange: POST tools/list → 200, 20 s, POST tools/list → 200
    Known gaps: limits above the pause are not seen; a request lost with its TCP connection is MGC406's; a notification
    is no request.
    """
    through = inputs.through
    judged = [(item, pause) for item, pause in after_pause(through, timing.KEEPALIVE_PERIOD) if item.status is not None]
    if not judged:
        return Inconclusive("no request after the pause got as far as a status")
    for item, pause in judged:
        if without_result(item):
            return fail(
                "a request after a pause is answered with a result",
                f"after {pause:.1f} s {item.rpc_method} was answered {item.status}{_error(item)}",
                item,
                charged_to=charge(inputs, item, without_result),
            )
    return Pass(f"{judged[0][0].rpc_method} was answered after {judged[0][1]:.1f} s", judged[0][0].events)


def _error(item: Exchange) -> str:
    answer = item.answer()
    return f", error {answer.error.get('code')}" if answer is not None and answer.error else ""


@rule(
    id="MGC406",
    title="An idle connection is reusable, or known to be closed",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.SERVER,
    requirements=("KEEP-05",),
    when=CONNECTION_REUSE,
    failure_classes=("keepalive-socket-race",),
)
def idle_connection_is_honest(inputs: Inputs) -> Verdict:
    """Judge what meets a request on a TCP connection that was idle.

    What it checks: an answer; or the connection's end was announced, or came, before the request was sent.
    Why it matters: a request that meets a reset may have been executed; clients cannot repeat a tools/call safely.
    A failing exchange: POST → 200, 6.5 s, POST on the same connection → FIN without an answer
    A conforming exchange: POST → 200, FIN after 5.0 s; or an answer; or Keep-Alive: timeout=5 beforehand
    Known gaps: the race itself, a FIN that crosses the request, cannot be forced and is inconclusive when it is seen to
    happen: it came before the request, or a reset came after it.
    """
    through = inputs.through
    seen: list[str] = []
    crossed: list[Reuse] = []
    for reuse in reuses(through):
        if reuse.after is None:
            seen.append(f"closed after {reuse.pause:.1f} s idle, before a reuse")
        elif reuse.after.status is not None:
            seen.append(f"answered after {reuse.pause:.1f} s idle")
        elif reuse.crossed:
            crossed.append(reuse)
        elif announced(reuse.before, reuse.pause):
            seen.append(f"its end within {reuse.pause:.1f} s was announced")
        elif reuse.after.how in ("fin", "rst"):
            return _unannounced(through, reuse, reuse.after)
    if crossed:
        return Inconclusive(f"the connection's end crossed the request sent after {crossed[0].pause:.1f} s idle")
    if not seen:
        return Inconclusive("no request on a connection that had been idle was watched to its end")
    return Pass("; ".join(seen), tuple(seq for reuse in reuses(through) for seq in reuse.before.events))


def _unannounced(transcript: Transcript, reuse: Reuse, after: Exchange) -> Verdict:
    served = any(
        item.session == after.session and item.t > after.t and item.conn != after.conn and item.status in (200, 202)
        for item in transcript.client()
    )
    return fail(
        "an answer on the idle connection, or its end before the request was sent",
        f"a request after {reuse.pause:.1f} s idle met {after.how.upper()} without an answer, and nothing had "
        f"announced it; on a fresh connection the session was {'served' if served else 'not seen served'}",
        reuse.before,
        after,
    )
