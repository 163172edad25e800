"""Family keep_alive, calls: pings, calls that take long, and calls whose backend fails."""

from __future__ import annotations

from collections.abc import Iterator
from math import inf
from typing import Final

from conformance import timing
from conformance.evidence.events import Hop, Kind
from conformance.evidence.links import Link
from conformance.evidence.transcript import Exchange, Message, Transcript
from conformance.rules.base import Inputs, Level, Precondition, Side, charge, fail, rule
from conformance.rules.keep_alive_evidence import (
    SUITE,
    Silence,
    answer_or_end,
    backend_answer,
    calls,
    cancelled_calls,
    lagged,
    links_of,
    primed,
    succeeded,
    waited,
)
from conformance.rules.verdicts import Inconclusive, NotApplicable, Pass, Verdict

_AT_ONCE: Final = frozenset({"initialize", "tools/list"})
"""Requests that a gateway answers as fast as it can: where these take seconds, the machine or the gateway is slow."""


def _pings(transcript: Transcript) -> tuple[Exchange, ...]:
    return tuple(item for item in transcript.client() if item.rpc_method == "ping")


def _faults(transcript: Transcript) -> Iterator[tuple[Exchange, Link]]:
    """Yield calls that the backend did not answer with a result: the client's exchange, and the gateway's request."""
    for call in calls(transcript):
        for link in links_of(transcript, call)[-1:]:  # the last one, where a gateway asked again
            answer = backend_answer(transcript, link)
            refused = link.exchange is not None and (link.exchange.status or 0) >= 400
            if answer is None or answer.result is None or refused:
                yield call, link


PING = Precondition("ping", "a ping of a client", lambda transcript: bool(_pings(transcript)))
LASTING_CALL = Precondition(
    "lasting-call",
    "a call that took some seconds, or was not answered with a result",
    lambda transcript: any(
        waited(transcript, call) >= timing.CALL_NOTICED or not succeeded(call) for call in calls(transcript)
    ),
)
BACKEND_FAULT = Precondition(
    "backend-fault",
    "a call that reached the backend and was not answered with a result there",
    lambda transcript: any(True for _ in _faults(transcript)),
)


@rule(
    id="MGC404",
    title="ping is answered at once with an empty result",
    suite=SUITE,
    level=Level.MUST,
    side=Side.SERVER,
    requirements=("PING-01",),
    when=PING,
    failure_classes=("ping-not-answered",),
)
def ping_is_answered(inputs: Inputs) -> Verdict:
    """Judge the answers to a client's pings, also while a call is under way.

    What it checks: a result without members (`_meta` aside) within PING_PROMPT seconds.
    Why it matters: clients ping to learn whether the server lives; an error or silence makes them drop a good session.
    A failing exchange: {"id": 7, "method": "ping"} → {"id": 7, "error": {"code": -32601}}
    A conforming exchange: {"id": 7, "method": "ping"} → {"id": 7, "result": {}}
    Known gaps: pings of the server's side are not judged here; nor are late ones of a gateway that is late throughout.
    """
    through = inputs.through
    for ping in _pings(through):
        trouble = _ping_trouble(through, ping)
        if not trouble:
            continue
        late = Silence(ping.t, answer_or_end(through, ping))
        if late.seconds > timing.PING_PROMPT and (unsure := lagged(through, late, timing.PING_PROMPT)):
            return unsure
        if not _wrong(ping) and (slow := _as_slow(through, ping)) is not None:
            return Inconclusive(f"{trouble}, and {slow.rpc_method} of that client took as long: all is slow here")
        return fail(
            f"an empty result within {timing.PING_PROMPT:.0f} s",
            trouble,
            ping,
            charged_to=charge(inputs, ping, lambda item: bool(_ping_trouble(through, item))),
        )
    answered = [answer_or_end(through, ping) - ping.t for ping in _pings(through)]
    return Pass(f"{len(answered)} ping(s), the slowest answered after {max(answered):.3f} s", _pings(through)[0].events)


def _as_slow(transcript: Transcript, ping: Exchange) -> Exchange | None:
    """Return a handshake or a list of the same client that was answered as late as a ping must not be; None if none."""
    beside = (item for item in transcript.client() if item.tap == ping.tap and item.rpc_method in _AT_ONCE)
    slow = (item for item in beside if item.answer() is not None)
    return next((item for item in slow if answer_or_end(transcript, item) - item.t > timing.PING_PROMPT), None)


