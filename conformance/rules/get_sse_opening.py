"""Family get_sse, opening and closing: how GET is answered, and what becomes of the session.

2025-11-25 basic/transports, Listening for Messages from the Server.
"""

from __future__ import annotations

from conformance import timing
from conformance.evidence.transcript import Exchange, Transcript
from conformance.rules.answers import without_result
from conformance.rules.base import Inputs, Level, Side, charge, fail, rule
from conformance.rules.get_sse_evidence import (
    BACKEND_GET,
    CLOSED,
    GET_IN_SESSION,
    SECOND,
    SUITE,
    UNKNOWN_SESSION,
    WITHOUT_SESSION,
    first_gets,
    gets_with,
    headers_waited,
    issued,
    later_answers,
    neither_stream_nor_405,
    not_refused,
    open_streams,
    said,
)
from conformance.rules.keep_alive_evidence import cut_by_server, primed
from conformance.rules.preconditions import session_gets
from conformance.rules.session_reuse_evidence import charge_outside_sessions
from conformance.rules.verdicts import Inconclusive, NotApplicable, Pass, Verdict


@rule(
    id="MGC301",
    title="GET is answered with an event stream or 405",
    suite=SUITE,
    level=Level.MUST,
    side=Side.SERVER,
    requirements=("GET-03", "HTTP-01"),
    when=GET_IN_SESSION,
    failure_classes=("get-sse-wrong-status",),
)
def get_is_a_stream_or_405(inputs: Inputs) -> Verdict:
    """Judge the status and media type of a GET in an initialized session.

    What it checks: every client's first GET in its session is answered 200 text/event-stream, or 405.
    Why it matters: clients open this stream right after initialize; anything else reads as a broken connection.
    A failing exchange: GET /mcp → 400 {"error": {"message": "Missing session ID"}}
    A conforming exchange: GET /mcp → 405, or GET /mcp → 200 text/event-stream
    Known gaps: headers that never come are MGC302's; a second GET is MGC305's.
    """
    answered = [get for get in first_gets(inputs.through) if get.status is not None]
    if not answered:
        return Inconclusive("no GET had its response headers while it was watched; whether they are held is MGC302's")
    for get in answered:
        if neither_stream_nor_405(get):
            return fail(
                "GET in an initialized session is answered 200 text/event-stream or 405",
                f"GET was answered {said(get)}",
                get,
                charged_to=charge(inputs, get, neither_stream_nor_405),
            )
    return Pass(f"GET was answered {said(answered[0])}", answered[0].events)


@rule(
    id="MGC302",
    title="GET's response headers come at once",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.SERVER,
    requirements=("FLOW-01",),
    when=GET_IN_SESSION,
    failure_classes=("proxy-buffers-sse", "get-sse-dead-stream"),
)
def get_headers_are_prompt(inputs: Inputs) -> Verdict:
    """Judge how long a GET waits for its response headers.

    What it checks: headers come within HEADERS_PROMPT seconds, whether or not an event is pending.
    Why it matters: clients wait for the headers before they go on; a healthy stream may be silent for 15 s.
    A failing exchange: GET /mcp … 15.0 s … 200 text/event-stream with the first comment
    A conforming exchange: GET /mcp → 200 text/event-stream within milliseconds, first comment at 15 s
    Known gaps: a gateway slower than a healthy one but below the limit passes.
    """
    for get in first_gets(inputs.through):
        waited = headers_waited(inputs.through, get)
        if waited <= timing.HEADERS_PROMPT:
            continue
        lag = inputs.through.lag(get.t, get.t + waited)
        if lag > (waited - timing.HEADERS_PROMPT) * timing.LAG_SHARE:
            return Inconclusive(f"headers took {waited:.1f} s, but {lag:.1f} s of them are the busy machine's")
        return fail(
            f"response headers of a GET within {timing.HEADERS_PROMPT} s",
            f"headers came after {waited:.1f} s, with the first bytes of the stream"
            if get.status is not None
            else f"no headers came in {waited:.1f} s",
            get,
            charged_to=charge(inputs, get, lambda item: headers_waited(inputs.through, item) > timing.HEADERS_PROMPT),
            symptom="proxy-buffers-sse" if get.status is not None else "get-sse-dead-stream",
        )
    first = next(get for get in first_gets(inputs.through) if get.status is not None)
    return Pass(f"headers came after {headers_waited(inputs.through, first):.3f} s", first.events)


