"""Family get_sse, the old transport: what comes down the stream (2024-11-05 basic/transports, HTTP with SSE)."""

from __future__ import annotations

from conformance import timing
from conformance.evidence.links import nonce_of
from conformance.rules.base import Inputs, Level, Side, fail, rule
from conformance.rules.get_sse_evidence import LIST_CHANGED, SUITE, sent_by_backend
from conformance.rules.get_sse_http_sse_evidence import (
    OLD,
    SSE_REQUEST,
    SSE_SERVER_MESSAGE,
    SSE_TWO_CLIENTS,
    declares_list_changed,
    old_sessions,
    pairs,
    watched,
)
from conformance.rules.verdicts import Inconclusive, NotApplicable, Pass, Verdict


@rule(
    id="MGC335",
    title="Responses come as message events on the HTTP+SSE stream",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.TRANSPARENCY,
    requirements=("SSE24-04",),
    when=SSE_REQUEST,
    failure_classes=("sse-response-off-stream", "nonconforming-sse-event"),
    revisions=OLD,
)
def responses_come_on_the_stream(inputs: Inputs) -> Verdict:
    """Judge where the answer to each accepted request comes.

    What it checks: an event of type message with the request's id on the stream, within RELAY_PROMPT seconds.
    Why it matters: a client of this transport reads nothing but its stream; an answer elsewhere is a call that hangs.
    A failing exchange: POST /messages → 200 application/json {"id": 1, "result": …}; the stream is silent
    A conforming exchange: POST /messages → 202; stream: event: message, data: {"id": 1, "result": …}
    Known gaps: a body that repeats an answer which also comes on the stream is not judged.
    """
    judged = 0
    for session in old_sessions(inputs.through):
        for post in session.accepted():
            answer = session.answer_to(post)
            judged += 1
            if answer is not None and answer.event == "message":
                continue
            if answer is not None:
                return fail(
                    "responses are events of type message",
                    f"the answer to {post.rpc_method} is an event of type {answer.event!r}",
                    post,
                    events=(answer.seq,),
                    symptom="nonconforming-sse-event",
                )
            in_body = post.answer() is not None
            if not in_body and watched(inputs.through, session, post.t) <= timing.RELAY_PROMPT:
                return Inconclusive(f"the stream was not watched long enough for the answer to {post.rpc_method}")
            return fail(
                "the response comes as a message event on the stream",
                f"the answer to {post.rpc_method} came in the body of the POST"
                if in_body
                else f"the answer to {post.rpc_method} never came",
                session.stream,
                post,
                symptom="sse-response-off-stream",
            )
    return Pass(f"{judged} answers came as message events on the stream")


@rule(
    id="MGC336",
    title="Each client of HTTP+SSE hears only its own responses",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.SERVER,
    requirements=("SSE24-04",),
    when=SSE_TWO_CLIENTS,
    failure_classes=("response-crosswire",),
    revisions=OLD,
)
def each_hears_its_own(inputs: Inputs) -> Verdict:
    """Judge the streams of two clients that called at the same time, under equal ids.

    What it checks: no stream carries the nonce of the other client's call, and each its own.
    Why it matters: a server that keeps one stream in a variable sends everything to whoever connected last.
    A failing exchange: A and B open /sse; A calls with nonce n-a; B's stream: {"result": … "n-a"}
    A conforming exchange: A's stream: {"result": … "n-a"}; B's stream: {"result": … "n-b"}
    Known gaps: an answer that reaches nobody is MGC335's.
    """
    missing = 0
    for one, other in pairs(inputs.through):
        own = {nonce for post in one.accepted() if (nonce := nonce_of(post)) is not None}
        heard = [(str(message.result), beat) for message, beat in one.messages() if message.is_response]
        for text, beat in heard:
            strange = [post for post in other.accepted() if (nonce := nonce_of(post)) is not None and nonce in text]
            if strange:
                return fail(
                    "a stream carries the answers to its own client's requests only",
                    "a client's stream carries the answer to the other client's call",
                    one.stream,
                    *strange,
                    events=(beat.seq,),
                )
        missing += sum(not any(nonce in text for text, _ in heard) for nonce in own)
    if missing:
        return Inconclusive(f"{missing} calls were answered on no stream; whether answers come at all is MGC335's")
    return Pass("each client's stream carried its own answers only")


@rule(
    id="MGC341",
    title="A server's own message comes as a message event on the HTTP+SSE stream",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.TRANSPARENCY,
    requirements=("SSE24-04",),
    when=SSE_SERVER_MESSAGE,
    failure_classes=("list-changed-not-propagated", "nonconforming-sse-event"),
    revisions=OLD,
    needs_plain_tools=True,
)
def server_messages_come_on_the_stream(inputs: Inputs) -> Verdict:
    """Judge whether a notification that the backend sent comes down the stream of the client whose call caused it.

    What it checks: list_changed within RELAY_PROMPT, in an event of type message, where the gateway declares
    tools.listChanged.
    Why it matters: the stream is all there is; a gateway that writes only answers to it keeps everything else.
    A failing exchange: backend → gateway list_changed; the client's stream carries the answer to its call only
    A conforming exchange: backend → gateway list_changed; stream: event: message, data: {"method": … list_changed}
    Known gaps: requests of the server and messages that belong to a call are not driven over this transport; one that
    comes later, while the client still listens, passes.
    """
    session = next(item for item in old_sessions(inputs.through) if item.opened)
    if not declares_list_changed(session):
        return NotApplicable("the gateway does not declare tools.listChanged to its clients")
    sent, since = sent_by_backend(inputs.through)[0], inputs.through.stimuli("tool.add")[0].t
    arrived = [beat for message, beat in session.messages() if message.method == LIST_CHANGED and beat.t >= since]
    if any(beat.event == "message" for beat in arrived):
        return Pass("list_changed came as a message event", (sent.seq, arrived[0].seq))
    if arrived:
        return fail(
            "messages of the server are events of type message",
            f"list_changed is an event of type {arrived[0].event!r}",
            session.stream,
            events=(sent.seq, arrived[0].seq),
            symptom="nonconforming-sse-event",
        )
    seconds = watched(inputs.through, session, sent.t)
    if seconds < timing.RELAY_PROMPT:
        return Inconclusive(f"the stream was read for {seconds:.1f} s after the backend sent it")
    if inputs.through.lag(sent.t, sent.t + seconds) > seconds * timing.LAG_SHARE:
        return Inconclusive("the machine was too busy while the notification was awaited")
    return fail(
        "the backend's list_changed comes down the client's stream",
        f"the backend sent it, and the stream carried nothing of it in {seconds:.1f} s",
        session.stream,
        events=(sent.seq,),
        symptom="list-changed-not-propagated",
    )
