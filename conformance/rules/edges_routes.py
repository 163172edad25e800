"""Family edges, routes: requests and answers pass the edge whole, under the right name (MGC956 to 961, MGC966)."""

from __future__ import annotations

from typing import Final
from urllib.parse import urljoin, urlsplit

from conformance.evidence.events import Hop
from conformance.evidence.transcript import Exchange, Transcript
from conformance.rules.base import Inputs, Level, Side, fail, rule
from conformance.rules.edges_evidence import (
    REDIRECTS,
    SUITE,
    Passage,
    asked_host,
    edged,
    handshake_failures,
    lost_header,
    passages,
    passed_on,
    posts,
    refusal,
    served,
    title,
    variant,
)
from conformance.rules.verdicts import NotApplicable, NotExercised, Pass, Verdict

_ROUTES: Final = "wrong-route-html"
_TLS_CLASSES: Final = {"has expired": "tls-certificate-expired", "issuer certificate": "tls-untrusted-issuer"}
"""Failure classes by what OpenSSL says of a certificate that is not accepted (X509_verify_cert_error_string)."""


def _respelled_over_tls(transcript: Transcript) -> tuple[Passage, ...]:
    """Return what was posted to the endpoint's other spelling, where the client speaks TLS to the edge."""
    if variant(transcript).get("tls") in (None, "none"):
        return ()
    begun = [event.t for event in transcript.stimuli("endpoint.respelled")]
    return tuple(p for p in posts(transcript) if begun and p.front.t >= begun[0] and p.front.status is not None)


def _refused(transcript: Transcript) -> tuple[Passage, ...]:
    return tuple(p for p in passed_on(transcript) if p.back is not None and p.back.status in range(400, 500))


POSTS: Final = edged("edge-posts", "something that a client posted through an edge", posts)
RESPELLED: Final = edged(
    "edge-respelled", "the endpoint's other spelling, asked for at an edge that speaks TLS", _respelled_over_tls
)
HEADERS: Final = edged("edge-headers", "a request that an edge passed on", passed_on)
ANSWERS: Final = edged("edge-answers", "a request that a replica behind an edge refused", _refused)
HOST: Final = edged("edge-host", "a request that an edge passed on", passed_on)
TLS: Final = edged("edge-tls", "an edge that speaks TLS", lambda t: variant(t).get("tls") not in (None, "none"))


@rule(
    id="MGC956",
    title="The edge's certificate is one that its clients accept",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.SERVER,
    requirements=("EDGE-07",),
    when=TLS,
    failure_classes=("tls-name-or-trust", "tls-certificate-expired", "tls-untrusted-issuer"),
)
def certificate_is_accepted(inputs: Inputs) -> Verdict:
    """Judge the TLS handshakes of clients with the edge.

    What it checks: none ends because the certificate is for another name, has expired, or has an unknown authority.
    Why it matters: nothing of MCP is ever exchanged; clients report a server that cannot be reached, or no tools.
    A failing exchange: ClientHello for edge.test → a certificate for other.test → the client's alert
    A conforming exchange: ClientHello for edge.test → a certificate for edge.test; POST initialize → 200
    Known gaps: what real clients trust is theirs to say; TLS versions and ciphers are not varied.
    """
    through = inputs.through
    failed = handshake_failures(through)
    if failed:
        said = str(failed[0].data["error"])
        return fail(
            "a certificate for the name that was asked for, in force, of an authority that the client trusts",
            said.partition(": ")[2],
            events=tuple(event.seq for event in failed),
            charged_to=Hop.EDGE,
            symptom=next((name for words, name in _TLS_CLASSES.items() if words in said), "tls-name-or-trust"),
        )
    answered = [item for item in through.client() if item.status is not None]
    if not answered:
        return NotExercised("a connection to the edge that got as far as TLS")
    return Pass("the handshake was completed and HTTP exchanged", answered[0].events)


