"""Family transparency, what a server says while a call runs: its requests of the client, and on which stream they come.

2025-11-25 basic/transports, Sending Messages to the Server and Listening for Messages from the Server.
"""

from __future__ import annotations

from collections.abc import Iterator

from conformance.evidence.events import Hop
from conformance.evidence.transcript import Exchange, Message, Transcript
from conformance.rules.base import Inputs, Level, Precondition, Side, fail, rule
from conformance.rules.transparency_calls_evidence import (
    CAPABILITY_OF,
    PROGRESS,
    SUITE,
    Asked,
    Call,
    asked,
    calls,
    mentions,
    of_clients,
    reported_for,
    same,
)
from conformance.rules.verdicts import NotApplicable, NotExercised, Pass, Verdict

ASKED = Precondition(
    "client-asked",
    "a request of the backend's for the client",
    lambda transcript: bool(asked(transcript)) or bool(transcript.stimuli("client.answers")),
)
ANSWERED = Precondition(
    "client-answered",
    "a response that a client posted to a request of the server's",
    lambda transcript: any(True for _ in _responses(transcript.client())) or bool(transcript.stimuli("client.answers")),
)
IN_PARALLEL = Precondition(
    "messages-in-parallel",
    "two calls of one client under way at once, with messages of the server before their answers",
    lambda transcript: any(True for _ in _side_by_side(transcript)),
)
BESIDE_GET = Precondition(
    "get-beside-calls",
    "a GET of a client's that was answered before it made calls",
    lambda transcript: any(
        get.method == "GET" and get.status is not None and get.tap == call.client.tap and get.t < call.client.t
        for get in transcript.client()
        for call in calls(transcript)
    ),
)


NO_STREAMS = NotApplicable("no call was answered with an event stream")


def _nothing_asked(transcript: Transcript) -> Verdict:
    """Return the verdict where no client answered anything: that it was not asked is MGC766's finding, if one."""
    if not asked(transcript):
        return NotApplicable("the backend, as it was told, had nobody to ask")
    return NotExercised("a request of the backend's that reached a client and was answered")


def _responses(exchanges: tuple[Exchange, ...]) -> Iterator[tuple[Exchange, Message]]:
    """Yield each POST whose body is a JSON-RPC response, with that response."""
    for item in exchanges:
        message = Message(item.seq, item.t, "up", item.request, "post", item.tap, item.session, item.id)
        if message.is_response and message.method is None:
            yield item, message


def _side_by_side(transcript: Transcript) -> Iterator[tuple[Call, Call]]:
    """Yield pairs of one client's calls that were under way at once."""
    found = calls(transcript)
    for one in found:
        for other in found:
            if one.client.tap == other.client.tap and one.client.t < other.client.t < one.over(transcript):
                yield one, other


def _belongs(message: Message, call: Call) -> bool:
    """Whether a message of the server's belongs to a call as the backend's own wire shows.

    Progress does by its token. A request does where it came on the stream of that call at the backend; what a stdio
    backend asks could belong to any call.
    """
    if message.method == PROGRESS:
        return call.token is not None and same(reported_for(message), call.token)
    if message.method not in CAPABILITY_OF or call.link.exchange is None or not mentions(message, call.nonce):
        return False
    return any(m.method == message.method and mentions(m, call.nonce) for m in call.link.exchange.messages())


