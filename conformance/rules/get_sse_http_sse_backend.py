"""Family get_sse, the old transport: how the gateway speaks to a backend that may only know HTTP+SSE (2024-11-05).

Sources: 2024-11-05 basic/transports, HTTP with SSE; 2025-03-26 to 2025-11-25 basic/transports, Backwards Compatibility.
"""

from __future__ import annotations

from urllib.parse import urljoin, urlsplit

from conformance.evidence.transcript import Exchange, Transcript
from conformance.rules.base import Inputs, Level, Precondition, Side, fail, rule
from conformance.rules.get_sse_evidence import SUITE, said
from conformance.rules.get_sse_http_sse_evidence import OLD
from conformance.rules.verdicts import Pass, Verdict

NARROWED = "2025-11-25"
"""Revision from which on only OLD_SIGNS may be taken for the old transport; before it was any 4xx."""
OLD_SIGNS = frozenset((400, 404, 405))


def may_be_old(refused: Exchange) -> bool:
    """Whether the refusal of an initialize may be taken for a sign of the old transport, by the revision it offers."""
    params = refused.request.get("params") if isinstance(refused.request, dict) else None
    offered = str(params.get("protocolVersion")) if isinstance(params, dict) else ""
    status = refused.status or 0
    return status in OLD_SIGNS if offered >= NARROWED else 400 <= status < 500


def refused_initializes(transcript: Transcript) -> tuple[Exchange, ...]:
    """Return the initializes that a backend refused with an HTTP error."""
    return tuple(i for i in transcript.backend if i.rpc_method == "initialize" and (i.status or 0) >= 400)


def endpoint_streams(transcript: Transcript) -> tuple[tuple[Exchange, str], ...]:
    """Return the streams on which a backend named a URI, each with path and query of that URI."""
    found = []
    for stream in transcript.backend:
        named = (beat.text for beat in stream.beats if beat.what == "event" and beat.event == "endpoint")
        uri = next(named, None)
        if uri is not None:
            meant = urlsplit(urljoin(f"http://backend{stream.target}", uri))
            found.append((stream, f"{meant.path}?{meant.query}" if meant.query else meant.path))
    return tuple(found)


def later_posts(transcript: Transcript) -> tuple[Exchange, ...]:
    """Return what was posted after a backend had named a URI, but for initializes that try the new transport first."""
    streams = [stream for stream, _ in endpoint_streams(transcript)]
    opened = {stream.target for stream in streams}
    begin = min((stream.t_response or stream.t for stream in streams), default=float("inf"))
    return tuple(
        item
        for item in transcript.backend
        if item.method == "POST" and item.t > begin and not (item.rpc_method == "initialize" and item.target in opened)
    )


def fell_back(transcript: Transcript) -> tuple[tuple[Exchange, Exchange], ...]:
    """Return the initializes that were posted to a named URI, each with the refusal that came before it."""
    named = {uri for _, uri in endpoint_streams(transcript)}
    refused = refused_initializes(transcript)
    found = []
    for item in transcript.backend:
        before = [other for other in refused if other.t < item.t and other.id != item.id]
        if item.rpc_method == "initialize" and item.target in named and before:
            found.append((item, before[-1]))
    return tuple(found)


POSTS = Precondition(
    "sse-backend-posts",
    "messages of the gateway to a backend that had named the URI to post to",
    lambda transcript: len(later_posts(transcript)) > 0,
)
REFUSED = Precondition(
    "sse-backend-refused",
    "an initialize that a backend of the old transport refused",
    lambda transcript: (
        transcript.header.get("backend_face") == "sse" and any(map(may_be_old, refused_initializes(transcript)))
    ),
)
BARRED = Precondition(
    "sse-backend-barred",
    "an initialize that a backend refused for a reason that is no sign of the old transport",
    lambda transcript: not all(map(may_be_old, refused_initializes(transcript))),
)


