"""Family keep_alive, streams: what an open event stream carries while nothing is said on it, and how soon."""

from __future__ import annotations

from math import inf
from typing import Final

from conformance import timing
from conformance.evidence.events import Hop
from conformance.evidence.transcript import BackendSession, Exchange, Transcript
from conformance.rules.base import Inputs, Level, Precondition, Side, charge, fail, rule
from conformance.rules.keep_alive_evidence import (
    LONGEST_SILENCE,
    SUITE,
    Silence,
    answer_or_end,
    asked_progress,
    backend_progress,
    beats_in,
    calls,
    client_progress,
    cut_by_server,
    first_gets,
    get_streams,
    lagged,
    links_of,
    longest_silence,
    open_for,
    primed,
    upstream_of,
)
from conformance.rules.verdicts import Inconclusive, NotApplicable, NotExercised, Pass, Verdict

_HEADERS: Final = ("cache-control", "x-accel-buffering")
_NO_STREAM: Final = "no GET stream: GET was not answered with one"


def _took(transcript: Transcript, call: Exchange) -> float:
    """Return how long a call was under way: to its answer, or its end without one, in seconds."""
    return answer_or_end(transcript, call) - call.asked_at


def _long_calls(transcript: Transcript) -> tuple[Exchange, ...]:
    return tuple(call for call in calls(transcript) if _took(transcript, call) > LONGEST_SILENCE)


def _streams(transcript: Transcript) -> tuple[Exchange, ...]:
    return tuple(item for item in transcript.client() if item.status == 200 and item.is_stream)


def _held_streams(transcript: Transcript) -> tuple[Exchange, ...]:
    return tuple(item for item in _streams(transcript) if open_for(transcript, item) >= timing.STORM_OBSERVED)


def _was_watched(session: BackendSession) -> bool:
    messages = session.messages
    return bool(messages) and messages[-1].t - messages[0].t >= timing.STORM_OBSERVED


def _held_long_enough(transcript: Transcript, get: Exchange) -> bool:
    return open_for(transcript, get) >= LONGEST_SILENCE or cut_by_server(transcript, get)


IDLE_GET = Precondition(
    "idle-get",
    "a GET stream that its client held open for longer than a keep-alive period",
    lambda transcript: (
        any(_held_long_enough(transcript, get) for get in get_streams(transcript))
        or (bool(first_gets(transcript)) and not get_streams(transcript))
    ),
)
LONG_CALL = Precondition(
    "long-call",
    "a call that took longer than a keep-alive period",
    lambda transcript: bool(_long_calls(transcript)),
)
STREAM_HELD = Precondition(
    "stream-held",
    "an event stream, or a session with a backend, watched for some seconds",
    lambda transcript: (
        bool(_held_streams(transcript))
        or any(map(_was_watched, transcript.backend_sessions))
        or _no_streams_at_all(transcript)
    ),
)
EVENT_STREAM = Precondition(
    "event-stream",
    "a response that is an event stream",
    lambda transcript: bool(_streams(transcript)) or _no_streams_at_all(transcript),
)
PROGRESS_ASKED = Precondition(
    "progress",
    "a call that asked for progress",
    lambda transcript: any(asked_progress(call) is not None for call in calls(transcript)),
)


def _beats_behind(transcript: Transcript, exchange: Exchange) -> str:
    """Say what the backend's own stream carried meanwhile; empty when no such stream can be told."""
    behind = upstream_of(transcript, exchange)
    if behind is None or not behind.is_stream:
        return ""
    return f"; the backend's own stream carried {beats_in(behind, exchange.t, transcript.over_for_client(exchange))}"


def _silent_too(transcript: Transcript, exchange: Exchange, until: float = inf) -> Hop:
    """Return whose silence it is: the backend's only when the stream behind the client's was silent as well."""
    behind = upstream_of(transcript, exchange)
    if behind is None or not behind.is_stream:
        return Hop.GATEWAY
    silence = longest_silence(transcript, behind, behind.answered_since, until)
    return Hop.BACKEND if silence.seconds > LONGEST_SILENCE else Hop.GATEWAY


