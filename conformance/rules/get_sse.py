"""Family get_sse: the standalone GET stream (2025-11-25 basic/transports, Listening for Messages from the Server)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from conformance import timing
from conformance.evidence.events import JSON
from conformance.evidence.transcript import Beat, Exchange, Message, Transcript
from conformance.rules.base import Inputs, Level, Precondition, Side, charge, fail, rule
from conformance.rules.preconditions import GET_IN_SESSION, initializes, session_gets
from conformance.rules.verdicts import Inconclusive, NotApplicable, NotExercised, Pass, Verdict

SUITE = "get_sse"
LIST_CHANGED = "notifications/tools/list_changed"


def first_gets(transcript: Transcript) -> tuple[Exchange, ...]:
    """Return the first GET of each client that made one in its session."""
    seen: dict[str, Exchange] = {}
    for get in session_gets(transcript):
        seen.setdefault(get.tap, get)
    return tuple(seen.values())


def open_streams(transcript: Transcript) -> tuple[Exchange, ...]:
    """Return the first GETs that were answered with an event stream."""
    return tuple(get for get in first_gets(transcript) if get.status == 200 and get.is_stream)


def issued(transcript: Transcript) -> bool:
    """Whether the gateway issued a session id to any client."""
    return any("mcp-session-id" in item.response_headers for item in initializes(transcript))


def gets_with(transcript: Transcript, *, unknown: bool) -> tuple[Exchange, ...]:
    """Return GETs without a session id, or with one that was never issued."""
    ids = {item.response_headers.get("mcp-session-id") for item in initializes(transcript)}
    found = []
    for item in transcript.client():
        sent = item.headers.get("mcp-session-id")
        if item.method == "GET" and (sent is not None and sent not in ids if unknown else sent is None):
            found.append(item)
    return tuple(found)


def later_answers(transcript: Transcript, after: Exchange, t: float) -> tuple[Exchange, ...]:
    """Return the requests that the client of `after` posted in its session from time t on."""
    return tuple(
        item
        for item in transcript.client()
        if item.tap == after.tap and item.t >= t and item.rpc_method == "tools/list" and item.session == after.session
    )


def _any(found: object) -> bool:
    return bool(found)


BESIDE = Precondition(
    "get-beside-requests",
    "a request answered while a GET stream was open",
    lambda transcript: (
        _any(first_gets(transcript) and not open_streams(transcript))
        or any(
            item.t > stream.t and item.t < (stream.t_end or transcript.end) and item.answer() is not None
            for stream in first_gets(transcript)
            for item in transcript.client()
            if item.tap == stream.tap and item.method == "POST"
        )
    ),
)
CLOSED = Precondition(
    "get-closed-by-client",
    "a GET stream that the client closed, and a request after it",
    lambda transcript: (
        any(
            later_answers(transcript, stream, left)
            for stream in open_streams(transcript)
            if (left := transcript.left_at(stream)) is not None
        )
        or _any(first_gets(transcript) and not open_streams(transcript))
    ),
)
SECOND = Precondition(
    "second-get",
    "a second GET on a session whose first was made before",
    lambda transcript: len(list(session_gets(transcript))) > len(first_gets(transcript)),
)
WITHOUT_SESSION = Precondition(
    "get-without-session", "a GET without a session id", lambda transcript: _any(gets_with(transcript, unknown=False))
)
UNKNOWN_SESSION = Precondition(
    "get-unknown-session",
    "a GET with a session id that was never issued",
    lambda transcript: _any(gets_with(transcript, unknown=True)),
)
NOTIFIED = Precondition(
    "server-notification",
    "a list_changed that the backend sent while a client's GET stream was open",
    lambda transcript: _any(_sent_by_backend(transcript)),
)
ADDED = Precondition(
    "tool-added",
    "a tool that the backend added, and a tools/list after it",
    lambda transcript: _any(transcript.stimuli("tool.listed-again")),
)
BACKEND_GET = Precondition(
    "backend-get",
    "an initialize that the gateway sent to its backend",
    lambda transcript: any(message.method == "initialize" for message in transcript.backend_messages),
)


def _sent_by_backend(transcript: Transcript) -> tuple[Message, ...]:
    """Return the list_changed notifications the backend sent after the scenario had it add a tool."""
    added = transcript.stimuli("tool.add")
    return tuple(
        message
        for message in transcript.backend_messages
        if added and message.direction == "down" and message.method == LIST_CHANGED and message.t >= added[0].t
    )


def _received(exchange: Exchange, since: float) -> tuple[Message, ...]:
    return tuple(message for message in exchange.messages() if message.method == LIST_CHANGED and message.t >= since)


def _neither_stream_nor_405(exchange: Exchange) -> bool:
    return not (exchange.status == 405 or (exchange.status == 200 and exchange.is_stream))


def _headers_waited(transcript: Transcript, get: Exchange) -> float:
    """Return how long a GET waited for its response headers, in seconds; for ones that never came, until it ended."""
    if get.t_response is not None:
        return get.t_response - get.t
    return (get.t_end if get.t_end is not None else transcript.end) - get.t


def _without_result(exchange: Exchange) -> bool:
    answer = exchange.answer()
    return answer is None or answer.result is None


def _said(exchange: Exchange) -> str:
    if exchange.status is None:
        return "no response headers"
    return f"{exchange.status} {exchange.content_type or 'without a media type'}"


@rule(
    id="MGC301",
    title="GET is answered with an event stream or 405",
    suite=SUITE,
    level=Level.MUST,
    side=Side.SERVER,
    requirements=("GET-03",),
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
        if _neither_stream_nor_405(get):
            return fail(
                "GET in an initialized session is answered 200 text/event-stream or 405",
                f"GET was answered {_said(get)}",
                get,
                charged_to=charge(inputs, get, _neither_stream_nor_405),
            )
    return Pass(f"GET was answered {_said(answered[0])}", answered[0].events)


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
        waited = _headers_waited(inputs.through, get)
        if waited <= timing.HEADERS_PROMPT:
            continue
        lag = inputs.through.lag(get.t, get.t + waited)
        if lag > (waited - timing.HEADERS_PROMPT) * timing.LAG_SHARE:
            return Inconclusive(f"headers took {waited:.1f} s, but the harness itself lagged by {lag:.1f} s")
        return fail(
            f"response headers of a GET within {timing.HEADERS_PROMPT} s",
            f"headers came after {waited:.1f} s, with the first bytes of the stream"
            if get.status is not None
            else f"no headers came in {waited:.1f} s",
            get,
            charged_to=charge(inputs, get, lambda item: _headers_waited(inputs.through, item) > timing.HEADERS_PROMPT),
            symptom="proxy-buffers-sse" if get.status is not None else "get-sse-dead-stream",
        )
    first = first_gets(inputs.through)[0]
    return Pass(f"headers came after {(first.t_response or first.t) - first.t:.3f} s", first.events)


@rule(
    id="MGC303",
    title="No JSON-RPC response travels on the GET stream",
    suite=SUITE,
    level=Level.MUST,
    side=Side.SERVER,
    requirements=("GET-05",),
    when=BESIDE,
    failure_classes=("response-crosswire",),
)
def no_response_on_get(inputs: Inputs) -> Verdict:
    """Judge what kinds of message come down a GET stream.

    What it checks: no message on a GET stream that resumes nothing is a response.
    Why it matters: a client that matches responses to streams drops it, or takes it for another request's answer.
    A failing exchange: POST tools/list id 3, and on the GET stream data: {"id": 3, "result": {…}}
    A conforming exchange: POST tools/list id 3 answered in its own response
    Known gaps: streams opened with Last-Event-ID are not judged, replay may carry responses.
    """
    streams = open_streams(inputs.through)
    if not streams:
        return NotApplicable("no GET stream: GET was not answered with one")
    for stream in streams:
        stray = [message for message in stream.messages() if message.is_response]
        if stray and "last-event-id" not in stream.headers:
            return fail(
                "only requests and notifications on a GET stream",
                f"the response with id {stray[0].id!r} came down the GET stream",
                stream,
                events=(stray[0].seq,),
                charged_to=charge(inputs, stream, lambda item: any(m.is_response for m in item.messages())),
            )
    return Pass(f"{len(streams)} GET stream(s) beside answered requests, no response on any", streams[0].events)


@rule(
    id="MGC304",
    title="A server message goes out on exactly one stream of a session",
    suite=SUITE,
    level=Level.MUST,
    side=Side.SERVER,
    requirements=("MULTI-02",),
    when=NOTIFIED,
    failure_classes=("server-messages-not-relayed",),
)
def one_stream_per_message(inputs: Inputs) -> Verdict:
    """Judge on how many streams of one session a notification arrives.

    What it checks: one list_changed of the backend reaches a session's client at most once over all its streams.
    Why it matters: a duplicate makes clients act twice; for requests it means two answers.
    A failing exchange: list_changed on the GET stream and again on the response stream of a call
    A conforming exchange: list_changed on the GET stream only
    Known gaps: a message that arrives nowhere is MGC308's; another session's copy is judged in suite isolation.
    """
    if not open_streams(inputs.through):
        return NotApplicable("no GET stream: GET was not answered with one")
    sent = _sent_by_backend(inputs.through)
    since = inputs.through.stimuli("tool.add")[0].t
    per_session = max(_per_backend_session(sent).values())
    for stream in first_gets(inputs.through):
        copies = [
            message
            for item in inputs.through.client()
            if item.tap == stream.tap and item.session == stream.session
            for message in _received(item, since)
        ]
        if len(copies) > max(per_session, len(_backends(sent))):
            return fail(
                f"each of the backend's {per_session} list_changed once on one stream of the session",
                f"{len(copies)} copies came down the streams of one session",
                stream,
                events=tuple(message.seq for message in (*sent, *copies)),
            )
    if not any(_received(item, since) for item in inputs.through.client()):
        return NotExercised("a notification that reached some stream; that it reached none is MGC308's to judge")
    return Pass("no session saw a notification more often than its backend sent it", (sent[0].seq,))


def _per_backend_session(sent: tuple[Message, ...]) -> Mapping[str | None, int]:
    counts: dict[str | None, int] = {}
    for message in sent:
        counts[message.session] = counts.get(message.session, 0) + 1
    return counts


def _backends(sent: tuple[Message, ...]) -> set[str]:
    return {message.tap for message in sent}


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

    What it checks: requests in the session after a second GET are still answered with a result.
    Why it matters: clients reconnect their stream; a gateway that treats that as an error loses the whole session.
    A failing exchange: GET → 200, GET → 409, POST tools/list → 404
    A conforming exchange: GET → 200, GET → 409 (or 200, or 405), POST tools/list → 200
    Known gaps: whether the first stream still delivers is judged only by its not being closed by the server.
    """
    first = first_gets(inputs.through)[0]
    second = [get for get in session_gets(inputs.through) if get.tap == first.tap][1]
    after = later_answers(inputs.through, first, second.t)
    if not after:
        return Inconclusive("no request was made in the session after the second GET")
    for item in after:
        if _without_result(item):
            return fail(
                "the session goes on after a second GET",
                f"after the second GET ({_said(second)}) tools/list was answered {_said(item)}",
                second,
                item,
                charged_to=charge(inputs, item, _without_result),
            )
    return Pass(f"second GET was answered {_said(second)}; tools/list was answered after it", second.events)


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
    Known gaps: which 4xx is not judged; 400 is the one the specification names.
    """
    if not issued(inputs.through):
        return NotApplicable("no session id is ever issued")
    get = gets_with(inputs.through, unknown=False)[0]
    if get.status is not None and 400 <= get.status < 500:
        return Pass(f"refused with {get.status}", get.events)
    return fail(
        "GET without a session id is refused with 400",
        f"it was answered {_said(get)}",
        get,
        charged_to=charge(inputs, get, lambda item: item.status is None or not 400 <= item.status < 500),
        symptom="get-sse-dead-stream" if get.status in (None, 200) else "get-sse-wrong-status",
    )


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
    stream = next(item for item in streams if inputs.through.left_at(item) is not None)
    for item in later_answers(inputs.through, stream, inputs.through.left_at(stream) or 0.0):
        if _without_result(item):
            return fail(
                "a request after the client closed its GET stream is answered",
                f"tools/list was answered {_said(item)}",
                stream,
                item,
                charged_to=charge(inputs, item, _without_result),
                symptom="second-get-destroys-session",
            )
    return Pass("the session answered after its stream was closed", stream.events)


@rule(
    id="MGC308",
    title="A backend's list_changed reaches the client's stream",
    suite=SUITE,
    level=Level.SHOULD,
    side=Side.TRANSPARENCY,
    requirements=("LIST-01", "FLOW-06"),
    when=NOTIFIED,
    failure_classes=("list-changed-not-propagated", "server-messages-not-relayed"),
)
def list_changed_is_relayed(inputs: Inputs) -> Verdict:
    """Judge whether a notification the backend sent comes out of the gateway.

    What it checks: after the backend sent list_changed, the client whose call caused it receives one.
    Why it matters: new tools stay invisible until the client reconnects.
    A failing exchange: backend → gateway list_changed; gateway → client nothing
    A conforming exchange: backend → gateway list_changed; gateway → client list_changed on the GET stream
    Known gaps: gateways that do not declare listChanged are not applicable here; losing the capability is MGC117's.
    """
    if not _declares_list_changed(inputs.through):
        return NotApplicable("the gateway does not declare tools.listChanged to its clients")
    if not open_streams(inputs.through):
        return NotApplicable("no GET stream: GET was not answered with one")
    sent, since = _sent_by_backend(inputs.through)[0], inputs.through.stimuli("tool.add")[0].t
    arrived = [m for item in inputs.through.client("a") for m in _received(item, since)]
    if arrived:
        return Pass(f"list_changed arrived {arrived[0].t - sent.t:.3f} s after the backend sent it", (arrived[0].seq,))
    watched = inputs.through.end - sent.t
    if inputs.through.lag(sent.t, inputs.through.end) > watched * timing.LAG_SHARE:
        return Inconclusive("the harness itself lagged while the notification was awaited")
    return fail(
        "the backend's list_changed reaches the client that listens",
        f"the backend sent it; nothing came down any stream of the client in {watched:.1f} s",
        *open_streams(inputs.through)[:1],
        events=(sent.seq,),
        symptom="list-changed-not-propagated",
    )


def _declares_list_changed(transcript: Transcript) -> bool:
    for item in initializes(transcript, "a"):
        answer = item.answer()
        capabilities = answer.result.get("capabilities") if answer and answer.result else None
        tools = capabilities.get("tools") if isinstance(capabilities, Mapping) else None
        return isinstance(tools, Mapping) and tools.get("listChanged") is True
    return False


@rule(
    id="MGC309",
    title="Events on MCP streams are JSON-RPC messages",
    suite=SUITE,
    level=Level.MUST,
    side=Side.SERVER,
    requirements=("MSG-01", "SSE24-04"),
    when=BESIDE,
    failure_classes=("nonconforming-sse-event",),
)
def events_are_messages(inputs: Inputs) -> Verdict:
    """Judge every event on every stream the gateway serves.

    What it checks: each event is of type `message` with a JSON-RPC object, or primes a stream (an id, no data).
    Why it matters: clients parse each event; an invented one (`close`, `complete`) ends in a parse error.
    A failing exchange: event: complete, data: done
    A conforming exchange: event: message, data: {"jsonrpc": "2.0", …}
    Known gaps: batches are accepted on 2025-03-26 only.
    """
    judged = 0
    for item in inputs.through.client():
        for beat in item.beats:
            if beat.what != "event":
                continue
            judged += 1
            if not _is_message(beat, inputs.through):
                return fail(
                    "every event is a `message` with one JSON-RPC object",
                    f"an event of type {beat.event!r} came with data {str(beat.message or beat.text)[:80]!r}",
                    item,
                    events=(beat.seq,),
                    charged_to=charge(inputs, item, lambda other: _has_other_events(other, inputs.through)),
                )
    if not judged and not any(item.is_stream for item in inputs.through.client()):
        return NotApplicable("nothing is served as an event stream")
    if not judged:
        return NotExercised("an event on any stream: every stream was silent")
    return Pass(f"{judged} events, all JSON-RPC messages or priming events")


def _is_message(beat: Beat, transcript: Transcript) -> bool:
    if beat.message is None:
        return not beat.text and (beat.id is not None or beat.retry is not None)
    if beat.event != "message":
        return False
    return all(_is_jsonrpc(item) for item in _items(beat.message, str(transcript.header.get("revision"))))


def _items(message: JSON, revision: str) -> Iterator[JSON]:
    if isinstance(message, list) and revision == "2025-03-26":
        yield from message
    else:
        yield message


def _is_jsonrpc(message: JSON) -> bool:
    return isinstance(message, Mapping) and message.get("jsonrpc") == "2.0"


def _has_other_events(exchange: Exchange, transcript: Transcript) -> bool:
    return any(beat.what == "event" and not _is_message(beat, transcript) for beat in exchange.beats)


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
    get = gets_with(inputs.through, unknown=True)[0]
    if get.status in (404, 405):
        return Pass(f"answered {get.status}", get.events)
    return fail(
        "404 for a session id that was never issued",
        f"it was answered {_said(get)}",
        get,
        charged_to=charge(inputs, get, lambda item: item.status not in (404, 405)),
    )


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
    Known gaps: a media range such as */* is not accepted here; the specification asks for the type itself.
    """
    gets = [item for item in inputs.through.backend if item.method == "GET"]
    if not gets:
        return NotApplicable("the gateway opens no GET stream to its backend")
    for get in gets:
        if "text/event-stream" not in get.headers.get("accept", "").lower():
            said = get.headers.get("accept", "nothing")
            return fail("Accept: text/event-stream on the gateway's GET", f"its GET accepts {said}", get)
    return Pass(f"{len(gets)} GET(s) to the backend accept event streams", gets[0].events)