@rule(
    id="MGC337",
    title="The gateway posts to the URI that the backend named",
    suite=SUITE,
    level=Level.MUST,
    side=Side.CLIENT,
    requirements=("SSE24-03",),
    when=POSTS,
    failure_classes=("http-sse-backend-mishandled",),
    revisions=OLD,
)
def posts_go_where_told(inputs: Inputs) -> Verdict:
    """Judge the targets of what the gateway posts to a backend of HTTP+SSE.

    What it checks: path and query are, to the letter, those of a URI that the backend named in an endpoint event.
    Why it matters: the URI is the session; with another path, another escape or no query the backend knows nobody.
    A failing exchange: backend: event: endpoint, data: /messages/?session=a%2Fb; gateway: POST /messages/?session=a/b
    A conforming exchange: backend: event: endpoint, data: /messages/?session=a%2Fb; gateway: POST to just that
    Known gaps: with several streams at once it is not judged whose URI is used.
    """
    named = {uri for _, uri in endpoint_streams(inputs.through)}
    posts = later_posts(inputs.through)
    for post in posts:
        if post.target not in named:
            streams = [stream for stream, _ in endpoint_streams(inputs.through)]
            return fail(
                f"messages are posted to {' or '.join(sorted(named))}",
                f"{post.rpc_method or 'a message'} was posted to {post.target}",
                streams[0],
                post,
            )
    return Pass(f"{len(posts)} messages were posted to the URI that the backend named", posts[0].events)


@rule(
    id="MGC338",
    title="A backend that only knows HTTP+SSE is spoken to in it",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.CLIENT,
    requirements=("COMPAT-02", "COMPAT-03"),
    when=REFUSED,
    failure_classes=("http-sse-backend-mishandled",),
)
def falls_back(inputs: Inputs) -> Verdict:
    """Judge what follows on an initialize that was refused with 400, 404 or 405.

    What it checks: a GET of the same URL, which opens the stream that begins with the endpoint event.
    Why it matters: old servers answer a POST of their stream's URL so; without the GET they cannot be reached at all.
    A failing exchange: POST initialize → 405, and nothing more
    A conforming exchange: POST initialize → 405, GET → 200 text/event-stream, event: endpoint
    Known gaps: a gateway that hands the refusal on leaves the GET to its client, and relays it.
    """
    refused = [item for item in refused_initializes(inputs.through) if may_be_old(item)]
    for item in refused:
        streams = [s for s, _ in endpoint_streams(inputs.through) if s.t > item.t and s.target == item.target]
        if not streams:
            return fail(
                "a GET of the URL at which initialize was refused",
                f"initialize was answered {said(item)}, and no stream was opened at {item.target} after it",
                item,
            )
    return Pass("after the refusal the stream of the old transport was opened", refused[0].events)


@rule(
    id="MGC339",
    title="Not every refusal is taken for the old transport",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.CLIENT,
    requirements=("COMPAT-02", "COMPAT-03"),
    when=BARRED,
    failure_classes=("http-sse-backend-mishandled",),
)
def no_fallback_on_other_refusals(inputs: Inputs) -> Verdict:
    """Judge what follows on an initialize that was refused for a reason of another kind.

    What it checks: after any status but 400, 404 and 405 (before 2025-11-25: after a 5xx) no initialize is sent anew
    over the old transport.
    Why it matters: 401, 429 and 500 say "sign in", "slow down" and "broken"; a second handshake hides that from users.
    A failing exchange: POST initialize → 500, GET → event: endpoint, POST initialize to its URI
    A conforming exchange: POST initialize → 500, and the failure is reported
    Known gaps: a GET alone is not judged: it may have other reasons.
    """
    for item, refusal in fell_back(inputs.through):
        if not may_be_old(refusal):
            return fail(
                "no fallback to the old transport, which that status does not suggest",
                f"initialize was answered {said(refusal)} and sent again to {item.target}",
                refusal,
                item,
            )
    barred = [item for item in refused_initializes(inputs.through) if not may_be_old(item)]
    said_so = ", ".join(sorted({str(item.status) for item in barred}))
    return Pass(f"no fallback after {said_so}", barred[0].events)