@rule(
    id="MGC305",
    title="A second GET harms neither the session nor its first stream",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.SERVER,
    requirements=("FLOW-07",),
    when=SECOND,
    failure_classes=("second-get-destroys-session",),
)
def second_get_is_harmless(inputs: Inputs) -> Verdict:
    """Judge the session after a second GET on it.

    What it checks: requests in the session after a second GET are still answered with a result; where that is refused,
    the server does not end the first stream on it (within PAUSE_NOTICED).
    Why it matters: clients reconnect their stream; a gateway that treats that as an error loses the whole session.
    A failing exchange: GET → 200, GET → 409, POST tools/list → 404
    A conforming exchange: GET → 200, GET → 409 (or 200, or 405), POST tools/list → 200
    Known gaps: whether the first stream still delivers is not judged; nor its end where the second takes its place, or
    where it gave event ids to come back with.
    """
    judged = []
    for first in first_gets(inputs.through):
        again = [get for get in session_gets(inputs.through) if get.tap == first.tap][1:]
        if again and _ended_by(inputs.through, first, again[0]):
            return fail(
                "the first stream goes on after a second GET was refused",
                f"the second GET was answered {said(again[0])}, and the server ended the first stream ({first.how})",
                first,
                again[0],
                charged_to=charge(inputs, first, lambda item: cut_by_server(inputs.through, item)),
            )
        for item in later_answers(inputs.through, first, again[0].t) if again else ():
            judged.append(again[0])
            if without_result(item):
                return fail(
                    "the session goes on after a second GET",
                    f"after the second GET ({said(again[0])}) tools/list was answered {said(item)}",
                    again[0],
                    item,
                    charged_to=charge(inputs, item, without_result),
                )
    if not judged:
        return Inconclusive("no request was made in the session after the second GET")
    return Pass(f"second GET was answered {said(judged[0])}; tools/list was answered after it", judged[0].events)


def _ended_by(transcript: Transcript, first: Exchange, second: Exchange) -> bool:
    """Whether the server ended the stream of a client's first GET on its second one, and gave it no other."""
    if second.status is None or second.is_stream or not first.is_stream or primed(first) or first.t_end is None:
        return False
    deleted = any(
        item.method == "DELETE" and item.session == first.session and item.t <= first.t_end
        for item in transcript.client()
    )
    soon = 0 <= first.t_end - second.t < timing.PAUSE_NOTICED
    return soon and not deleted and cut_by_server(transcript, first)


@rule(
    id="MGC306",
    title="GET without a session id is refused where ids are issued",
    suite=SUITE,
    level=Level.SHOULD,
    side=Side.SERVER,
    requirements=("SESSION-05",),
    when=WITHOUT_SESSION,
    failure_classes=("get-sse-wrong-status", "get-sse-dead-stream"),
)
def get_without_session_is_refused(inputs: Inputs) -> Verdict:
    """Judge a GET without Mcp-Session-Id.

    What it checks: where initialize issued an id, GET without one is answered with a 4xx status.
    Why it matters: a stream that belongs to no session can never carry anything; the client waits on it for ever.
    A failing exchange: GET /mcp without Mcp-Session-Id → 200 text/event-stream, silent
    A conforming exchange: GET /mcp without Mcp-Session-Id → 400
    Known gaps: which 4xx is not judged; 400 is the one the specification names. A stream that begins with `endpoint` is
    one of HTTP+SSE (2024-11-05), which a server may host at the same URL (2025-03-26 basic/transports, Backwards
    Compatibility): its session is named there, and it is not judged.
    """
    if not issued(inputs.through):
        return NotApplicable("no session id is ever issued")
    gets = [get for get in gets_with(inputs.through, unknown=False) if not _names_endpoint(get)]
    if not gets:
        return NotApplicable(
            "a GET without a session id opens a session of HTTP+SSE, which the gateway hosts there too"
        )
    for get in gets:
        if not_refused(get):
            return fail(
                "GET without a session id is refused with 400",
                f"it was answered {said(get)}",
                get,
                charged_to=charge_outside_sessions(inputs, get, lambda item: not not_refused(item)),
                symptom="get-sse-dead-stream" if get.status in (None, 200) else "get-sse-wrong-status",
            )
    return Pass(f"refused with {gets[0].status}", gets[0].events)


