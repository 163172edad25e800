"""Family transparency, progress of calls: its tokens, its order, its values, its end, and how much of it.

2025-11-25 basic/utilities/progress.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations, pairwise

from conformance import timing
from conformance.evidence.events import JSON, Hop
from conformance.evidence.exchanges import progress_token
from conformance.evidence.transcript import Message, Transcript
from conformance.rules.answers import without_result
from conformance.rules.base import Inputs, Level, Precondition, Side, charge, fail, rule
from conformance.rules.transparency_calls_evidence import (
    PROGRESS,
    SUITE,
    Call,
    calls,
    down,
    overlapping,
    reported_for,
    same,
)
from conformance.rules.transparency_messages_evidence import turned_away
from conformance.rules.verdicts import Inconclusive, NotApplicable, NotExercised, Pass, Verdict

REPORTED = Precondition(
    "progress-reported",
    "progress that the backend reported for a call whose client had asked for it",
    lambda transcript: any(call.token is not None and call.sent() for call in calls(transcript)),
)
PARALLEL = Precondition("progress-in-parallel", "two calls that asked for progress under way at once", overlapping)
UNASKED = Precondition(
    "progress-unasked",
    "a call that asked for no progress",
    lambda transcript: any(call.token is None for call in calls(transcript)),
)
FLOOD = Precondition(
    "progress-flood",
    "a call for which the backend reported progress a thousand times",
    lambda transcript: any(True for _ in _floods(transcript)),
)


def _none_arrived(transcript: Transcript) -> Verdict:
    """Return the verdict where no progress reached a client: that it is lost is another rule's finding."""
    if not any(call.client.is_stream for call in calls(transcript) if call.token is not None):
        return NotApplicable("calls are answered as JSON, which has no room for progress")
    return NotExercised("progress that reached a client; that none does is judged by MGC411")


def _arrived(transcript: Transcript) -> Iterator[tuple[Call, tuple[Message, ...]]]:
    """Yield each call whose progress reached its client, with that progress."""
    for call in calls(transcript):
        got = call.got(transcript)
        if got:
            yield call, got


@rule(
    id="MGC755",
    title="Progress tokens sent to the backend are unique",
    suite=SUITE,
    level=Level.MUST,
    side=Side.CLIENT,
    requirements=("PROG-01",),
    when=PARALLEL,
    failure_classes=("server-messages-garbled",),
)
def tokens_are_unique(inputs: Inputs) -> Verdict:
    """Judge the progress tokens that the gateway gives in its own requests.

    What it checks: each is a string or an integer, and in one backend session no two requests under way share one. A
    request is under way until it is answered, or turned away with a 3xx or 4xx status.
    Why it matters: of two calls under one token nobody can tell whose progress is reported.
    A failing exchange: gateway → backend tools/call progressToken 1, and before its answer another, progressToken 1
    A conforming exchange: gateway → backend tools/call progressToken 5, then progressToken 6
    Known gaps: a gateway that asks for no progress has no tokens; that it loses the progress is MGC411's to judge.
    """
    judged: list[int] = []
    for session in inputs.through.backend_sessions:
        refused = {item.id: item.t_response for item in session.exchanges if turned_away(item)}
        asked = [m for m in session.up() if m.is_request and progress_token(m.payload) is not None]
        judged += [message.seq for message in asked]
        for message in asked:
            if not _is_token(progress_token(message.payload)):
                return fail(
                    "a progress token that is a string or an integer",
                    f"the gateway gave its backend {progress_token(message.payload)!r}",
                    events=(message.seq,),
                )
        for one, other in combinations(asked, 2):
            answer = session.response_to(one)
            over = refused.get(one.exchange or "") if answer is None else answer.t
            if same(progress_token(one.payload), progress_token(other.payload)) and (over is None or other.t < over):
                return fail(
                    "another progress token for each request under way in a backend session",
                    f"two had the token {progress_token(one.payload)!r}",
                    events=(one.seq, other.seq),
                )
    if not judged:
        return NotExercised("a request of the gateway's that asked its backend for progress")
    return Pass(f"{len(judged)} requests asked for progress, none under another's token", tuple(judged))


def _is_token(value: JSON) -> bool:
    return isinstance(value, str | int) and not isinstance(value, bool)


