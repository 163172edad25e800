"""Family get_sse, the old transport: the two endpoints of HTTP+SSE (2024-11-05 basic/transports, HTTP with SSE)."""

from __future__ import annotations

from conformance import timing
from conformance.rules.base import Inputs, Level, Side, charge, fail, rule
from conformance.rules.get_sse_evidence import SUITE, said
from conformance.rules.get_sse_http_sse_evidence import (
    OLD,
    SSE_BESIDE,
    SSE_ENDPOINT,
    SSE_GET,
    SSE_POST,
    SSE_STREAM,
    is_success,
    leads_through,
    no_stream,
    old_sessions,
    watched,
)
from conformance.rules.verdicts import Inconclusive, Pass, Verdict


@rule(
    id="MGC331",
    title="GET of the HTTP+SSE endpoint opens an event stream",
    suite=SUITE,
    level=Level.MUST,
    side=Side.SERVER,
    requirements=("SSE24-01",),
    when=SSE_GET,
    failure_classes=("get-sse-wrong-status", "one-client-kills-all"),
    revisions=OLD,
)
def old_get_opens_a_stream(inputs: Inputs) -> Verdict:
    """Judge the answer to a GET of the endpoint that the target names as its HTTP+SSE one.

    What it checks: status 200 and media type text/event-stream, without a session id in the request, also when it is
    not the first such GET.
    Why it matters: the stream is the client's only way to hear anything; every reconnection is another GET.
    A failing exchange: GET /sse → 400 {"error": {"message": "Missing session ID"}}
    A conforming exchange: GET /sse → 200 text/event-stream
    Known gaps: a GET whose headers had not come when the client left is inconclusive.
    """
    sessions = old_sessions(inputs.through)
    for session in sessions:
        if session.stream.status is None and session.stream.how in ("fin", "rst"):
            return fail(
                "GET of the HTTP+SSE endpoint is answered",
                "the gateway ended the connection without a response",
                session.stream,
                charged_to=charge(inputs, session.stream, lambda item: item.status is None),
                symptom="one-client-kills-all",
            )
        if session.stream.status is None:
            return Inconclusive("no response headers came while the GET was watched")
        if no_stream(session.stream):
            return fail(
                "GET of the HTTP+SSE endpoint is answered 200 text/event-stream",
                f"GET was answered {said(session.stream)}",
                session.stream,
                charged_to=charge(inputs, session.stream, no_stream),
                symptom="get-sse-wrong-status",
            )
    return Pass(f"{len(sessions)} GET(s) opened a stream", sessions[0].stream.events)


@rule(
    id="MGC332",
    title="An HTTP+SSE stream begins with its endpoint event",
    suite=SUITE,
    level=Level.MUST,
    side=Side.SERVER,
    requirements=("SSE24-02",),
    when=SSE_STREAM,
    failure_classes=("nonconforming-sse-event", "get-sse-dead-stream"),
    revisions=OLD,
)
def stream_begins_with_endpoint(inputs: Inputs) -> Verdict:
    """Judge the first event of an HTTP+SSE stream.

    What it checks: it is of type endpoint, carries a URI, and comes within RELAY_PROMPT seconds; comments may precede.
    Why it matters: without the URI a client cannot send its first message; it waits until its own timeout.
    A failing exchange: GET /sse → 200, data: /messages?session=1 (an event of type message)
    A conforming exchange: GET /sse → 200, event: endpoint, data: /messages?session=1
    Known gaps: whether the URI is of any use is judged by MGC333 and MGC334.
    """
    opened = [session for session in old_sessions(inputs.through) if session.opened]
    for session in opened:
        first = session.first_event
        if first is None and watched(inputs.through, session, session.stream.t) <= timing.RELAY_PROMPT:
            return Inconclusive("no event came while the stream was watched, which was not long")
        if first is None:
            return fail(
                f"an endpoint event within {timing.RELAY_PROMPT} s of the GET",
                "the stream carried no event",
                session.stream,
                symptom="get-sse-dead-stream",
            )
        if first.event != "endpoint" or not first.text.strip():
            return fail(
                "the stream's first event is `endpoint` and carries a URI",
                f"the first event is of type {first.event!r} with data {first.text[:80]!r}",
                session.stream,
                events=(first.seq,),
                symptom="nonconforming-sse-event",
            )
    return Pass(f"{len(opened)} stream(s) began with an endpoint event", opened[0].stream.events)