@rule(
    id="MGC762",
    title="A call's stream carries no other call's messages",
    suite=SUITE,
    level=Level.SHOULD,
    side=Side.TRANSPARENCY,
    requirements=("POST-16",),
    when=IN_PARALLEL,
    failure_classes=("server-messages-garbled",),
)
def on_its_own_stream(inputs: Inputs) -> Verdict:
    """Judge what comes before the answer on the streams of calls that run at once.

    What it checks: no progress and no request of the server's comes on the stream of a call that it does not belong to.
    Why it matters: a client that gives up one call closes its stream, and loses what belonged to the other.
    A failing exchange: stream of call 3 ← progress of call 4
    A conforming exchange: stream of call 3 ← progress of call 3; stream of call 4 ← progress of call 4
    Known gaps: what comes on the GET stream instead is MGC763's to judge.
    """
    found = calls(inputs.through)
    seen: list[int] = []
    for call in found:
        for message in call.client.messages():
            if message.method is None:
                continue
            owner = next((other for other in found if _belongs(message, other)), None)
            if owner is not None and owner.client.id != call.client.id and owner.client.tap == call.client.tap:
                return fail(
                    "each message of the server's on the stream of the call that it belongs to",
                    f"{message.method} of one call came on another's stream",
                    call.client,
                    events=(message.seq, owner.client.seq),
                )
            seen += [message.seq] if owner is not None else []
    if not any(call.client.is_stream for call in found):
        return NO_STREAMS
    if not seen:
        return NotExercised("a message on the stream of a call that can be told to belong to one")
    return Pass(f"{len(seen)} messages came on the streams of their own calls", tuple(seen))


@rule(
    id="MGC763",
    title="The GET stream carries nothing that belongs to a running call",
    suite=SUITE,
    level=Level.SHOULD,
    side=Side.SERVER,
    requirements=("GET-04",),
    when=BESIDE_GET,
    failure_classes=("server-messages-garbled",),
)
def get_is_for_the_unrelated(inputs: Inputs) -> Verdict:
    """Judge what comes down a GET stream while a call of its session has a stream of its own.

    What it checks: no progress of such a call, and no request that its backend sent on that call's stream.
    Why it matters: clients need not open a GET stream; then nothing that was sent there reaches them.
    A failing exchange: POST tools/call → 200 text/event-stream; GET ← progress of that call
    A conforming exchange: POST tools/call ← progress, result; GET ← list_changed
    Known gaps: calls answered as JSON have no room for other messages and are not judged.
    """
    found = [call for call in calls(inputs.through) if call.client.is_stream]
    streams = [item for item in inputs.through.client() if item.method == "GET" and item.is_stream]
    for stream in streams:
        for message in stream.messages():
            for call in found:
                running = call.client.t <= message.t <= call.over(inputs.through)
                if running and call.client.tap == stream.tap and _belongs(message, call):
                    return fail(
                        "what belongs to a call on that call's stream",
                        f"{message.method} of a running call came on the GET stream",
                        stream,
                        call.client,
                        events=(message.seq,),
                    )
    if not found:
        return NO_STREAMS
    if not streams:
        return NotApplicable("no GET stream: GET was not answered with one")
    return Pass(f"nothing of {len(found)} calls came on the GET stream while they ran", streams[0].events)


@rule(
    id="MGC764",
    title="A response that a client posts is answered 202",
    suite=SUITE,
    level=Level.MUST,
    side=Side.SERVER,
    requirements=("POST-29",),
    when=ANSWERED,
    failure_classes=("server-messages-not-relayed",),
)
def response_is_accepted(inputs: Inputs) -> Verdict:
    """Judge how the POST of a client's response to a request of the server's is answered.

    What it checks: 202, without a body.
    Why it matters: clients take anything else for a failed connection, or wait for a stream that never speaks.
    A failing exchange: server asks sampling/createMessage; POST {"id": 1, "result": …} → 500
    A conforming exchange: server asks sampling/createMessage; POST {"id": 1, "result": …} → 202
    Known gaps: responses to requests that nobody made are not driven.
    """
    posted = list(_responses(inputs.through.client()))
    if not posted:
        return _nothing_asked(inputs.through)
    for item, message in posted:
        if item.status != 202 or item.body is not None or item.body_text:
            return fail(
                "202 without a body for a response",
                f"it was answered {item.status} {item.content_type}".strip(),
                item,
                charged_to=Hop.BACKEND if _refused_behind(inputs.through, message, item.status) else Hop.GATEWAY,
            )
    return Pass(f"{len(posted)} responses were answered 202", posted[0][0].events)


def _refused_behind(transcript: Transcript, message: Message, status: int | None) -> bool:
    """Whether the backend answered the POST of the same response in the same way."""
    return any(
        item.status == status and behind.payload.get("result") == message.payload.get("result")
        for item, behind in _responses(transcript.backend)
    )