@rule(
    id="MGC756",
    title="Progress comes back under the token its client gave",
    suite=SUITE,
    level=Level.MUST,
    side=Side.TRANSPARENCY,
    requirements=("PROG-03",),
    when=REPORTED,
    failure_classes=("server-messages-garbled",),
)
def token_comes_back(inputs: Inputs) -> Verdict:
    """Judge the tokens of the progress that clients receive.

    What it checks: each is one that this client gave, in value and JSON type, and every kind of token gets any, where
    the backend reported PROGRESS_EARLY before its answer.
    Why it matters: a client looks its call up by the token; under any other the progress is nobody's.
    A failing exchange: client → tools/call progressToken 1; client ← progress of progressToken "1"
    A conforming exchange: client → tools/call progressToken 1; client ← progress of progressToken 1
    Known gaps: no progress at all is MGC411's to judge, progress of a call that asked for none MGC757's. Progress that
    is lost because it came together with the answer is lost under every token, and not judged here.
    """
    through = inputs.through
    plain = {call.client.id for call in calls(through) if call.token is None}
    for tap, tokens in _given(through).items():
        for message in (m for m in down(through, tap) if m.exchange not in plain):
            if message.method == PROGRESS and not any(same(reported_for(message), t) for t in tokens):
                return fail(
                    f"progress under a token that the client gave: {', '.join(map(repr, tokens))}",
                    f"progress came under {reported_for(message)!r}",
                    events=(message.seq,),
                    charged_to=Hop.BACKEND if _invented(through, reported_for(message)) else Hop.GATEWAY,
                )
    seen = list(_arrived(through))
    if not seen:
        return _none_arrived(through)
    for call in calls(through):
        lost = call.given is None or call.sent_early()
        if call.token is not None and lost and call.client.is_stream and not call.got(through):
            return fail(
                f"progress under the token {call.token!r}, as under the other tokens",
                f"the gateway asked its backend for none; under {seen[0][0].token!r} it did"
                if call.given is None
                else f"none of the backend's {len(call.sent_early())} came that it sent long before its answer; "
                f"under {seen[0][0].token!r} they did",
                call.client,
                events=(call.link.backend.seq,),
            )
    return Pass(
        f"progress of {len(seen)} calls came under their own tokens", tuple(m.seq for _, got in seen for m in got)
    )


def _given(transcript: Transcript) -> dict[str, list[JSON]]:
    tokens: dict[str, list[JSON]] = {}
    for item in transcript.client():
        token = progress_token(item.request)
        if token is not None:
            tokens.setdefault(item.tap, []).append(token)
    return tokens


def _invented(transcript: Transcript, token: JSON) -> bool:
    """Whether a backend reported under a token that the gateway had not given it in that session."""
    for session in transcript.backend_sessions:
        known = [progress_token(m.payload) for m in session.up()]
        reports = (m for m in session.messages if m.direction == "down" and m.method == PROGRESS)
        if any(same(reported_for(m), token) and not any(same(token, k) for k in known) for m in reports):
            return True
    return False


@rule(
    id="MGC757",
    title="A call that asked for no progress gets none",
    suite=SUITE,
    level=Level.MUST,
    side=Side.SERVER,
    requirements=("PROG-03",),
    when=UNASKED,
    failure_classes=("server-messages-garbled",),
)
def none_unasked(inputs: Inputs) -> Verdict:
    """Judge the streams of calls that gave no progress token.

    What it checks: no progress comes down them before the answer.
    Why it matters: progress must name a token that its receiver gave; strict clients end the connection over another.
    A failing exchange: client → tools/call without a token; client ← progress of progressToken 17
    A conforming exchange: client → tools/call without a token; client ← the answer alone
    Known gaps: such progress on the GET stream is MGC756's to judge.
    """
    plain = [call for call in calls(inputs.through) if call.token is None]
    for call in plain:
        for message in call.client.messages():
            if message.method == PROGRESS:
                unasked = call.given is None and any(m.method == PROGRESS for m in _behind(call))
                return fail(
                    "no progress for a call without a progress token",
                    f"progress came under {reported_for(message)!r}",
                    call.client,
                    events=(message.seq,),
                    charged_to=Hop.BACKEND if unasked else Hop.GATEWAY,
                )
    return Pass(f"no progress came for {len(plain)} calls that asked for none", plain[0].client.events)


def _behind(call: Call) -> tuple[Message, ...]:
    return call.link.exchange.messages() if call.link.exchange is not None else ()


@rule(
    id="MGC758",
    title="Progress ends with its call's answer",
    suite=SUITE,
    level=Level.MUST,
    side=Side.TRANSPARENCY,
    requirements=("PROG-04",),
    when=REPORTED,
    failure_classes=("server-messages-garbled",),
)
def none_after_the_answer(inputs: Inputs) -> Verdict:
    """Judge what comes under a call's token after the call was answered.

    What it checks: on the call's stream none comes after the answer, on another none AFTER_ANSWER seconds after it.
    Why it matters: the client has forgotten the token by then, or has given it to another call.
    A failing exchange: client ← result of call 3, then progress of call 3
    A conforming exchange: client ← progress of call 3, then its result
    Known gaps: nothing orders two connections, so what comes a moment later on another stream passes.
    """
    through = inputs.through
    seen = list(_arrived(through))
    for call, got in seen:
        if call.answer is None:
            continue
        for message in got:
            here = message.exchange == call.client.id
            late = message.t - call.answer.t
            if (message.seq > call.answer.seq) if here else late > timing.AFTER_ANSWER:
                if not here and through.lag(call.answer.t, message.t) > late - timing.AFTER_ANSWER:
                    return Inconclusive(f"progress came {late:.2f} s after the answer, and the machine was too busy")
                return fail(
                    "no progress of a call after its answer",
                    f"progress under {call.token!r} came {late:.2f} s after it",
                    call.client,
                    events=(call.answer.seq, message.seq),
                    charged_to=Hop.BACKEND if _outlasted(call) else Hop.GATEWAY,
                )
    if not seen:
        return _none_arrived(through)
    return Pass(f"the progress of {len(seen)} calls ended with their answers", seen[0][0].client.events)


