"""Family isolation, who is held up or harmed by what another does: slow calls and broken clients (MGC810 to 822)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from conformance import timing
from conformance.evidence.events import Event, Hop
from conformance.evidence.links import links, nonce_of
from conformance.evidence.transcript import Exchange, Transcript
from conformance.rules.answers import without_result
from conformance.rules.base import Inputs, Level, Precondition, Side, charge, fail, rule
from conformance.rules.isolation_evidence import SUITE
from conformance.rules.session_reuse_evidence import posted, said
from conformance.rules.verdicts import Inconclusive, Pass, Verdict

QUICK: Final = "beside.quick"
SLOW: Final = "beside.slow"
HARM: Final = "harm"
SOUND: Final = "sound"
"""What the drive calls the harm that is none: another client's sound requests, for comparison."""
BYSTANDER: Final = "bystander"


# slow calls ----------------------------------------------------------------------------------------------------------


def slow_call(transcript: Transcript) -> Exchange | None:
    """Return the slow call that the drive made for others to be measured beside."""
    nonces = {str(event.data.get("nonce")) for event in transcript.stimuli(SLOW)}
    return next((item for item in posted(transcript, "tools/call") if nonce_of(item) in nonces), None)


def beside(transcript: Transcript, *, same_session: bool) -> tuple[Exchange, ...]:
    """Return the calls made while the slow one was in flight: by its own client in its session, or by others."""
    slow = slow_call(transcript)
    if slow is None:
        return ()
    until = transcript.end_of(slow)
    return tuple(
        item
        for item in posted(transcript, "tools/call")
        if item.id != slow.id and slow.t < item.t < until and (item.tap == slow.tap) is same_session
    )


def took(item: Exchange, transcript: Transcript) -> float:
    """Return how long a call waited for its answer, or until it was given up, in seconds."""
    answer = item.answer()
    if answer is not None:
        return answer.t - item.t
    return transcript.end_of(item) - item.t


OWN = Precondition(
    "call-beside-slow-own",
    "a call in the session of a slow one, made while that was in flight",
    lambda transcript: bool(beside(transcript, same_session=True)),
)
OTHER = Precondition(
    "call-beside-slow-other",
    "a call of another client, made while a slow one was in flight",
    lambda transcript: bool(beside(transcript, same_session=False)),
)


@rule(
    id="MGC810",
    title="A slow call does not hold up its own session",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.TRANSPARENCY,
    requirements=("ISO-04",),
    when=OWN,
    failure_classes=("head-of-line-block",),
)
def session_goes_on_beside_slow_call(inputs: Inputs) -> Verdict:
    """Judge how long quick calls take in the session of a slow one.

    What it checks: none waits for more than HELD_SHARE of what is left of the slow call.
    Why it matters: agents call tools in parallel; one long search must not stop everything else they do.
    A failing exchange: call slow (2 s); 0.2 s later call echo in the session → answered after 1.8 s
    A conforming exchange: call slow (2 s); 0.2 s later call echo in the session → answered after 0.01 s
    Known gaps: only calls of a backend that itself serves them side by side are judged.
    """
    return held_up(inputs, beside(inputs.through, same_session=True))


@rule(
    id="MGC811",
    title="A slow call does not hold up other clients",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.TRANSPARENCY,
    requirements=("ISO-05",),
    when=OTHER,
    failure_classes=("head-of-line-block",),
)
def others_go_on_beside_slow_call(inputs: Inputs) -> Verdict:
    """Judge how long quick calls of other clients take beside a slow one.

    What it checks: none waits for more than HELD_SHARE of what is left of the slow call.
    Why it matters: one user's long call must not stop the work of all others.
    A failing exchange: a: call slow (2 s); 0.2 s later b: call echo → answered after 1.8 s
    A conforming exchange: a: call slow (2 s); 0.2 s later b: call echo → answered after 0.01 s
    Known gaps: a gateway that serves a fixed number of calls at once is not driven to that number.
    """
    return held_up(inputs, beside(inputs.through, same_session=False))