@rule(
    id="MGC401",
    title="An idle GET stream carries a beat in time",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.SERVER,
    requirements=("KEEP-01",),
    when=IDLE_GET,
    failure_classes=("idle-stream-no-heartbeat",),
)
def idle_get_beats(inputs: Inputs) -> Verdict:
    """Judge the longest silence on a GET stream that its client holds open.

    What it checks: no time longer than KEEPALIVE_PERIOD + KEEPALIVE_TOLERANCE passes without a byte.
    Why it matters: clients' body timeouts and intermediaries' idle limits end a silent stream, the shortest at 30 s.
    A failing exchange: GET /mcp → 200 text/event-stream, and no byte in 33 s
    A conforming exchange: GET /mcp → 200 text/event-stream, `: keepalive` at 15 s and at 30 s
    Known gaps: beats that are due after the watched time are not seen; what the bytes mean is MGC309's.
    """
    through = inputs.through
    streams = get_streams(through)
    if not streams:
        return NotApplicable(_NO_STREAM)
    held = [get for get in streams if open_for(through, get) >= LONGEST_SILENCE]
    if not held:
        return Inconclusive(f"the stream was closed after {open_for(through, streams[0]):.1f} s; that is MGC403's")
    for get in held:
        silence = longest_silence(through, get, get.answered_since)
        if silence.seconds > LONGEST_SILENCE:
            return lagged(through, silence, LONGEST_SILENCE) or fail(
                f"a byte on the idle GET stream at least each {LONGEST_SILENCE:.0f} s",
                f"none came for {silence.seconds:.1f} s; {len(get.beats)} beats in {open_for(through, get):.1f} s"
                + _beats_behind(through, get),
                get,
                charged_to=_silent_too(through, get),
                symptom="idle-stream-no-heartbeat",
            )
    longest = max(longest_silence(through, get, get.t_response or get.t).seconds for get in held)
    return Pass(f"{len(held[0].beats)} beats, at most {longest:.1f} s apart", held[0].events)


@rule(
    id="MGC402",
    title="The stream of a long, silent call carries a beat in time",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.SERVER,
    requirements=("KEEP-02",),
    when=LONG_CALL,
    failure_classes=("idle-stream-no-heartbeat", "proxy-buffers-sse"),
)
def long_call_beats(inputs: Inputs) -> Verdict:
    """Judge the longest silence between a call and its answer, where the answer is an event stream.

    What it checks: from request to answer no time longer than KEEPALIVE_PERIOD + KEEPALIVE_TOLERANCE without a byte.
    Why it matters: a tool may work for minutes; an intermediary ends the silent response and the answer is lost.
    A failing exchange: POST tools/call → 200 text/event-stream, and no byte until the answer at 18.5 s
    A conforming exchange: POST tools/call → 200 text/event-stream, `: keepalive` at 15 s, the answer at 18.5 s
    Known gaps: an answer in application/json cannot beat, which is legal; only a stream is judged. One that stays open
    after the answer is MGC606's.
    """
    through = inputs.through
    streams = [call for call in _long_calls(through) if call.is_stream]
    if not streams:
        return NotApplicable(f"the call was answered {_said(_long_calls(through)[0])}: nothing can beat before that")
    for call in streams:
        until = answer_or_end(through, call)
        silence = longest_silence(through, call, call.asked_at, until)
        if silence.seconds > LONGEST_SILENCE:
            late = _came_with_the_answer(call)
            return lagged(through, silence, LONGEST_SILENCE) or fail(
                f"a byte at least each {LONGEST_SILENCE:.0f} s while a call is under way",
                f"none came for {silence.seconds:.1f} s"
                + (f", then {late} beats together with the answer" if late else "")
                + _beats_behind(through, call),
                call,
                charged_to=_silent_too(through, call, until),
                symptom="proxy-buffers-sse" if late else "idle-stream-no-heartbeat",
            )
    beats = [beat for beat in streams[0].beats if beat.what == "comment"]
    return Pass(f"{len(beats)} comments before the answer at {_took(through, streams[0]):.1f} s", streams[0].events)


def _came_with_the_answer(call: Exchange) -> int:
    """Return how many comments came in one moment with the answer: they were sent earlier and held back."""
    answer = call.answer()
    if answer is None:
        return 0
    return sum(beat.what == "comment" and answer.t - beat.t < timing.PAUSE_NOTICED for beat in call.beats)


def _said(exchange: Exchange) -> str:
    if exchange.status is None:
        return "with no response headers"
    return f"{exchange.status} {exchange.content_type or 'without a media type'}"