@rule(
    id="MGC333",
    title="The URI of an endpoint event leads through the gateway",
    suite=SUITE,
    level=Level.MUST,
    side=Side.SERVER,
    requirements=("SSE24-02",),
    when=SSE_ENDPOINT,
    failure_classes=("sse-endpoint-astray",),
    revisions=OLD,
)
def endpoint_leads_through(inputs: Inputs) -> Verdict:
    """Judge the origin of the URI, resolved as a client resolves it.

    What it checks: it is the origin at which the client opened its stream, or the gateway's own address.
    Why it matters: clients refuse a foreign origin; those that do not go past the gateway, if they reach anything.
    A failing exchange: GET http://gateway/sse → event: endpoint, data: http://backend:9000/messages?session=1
    A conforming exchange: GET http://gateway/sse → event: endpoint, data: /messages?session=1
    Known gaps: a path on the right origin that leads nowhere is MGC334's.
    """
    named = [session for session in old_sessions(inputs.through) if session.uri]
    for session in named:
        if not leads_through(inputs.through, session):
            host = session.stream.headers.get("host")
            return fail(
                f"a URI of the origin that the client knows, {host}",
                f"the endpoint event names {session.uri}",
                session.stream,
                events=tuple(beat.seq for beat in session.stream.beats if beat.event == "endpoint"),
            )
    return Pass(f"the endpoint event names {named[0].uri}", named[0].stream.events)


@rule(
    id="MGC334",
    title="The URI of an endpoint event takes POSTs",
    suite=SUITE,
    level=Level.MUST,
    side=Side.SERVER,
    requirements=("SSE24-01",),
    when=SSE_POST,
    failure_classes=("sse-endpoint-astray",),
    revisions=OLD,
)
def endpoint_takes_posts(inputs: Inputs) -> Verdict:
    """Judge the status of what a client posts to the URI that it was given, while its stream is open.

    What it checks: initialize, the notification after it, a list and a call are each answered with a 2xx status.
    Why it matters: a URI that the gateway passes on as the backend named it leads to a path it does not serve.
    A failing exchange: event: endpoint, data: /backend/messages?id=1; POST /backend/messages?id=1 → 404
    A conforming exchange: event: endpoint, data: /messages?id=1; POST /messages?id=1 → 202
    Known gaps: 202 is what the SDKs answer; any other 2xx passes.
    """
    judged = 0
    for session in old_sessions(inputs.through):
        for post in session.posts if session.uri else ():
            judged += 1
            if post.status is None:
                return Inconclusive("a POST got no response while it was watched")
            if not is_success(post):
                return fail(
                    "a message posted to the URI of the endpoint event is accepted with 202",
                    f"{post.rpc_method or 'it'} was answered {said(post)}",
                    session.stream,
                    post,
                    charged_to=charge(inputs, post, lambda item: not is_success(item)),
                )
    return Pass(f"{judged} messages were accepted at the URI that was named")


@rule(
    id="MGC340",
    title="HTTP+SSE is served beside Streamable HTTP",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.SERVER,
    requirements=("COMPAT-01",),
    when=SSE_BESIDE,
    failure_classes=("get-sse-wrong-status", "sse-response-off-stream"),
)
def both_are_served(inputs: Inputs) -> Verdict:
    """Judge a client of the old transport at a gateway that a client of the new one uses at the same time.

    What it checks: the HTTP+SSE endpoint that the target names opens a stream, and initialize is answered on it.
    Why it matters: a server that wants old clients serves both; one that moved to the new transport loses them.
    A failing exchange: POST /mcp initialize → 200; GET /sse → 404
    A conforming exchange: POST /mcp initialize → 200; GET /sse → 200, event: endpoint, and an answer to initialize
    Known gaps: a target that names no HTTP+SSE endpoint wants no old clients and is not asked.
    """
    sessions = old_sessions(inputs.through)
    for session in sessions:
        if no_stream(session.stream):
            return fail(
                "a stream at the HTTP+SSE endpoint that the target names",
                f"GET was answered {said(session.stream)}",
                session.stream,
                charged_to=charge(inputs, session.stream, no_stream),
                symptom="get-sse-wrong-status",
            )
        greeted = [post for post in session.accepted() if post.rpc_method == "initialize"]
        if not any(session.answer_to(post) for post in greeted):
            return fail(
                "initialize is answered on the HTTP+SSE stream",
                "no answer to initialize came on it",
                session.stream,
                *greeted,
                symptom="sse-response-off-stream",
            )
    return Pass("clients of both transports were served", sessions[0].stream.events)