@rule(
    id="MGC765",
    title="The client's answer reaches the backend that asked",
    suite=SUITE,
    level=Level.MUST,
    side=Side.CLIENT,
    requirements=("POST-29",),
    when=ASKED,
    failure_classes=("server-messages-not-relayed",),
)
def answer_reaches_the_backend(inputs: Inputs) -> Verdict:
    """Judge what the backend hears after a client answered its request.

    What it checks: a response of its own message, under the backend's id, with what the client answered: its result, or
    an error where it refused.
    Why it matters: the backend's tool waits for it; without it the call hangs until somebody's timeout.
    A failing exchange: backend asks with id 9; client answers; gateway → backend nothing, or id 1
    A conforming exchange: backend asks with id 9; client answers; gateway → backend {"id": 9, "result": …}
    Known gaps: members that the gateway adds to the result, or leaves out, are not judged while the answer is told; nor
    are code and message of an error.
    """
    marks = [str(event.data.get("mark")) for event in inputs.through.stimuli("client.answers")]
    judged = [item for item in asked(inputs.through) if item.answers]
    for item in judged:
        if not any(_told(answer, item.heard, marks) for answer in item.answers):
            what = "result" if item.answers[0].error is None else "error"
            return fail(
                f"the client's {what} at the backend, under the id that the backend gave",
                f"the client answered {item.backend.method} with its {what}; the backend heard {_heard(item)}",
                events=item.events,
                symptom="server-messages-not-relayed",
            )
    if not judged:
        return _nothing_asked(inputs.through)
    return Pass(
        f"{len(judged)} answers of clients reached the backend", tuple(s for item in judged for s in item.events)
    )


def _told(answer: Message, heard: Message | None, marks: list[str]) -> bool:
    """Whether what the backend heard is what a client answered: an error for an error, a result with its marks."""
    if heard is None or answer.error is not None:
        return heard is not None and heard.error is not None
    wanted = [mark for mark in marks if mark in str(answer.payload)]
    return heard.result is not None and all(mark in str(heard.payload) for mark in wanted)


def _heard(item: Asked) -> str:
    if item.heard is None:
        return "nothing"
    return f"the error {item.heard.error.get('code')}" if item.heard.error is not None else "another result"


@rule(
    id="MGC766",
    title="What the backend asks reaches a client that takes it",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.TRANSPARENCY,
    requirements=("FLOW-06",),
    when=ASKED,
    failure_classes=("server-messages-not-relayed",),
)
def request_reaches_the_client(inputs: Inputs) -> Verdict:
    """Judge what becomes of a request that the backend makes of a client who declared that it takes such.

    What it checks: it reaches the client, or the gateway itself answers it with a result.
    Why it matters: the gateway told the backend that it may ask; a tool that needs the answer cannot work.
    A failing exchange: backend → sampling/createMessage; client ← nothing; backend ← nothing, or an error
    A conforming exchange: backend → sampling/createMessage; client ← sampling/createMessage
    Known gaps: a gateway that tells the backend of no such capability loses it silently, and is not judged; nor is
    what the backend sent on no call's stream, where the client has no GET stream.
    """
    takes = of_clients(inputs.through)
    wanted = [item for item in asked(inputs.through) if CAPABILITY_OF[str(item.backend.method)] in takes]
    judged = [item for item in wanted if _has_room(inputs.through, item)]
    for item in judged:
        served = item.heard is not None and item.heard.result is not None
        if not item.copies and not served:
            return fail(
                f"{item.backend.method} at the client, who declared that it takes such",
                f"no client was asked, and the backend heard {_heard(item)}",
                events=item.events,
                symptom="server-messages-not-relayed",
            )
    if not judged:
        return NotApplicable("the backend had nobody to ask, as it was told, or no stream had room for what it asked")
    return Pass(f"{len(judged)} requests of the backend were served", tuple(s for item in judged for s in item.events))


def _has_room(transcript: Transcript, item: Asked) -> bool:
    """Whether there was a stream to the client that the request could go on."""
    on_call = any(x.id == item.backend.exchange and x.method == "POST" for x in transcript.backend)
    return on_call or any(get.method == "GET" and get.is_stream for get in transcript.client())
