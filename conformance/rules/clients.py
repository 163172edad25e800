"""Family clients: what becomes of real clients, step by step of one contract (MGC901-907).

Whose fault a failed step is, the exchanges at the client tap tell (clients_evidence.py): what is the client's is
charged to the client, and does not fail the gateway.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Final

from conformance import timing
from conformance.evidence.events import Hop
from conformance.evidence.exchanges import is_outline, progress_token
from conformance.evidence.transcript import Exchange, Message, Transcript
from conformance.rules.base import Inputs, Level, Side, fail, rule
from conformance.rules.clients_connecting import HANG, ONE_BAD, OTHER_SPELLING, OTHER_TRANSPORT, cause
from conformance.rules.clients_evidence import (
    ERAS,
    STUMBLES,
    SUITE,
    Blame,
    StepSeen,
    asked_for,
    blame,
    during,
    holds,
    steps,
)
from conformance.rules.initialize_ordering_evidence import asked_of_backends
from conformance.rules.verdicts import Fail, Inconclusive, NotExercised, Pass, Verdict

TURNED_AWAY: Final = "client-turned-away"
STALE: Final = "stale-session-after-restart"
WRONG_STATUS: Final = "unknown-session-wrong-status"
NOT_RELAYED: Final = "server-messages-not-relayed"
_UNREACHED: Final = (TURNED_AWAY, ERAS, STUMBLES, HANG, ONE_BAD, OTHER_TRANSPORT, OTHER_SPELLING)
"""Classes of what keeps a client from a gateway and its tools."""
_PROGRESS: Final = "notifications/progress"

CONNECTED = asked_for("connect", "a real client that was asked to connect")
LISTED = asked_for("list", "a real client that was asked for the tools")
CALLED = asked_for("call", "a real client that was asked for a call")
STREAMED = asked_for("stream", "a real client that was asked for a call with progress")
IDLED = asked_for("idle", "a real client that was asked for a call after a silence")
RESTARTED = asked_for("restart", "a real client that was asked for a call after a restart of the gateway")
CLOSED = asked_for("close", "a real client that was asked to close")


def _failed(inputs: Inputs, step: StepSeen, expected: str, symptom: str, *, lost: bool = False) -> Fail:
    """Return the failure of a step, charged to whom the tap shows. symptom: its class where that is not the client."""
    whose = blame(inputs, step, lost=lost)
    return fail(
        expected,
        f"{step.words}; {whose.why}",
        *whose.exchanges,
        events=step.events,
        charged_to=whose.hop,
        symptom=whose.symptom(symptom),
    )


def _lost(whose: Blame) -> str:
    """Return the class of a session that is gone, by how its client was told."""
    return WRONG_STATUS if any(item.status in _REFUSED for item in whose.exchanges) else STALE


_KEY_REFUSED: Final = frozenset({401, 403})
_REFUSED: Final = frozenset(range(400, 500)) - {404}
"""Statuses that blame the request, where 404 would say that the session is gone."""


@rule(
    id="MGC901",
    title="A real client connects",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.SERVER,
    requirements=("CLIENT-01",),
    when=CONNECTED,
    failure_classes=_UNREACHED,
)
def real_client_connects(inputs: Inputs) -> Verdict:
    """Judge whether a real client gets through its handshake with the gateway.

    What it checks: the client says that it is connected. Where it is not, what it asked tells which step hangs and who
    holds it, from an endpoint of the other transport, a key that is spelled otherwise, and a request that was refused.
    Why it matters: a gateway that only its tests can connect to is of no use; clients differ in what they send.
    A failing exchange: POST initialize, User-Agent: some-client → 403
    A conforming exchange: POST initialize → its result; POST initialized → 202; GET → a stream, or 405
    Known gaps: what the client would do with other servers beside this one is not seen.
    """
    for step in steps(inputs.through, "connect"):
        if not step.succeeded:
            return _unreached(inputs, step, "the client connects")
    return _done(inputs.through, "connect", "connected")


def _unreached(inputs: Inputs, step: StepSeen, expected: str) -> Fail:
    """Return the failure of a step by which a client comes to know the gateway, with its cause."""
    found = cause(inputs, step, TURNED_AWAY)
    return fail(
        expected,
        f"{step.words}; {found.why}",
        *found.exchanges,
        events=step.events,
        charged_to=found.hop,
        symptom=found.symptom,
    )


@rule(
    id="MGC902",
    title="A real client lists the tools",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.SERVER,
    requirements=("CLIENT-02",),
    when=LISTED,
    failure_classes=_UNREACHED,
)
def real_client_lists(inputs: Inputs) -> Verdict:
    """Judge whether a real client gets to know the tools.

    What it checks: the client names tools; none is right only where straight at the backend it names none either.
    Why it matters: what is not listed is not there for a model, however well it could be called.
    A failing exchange: POST tools/list without params → error -32602
    A conforming exchange: POST tools/list without params → the tools
    Known gaps: whether every tool arrives is judged in suite transparency.
    """
    for step in steps(inputs.through, "list"):
        if not step.succeeded:
            return _unreached(inputs, step, "the client lists the tools")
        if not step.data.get("tools") and _lists_straight(inputs):
            made = during(inputs.through, step)
            named = any(map(_tools, made))
            if not named and any(item.rpc_method == "tools/list" and is_outline(item) for item in made):
                return Inconclusive(
                    "the gateway's list is too long to be kept whole: whether it holds any is not known"
                )
            why = f"the gateway's answer holds {'some' if named else 'none'}"
            whose = Blame(Hop.CLIENT if named else Hop.GATEWAY, why, made)
            return fail(
                "the client names the tools that it names straight at the backend",
                f"it names none; {whose.why}",
                *made,
                events=step.events,
                charged_to=whose.hop,
                symptom=whose.symptom(TURNED_AWAY),
            )
    return _done(inputs.through, "list", "listed the tools")


def _lists_straight(inputs: Inputs) -> bool:
    return inputs.control is not None and any(step.data.get("tools") for step in steps(inputs.control, "list"))


def _tools(item: Exchange) -> bool:
    answer = item.answer() if item.rpc_method == "tools/list" else None
    return answer is not None and answer.result is not None and bool(answer.result.get("tools"))


@rule(
    id="MGC903",
    title="A real client calls a tool",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.SERVER,
    requirements=("CLIENT-03",),
    when=CALLED,
    failure_classes=(TURNED_AWAY, ERAS, STUMBLES),
)
def real_client_calls(inputs: Inputs) -> Verdict:
    """Judge whether a real client's call has its result.

    What it checks: the client has a result that is no error, with the text in it that the call was made with.
    Why it matters: it is what everything else is for.
    A failing exchange: POST tools/call with `_meta` of the client's own → error -32602
    A conforming exchange: POST tools/call with `_meta` of the client's own → the tool's result
    Known gaps: a backend whose tool returns nothing of its arguments is believed.
    """
    for step in steps(inputs.through, "call"):
        verdict = _returned(inputs, step, "the client gets the result of its call", TURNED_AWAY)
        if verdict is not None:
            return verdict
    return _done(inputs.through, "call", "got the result of its call")


def _returned(inputs: Inputs, step: StepSeen, expected: str, symptom: str) -> Fail | None:
    """Return what is wrong with the result of a call, None when nothing is."""
    if not step.succeeded:
        return _failed(inputs, step, expected, symptom)
    if not step.nonce or holds(dict(step.data), step.nonce):
        return None
    calls = [item for item in during(inputs.through, step) if item.rpc_method == "tools/call"]
    answers = [answer for item in calls if (answer := item.answer()) is not None]
    if any(holds(answer.payload, step.nonce) for answer in answers):
        whose = Hop.CLIENT
    else:
        behind = [answer for item in calls for _, answer in asked_of_backends(inputs.through, item)]
        kept = any(answer is not None and holds(answer.payload, step.nonce) for answer in behind)
        whose = Hop.GATEWAY if kept or not behind else Hop.BACKEND
    return fail(
        expected,
        "its result is another: the text of its arguments is not in it",
        *calls,
        events=step.events,
        charged_to=whose,
        symptom=STUMBLES if whose is Hop.CLIENT else symptom,
    )


@rule(
    id="MGC904",
    title="A real client sees a call's progress",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.SERVER,
    requirements=("CLIENT-04",),
    when=STREAMED,
    failure_classes=(NOT_RELAYED, TURNED_AWAY, ERAS, STUMBLES),
)
def real_client_sees_progress(inputs: Inputs) -> Verdict:
    """Judge whether a real client is told of the progress of a call that reports some, and gets its result.

    What it checks: the client counts at least one report, and has the result.
    Why it matters: clients give a silent call up after a minute and a reporting one never; people wait for what moves.
    A failing exchange: POST tools/call, progressToken 7 → the result after 3 s, and nothing before it
    A conforming exchange: POST tools/call, progressToken 7 → notifications/progress …, then the result
    Known gaps: when each report comes is judged in suite streaming.
    """
    for step in steps(inputs.through, "stream"):
        verdict = _returned(inputs, step, "the client gets the result of its call", TURNED_AWAY)
        if verdict is not None:
            return verdict
        if not step.data.get("progress"):
            return _without_progress(inputs, step)
    return _done(inputs.through, "stream", "was told of the progress of its call")


def _without_progress(inputs: Inputs, step: StepSeen) -> Verdict:
    """Say who lost the reports: between the backend and the client each hop shows what passed it."""
    through = inputs.through
    calls = [item for item in during(through, step) if item.rpc_method == "tools/call"]
    tokens = [progress_token(item.request) for item in calls]
    came = [m.params.get("progressToken") for m in through.client_messages(step.client.partition(":")[2]) if _report(m)]
    behind = [m for m in through.backend_messages if step.start <= m.t <= step.end]
    sent = [m for m in behind if _report(m)]
    asked = [m for m in behind if m.method == "tools/call"]
    if not any(token is not None for token in tokens):
        whose, why = Hop.CLIENT, "it asked for none"
    elif any(token in came for token in tokens):
        whose, why = Hop.CLIENT, "reports under its token came to it"
    elif not through.sees_backend:
        return Inconclusive("no report came, and whether the backend sent any was not recorded")
    elif sent:
        whose, why = Hop.GATEWAY, f"the backend sent {len(sent)}, and none came under the client's token"
    elif not any(progress_token(m.payload) is not None for m in asked):
        whose, why = Hop.GATEWAY, "the gateway asked the backend for none"
    else:
        whose, why = Hop.BACKEND, "the backend sent none"
    return fail(
        "the client is told of the call's progress",
        f"it counted no report; {why}",
        *calls,
        events=step.events,
        charged_to=whose,
        symptom=STUMBLES if whose is Hop.CLIENT else NOT_RELAYED,
    )


def _report(message: Message) -> bool:
    return message.direction == "down" and message.method == _PROGRESS


@rule(
    id="MGC905",
    title="A real client goes on after a silence",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.SERVER,
    requirements=("CLIENT-05",),
    when=IDLED,
    failure_classes=(STALE, WRONG_STATUS, TURNED_AWAY, ERAS, STUMBLES),
)
def real_client_survives_silence(inputs: Inputs) -> Verdict:
    """Judge a real client's call after SESSION_PAUSE without one, while whatever it holds open stays open.

    What it checks: the client has the call's result.
    Why it matters: people read and think for longer than that between two calls.
    A failing exchange: 20 s after the last call: POST tools/call → 400
    A conforming exchange: 20 s after the last call: POST tools/call → its result
    Known gaps: limits of minutes, which gateways may set, are not reached. A target that declares a shorter
    session_idle_timeout may have forgotten the session: then the client is to begin a new one.
    """
    declared = inputs.through.header.get("claims", {}).get("session_idle_timeout")
    short = declared is not None and declared < timing.SESSION_PAUSE
    for step in steps(inputs.through, "idle"):
        if not step.succeeded:
            symptom = _lost(blame(inputs, step, lost=short))
            return _failed(inputs, step, "the client's call after a silence has its result", symptom, lost=short)
        verdict = _returned(inputs, step, "the client's call after a silence has its result", TURNED_AWAY)
        if verdict is not None:
            return verdict
    return _done(inputs.through, "idle", f"got the result of its call after {timing.SESSION_PAUSE:g} s of silence")


@rule(
    id="MGC906",
    title="A real client goes on after a restart of the gateway",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.SERVER,
    requirements=("CLIENT-06",),
    when=RESTARTED,
    failure_classes=(STALE, WRONG_STATUS, ERAS, STUMBLES),
)
def real_client_survives_restart(inputs: Inputs) -> Verdict:
    """Judge a real client's calls after the gateway was restarted under it.

    What it checks: after each restart, of the gateway or of one of its replicas, one of a few calls has its result, in
    the old session or a new one. Where none has, it is the client's fault if the gateway answered 404, which is the
    sign to begin a new session, and the gateway's otherwise.
    Why it matters: gateways are restarted under their clients at each deployment; nobody restarts the clients.
    A failing exchange: restart; POST tools/call, Mcp-Session-Id: s1 → 400, again and again
    A conforming exchange: restart; POST tools/call, Mcp-Session-Id: s1 → 404; POST initialize; POST tools/call → result
    Known gaps: a client that is told to connect anew by its user would go on; here nobody tells it.
    """
    rounds = _by_restart(inputs.through)
    served = [next(((n, step) for n, step in enumerate(tried, 1) if step.succeeded), None) for tried in rounds]
    if all(served):
        found = [item for item in served if item is not None]
        numbers = " and ".join(str(number) for number, _ in found)
        return Pass(f"call {numbers} after the restart had its result", found[-1][1].events)
    tried = rounds[served.index(None)]
    blamed = [(step, blame(inputs, step, lost=True)) for step in tried]
    step, whose = next(((s, b) for s, b in blamed if b.hop is not Hop.CLIENT), blamed[-1])
    statuses = {item.status for s in tried for item in during(inputs.through, s)}
    if statuses & _KEY_REFUSED and _credentials_anew(inputs.through):
        return NotExercised("a restart after which the client's credentials still hold: this one made others")
    told = 404 in statuses
    if whose.hop is Hop.CLIENT:
        symptom = STALE if told else STUMBLES
        why = "404 told it that its session is gone, and it did not begin a new one" if told else whose.why
    else:
        symptom, why = whose.symptom(_lost(whose)), whose.why
    return fail(
        "one of the client's calls after the restart has its result",
        f"{len(tried)} calls failed, the last as: {tried[-1].words}; {why}",
        *whose.exchanges,
        events=step.events,
        charged_to=whose.hop,
        symptom=symptom,
    )


def _credentials_anew(transcript: Transcript) -> bool:
    """Whether a restart began a gateway without the users and keys that it had given out before."""
    return any(not event.data["same_credentials"] for event in transcript.stimuli("gateway.restarted"))


def _by_restart(transcript: Transcript) -> list[list[StepSeen]]:
    """Return the calls after each restart that any followed, in order: one list for one gateway that was restarted."""
    begun = [event.t for event in transcript.stimuli("replica.ready")]
    found: dict[int, list[StepSeen]] = {}
    for step in steps(transcript, "restart"):
        found.setdefault(bisect_right(begun, step.start), []).append(step)
    return list(found.values())


@rule(
    id="MGC907",
    title="A real client closes",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.SERVER,
    requirements=("CLIENT-07",),
    when=CLOSED,
    failure_classes=("session-leak", STUMBLES),
)
def real_client_closes(inputs: Inputs) -> Verdict:
    """Judge whether a real client gets away: it says that it is closed.

    What it checks: closing ends; the gateway keeps no client waiting that wants to leave.
    Why it matters: a client that hangs at its end hangs the editor or the shell that runs it.
    A failing exchange: DELETE, Mcp-Session-Id: s1 → nothing
    A conforming exchange: DELETE, Mcp-Session-Id: s1 → 200
    Known gaps: whether the client ends its session with DELETE at all is not judged: it is a SHOULD of the client's.
    """
    for step in steps(inputs.through, "close"):
        if not step.succeeded:
            return _failed(inputs, step, "the client closes", "session-leak")
    return _done(inputs.through, "close", "closed")


def _done(transcript: Transcript, name: str, what: str) -> Pass:
    first = steps(transcript, name)[0]
    who = f"{transcript.header.get('client')} {transcript.header.get('client_version')}"
    return Pass(f"{who} {what}; it took {first.end - first.start:.1f} s", first.events)