def _ping_trouble(transcript: Transcript, ping: Exchange) -> str:
    """Return what is wrong with the answer to a ping, or its coming, empty when nothing is."""
    took = answer_or_end(transcript, ping) - ping.t
    if ping.answer() is None:
        return f"no answer in {took:.1f} s, HTTP status {ping.status}"
    return _wrong(ping) or (f"it was answered after {took:.1f} s" if took > timing.PING_PROMPT else "")


def _wrong(ping: Exchange) -> str:
    """Return what a ping was answered with that is no empty result, empty when it was one."""
    answer = ping.answer()
    if answer is None:
        return "nothing"
    if answer.result is None:
        return f"it was answered with the error {(answer.error or {}).get('code')}"
    members = sorted(set(answer.result) - {"_meta"})
    return f"its result has {', '.join(members)}" if members else ""


@rule(
    id="MGC407",
    title="A call is not given up while its backend works",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.TRANSPARENCY,
    requirements=("KEEP-04", "KEEP-06"),
    when=LASTING_CALL,
    failure_classes=("gateway-timeout-too-short", "empty-200-stream"),
)
def long_call_is_answered(inputs: Inputs) -> Verdict:
    """Judge what a call comes to that its backend takes long to answer.

    What it checks: the client gets one response, and it is the backend's: no error and no end before the backend's.
    Why it matters: a heartbeat is not progress; tools work for minutes, and a call given up runs on unseen.
    A failing exchange: POST tools/call → error after 10.0 s, while the backend answers at 18.5 s
    A conforming exchange: POST tools/call → `: keepalive` at 15 s, the result at 18.5 s
    Known gaps: a limit above the call's length is not seen. What became of a backend's own fault is MGC408's; one whose
    process ended, unasked, is not judged, nor is a call that its client cancelled.
    """
    through = inputs.through
    cancelled = cancelled_calls(through)
    for call in calls(through):
        responses = [message for message in call.messages() if message.is_response]
        if len(responses) > 1:
            events = tuple(message.seq for message in responses)
            return fail("one response to a call", f"{len(responses)} came", call, events=events)
        if succeeded(call) or call.id in cancelled:
            continue
        verdict = _unanswered(through, call)
        if verdict is not None:
            return verdict
    longest = max(calls(through), key=lambda item: waited(through, item))
    beats = sum(beat.what == "comment" for beat in longest.beats)
    return Pass(f"answered after {waited(through, longest):.1f} s and {beats} beats", longest.events)


def _ended_by_backend(transcript: Transcript, exchange: Exchange | None, by: float) -> bool:
    """Whether the backend ended its response by itself before time `by`: not after the gateway had given it up."""
    if exchange is None or exchange.how not in ("complete", "fin", "rst"):
        return False
    ended = exchange.ended(by)
    given_up = any(
        message.direction == "up" and message.method == "notifications/cancelled" and exchange.t <= message.t <= by
        for message in transcript.backend_messages
    )
    return ended <= by and not given_up


def _died(transcript: Transcript, link: Link, by: float) -> bool:
    """Whether the backend's process ended before time `by`, and whoever started it had not asked it to."""
    found = (item for item in transcript.processes if link.exchange is None and item.process == link.backend.session)
    exits = [(item.process, item.t_exit) for item in found if item.t_exit is not None and item.t_exit <= by]
    asked = {
        event.data["process"]: event.t
        for event in reversed(transcript.of(Kind.STDIO_EOF, Kind.STDIO_SIGNAL))
        if event.data.get("dir") != "down"
    }
    return any(asked.get(process, inf) > t for process, t in exits)


def _unanswered(transcript: Transcript, call: Exchange) -> Verdict | None:
    """Judge a call without a good result; None when that is its backend's own answer, or its backend's fault."""
    linked = links_of(transcript, call)
    if not linked:
        return Inconclusive("the call that failed was not seen at the backend, so whose failure it is cannot be told")
    link = linked[-1]
    answer = backend_answer(transcript, link)
    over = answer_or_end(transcript, call)
    fault = _ended_by_backend(transcript, link.exchange, over) or _died(transcript, link, over)
    if _own(answer) or (answer is None and fault):
        return None
    if answer is None and call.how == "abandoned" and call.answer() is None:
        return None  # neither had said anything when the client left
    if primed(call) and call.answer() is None:
        return Inconclusive("the stream gave event ids and was closed; whether it can be resumed is not driven here")
    empty = call.status == 200 and call.is_stream and call.answer() is None
    working = "while the backend was still working" if answer is None else "though the backend answered"
    return fail(
        "the backend's own answer, however long it takes",
        f"the client got {_got(call)} after {over - call.t:.1f} s, {working}",
        call,
        events=(link.backend.seq, *((answer.seq,) if answer is not None else ())),
        charged_to=Hop.GATEWAY,
        symptom="empty-200-stream" if empty else "gateway-timeout-too-short",
    )