@rule(
    id="MGC312",
    title="A tool that the backend added is listed",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.SERVER,
    requirements=("FLOW-06",),
    when=ADDED,
    failure_classes=("list-changed-not-propagated",),
)
def added_tool_is_listed(inputs: Inputs) -> Verdict:
    """Judge the list of tools after the backend added one.

    What it checks: tools/list after the addition names the new tool, under whatever prefix.
    Why it matters: a gateway that caches its first list hides every later tool, whatever it is told.
    A failing exchange: backend adds `added_1`; gateway's tools/list is the old one
    A conforming exchange: backend adds `added_1`; gateway's tools/list has `added_1` (or `backend_added_1`)
    Known gaps: only the client whose call caused the addition lists again.
    """
    marker = inputs.through.stimuli("tool.listed-again")[0]
    added = str(marker.data.get("tool"))
    lists = [item for item in inputs.through.client("a") if item.rpc_method == "tools/list" and item.t >= marker.t]
    if not lists:
        return Inconclusive("the client did not list the tools again")
    names = [name for item in lists for name in _tool_names(item)]
    if any(name.endswith(added) for name in names):
        return Pass(f"{added} is listed among {len(names)} tools", lists[-1].events)
    return fail(
        f"tools/list names the added tool {added}",
        f"it names {len(names)} tools, and not that one",
        *lists[-1:],
        charged_to=charge(inputs, lists[-1], lambda item: not any(n.endswith(added) for n in _tool_names(item))),
        symptom="list-changed-not-propagated",
    )


def _tool_names(exchange: Exchange) -> tuple[str, ...]:
    answer = exchange.answer()
    tools = answer.result.get("tools") if answer and answer.result else None
    return tuple(str(tool.get("name")) for tool in tools or () if isinstance(tool, Mapping))
