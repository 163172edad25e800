"""Family get_sse, early close: streams whose connection the server ends before their end.

Source: 2025-11-25 basic/transports § Sending Messages 6 and § Listening for Messages from the Server 4.
"""

from __future__ import annotations

from collections.abc import Iterator

from conformance.evidence.links import Basis, links
from conformance.evidence.transcript import Exchange, Transcript
from conformance.rules.base import Inputs, Level, Side, charge, fail, rule
from conformance.rules.get_sse_evidence import SUITE, open_streams, said
from conformance.rules.get_sse_resumption_evidence import (
    BROKEN_OFF,
    CLOSED_EARLY,
    GET_CLOSED,
    LEFT,
    closed_early,
    numbered,
    resumes,
    retry_of,
    unfinished,
)
from conformance.rules.preconditions import session_gets
from conformance.rules.verdicts import NotApplicable, Pass, Verdict
from conformance.spec.revisions import Revision


@rule(
    id="MGC316",
    title="No stream ends before its response unless an event id was sent",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.SERVER,
    requirements=("POST-11",),
    revisions=(Revision.V2025_11_25,),
    when=CLOSED_EARLY,
    failure_classes=("resumption-broken",),
)
def early_close_leaves_an_id(inputs: Inputs) -> Verdict:
    """Judge the client's stream of a call whose backend closed its own stream early.

    What it checks: the client's stream goes on to the answer, or an event id came down it before it ended.
    Why it matters: without an id nobody can come back; the answer is lost though the backend has it.
    A failing exchange: backend closes after id: 1-0; the gateway ends the client's stream, which carried no id
    A conforming exchange: backend closes after id: 1-0; the gateway polls it and keeps the client's stream open
    Known gaps: an error for an answer ends the stream rightly; that the gateway did not poll is MGC313's.
    """
    judged = tuple(_fronts(inputs.through))
    for front in judged:
        if unfinished(front) and front.how != LEFT and not numbered(front):
            return fail(
                "the answer, or an event id to come back with",
                "the stream ended with neither after the backend had closed its own early",
                front,
                charged_to=charge(inputs, front, lambda item: unfinished(item) and not numbered(item)),
            )
    if not judged:
        return NotApplicable("no call of a client led to the stream that the backend closed")
    return Pass("the stream brought the answer, or an id to come back with", judged[0].events)


@rule(
    id="MGC317",
    title="A stream that is closed before its response says when to come back",
    suite=SUITE,
    level=Level.SHOULD,
    side=Side.SERVER,
    requirements=("POST-13",),
    revisions=(Revision.V2025_11_25,),
    when=CLOSED_EARLY,
    failure_classes=("resumption-broken",),
)
def early_close_names_a_time(inputs: Inputs) -> Verdict:
    """Judge the client's stream of a call whose backend closed its own stream early.

    What it checks: where the client's stream is closed early too, after an event id, an event named a `retry` time.
    Why it matters: without it every client picks its own pace, from a tight loop to minutes.
    A failing exchange: id: 7-0, data:, end of the response before the answer
    A conforming exchange: id: 7-0, retry: 700, data:, end of the response before the answer; or the stream stays open
    Known gaps: a stream closed without any id is MGC316's.
    """
    judged = tuple(_fronts(inputs.through))
    closed = [front for front in judged if unfinished(front) and front.how == "complete" and numbered(front)]
    for front in closed:
        if retry_of(front) is None:
            return fail(
                "an event with a retry field before the connection is closed early",
                "the stream was closed before its response, and no event named a time",
                front,
                charged_to=charge(inputs, front, lambda item: unfinished(item) and retry_of(item) is None),
            )
    if not judged:
        return NotApplicable("no call of a client led to the stream that the backend closed")
    if not closed:
        return Pass("the gateway closed no stream before its response", judged[0].events)
    return Pass(f"closed early after retry: {(retry_of(closed[0]) or 0) * 1000:.0f} ms", closed[0].events)


@rule(
    id="MGC318",
    title="A GET stream that the server closes says when to come back, and lets the client",
    suite=SUITE,
    level=Level.SHOULD,
    side=Side.SERVER,
    requirements=("GET-07",),
    revisions=(Revision.V2025_11_25,),
    when=GET_CLOSED,
    failure_classes=("resumption-broken", "get-sse-409-stale"),
)
def closed_get_names_a_time(inputs: Inputs) -> Verdict:
    """Judge the client's GET streams when the backend closes its own early.

    What it checks: a GET stream that ends from the server's side named a `retry` time, and a later GET is served.
    Why it matters: without the time clients come back at once or after minutes; refused, they never hear another word.
    A failing exchange: GET → 200 text/event-stream, end of the response without a retry field
    A conforming exchange: GET → id: g-3, retry: 700, end; GET with Last-Event-ID: g-3 → 200. Or the stream stays open
    Known gaps: a stream of a session that ended is not judged; that what came meanwhile is replayed is not demanded.
    """
    of_posts = {get.id for get, origin in resumes(inputs.through) if origin.method == "POST"}
    streams = [get for get in open_streams(inputs.through) if get.id not in of_posts]
    closed = [get for get in streams if get.how in ("complete", *BROKEN_OFF)]
    if not streams:
        return NotApplicable("no GET stream: GET was not answered with one")
    for get in closed:
        if _session_ended(inputs.through, get):
            continue
        if retry_of(get) is None:
            return fail(
                "an event with a retry field before a GET stream is closed",
                "the server closed the stream, and no event named a time",
                get,
                charged_to=charge(inputs, get, lambda item: item.how == "complete" and retry_of(item) is None),
                symptom="resumption-broken",
            )
        later = [item for item in session_gets(inputs.through) if item.tap == get.tap and item.t > (get.t_end or get.t)]
        refused = [item for item in later if item.status is not None]  # one without any answer is MGC302's
        if refused and all(item.status != 200 for item in refused):
            return fail(
                "the client may open the stream again",
                f"the next GET was answered {said(refused[-1])}",
                get,
                refused[-1],
                charged_to=charge(inputs, refused[-1], lambda item: item.status != 200),
                symptom="get-sse-409-stale" if refused[-1].status == 409 else "resumption-broken",
            )
    what = f"{len(closed)} stream(s) closed after a retry field" if closed else "no client's stream was closed"
    return Pass(what, streams[0].events)


def _fronts(transcript: Transcript) -> Iterator[Exchange]:
    """Yield the clients' calls whose backend stream was closed early."""
    closed = {item.id for item in closed_early(transcript)}
    for link in links(transcript):
        if link.basis is Basis.NONCE and link.exchange is not None and link.exchange.id in closed:
            yield link.client


def _session_ended(transcript: Transcript, get: Exchange) -> bool:
    """Whether the client had ended the session of this stream before the stream did."""
    return any(
        item.method == "DELETE" and item.tap == get.tap and item.t <= transcript.end_of(get)
        for item in transcript.client()
    )