def _own(answer: Message | None) -> bool:
    """Whether the backend itself answered with an error."""
    return answer is not None and (answer.result is None or bool(answer.result.get("isError")))


def _got(call: Exchange) -> str:
    answer = call.answer()
    if answer is not None and answer.error is not None:
        return f"the error {answer.error.get('code')}"
    if answer is not None:
        return "a tool error"
    if call.status is None:
        return f"no response ({call.how})"
    return f"HTTP {call.status} without a response to its request ({call.how})"


@rule(
    id="MGC408",
    title="A backend's fault does not leave the call hanging",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.TRANSPARENCY,
    requirements=("FLOW-03",),
    when=BACKEND_FAULT,
    failure_classes=("hang-on-upstream-error", "empty-200-stream"),
)
def fault_is_passed_on(inputs: Inputs) -> Verdict:
    """Judge what the client of a call hears after its backend answered with a fault.

    What it checks: an answer, an HTTP error or the end of the response within HANG_OBSERVATION of the backend's end. A
    result may come later: the gateway then got it after all.
    Why it matters: a call that beats for ever and never ends looks alive; the client waits until its own limit.
    A failing exchange: backend → 500; client ← 200 text/event-stream, comments for ever
    A conforming exchange: backend → 500; client ← {"id": 3, "error": {…}} or an isError result
    Known gaps: a backend that stays silent is not a fault to pass on; how well the error is mapped is not judged.
    """
    through = inputs.through
    seen: list[str] = []
    for call, link in _faults(through):
        fault = link.exchange
        if fault is None or fault.t_end is None or fault.how not in ("complete", "fin", "rst"):
            continue
        heard = _heard(call)
        if heard and not (_is_empty(call) and not _is_empty(fault)):
            told = Silence(fault.t_end, answer_or_end(through, call))
            if told.seconds > timing.HANG_OBSERVATION and not succeeded(call):
                return lagged(through, told, timing.HANG_OBSERVATION) or fail(
                    f"an answer or an end within {timing.HANG_OBSERVATION:.0f} s of the backend's {_ended(fault)}",
                    f"the client got {heard} {told.seconds:.1f} s after it",
                    call,
                    fault,
                    symptom="hang-on-upstream-error",
                )
            seen.append(f"{heard} {max(told.seconds, 0):.2f} s after the backend's {_ended(fault)}")
            continue
        watched = Silence(fault.t_end, through.over_for_client(call))
        if not heard and watched.seconds < timing.HANG_OBSERVATION:
            return Inconclusive(f"the client left {watched.seconds:.1f} s after the backend's {_ended(fault)}")
        return fail(
            f"an answer or an end within {timing.HANG_OBSERVATION:.0f} s of the backend's {_ended(fault)}",
            "the client got 200 and an event stream that ended without an event"
            if heard
            else f"no answer and no end in {watched.seconds:.1f} s, in which {len(call.beats)} beats came",
            call,
            fault,
            symptom="empty-200-stream" if heard else "hang-on-upstream-error",
        )
    if not seen:
        return NotApplicable("the backend itself was silent as long as it was watched; its gateway may wait")
    return Pass("; ".join(seen), tuple(seq for call, _ in _faults(through) for seq in call.events))


def _heard(call: Exchange) -> str:
    """Return what ended a call for its client, empty when nothing did."""
    if succeeded(call):
        return "a result"
    return _got(call) if call.answer() is not None or call.how in ("complete", "fin", "rst") else ""


def _is_empty(exchange: Exchange) -> bool:
    """Whether a request was answered 200 and then nothing, in order."""
    return exchange.status == 200 and exchange.how == "complete" and exchange.answer() is None


def _ended(fault: Exchange) -> str:
    return f"{fault.status or 'no status'} ({fault.how})"
