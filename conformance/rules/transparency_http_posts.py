"""Family transparency, posts: the gateway as a client, in the form in which its messages reach the backend.

2025-11-25 basic/transports, Sending Messages to the Server 1 to 3.
"""

from __future__ import annotations

from typing import Final

from conformance.evidence.events import JSON
from conformance.evidence.exchanges import each
from conformance.evidence.transcript import Exchange, Transcript
from conformance.rules.base import Inputs, Level, Precondition, Side, fail, rule
from conformance.rules.verdicts import Pass, Verdict

SUITE: Final = "transparency"
_BOTH: Final = ("application/json", "text/event-stream")


def is_rpc(body: JSON) -> bool:
    """Whether a body is JSON-RPC, be it a message or an array of them: what OAuth posts (RFC 6749, RFC 7591) is not."""
    return any(isinstance(item, dict) and "jsonrpc" in item for item in each(body))


def _sent(transcript: Transcript) -> tuple[Exchange, ...]:
    """Return the gateway's requests that carried a body to the backend to its last byte, those for a sign-in aside.

    JSON-RPC is judged wherever it went, anything else only where initialize was sent to.
    """
    endpoints = {(item.tap, item.path) for item in transcript.backend if item.rpc_method == "initialize"}
    return tuple(
        item
        for item in transcript.backend
        if item.t_sent is not None and (item.request is not None or item.request_body.strip())
        if is_rpc(item.request) or (item.tap, item.path) in endpoints
    )


def _posts(transcript: Transcript) -> tuple[Exchange, ...]:
    return tuple(item for item in _sent(transcript) if item.method == "POST")


POSTED = Precondition(
    "backend-post", "a POST of the gateway's to its backend", lambda transcript: bool(_posts(transcript))
)


@rule(
    id="MGC726",
    title="Each message of the gateway is a POST to the one endpoint",
    suite=SUITE,
    level=Level.MUST,
    side=Side.CLIENT,
    requirements=("POST-01",),
    when=POSTED,
    failure_classes=("http-form-mishandled",),
)
def messages_are_posted_to_one_endpoint(inputs: Inputs) -> Verdict:
    """Judge method and path of the requests by which the gateway sends messages to its backend.

    What it checks: every message travels by POST, to the path that initialize was sent to.
    Why it matters: servers serve one path and refuse the rest; what goes elsewhere is lost, notifications silently.
    A failing exchange: POST /mcp initialize, then POST /mcp/messages notifications/initialized
    A conforming exchange: POST /mcp initialize, then POST /mcp notifications/initialized
    Known gaps: a backend that redirects is followed to wherever it points; a body that is no JSON-RPC and goes to
    another path is not taken for a message.
    """
    through = inputs.through
    sent = _sent(through)
    redirecting = {item.tap for item in through.backend if item.status is not None and 300 <= item.status < 400}
    endpoint: dict[str, str] = {}
    for item in sent:
        path = item.path
        first = endpoint.setdefault(item.tap, path)
        if item.method != "POST" or (path != first and item.tap not in redirecting):
            return fail(f"POST {first}", f"{item.rpc_method or 'a message'} was sent by {item.method} {path}", item)
    return Pass(f"{len(sent)} message(s) went by POST to {', '.join(sorted(set(endpoint.values())))}", sent[0].events)


@rule(
    id="MGC727",
    title="The gateway's POSTs accept JSON and event streams",
    suite=SUITE,
    level=Level.MUST,
    side=Side.CLIENT,
    requirements=("POST-02",),
    when=POSTED,
    failure_classes=("accept-406",),
)
def posts_accept_both_forms(inputs: Inputs) -> Verdict:
    """Judge the Accept header of every POST that the gateway sends to its backend.

    What it checks: it lists application/json and text/event-stream, on notifications and responses too.
    Why it matters: the SDKs' servers answer 406 to a POST that does not list both, whatever it carries.
    A failing exchange: POST notifications/initialized with Accept: */*
    A conforming exchange: POST notifications/initialized with Accept: application/json, text/event-stream
    Known gaps: a media range such as */* is not accepted here; the specification asks for the types themselves.
    """
    posts = _posts(inputs.through)
    for item in posts:
        accept = item.headers.get("accept", "")
        if not all(kind in accept.lower() for kind in _BOTH):
            return fail(
                f"Accept: {', '.join(_BOTH)}",
                f"the POST of {item.rpc_method or 'a response'} accepts {accept or 'nothing'}",
                item,
            )
    return Pass(f"{len(posts)} POST(s) accept both", posts[0].events)


@rule(
    id="MGC728",
    title="The body of each of the gateway's POSTs is one message",
    suite=SUITE,
    level=Level.MUST,
    side=Side.CLIENT,
    requirements=("POST-03", "MSG-13"),
    when=POSTED,
    failure_classes=("http-form-mishandled",),
    revisions=("2025-06-18", "2025-11-25"),
)
def a_post_carries_one_message(inputs: Inputs) -> Verdict:
    """Judge the bodies of the POSTs that the gateway sends to its backend.

    What it checks: each is one JSON-RPC request, notification or response; no array, and nothing else.
    Why it matters: since 2025-06-18 servers refuse arrays, and with them every message inside.
    A failing exchange: gateway → [{"id": 1, "method": "ping"}]
    A conforming exchange: gateway → {"id": 1, "method": "ping"}
    Known gaps: what a client itself had posted in that form and the gateway relayed is the client's.
    """
    through = inputs.through
    clients = [item.request if item.request is not None else item.request_body for item in through.client()]
    posts = _posts(through)
    for item in posts:
        body = item.request if item.request is not None else item.request_body
        if not _is_message(body) and body not in clients:
            what = f"an array of {len(body)}" if isinstance(body, list) else "something that is no message"
            return fail("one request, notification or response", f"the gateway posted {what}", item)
    return Pass(f"{len(posts)} POST(s) with one message each", posts[0].events)


def _is_message(body: JSON) -> bool:
    if not isinstance(body, dict) or body.get("jsonrpc") != "2.0":
        return False
    if "method" in body:
        return isinstance(body["method"], str)
    return "id" in body and ("result" in body) != ("error" in body)
