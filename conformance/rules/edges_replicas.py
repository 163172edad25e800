"""Family edges, replicas: sessions stay where they are known, and what a lost replica held ends in good order.

MGC955 and MGC962 to 964.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from math import inf
from typing import Final

from conformance import timing
from conformance.evidence.events import Event, Hop
from conformance.evidence.transcript import Exchange, Transcript
from conformance.rules.base import Inputs, Level, Side, fail, rule
from conformance.rules.edges_evidence import (
    SESSION,
    SUITE,
    Passage,
    edged,
    passages,
    refusal,
    replicas,
    served,
    steps,
    title,
)
from conformance.rules.verdicts import Inconclusive, NotApplicable, NotExercised, Pass, Verdict

AFFINITY: Final = "replica-affinity-missing"
IN_ROTATION: Final = "dead-replica-in-rotation"
WRONG_STATUS: Final = "unknown-session-wrong-status"
AWAITED: Final = "silent-replica-awaited"
_GONE: Final = ("replica.killed", "replica.stopped")
_SILENT: Final = ("replica.pause", "replica.cut-off")
_TROUBLE: Final = ("replica.kill", "replica.stop", *_SILENT)


@dataclass(frozen=True, slots=True)
class Session:
    """A session that a replica issued through the edge. owner: the tap before that replica. uses: requests in it."""

    id: str
    owner: str
    opened: Passage
    uses: tuple[Passage, ...]

    @property
    def astray(self) -> tuple[Passage, ...]:
        """Requests that landed on a replica which had not issued the session."""
        return tuple(use for use in self.uses if use.back is not None and use.back.tap != self.owner)


def sessions(transcript: Transcript) -> tuple[Session, ...]:
    """Return the sessions that replicas issued, in order."""
    made = passages(transcript)
    return tuple(
        Session(issued, item.back.tap, item, tuple(use for use in made if use.front.headers.get(SESSION) == issued))
        for item in made
        if item.front.rpc_method == "initialize" and item.back is not None and served(item.front)
        if (issued := item.back.response_headers.get(SESSION)) is not None
    )


def _before_trouble(transcript: Transcript) -> tuple[Session, ...]:
    """Return sessions with what was asked in them before anything happened to a replica, those that were used."""
    until = min((event.t for event in steps(transcript, *_TROUBLE)), default=inf)
    found = []
    for one in sessions(transcript):
        uses = tuple(use for use in one.uses if use.front.t < until and use.back is not None)
        if uses and one.opened.front.t < until:
            found.append(Session(one.id, one.owner, one.opened, uses))
    return tuple(found)


def _opened_by_clients(transcript: Transcript) -> bool:
    return replicas(transcript) > 1 and any(i.rpc_method == "initialize" and served(i) for i in transcript.client())


def _lost_uses(transcript: Transcript) -> Iterator[tuple[Session, Passage]]:
    """Yield requests in sessions of a replica that is gone, made once the edge had had time to find that out."""
    for one in sessions(transcript):
        gone = [e.t for e in steps(transcript, *_GONE) if e.data["tap"] == one.owner and e.t > one.opened.front.t]
        if gone:
            yield from ((one, use) for use in one.uses if use.front.t >= gone[0] + timing.EDGE_NOTICES)


def _newcomers(transcript: Transcript) -> tuple[Passage, ...]:
    """Return the initializes that came once the edge had had time to find out that a replica is gone."""
    gone = [event.t + timing.EDGE_NOTICES for event in steps(transcript, *_GONE)]
    asked = (item for item in passages(transcript) if item.front.rpc_method == "initialize")
    return tuple(item for item in asked if gone and item.front.t >= gone[0])


def _while_silent(transcript: Transcript) -> tuple[Passage, ...]:
    begun = [event.t for event in steps(transcript, *_SILENT)]
    return tuple(item for item in passages(transcript) if begun and item.front.t >= begun[0])


SESSIONS: Final = edged("edge-session", "a session that a client used behind an edge with replicas", _opened_by_clients)
REPLICA_LOST: Final = edged("edge-replica-lost", "clients that came after a replica was gone", _newcomers)
LOST_SESSION: Final = edged(
    "edge-lost-session", "a request in a session of a replica that is gone", lambda t: list(_lost_uses(t))
)
REPLICA_SILENT: Final = edged("edge-replica-silent", "requests while a replica was silent", _while_silent)


@rule(
    id="MGC955",
    title="The requests of a session reach the replica that knows it",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.SERVER,
    requirements=("EDGE-06",),
    when=SESSIONS,
    failure_classes=(AFFINITY,),
)
def sessions_stay(inputs: Inputs) -> Verdict:
    """Judge where the requests of a session land, and what becomes of those that land elsewhere.

    What it checks: no request of a session is refused by a replica that did not issue it, while the one that did is up.
    The share that landed elsewhere is told; where replicas share their sessions that does no harm.
    Why it matters: with sessions in memory and two replicas in turn half of all requests fail, at random; each new
    replica makes it worse.
    A failing exchange: initialize → edge:1 issues 5f…; tools/list, Mcp-Session-Id: 5f… → edge:2 → 404
    A conforming exchange: every request with 5f… reaches edge:1
    Known gaps: sessions with few requests can be lucky.
    """
    through = inputs.through
    used = _before_trouble(through)
    if not used:
        issued = sessions(through)
        return NotExercised("a request in a session") if issued else NotApplicable("the gateway issues no session ids")
    count = sum(len(one.uses) for one in used)
    astray = [use for one in used for use in one.astray]
    refused = [use for use in astray if not served(use.front) and use.front.method != "DELETE"]
    part = f"{len(astray)} of {count} requests ({len(astray) / count:.0%})"
    share = f"{part} landed on a replica that had not issued their session"
    lost_cookie = _cookie_not_kept(used)
    if not refused and lost_cookie:
        return Inconclusive(f"{share}, which was luck{lost_cookie}")
    if not refused:
        return Pass(f"{share}; none was refused", used[0].opened.front.events)
    how = Counter(refusal(use.front) for use in refused).most_common(1)[0][0]
    return fail(
        "each request where its session is known",
        f"{share}; {len(refused)} were refused ({how}){lost_cookie}",
        *refused[0].exchanges,
        *used[0].opened.exchanges,
        charged_to=Hop.EDGE,
        symptom=AFFINITY,
    )


def _cookie_not_kept(used: tuple[Session, ...]) -> str:
    """Say so where the edge relies on a cookie that a client did not send back."""
    for one in used:
        front, back = one.opened.front.response_headers, one.opened.back
        given = front.get("set-cookie")
        of_replica = back.response_headers.get("set-cookie") if back is not None else None
        if given not in (None, of_replica) and not any("cookie" in use.front.headers for use in one.uses):
            return "; the edge had set a cookie, and the client never sent it back"
    return ""


@rule(
    id="MGC962",
    title="New sessions are served after a replica is gone",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.SERVER,
    requirements=("EDGE-13",),
    when=REPLICA_LOST,
    failure_classes=(IN_ROTATION,),
)
def newcomers_are_served(inputs: Inputs) -> Verdict:
    """Judge whether an edge still sends clients to a replica that is gone.

    What it checks: 5 s after a replica was killed or stopped, every initialize is answered by one that runs.
    Why it matters: what replicas are for; a dead one that stays in rotation fails its share of all new sessions.
    A failing exchange: the replica is killed; 5 s later every second initialize → 502
    A conforming exchange: the replica is killed; every initialize → 200, from the other one
    Known gaps: an edge that needs longer than 5 s to notice, by its configuration.
    """
    through = inputs.through
    came = _newcomers(through)
    failed = [item for item in came if not _answered_behind(item)]
    if failed:
        return fail(
            "every initialize is answered by a replica that runs",
            f"{len(failed)} of {len(came)} were not: {title(through)} answered {refusal(failed[0].front)}",
            *failed[0].exchanges,
            events=_seqs(steps(through, *_GONE)),
            charged_to=Hop.EDGE,
            symptom=IN_ROTATION,
        )
    return Pass(f"{len(came)} clients that came after the loss were served", came[0].front.events)


def _answered_behind(item: Passage) -> bool:
    return item.back is not None and item.back.status is not None and item.front.status is not None


def _seqs(events: tuple[Event, ...]) -> tuple[int, ...]:
    return tuple(event.seq for event in events)


@rule(
    id="MGC963",
    title="Sessions of a replica that is gone are refused with 404, or go on",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.SERVER,
    requirements=("EDGE-14",),
    when=LOST_SESSION,
    failure_classes=(WRONG_STATUS, IN_ROTATION),
)
def lost_sessions_are_refused(inputs: Inputs) -> Verdict:
    """Judge what a client is told whose session was lost with its replica.

    What it checks: 5 s after the loss a request in that session is answered by another replica, or by the one that was
    started in its place: served, where sessions are shared, else 404.
    Why it matters: 404 is what makes a client begin a new session; after 400 or 502 it tries again with the old one.
    A failing exchange: tools/list, Mcp-Session-Id: 5f… → the other replica → 400 No valid session ID provided
    A conforming exchange: tools/list, Mcp-Session-Id: 5f… → the other replica → 404
    Known gaps: what a call was doing that was under way on the replica.
    """
    through = inputs.through
    uses = list(_lost_uses(through))
    anew = len(steps(through, "session.anew"))
    for _, use in uses:
        if served(use.front) or use.front.status in (404, 405):
            continue
        hop = Hop.GATEWAY if _answered_behind(use) and _same_status(use) else Hop.EDGE
        return fail(
            "404 from a replica that runs",
            f"{'the gateway' if hop is Hop.GATEWAY else title(through)} answered {refusal(use.front)}",
            *use.exchanges,
            events=_seqs(steps(through, *_GONE)),
            charged_to=hop,
            symptom=WRONG_STATUS if hop is Hop.GATEWAY else IN_ROTATION,
        )
    lost = len({one.id for one, _ in uses})
    said = f"{len(uses)} requests in {lost} lost sessions were refused with 404 or served; {anew} clients began anew"
    return Pass(said, uses[0][1].front.events)


def _same_status(use: Passage) -> bool:
    return use.back is not None and use.back.status == use.front.status


@rule(
    id="MGC964",
    title="What is under way to a silent replica ends",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.SERVER,
    requirements=("EDGE-15",),
    when=REPLICA_SILENT,
    failure_classes=(AWAITED,),
)
def silent_replicas_are_given_up(inputs: Inputs) -> Verdict:
    """Judge how long clients wait for a replica that accepts connections and answers nothing.

    What it checks: every request is answered, by an error if it must be, within 12 s.
    Why it matters: a process that is stopped, swapped out or cut off still accepts; checks that only connect find it
    well, and the limit that lets event streams live for an hour lets requests wait for an hour, too.
    A failing exchange: POST tools/list → 12 s later nothing
    A conforming exchange: POST tools/list → 504 after 6 s; or the other replica's answer
    Known gaps: an edge whose limit for the first byte is above 12 s by its configuration.
    """
    through = inputs.through
    asked = _while_silent(through)
    waiting = [item for item in asked if _left_waiting(through, item.front)]
    if waiting:
        return fail(
            f"an answer within {timing.EDGE_ANSWERS:g} s",
            f"{len(waiting)} of {len(asked)} requests had none when their clients left; {title(through)} still waited",
            *waiting[0].exchanges,
            events=_seqs(steps(through, *_SILENT)),
            charged_to=Hop.EDGE,
            symptom=AWAITED,
        )
    errors = sum(not served(item.front) for item in asked)
    return Pass(f"{len(asked)} requests were answered, {errors} of them with an error", asked[0].front.events)


def _left_waiting(through: Transcript, exchange: Exchange) -> bool:
    """Whether a client left, after as long as an answer may take, before there was one; one that then came is late.

    A little less counts: it is the client that leaves.
    """
    end = through.over_for_client(exchange)
    unanswered = exchange.t_response is None or exchange.t_response >= end
    return unanswered and end - exchange.t >= timing.EDGE_ANSWERS - timing.PAUSE_NOTICED