@rule(
    id="MGC957",
    title="The endpoint is not redirected",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.SERVER,
    requirements=("EDGE-08",),
    when=POSTS,
    failure_classes=("slash-redirect",),
)
def endpoint_is_not_redirected(inputs: Inputs) -> Verdict:
    """Judge whether what clients post is answered with a redirect.

    What it checks: no POST is redirected to another spelling of its own path, by the edge or by the gateway behind it.
    Why it matters: many clients do not follow a redirect of a POST, and those that do may drop its body or, where the
    Location has another scheme, its credentials.
    A failing exchange: POST /mcp → 307, Location: /mcp/
    A conforming exchange: POST /mcp → 200
    Known gaps: redirects to other hosts, and to sign-in pages, are not this rule's.
    """
    for item in posts(inputs.through):
        if item.front.status in REDIRECTS and _respelled(item.front):
            hop = Hop.GATEWAY if item.back is not None and item.back.status in REDIRECTS else Hop.EDGE
            who = title(inputs.through) if hop is Hop.EDGE else "the gateway"
            return fail(
                "an answer at the path that the client was given",
                f"{who} answered {item.front.status} with Location {item.front.response_headers.get('location')}",
                *item.exchanges,
                charged_to=hop,
                symptom="slash-redirect",
            )
    return Pass("nothing that clients posted was redirected", posts(inputs.through)[0].front.events)


def _respelled(exchange: Exchange) -> bool:
    location = urljoin(exchange.target, exchange.response_headers.get("location", ""))
    return urlsplit(location).path.rstrip("/") == urlsplit(exchange.target).path.rstrip("/")


@rule(
    id="MGC966",
    title="A redirect of the gateway's leads back through the edge",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.SERVER,
    requirements=("EDGE-17",),
    when=RESPELLED,
    failure_classes=("slash-redirect",),
)
def redirects_lead_back(inputs: Inputs) -> Verdict:
    """Judge the Location of redirects that the gateway answers with behind an edge that speaks TLS.

    What it checks: an absolute Location has the scheme and the host by which the client knows the edge.
    Why it matters: a gateway that takes itself for what it hears on sends clients to http; they follow without their
    credentials, or reach a closed port, and report a failed sign-in or ECONNRESET.
    A failing exchange: POST https://gw.example/mcp/ → 307, Location: http://gw.example/mcp
    A conforming exchange: POST https://gw.example/mcp/ → 200; or 307, Location: /mcp
    Known gaps: absolute URLs elsewhere in answers, such as those of metadata for sign-in.
    """
    asked = _respelled_over_tls(inputs.through)
    for item in asked:
        location = urlsplit(item.front.response_headers.get("location", ""))
        own = ("https", asked_host(inputs.through, item.front))
        if item.front.status in REDIRECTS and location.scheme and (location.scheme, location.netloc) != own:
            told = item.back is not None and item.back.headers.get("x-forwarded-proto") == "https"
            return fail(
                f"a Location at {own[0]}://{own[1]}, or without a host",
                f"it is {location.geturl()}; the edge had {'' if told else 'not '}said X-Forwarded-Proto: https",
                *item.exchanges,
                charged_to=Hop.GATEWAY if told else Hop.EDGE,
                symptom="slash-redirect",
            )
    ways = sorted({str(item.front.status) for item in asked})
    return Pass(f"the other spelling was answered {', '.join(ways)}, and led nowhere else", asked[0].front.events)


@rule(
    id="MGC958",
    title="What clients post is routed to the gateway",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.SERVER,
    requirements=("EDGE-09",),
    when=POSTS,
    failure_classes=(_ROUTES,),
)
def posts_are_routed(inputs: Inputs) -> Verdict:
    """Judge whether the edge answers in the gateway's place.

    What it checks: nothing that a client posted was refused with a 4xx status without a replica having been asked.
    Why it matters: a path that is not routed ends in the edge's own 404 or in a page of some other application, which
    clients report as a JSON error, or as a server that does not speak MCP.
    A failing exchange: POST /mcp → 404 text/html, and no request behind the edge
    A conforming exchange: POST /tools/mcp → POST /mcp behind the edge → 200
    Known gaps: a 5xx status, by which an edge says that it could not reach a replica, is not this rule's.
    """
    for item in posts(inputs.through):
        if item.back is None and item.front.status is not None and 400 <= item.front.status < 500:
            return fail(
                "the gateway's own answer",
                f"{title(inputs.through)} answered {refusal(item.front)} to {item.front.target} and asked no replica",
                item.front,
                charged_to=Hop.EDGE,
                symptom=_ROUTES,
            )
    return Pass("every post reached a replica, or could not", posts(inputs.through)[0].front.events)