@rule(
    id="MGC403",
    title="An idle GET stream is not cut",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.SERVER,
    requirements=("KEEP-03",),
    when=IDLE_GET,
    failure_classes=("intermediary-idle-cut",),
)
def idle_get_survives(inputs: Inputs) -> Verdict:
    """Judge who ends a GET stream that its client holds open.

    What it checks: the server's side neither ends the response nor closes the connection while the client holds it.
    Why it matters: what the server says until the client has reconnected is lost, and many clients never reconnect.
    A failing exchange: GET /mcp → 200 text/event-stream, FIN after 10.0 s
    A conforming exchange: GET /mcp → 200 text/event-stream, open until the client closes it
    Known gaps: a limit above the watched time is not seen. A stream that gave event ids may be closed for polling.
    """
    through = inputs.through
    streams = get_streams(through)
    if not streams:
        return NotApplicable(_NO_STREAM)
    cut = [get for get in streams if cut_by_server(through, get) and not _ended_by_delete(through, get)]
    for get in cut:
        if primed(get):
            continue
        behind = upstream_of(through, get)
        backend_first = behind is not None and cut_by_server(through, behind) and _before(behind, get)
        last = max((beat.t for beat in get.beats), default=get.t_response or get.t)
        end = through.over_for_client(get)
        return fail(
            "the GET stream stays open as long as its client holds it",
            f"the {'backend' if backend_first else 'gateway'} ended it ({get.how}) at an age of "
            f"{open_for(through, get):.1f} s, {end - last:.1f} s after its last beat",
            get,
            *((behind,) if backend_first and behind is not None else ()),
            charged_to=Hop.BACKEND if backend_first else Hop.GATEWAY,
            symptom="intermediary-idle-cut",
        )
    held = [get for get in streams if get not in cut]
    if not held:
        return NotApplicable("the stream gave event ids, so the server may close it and be polled")
    return Pass(f"open for {open_for(through, held[0]):.1f} s, until its client closed it", held[0].events)


def _before(behind: Exchange, get: Exchange) -> bool:
    return behind.t_end is not None and get.t_end is not None and behind.t_end <= get.t_end


def _ended_by_delete(transcript: Transcript, get: Exchange) -> bool:
    """Whether the client had ended the session: its streams end with it."""
    return any(
        item.method == "DELETE" and item.session == get.session and item.t <= transcript.over_for_client(get)
        for item in transcript.client()
    )


@rule(
    id="MGC409",
    title="Beats and pings are no storm",
    suite=SUITE,
    level=Level.SHOULD,
    side=Side.SERVER,
    requirements=("PING-03",),
    when=STREAM_HELD,
    failure_classes=("heartbeat-storm",),
)
def no_storm(inputs: Inputs) -> Verdict:
    """Judge how many comments and pings a stream carries, and how many pings a backend gets.

    What it checks: no more than STORM_RATE a second, over streams and backend sessions watched for some seconds.
    Why it matters: each one wakes a radio, fills a log and is multiplied by every client behind the gateway.
    A failing exchange: GET /mcp → 200 text/event-stream, `: keepalive` each 0.2 s
    A conforming exchange: GET /mcp → 200 text/event-stream, `: keepalive` each 15 s
    Known gaps: a short burst inside a long quiet time passes; pings over which a client was slow are not told apart.
    """
    through = inputs.through
    held = _held_streams(through)
    if not held and not any(map(_was_watched, through.backend_sessions)):
        return NotApplicable("nothing is served as an event stream, and no session with a backend lasts")
    for stream in held:
        rate = _beat_rate(through, stream)
        if rate > timing.STORM_RATE:
            behind = upstream_of(through, stream)
            same = behind is not None and _beat_rate(through, behind) > timing.STORM_RATE
            return fail(
                f"at most {timing.STORM_RATE:.0f} beat or ping a second",
                f"{rate:.1f} a second over {open_for(through, stream):.1f} s",
                stream,
                charged_to=Hop.BACKEND if same else Hop.GATEWAY,
            )
    for session in through.backend_sessions:
        rate = _ping_rate(session)
        if rate > timing.STORM_RATE:
            return fail(
                f"at most {timing.STORM_RATE:.0f} ping a second to a backend",
                f"{rate:.1f} a second",
                events=tuple(message.seq for message in session.up("ping")),
            )
    rates = ", ".join(f"{_beat_rate(through, item):.2f}" for item in held) or "no"
    pings = sum(len(session.up("ping")) for session in through.backend_sessions)
    return Pass(
        f"{rates} beats a second on {len(held)} client stream(s), {pings} pings to backends",
        tuple(seq for stream in held for seq in stream.events),
    )


def _no_streams_at_all(transcript: Transcript) -> bool:
    """Whether requests were answered and none of them with an event stream: a gateway of the JSON-only kind."""
    answered = [item for item in transcript.client() if item.answer() is not None]
    return bool(answered) and not _streams(transcript)


def _beat_rate(transcript: Transcript, stream: Exchange) -> float:
    beats = [
        beat
        for beat in stream.beats
        if beat.what == "comment" or (isinstance(beat.message, dict) and beat.message.get("method") == "ping")
    ]
    return len(beats) / max(open_for(transcript, stream), timing.STORM_OBSERVED)


def _ping_rate(session: BackendSession) -> float:
    pings = session.up("ping")
    if not pings or not session.up("initialize"):  # an id that no handshake goes with may stand for several clients
        return 0.0
    return len(pings) / max(session.messages[-1].t - session.messages[0].t, timing.STORM_OBSERVED)


