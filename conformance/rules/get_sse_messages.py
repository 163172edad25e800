"""Family get_sse, messages: what comes down which stream (2025-11-25 basic/transports, Listening for Messages)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from conformance import timing
from conformance.evidence.events import JSON, Hop
from conformance.evidence.exchanges import BackendSession, is_outline
from conformance.evidence.transcript import Beat, Exchange, Message, Transcript
from conformance.rules.base import Inputs, Level, Side, charge, fail, rule
from conformance.rules.get_sse_evidence import (
    ADDED,
    BESIDE,
    NOTIFIED,
    SUITE,
    first_gets,
    open_streams,
    received,
    sent_by_backend,
)
from conformance.rules.get_sse_resumption_evidence import LAST_EVENT_ID
from conformance.rules.preconditions import initializes, session_gets
from conformance.rules.verdicts import Inconclusive, NotApplicable, NotExercised, Pass, Verdict


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

    What it checks: no message on a GET stream that resumes nothing is a response, on whichever of a session's GETs.
    Why it matters: a client that matches responses to streams drops it, or takes it for another request's answer.
    A failing exchange: POST tools/list id 3, and on the GET stream data: {"id": 3, "result": {…}}
    A conforming exchange: POST tools/list id 3 answered in its own response
    Known gaps: streams opened with Last-Event-ID are not judged, replay may carry responses.
    """
    gets = [get for get in session_gets(inputs.through) if get.status == 200 and get.is_stream]
    streams = [get for get in gets if LAST_EVENT_ID not in get.headers]
    if not streams:
        return NotApplicable("no GET stream: GET was not answered with one")
    for stream in streams:
        stray = [message for message in stream.messages() if message.is_response]
        if stray:
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

    What it checks: one list_changed of the backend does not come down two streams of one session.
    Why it matters: a duplicate makes clients act twice; for requests it means two answers.
    A failing exchange: list_changed on the GET stream and again on the response stream of a call
    A conforming exchange: list_changed on the GET stream only
    Known gaps: a message that arrives nowhere is MGC308's; another session's copy is judged in suite isolation. More
    of them on one stream may be those of several sessions with the backend, and pass; so does what is replayed after
    a Last-Event-ID.
    """
    if not open_streams(inputs.through):
        return NotApplicable("no GET stream: GET was not answered with one")
    sent = sent_by_backend(inputs.through)
    since = inputs.through.stimuli("tool.add")[0].t
    per_session = max(_per_backend_session(sent).values())
    for stream in first_gets(inputs.through):
        copies = [
            message
            for item in inputs.through.client()
            if item.tap == stream.tap and item.session == stream.session and LAST_EVENT_ID not in item.headers
            for message in received(item, since)
        ]
        spread = len({message.exchange for message in copies}) > 1
        if spread and len(copies) > max(per_session, len(_backends(sent))):
            return fail(
                f"each of the backend's {per_session} list_changed once on one stream of the session",
                f"{len(copies)} copies came down the streams of one session",
                stream,
                events=tuple(message.seq for message in (*sent, *copies)),
            )
    if not any(received(item, since) for item in inputs.through.client()):
        return NotExercised("a notification that reached some stream; that it reached none is MGC308's to judge")
    return Pass("no notification came down several streams of one session", (sent[0].seq,))


def _per_backend_session(sent: tuple[Message, ...]) -> Mapping[str | None, int]:
    counts: dict[str | None, int] = {}
    for message in sent:
        counts[message.session] = counts.get(message.session, 0) + 1
    return counts


def _backends(sent: tuple[Message, ...]) -> set[str]:
    return {message.tap for message in sent}


@rule(
    id="MGC308",
    title="A backend's list_changed reaches the client's stream",
    suite=SUITE,
    level=Level.SHOULD,
    side=Side.TRANSPARENCY,
    requirements=("LIST-01", "FLOW-06"),
    when=NOTIFIED,
    failure_classes=("list-changed-not-propagated", "server-messages-not-relayed"),
    needs_plain_tools=True,
)
def list_changed_is_relayed(inputs: Inputs) -> Verdict:
    """Judge whether a notification the backend sent comes out of the gateway.

    What it checks: after the backend sent list_changed, the client whose call caused it receives one in RELAY_PROMPT.
    Why it matters: new tools stay invisible until the client reconnects.
    A failing exchange: backend → gateway list_changed; gateway → client nothing
    A conforming exchange: backend → gateway list_changed; gateway → client list_changed on the GET stream
    Known gaps: gateways that do not declare listChanged are not applicable here; losing the capability is MGC117's. One
    that comes later than RELAY_PROMPT, while the client still listens, passes.
    """
    if not _declares_list_changed(inputs.through):
        return NotApplicable("the gateway does not declare tools.listChanged to its clients")
    streams = open_streams(inputs.through)
    if not streams:
        return NotApplicable("no GET stream: GET was not answered with one")
    sent, since = sent_by_backend(inputs.through)[0], inputs.through.stimuli("tool.add")[0].t
    arrived = [m for item in inputs.through.client("a") for m in received(item, since)]
    if arrived:
        return Pass(f"list_changed arrived {arrived[0].t - sent.t:.3f} s after the backend sent it", (arrived[0].seq,))
    listened = max(inputs.through.left_at(stream) or inputs.through.end for stream in streams)
    watched = listened - sent.t
    if watched < timing.RELAY_PROMPT:
        return Inconclusive(f"nobody listened longer than {watched:.1f} s after the backend sent it")
    if inputs.through.lag(sent.t, listened) > watched * timing.LAG_SHARE:
        return Inconclusive("the machine was too busy while the notification was awaited")
    return fail(
        "the backend's list_changed reaches the client that listens",
        f"the backend sent it; nothing came down any stream of the client in {watched:.1f} s",
        *streams[:1],
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
    title="Answers and events are JSON-RPC messages",
    suite=SUITE,
    level=Level.MUST,
    side=Side.SERVER,
    requirements=("MSG-01", "SSE24-04"),
    when=BESIDE,
    failure_classes=("nonconforming-sse-event",),
)
def events_are_messages(inputs: Inputs) -> Verdict:
    """Judge every event on every stream, and every JSON body of an answer.

    What it checks: each event with data is of type `message`, and its data, as each JSON answer to a request, is a
    JSON-RPC request, notification or response. One without data primes a stream (an id) or is handed to nobody.
    Why it matters: clients parse each event; an invented one (`close`, `complete`) ends in a parse error.
    A failing exchange: event: complete, data: done
    A conforming exchange: event: message, data: {"jsonrpc": "2.0", …}
    Known gaps: batches are accepted on 2025-03-26 only. An event of another type whose data line is empty is not told
    from one without any.
    """
    judged = 0
    revision = str(inputs.through.header.get("revision"))
    for item in inputs.through.client():
        if _answers_in_json(item):
            judged += 1
            if not all(_is_jsonrpc(message) for message in _items(item.body, revision)):
                return fail(
                    "a JSON answer is a JSON-RPC object",
                    f"the answer to {item.rpc_method} was {str(item.body or item.body_text)[:80]!r}",
                    item,
                    charged_to=charge(inputs, item, lambda other: not _is_jsonrpc(other.body)),
                )
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
    if not judged:
        return NotExercised("an event on any stream, or a JSON answer to a request")
    return Pass(f"{judged} events and answers, all JSON-RPC messages or priming events")


def _answers_in_json(exchange: Exchange) -> bool:
    """Whether a request was answered 200 with a JSON body."""
    asked = isinstance(exchange.request, Mapping) and "id" in exchange.request
    return asked and exchange.status == 200 and exchange.content_type == "application/json"


def _is_message(beat: Beat, transcript: Transcript) -> bool:
    """Whether an event is what may stand on a stream, priming events and such as are never dispatched included.

    A block without a data line dispatches nothing, one with an empty line does (HTML Living Standard section 9.2.6):
    what has neither a type nor an id nor a time is recorded because of its data line.
    """
    if beat.message is None:
        return not beat.text and (beat.id is not None or beat.retry is not None or beat.event != "message")
    if beat.event != "message":
        return False
    return all(_is_jsonrpc(item) for item in _items(beat.message, str(transcript.header.get("revision"))))


def _items(message: JSON, revision: str) -> Iterator[JSON]:
    if isinstance(message, list) and revision == "2025-03-26":
        yield from message
    else:
        yield message


def _is_jsonrpc(message: JSON) -> bool:
    """Whether it says so and is a request, a notification or a response (basic/index, Messages)."""
    if not isinstance(message, Mapping) or message.get("jsonrpc") != "2.0":
        return False
    return isinstance(message.get("method"), str) or "result" in message or "error" in message


def _has_other_events(exchange: Exchange, transcript: Transcript) -> bool:
    return any(beat.what == "event" and not _is_message(beat, transcript) for beat in exchange.beats)


@rule(
    id="MGC312",
    title="A tool that the backend added is listed",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.SERVER,
    requirements=("FLOW-06",),
    when=ADDED,
    failure_classes=("list-changed-not-propagated",),
    needs_plain_tools=True,
)
def added_tool_is_listed(inputs: Inputs) -> Verdict:
    """Judge the list of tools after the backend added one.

    What it checks: tools/list after the addition names the new tool, under whatever prefix.
    Why it matters: a gateway that caches its first list hides every later tool, whatever it is told.
    A failing exchange: backend adds `added_1`; gateway's tools/list is the old one
    A conforming exchange: backend adds `added_1`; gateway's tools/list has `added_1` (or `backend_added_1`)
    Known gaps: only the client whose call caused the addition lists again. A list that is too long to be kept whole
    decides nothing. Where each request starts a process of its own, no list can tell of the addition.
    """
    marker = inputs.through.stimuli("tool.listed-again")[0]
    added = str(marker.data.get("tool"))
    lists = [item for item in inputs.through.client("a") if item.rpc_method == "tools/list" and item.t >= marker.t]
    if not lists:
        return Inconclusive("the client did not list the tools again")
    names = [name for item in lists for name in _tool_names(item)]
    if inputs.through.tool_names.standing_for(added, names):
        return Pass(f"{added} is listed among {len(names)} tools", lists[-1].events)
    if any(is_outline(item) for item in lists):
        return Inconclusive("the list of tools is too long to be kept whole")
    omitting = _omitting(inputs.through, added, marker.t)
    if omitting and all(map(_knows_nothing, omitting)):
        return NotApplicable("the process that added the tool was not asked for its tools, but another one")
    return fail(
        f"tools/list names the added tool {added}",
        f"it names {len(names)} tools, and not that one",
        *lists[-1:],
        charged_to=Hop.BACKEND if omitting else Hop.GATEWAY,
        symptom="list-changed-not-propagated",
    )


def _omitting(transcript: Transcript, added: str, since: float) -> list[BackendSession]:
    """Return the backend sessions that were asked for their tools since then, if none of them named the added one."""
    asked = [
        (session, answer)
        for session in transcript.backend_sessions
        for request in session.up("tools/list")
        if request.t >= since and (answer := session.response_to(request)) is not None
    ]
    if any(name.endswith(added) for _, answer in asked for name in _named(answer)):
        return []
    return [session for session, _ in asked]


def _knows_nothing(session: BackendSession) -> bool:
    """Whether a backend is a process that no call reached, so that none can have made it add a tool.

    So is each that a gateway starts for one request alone: what was added died with another one.
    """
    return session.transport == "stdio" and not session.up("tools/call")


def _tool_names(exchange: Exchange) -> tuple[str, ...]:
    answer = exchange.answer()
    return _named(answer) if answer else ()


def _named(answer: Message) -> tuple[str, ...]:
    tools = answer.result.get("tools") if answer.result else None
    named = tools if isinstance(tools, list) else ()
    return tuple(str(tool.get("name")) for tool in named if isinstance(tool, Mapping))