@rule(
    id="MGC959",
    title="Headers that MCP needs pass the edge both ways",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.SERVER,
    requirements=("EDGE-10",),
    when=HEADERS,
    failure_classes=("header-lost-at-edge",),
)
def headers_pass(inputs: Inputs) -> Verdict:
    """Judge the headers before and behind the edge.

    What it checks: session id, protocol version, Last-Event-ID, Accept, Content-Type and Authorization of requests, and
    session id, Content-Type, WWW-Authenticate and Allow of responses, are on both sides the same.
    Why it matters: a session id that is dropped makes every request one without a session; without Last-Event-ID what
    was missed stays lost; an Accept that is rewritten is refused with 406.
    A failing exchange: POST tools/list, Mcp-Session-Id: 5f… → behind the edge POST tools/list without it → 400
    A conforming exchange: the same header with the same value on both sides
    Known gaps: headers that were not sent in this exchange.
    """
    pairs = passed_on(inputs.through)
    for item in pairs:
        if changed := lost_header(item):
            return fail(
                "the header as it was sent",
                f"{title(inputs.through)} {changed}",
                *item.exchanges,
                charged_to=Hop.EDGE,
                symptom="header-lost-at-edge",
            )
    return Pass(f"the headers of {len(pairs)} exchanges are the same on both sides", pairs[0].front.events)


@rule(
    id="MGC960",
    title="The gateway accepts the Host that it gets from the edge",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.SERVER,
    requirements=("EDGE-11",),
    when=HOST,
    failure_classes=("host-header-421",),
)
def host_is_accepted(inputs: Inputs) -> Verdict:
    """Judge what becomes of the Host header on its way.

    What it checks: no request is answered 421 behind the edge.
    Why it matters: protection against DNS rebinding allows names that it knows; behind a proxy that puts its own name,
    or the name of a group of servers, into Host, every request is refused, and straight at the gateway none.
    A failing exchange: Host: gw.example → behind the edge Host: replicas → 421 Misdirected Request
    A conforming exchange: Host: gw.example on both sides → 200
    Known gaps: gateways that refuse a Host with another status are met by other rules.
    """
    pairs = passed_on(inputs.through)
    for item in pairs:
        assert item.back is not None
        if item.back.status == 421:
            before, now = asked_host(inputs.through, item.front), item.back.headers.get("host", "")
            rewritten = before != now
            return fail(
                "a Host that the gateway accepts",
                f"Host {now!r} was answered 421" + (f"; the client had sent {before!r}" if rewritten else ""),
                *item.exchanges,
                charged_to=Hop.EDGE if rewritten else Hop.GATEWAY,
                symptom="host-header-421",
            )
    return Pass(f"{len(pairs)} requests were not refused for their Host", pairs[0].front.events)


@rule(
    id="MGC961",
    title="The gateway's refusals pass the edge as they are",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.SERVER,
    requirements=("EDGE-12",),
    when=ANSWERS,
    failure_classes=(_ROUTES,),
)
def refusals_pass(inputs: Inputs) -> Verdict:
    """Judge the answers by which the gateway refuses.

    What it checks: a 4xx answer of the gateway's has the same status and media type on both sides of the edge.
    Why it matters: clients begin a new session on 404 and sign in on 401, and read the reason from the body; a page
    that the edge puts in its place ends in `Unexpected token <`.
    A failing exchange: the gateway answers 404 application/json; the client gets 404 text/html
    A conforming exchange: 404 application/json on both sides
    Known gaps: bodies are not compared beyond their type.
    """
    refused = _refused(inputs.through)
    for item in refused:
        front, back = item.front, item.back
        assert back is not None
        if front.status is not None and (front.status, front.content_type) != (back.status, back.content_type):
            return fail(
                "the gateway's own answer",
                f"the gateway answered {refusal(back)}, {title(inputs.through)} made it {refusal(front)}",
                *item.exchanges,
                charged_to=Hop.EDGE,
                symptom=_ROUTES,
            )
    if not any(item.front.status is not None for item in refused):
        return NotApplicable("no refusal reached the client")
    ok = sum(served(item.front) for item in passages(inputs.through))
    return Pass(
        f"{len(refused)} refusals came out of the edge as they were, beside {ok} answers", refused[0].front.events
    )