def _outlasted(call: Call) -> bool:
    """Whether the backend itself reported after its answer."""
    answer = call.session.response_to(call.link.backend)
    return answer is not None and any(message.seq > answer.seq for message in call.sent())


@rule(
    id="MGC759",
    title="Progress increases",
    suite=SUITE,
    level=Level.MUST,
    side=Side.TRANSPARENCY,
    requirements=("PROG-02",),
    when=REPORTED,
    failure_classes=("server-messages-garbled",),
)
def progress_increases(inputs: Inputs) -> Verdict:
    """Judge the order of a call's progress.

    What it checks: on each stream, each report's `progress` is greater than the one before it.
    Why it matters: a bar that runs backwards or stands still looks like a call that hangs.
    A failing exchange: client ← progress 1, progress 1, progress 2
    A conforming exchange: client ← progress 1, progress 2
    Known gaps: reports may be left out; those on two streams are not put in order.
    """
    seen = list(_arrived(inputs.through))
    for call, got in seen:
        for one, other in pairwise(got):
            if one.exchange == other.exchange and not _less(one, other):
                return fail(
                    "progress that is greater with each report",
                    f"{other.params.get('progress')!r} came after {one.params.get('progress')!r}",
                    call.client,
                    events=(one.seq, other.seq),
                    charged_to=Hop.GATEWAY if all(_less(*pair) for pair in pairwise(call.sent())) else Hop.BACKEND,
                )
    if not seen:
        return _none_arrived(inputs.through)
    return Pass(f"the progress of {len(seen)} calls increased", seen[0][0].client.events)


def _less(one: Message, other: Message) -> bool:
    before, after = one.params.get("progress"), other.params.get("progress")
    return isinstance(before, int | float) and isinstance(after, int | float) and before < after


@rule(
    id="MGC760",
    title="Progress keeps its numbers and its text",
    suite=SUITE,
    level=Level.MAY,
    side=Side.TRANSPARENCY,
    requirements=("PROG-05",),
    when=REPORTED,
    failure_classes=("server-messages-garbled",),
)
def values_are_kept(inputs: Inputs) -> Verdict:
    """Judge the contents of the progress that a client receives.

    What it checks: `progress`, `total` and `message` of each report are those of one that the backend sent.
    Why it matters: floats, a missing total and a text are all allowed; what is made up or rounded misleads.
    A failing exchange: backend → progress 0.1; client ← progress 0.1, total 100
    A conforming exchange: backend → progress 0.1; client ← progress 0.1
    Known gaps: reports may be left out, so that a text lost with its report is not noticed.
    """
    seen = list(_arrived(inputs.through))
    for call, got in seen:
        known = [_content(message) for message in call.sent()]
        for message in got:
            if _content(message) not in known:
                return fail(
                    "progress, total and message as the backend sent them",
                    f"(progress, total, message) was {_content(message)!r}, the backend's were {known!r:.200}",
                    call.client,
                    events=(message.seq, *(m.seq for m in call.sent())),
                )
    if not seen:
        return _none_arrived(inputs.through)
    return Pass(f"the progress of {len(seen)} calls came as the backend sent it", seen[0][0].client.events)


def _content(message: Message) -> tuple[JSON, JSON, JSON]:
    return tuple(message.params.get(name) for name in ("progress", "total", "message"))  # type: ignore[return-value]


@rule(
    id="MGC761",
    title="A flood of progress costs nobody an answer",
    suite=SUITE,
    level=Level.SHOULD,
    side=Side.SERVER,
    requirements=("PROG-08",),
    when=FLOOD,
    failure_classes=("middleware-breaks-stream",),
)
def flood_is_survived(inputs: Inputs) -> Verdict:
    """Judge the answers around a thousand reports made at once.

    What it checks: the call gets its result; requests made beside it and after it, by whomever, get theirs.
    Why it matters: who limits the rate of progress must drop reports, not the answer behind them.
    A failing exchange: client ← 500 reports, then the connection is cut
    A conforming exchange: client ← as many reports as the gateway likes, then the result
    Known gaps: whether reports are dropped is not judged; both is allowed.
    """
    through = inputs.through
    for call in _floods(through):
        after = [i for i in through.client() if i.t >= call.client.t and i.rpc_method in ("tools/call", "tools/list")]
        for item in after:
            if without_result(item):
                return fail(
                    "a result, whatever the number of reports before it",
                    f"{item.rpc_method} got none; {len(call.got(through))} of {len(call.sent())} reports came"
                    f" ({item.how})",
                    item,
                    charged_to=charge(inputs, item, without_result),
                )
    answered = next(_floods(through))
    return Pass(
        f"{len(answered.got(through))} of {len(answered.sent())} reports came, and the result", answered.client.events
    )


def _floods(transcript: Transcript) -> Iterator[Call]:
    nonces = {event.data.get("nonce") for event in transcript.stimuli("progress.flood")}
    return (call for call in calls(transcript) if call.nonce in nonces) if nonces else iter(())