def held_up(inputs: Inputs, quick: tuple[Exchange, ...]) -> Verdict:
    """Judge the waits of quick calls against what was left of the slow call, less what such a call takes alone.

    A call that is answered while the slow one goes on was not held up by it, however long it waited.
    """
    through, slow = inputs.through, slow_call(inputs.through)
    ended = slow.answer() if slow is not None else None
    if slow is None or ended is None or ended.result is None:
        return Inconclusive("the slow call had no result itself")
    shares = []
    for item in quick:
        left = ended.t - item.t
        waited = took(item, through) - _alone(through, item)
        limit = timing.HELD_SHARE * left
        shares.append(waited / left)
        if waited <= limit:
            continue
        if through.lag(item.t, item.t + waited) > (waited - limit) * timing.LAG_SHARE:
            return Inconclusive(f"a call waited {waited:.1f} s, but the machine was too busy meanwhile")
        answer = item.answer()
        if answer is not None and ended.t - answer.t > timing.RELEASED_BEFORE * left:
            return Inconclusive(f"a call waited {waited:.1f} s, and was served while the slow one was still under way")
        return fail(
            f"a quick call waits for less than {timing.HELD_SHARE:.0%} of what is left of the slow one",
            f"it waited {waited:.1f} s while {left:.1f} s of the slow call were left ({waited / left:.0%})",
            slow,
            item,
            charged_to=_who_held(inputs, item, limit),
            symptom="head-of-line-block",
        )
    return Pass(
        f"{len(quick)} call(s) waited for at most {max(shares):.0%} of what was left of the slow one", slow.events
    )


def _alone(transcript: Transcript, item: Exchange) -> float:
    """Return how long the same client's quick call took before the slow one began, in seconds; 0 when there is none."""
    before = [
        took(other, transcript)
        for event in transcript.stimuli(QUICK)
        for other in posted(transcript, "tools/call")
        if nonce_of(other) == event.data.get("nonce") and other.tap == item.tap
    ]
    return max(before, default=0.0)


def _who_held(inputs: Inputs, item: Exchange, limit: float) -> Hop:
    """Charge the backend where it took longer than the limit itself for the linked call."""
    for link in links(inputs.through):
        if link.client.id == item.id:
            sessions = (s for s in inputs.through.backend_sessions if s.key == link.backend.session)
            answers = [answer for s in sessions if (answer := s.response_to(link.backend)) is not None]
            if answers and answers[0].t - link.backend.t > limit:
                return Hop.BACKEND
    return Hop.GATEWAY


# broken clients ------------------------------------------------------------------------------------------------------


def harms(transcript: Transcript, kind: str) -> tuple[Event, ...]:
    """Return the steps at which the drive had a client do harm of one kind."""
    return tuple(event for event in transcript.stimuli(HARM) if event.data.get("harm") == kind)


def served_before(transcript: Transcript, t: float) -> bool:
    """Whether the bystander's latest call that had ended before time t had a result."""
    ended = [i for i in posted(transcript, "tools/call") if i.tap == f"client:{BYSTANDER}" and (i.t_end or t) < t]
    return bool(ended) and not without_result(ended[-1])


def witnesses(transcript: Transcript, kind: str) -> tuple[Exchange, ...]:
    """Return what others asked that ended after a harm of one kind and before the next harm."""
    begins = [event.t for event in transcript.stimuli(HARM)]
    found = []
    for harm in harms(transcript, kind):
        until = min((t for t in begins if t > harm.t), default=transcript.end)
        found += [
            item
            for item in posted(transcript)
            if item.tap != f"client:{harm.data.get('client')}" and harm.t < transcript.end_of(item) <= until
        ]
    return tuple(found)


def _harmed(kind: str, what: str, done: Callable[[Transcript, str], bool] = lambda *_: True) -> Precondition:
    """Return that others asked something around a harm. done: whether a client did what it was to do of that kind."""
    return Precondition(
        f"bystander-of-{kind}",
        f"a request of another client beside or after {what}",
        lambda transcript: bool(witnesses(transcript, kind)) and done(transcript, kind),
    )


def _had_called(transcript: Transcript, kind: str) -> bool:
    """Whether a client that is to do harm with a call made one: to go before it was made harms nobody."""
    calls = posted(transcript, "tools/call")
    harm = harms(transcript, kind)
    return any(i.tap == f"client:{step.data.get('client')}" and i.t >= step.t for step in harm for i in calls)