def _names_endpoint(get: Exchange) -> bool:
    """Whether a GET was answered with a stream whose first event is `endpoint`, as that of HTTP+SSE is."""
    first = next((beat for beat in get.beats if beat.what == "event"), None)
    return get.status == 200 and get.is_stream and first is not None and first.event == "endpoint"


@rule(
    id="MGC307",
    title="Closing the GET stream leaves the session usable",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.SERVER,
    requirements=("GET-06",),
    when=CLOSED,
    failure_classes=("second-get-destroys-session", "session-leak"),
)
def closing_get_keeps_session(inputs: Inputs) -> Verdict:
    """Judge the session after its client closed the GET stream.

    What it checks: a request after the close is answered with a result.
    Why it matters: either side may close the stream at any time; connections drop, laptops sleep.
    A failing exchange: client closes GET, POST tools/list → 404
    A conforming exchange: client closes GET, POST tools/list → 200
    Known gaps: only the client's close is driven here.
    """
    streams = open_streams(inputs.through)
    if not streams:
        return NotApplicable("no GET stream: GET was not answered with one")
    judged = []
    for stream in streams:
        left = inputs.through.left_at(stream)
        for item in later_answers(inputs.through, stream, left) if left is not None else ():
            judged.append(stream)
            if without_result(item):
                return fail(
                    "a request after the client closed its GET stream is answered",
                    f"tools/list was answered {said(item)}",
                    stream,
                    item,
                    charged_to=charge(inputs, item, without_result),
                    symptom="second-get-destroys-session",
                )
    return Pass("the session answered after its stream was closed", judged[0].events)


@rule(
    id="MGC310",
    title="GET with an unknown session id is answered 404",
    suite=SUITE,
    level=Level.MUST,
    side=Side.SERVER,
    requirements=("SESSION-06",),
    when=UNKNOWN_SESSION,
    failure_classes=("unknown-session-wrong-status",),
)
def unknown_session_get_is_404(inputs: Inputs) -> Verdict:
    """Judge a GET with a session id that the gateway never issued.

    What it checks: where ids are issued, GET with another is answered 404 (405 where GET is not offered).
    Why it matters: 404 is what makes a client initialize anew; with any other status it stays on the dead id.
    A failing exchange: GET /mcp with an unknown Mcp-Session-Id → 400
    A conforming exchange: GET /mcp with an unknown Mcp-Session-Id → 404
    Known gaps: an id that was issued and has ended is judged in suite session_reuse.
    """
    if not issued(inputs.through):
        return NotApplicable("no session id is ever issued")
    gets = gets_with(inputs.through, unknown=True)
    for get in gets:
        if get.status not in (404, 405):
            return fail(
                "404 for a session id that was never issued",
                f"it was answered {said(get)}",
                get,
                charged_to=charge_outside_sessions(inputs, get, lambda item: item.status in (404, 405)),
            )
    return Pass(f"answered {gets[0].status}", gets[0].events)


@rule(
    id="MGC311",
    title="The gateway's own GET asks for an event stream",
    suite=SUITE,
    level=Level.MUST,
    side=Side.CLIENT,
    requirements=("GET-02",),
    when=BACKEND_GET,
    failure_classes=("accept-406",),
)
def backend_get_accepts_streams(inputs: Inputs) -> Verdict:
    """Judge the Accept header of the GETs the gateway sends to its backend.

    What it checks: each lists text/event-stream.
    Why it matters: servers answer 406 without it, and the gateway never hears of changes.
    A failing exchange: gateway → backend GET with Accept: application/json
    A conforming exchange: gateway → backend GET with Accept: text/event-stream
    Known gaps: a media range such as */* is not accepted here; the specification asks for the type itself. A GET at a
    path to which no initialize went, as of a health check, is not judged.
    """
    endpoints = {(item.tap, item.path) for item in inputs.through.backend if item.rpc_method == "initialize"}
    gets = [item for item in inputs.through.backend if item.method == "GET" and (item.tap, item.path) in endpoints]
    if not gets:
        return NotApplicable("the gateway opens no GET stream to its backend")
    for get in gets:
        if "text/event-stream" not in get.headers.get("accept", "").lower():
            said = get.headers.get("accept", "nothing")
            return fail("Accept: text/event-stream on the gateway's GET", f"its GET accepts {said}", get)
    return Pass(f"{len(gets)} GET(s) to the backend accept event streams", gets[0].events)