@rule(
    id="MGC410",
    title="Event streams forbid transformation or buffering",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.SERVER,
    requirements=("SSEW-04",),
    when=EVENT_STREAM,
    failure_classes=("proxy-buffers-sse",),
)
def streams_forbid_buffering(inputs: Inputs) -> Verdict:
    """Judge the headers of event streams.

    What it checks: Cache-Control has no-transform, or X-Accel-Buffering is no.
    Why it matters: without either, nginx collects the stream before it passes it on, and others compress it in blocks.
    A failing exchange: GET /mcp → 200 text/event-stream with Cache-Control: no-cache alone
    A conforming exchange: GET /mcp → 200 text/event-stream with Cache-Control: no-cache, no-transform
    Known gaps: that an intermediary buffers all the same is seen only where one stands before the gateway.
    """
    streams = _streams(inputs.through)
    if not streams:
        return NotApplicable("nothing is served as an event stream")
    for stream in streams:
        if not _forbids(stream):
            cache, accel = (stream.response_headers.get(name, "absent") for name in _HEADERS)
            return fail(
                "Cache-Control: no-transform or X-Accel-Buffering: no on an event stream",
                f"on {stream.method} {stream.rpc_method or ''}: Cache-Control {cache}, X-Accel-Buffering {accel}",
                stream,
                charged_to=charge(inputs, stream, lambda item: not _forbids(item)),
            )
    return Pass(f"{len(streams)} event stream(s) say so", streams[0].events)


def _forbids(stream: Exchange) -> bool:
    cache, accel = (stream.response_headers.get(name, "").strip().lower() for name in _HEADERS)
    return "no-transform" in cache or accel == "no"


@rule(
    id="MGC411",
    title="Progress arrives when it is sent",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.TRANSPARENCY,
    requirements=("PROG-09", "FLOW-02", "FLOW-06"),
    when=PROGRESS_ASKED,
    failure_classes=("proxy-buffers-sse", "server-messages-not-relayed"),
)
def progress_is_prompt(inputs: Inputs) -> Verdict:
    """Judge how long the backend's first progress report is under way to the client.

    What it checks: it arrives, and within HELD_SHARE of the time over which the backend sent its reports.
    Why it matters: progress tells people that a call lives, and restarts their clients' timeouts; late it does neither.
    A failing exchange: reports leave the backend at 0.5, 1.0 … 2.5 s, all reach the client at 3.0 s with the answer
    A conforming exchange: each report reaches the client within milliseconds
    Known gaps: later reports that are lost or joined are not counted. An answer in JSON has no room for any; then they
    are looked for on the GET stream, and not expected where there is none. A wrong token is MGC756's to judge.
    """
    through = inputs.through
    call = next(item for item in calls(through) if asked_progress(item) is not None)
    linked = links_of(through, call)
    if len(linked) != 1:
        return Inconclusive(f"{len(linked)} calls at the backend belong to the client's; one is needed to compare")
    got, sent = client_progress(through, call), backend_progress(through, linked[0])
    if not got and not call.is_stream and not _listens_during(through, call):
        return NotApplicable(f"the call was answered {_said(call)}, and no stream was open that has room for progress")
    if sent is not None and (len(sent) < 2 or sent[-1].t - sent[0].t < timing.PAUSE_NOTICED):
        return NotExercised("a backend that reported progress over some time")
    if not got or sent is None:
        return fail(
            "the backend's progress reaches the client that asked for it",
            "the gateway asked its backend for none" if sent is None else f"of its {len(sent)} reports none came",
            call,
            events=tuple(message.seq for message in sent or ()),
            symptom="server-messages-not-relayed",
        )
    delay = Silence(sent[0].t, got[0].t)
    limit = (sent[-1].t - sent[0].t) * timing.HELD_SHARE
    if delay.seconds > limit:
        spaced, arrived = sent[-1].t - sent[0].t, got[-1].t - got[0].t
        return lagged(through, delay, limit) or fail(
            f"the first report at the client within {limit:.1f} s of leaving the backend",
            f"it took {delay.seconds:.1f} s; reports sent over {spaced:.1f} s came within {arrived:.1f} s",
            call,
            events=(sent[0].seq, got[0].seq),
            symptom="proxy-buffers-sse",
        )
    return Pass(f"{len(got)} of {len(sent)} reports, the first after {max(delay.seconds, 0):.3f} s", call.events)


def _listens_during(transcript: Transcript, call: Exchange) -> bool:
    """Whether the call's client had a GET stream open from before the call to after it."""
    return any(
        get.tap == call.tap and get.t <= call.t and transcript.over_for_client(get) >= transcript.over_for_client(call)
        for get in get_streams(transcript)
    )