@rule(
    id="MGC820",
    title="One client's malformed messages harm nobody else",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.SERVER,
    requirements=("ISO-06",),
    when=_harmed("bad-request", "malformed messages in a session"),
    failure_classes=("one-client-kills-all",),
)
def bad_request_harms_nobody(inputs: Inputs) -> Verdict:
    """Judge how others fare while and after one client sends malformed messages in its session.

    What it checks: a running call of a bystander ends with its result, its next call and a new client are served.
    Why it matters: one broken client must not be able to take the gateway from all others.
    A failing exchange: a: tools/call {"name": 123} → empty stream; b: tools/call → 500
    A conforming exchange: a: tools/call {"name": 123} → -32602; b: tools/call → result
    Known gaps: malformed initializes are MGC110's; damage that shows only later is not seen.
    """
    return _bystanders(inputs, "bad-request", "malformed messages of another client")


@rule(
    id="MGC821",
    title="One client's aborted call harms nobody else",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.SERVER,
    requirements=("ISO-07",),
    when=_harmed("abort", "aborted requests"),
    failure_classes=("one-client-kills-all",),
)
def abort_harms_nobody(inputs: Inputs) -> Verdict:
    """Judge how others fare while and after one client resets its connection in the middle of a call and of a body.

    What it checks: a running call of a bystander ends with its result, its next call and a new client are served.
    Why it matters: laptops sleep and users press Ctrl-C; a reset that escapes its request ends the whole process.
    A failing exchange: a: tools/call, RST; b: tools/call → connection refused
    A conforming exchange: a: tools/call, RST; b: tools/call → result
    Known gaps: damage that shows only later is not seen.
    """
    return _bystanders(inputs, "abort", "aborted requests of another client")


@rule(
    id="MGC822",
    title="One client's disconnect harms nobody else",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.SERVER,
    requirements=("ISO-08",),
    when=_harmed("disconnect", "a client that went with its streams open", _had_called),
    failure_classes=("one-client-kills-all",),
)
def disconnect_harms_nobody(inputs: Inputs) -> Verdict:
    """Judge how others fare while and after one client goes with a GET stream and a call open.

    What it checks: a running call of a bystander ends with its result, its next call and a new client are served.
    Why it matters: every client goes one day, most without a word; the others must not notice.
    A failing exchange: a: GET and tools/call open, FIN; b: tools/call → 500
    A conforming exchange: a: GET and tools/call open, FIN; b: tools/call → result
    Known gaps: damage that shows only later is not seen.
    """
    return _bystanders(inputs, "disconnect", "another client that left with its streams open")


def _bystanders(inputs: Inputs, kind: str, what: str) -> Verdict:
    """Judge everybody else's requests around one kind of harm."""
    first = harms(inputs.through, kind)[0]
    if not served_before(inputs.through, first.t):
        return Inconclusive("the bystander was not served before it either")
    if any(without_result(item) for item in witnesses(inputs.through, SOUND)):
        return Inconclusive("the bystander was not served beside another client's sound requests either")
    asked = witnesses(inputs.through, kind)
    for item in asked:
        if not without_result(item):
            continue
        if inputs.through.lag(item.t, inputs.through.end) > timing.HANG_OBSERVATION * timing.LAG_SHARE:
            return Inconclusive("the machine was too busy while an answer was awaited")
        return fail(
            f"others are served beside and after {what}",
            f"{item.rpc_method} of {item.tap} was answered {said(item)}",
            item,
            events=(first.seq,),
            charged_to=charge(inputs, item, lambda theirs: _failed_by_itself(inputs.through, theirs)),
            symptom="one-client-kills-all",
        )
    return Pass(f"{len(asked)} request(s) of others served beside and after {what}", asked[0].events)


def _failed_by_itself(transcript: Transcript, theirs: Exchange) -> bool:
    """Whether a backend gave no result though the gateway neither left nor ended the session meanwhile."""
    until = transcript.end_of(theirs)
    ended = any(
        item.method == "DELETE" and item.session == theirs.session and item.t <= until for item in transcript.backend
    )
    return without_result(theirs) and theirs.how not in ("abandoned", "open") and not ended
