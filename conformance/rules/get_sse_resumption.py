"""Family get_sse, resumption: what a GET with Last-Event-ID brings (basic/transports § Resumability and Redelivery)."""

from __future__ import annotations

from collections.abc import Callable

from conformance import timing
from conformance.evidence.events import Hop
from conformance.evidence.transcript import Exchange, Message, Transcript
from conformance.rules.answers import without_result
from conformance.rules.base import Inputs, Level, Side, charge, fail, rule
from conformance.rules.get_sse_evidence import SUITE, headers_waited, later_answers, open_streams, said
from conformance.rules.get_sse_resumption_evidence import (
    CALL_LEFT,
    LAST_EVENT_ID,
    UNKNOWN_EVENT,
    carries,
    numbered,
    owner,
    resumable,
    resumes,
    unknown_ids,
)
from conformance.rules.preconditions import session_gets
from conformance.rules.verdicts import Inconclusive, NotApplicable, Pass, Verdict
from conformance.spec.revisions import Revision

NO_IDS = NotApplicable("the streams that were left carry no event ids: nothing can be resumed")
REFUSED = NotApplicable("every GET with Last-Event-ID was refused: nothing is replayed")

TOO_LATE = Inconclusive("each call had its answer before its stream was left")

_NOT_FOUND = 404


def _nothing_to_resume(transcript: Transcript) -> Verdict:
    """Return the verdict where no stream was left that could be resumed."""
    calls = (item for item in transcript.client() if item.rpc_method == "tools/call")
    return TOO_LATE if any(item.answer() is not None and numbered(item) for item in calls) else NO_IDS


@rule(
    id="MGC322",
    title="A resumed stream brings no message of another stream",
    suite=SUITE,
    level=Level.MUST,
    side=Side.SERVER,
    requirements=("RES-06",),
    when=CALL_LEFT,
    failure_classes=("resumption-broken",),
)
def nothing_foreign_is_replayed(inputs: Inputs) -> Verdict:
    """Judge what a GET with Last-Event-ID brings, two calls having been left.

    What it checks: no response and no progress of another request than the one whose stream is resumed.
    Why it matters: clients take what is replayed for theirs: an answer comes twice, or to the wrong waiter.
    A failing exchange: calls 3 and 4 left; GET with Last-Event-ID of call 4's stream → the answers to 3 and 4
    A conforming exchange: calls 3 and 4 left; GET with Last-Event-ID of call 4's stream → the answer to 4
    Known gaps: messages that belong to no request (logs, list changes) are not told apart.
    """
    served = [(get, origin) for get, origin in resumes(inputs.through) if _served(get)]
    for get, origin in served:
        for message in get.messages():
            belongs = owner(inputs.through, get.tap, message)
            if belongs is not None and belongs.id != origin.id:
                return fail(
                    "only what would have come on the stream that is resumed",
                    f"the {_kind(message)} of another request came with it",
                    origin,
                    belongs,
                    get,
                    events=(message.seq,),
                    charged_to=_charge(inputs, get, carries(message.payload)),
                )
    if not served:
        return REFUSED if resumable(inputs.through) else _nothing_to_resume(inputs.through)
    return Pass(f"{len(served)} stream(s) resumed, nothing foreign on any", served[0][0].events)


@rule(
    id="MGC323",
    title="An event id leads to its own stream",
    suite=SUITE,
    level=Level.SHOULD,
    side=Side.SERVER,
    requirements=("RES-03",),
    revisions=(Revision.V2025_11_25,),
    when=CALL_LEFT,
    failure_classes=("resumption-broken",),
)
def id_leads_to_its_stream(inputs: Inputs) -> Verdict:
    """Judge whether the stream that is resumed is the one whose id was named, two calls having been left.

    What it checks: where a GET with Last-Event-ID brings messages, some are the named stream's own.
    Why it matters: a server that cannot tell streams by their ids gives every returning client the latest one.
    A failing exchange: calls 3 and 4 left; GET with an id of call 3's stream → messages of call 4
    A conforming exchange: calls 3 and 4 left; GET with an id of call 3's stream → messages of call 3
    Known gaps: that foreign messages come beside the own ones is MGC322's, that nothing comes MGC324's.
    """
    served = [(get, origin) for get, origin in resumes(inputs.through) if _served(get) and get.messages()]
    for get, origin in served:
        owners = [owner(inputs.through, get.tap, message) for message in get.messages()]
        if not any(item is not None and item.id == origin.id for item in owners):
            return fail(
                "messages of the stream whose event id was named",
                "only messages of another stream came",
                origin,
                get,
                charged_to=_charge(inputs, get, lambda item: bool(item.messages())),
            )
    if not served:
        return NotApplicable("no GET with Last-Event-ID brought a message")
    return Pass(f"{len(served)} event id(s) led to their streams", served[0][0].events)


@rule(
    id="MGC324",
    title="What was missed comes when a stream is resumed, once",
    suite=SUITE,
    level=Level.MAY,
    side=Side.SERVER,
    requirements=("RES-05",),
    when=CALL_LEFT,
    failure_classes=("resumption-broken",),
)
def missed_messages_come(inputs: Inputs) -> Verdict:
    """Judge what comes of a call whose client left its stream and came back.

    What it checks: a GET with Last-Event-ID that is answered with a stream brings the answer, and nothing from before
    that event again.
    Why it matters: a stream that is accepted and stays silent (a black hole) makes the client wait for ever.
    A failing exchange: GET with Last-Event-ID: 3-1 → 200 text/event-stream, silent, though the call has its answer
    A conforming exchange: GET with Last-Event-ID: 3-1 → id: 3-2, data: {the answer}. Or the GET is refused
    Known gaps: replay is optional; a server that refuses is not failed.
    """
    served = [(get, origin) for get, origin in resumes(inputs.through) if _served(get)]
    for get, origin in served:
        chain = [item for item, first in served if first.id == origin.id]
        if _repeats(get, (origin, *chain)):
            return fail("only what followed the named event", "an earlier message came again", origin, get)
        if any(_answers(message, origin) for item in chain for message in item.messages()):
            continue
        if any(item.messages() for item in chain):
            continue  # of another stream: MGC322 and MGC323 judge that
        until = inputs.through.end_of(chain[-1])
        if inputs.through.lag(get.t, until) > timing.RELAY_PROMPT * timing.LAG_SHARE:
            return Inconclusive("the machine was too busy while the missed messages were awaited")
        return fail(
            "the answer that was missed, or a refusal",
            f"the resumed stream stayed silent for {until - get.t:.1f} s",
            origin,
            get,
            charged_to=_charge(inputs, get, lambda item: _served(item) and not item.messages()),
        )
    if not served:
        return REFUSED if resumable(inputs.through) else _nothing_to_resume(inputs.through)
    return Pass(f"{len(served)} stream(s) resumed, each with what was missed", served[0][0].events)


@rule(
    id="MGC325",
    title="The stream of a POST is resumed by GET",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.SERVER,
    requirements=("RES-07",),
    revisions=(Revision.V2025_11_25,),
    when=CALL_LEFT,
    failure_classes=("resumption-broken",),
)
def post_stream_is_resumed_by_get(inputs: Inputs) -> Verdict:
    """Judge whether ids given on the streams of POSTs are good for anything.

    What it checks: where GET is served, a GET with an event id of a POST's stream is answered with a stream too.
    Why it matters: an event id is a promise that one may come back; clients that are refused lose the answer.
    A failing exchange: POST → id: 3-0; GET → 200; GET with Last-Event-ID: 3-0 → 400
    A conforming exchange: POST → id: 3-0; GET → 200; GET with Last-Event-ID: 3-0 → 200 text/event-stream
    Known gaps: that a store may have forgotten is no excuse here, the ids are a second old.
    """
    if not resumable(inputs.through):
        return _nothing_to_resume(inputs.through)
    if not open_streams(inputs.through):
        return NotApplicable("no GET stream: GET was not answered with one")
    tried = list(resumes(inputs.through))
    for get, origin in tried:
        if not _served(get):
            return fail(
                "an event stream for the GET that resumes a POST's stream",
                f"it was answered {said(get)}",
                origin,
                get,
                charged_to=_charge(inputs, get, lambda item: not _served(item)),
            )
    if not tried:
        return Inconclusive("nobody came back with the event ids")
    return Pass(f"{len(tried)} POST stream(s) resumed by GET", tried[0][0].events)


@rule(
    id="MGC328",
    title="An unknown event id brings nothing back and does no harm",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.SERVER,
    requirements=("RES-06",),
    when=UNKNOWN_EVENT,
    failure_classes=("resumption-broken",),
)
def unknown_event_id_is_harmless(inputs: Inputs) -> Verdict:
    """Judge a GET whose Last-Event-ID was never given by the gateway.

    What it checks: it is answered, no message comes again that had come on another stream, and the session lives on.
    Why it matters: clients keep ids over a restart or take them from another server; replaying all they ever got to
    them repeats answers.
    A failing exchange: GET with Last-Event-ID: x → every answer of the session once more
    A conforming exchange: GET with Last-Event-ID: x → 200 and a stream of new messages; or a refusal
    Known gaps: which status refuses is not judged: the specification names none, and the Python SDK says 500.
    """
    gets = unknown_ids(inputs.through)
    for get in gets:
        if any(_unserved(inputs.through, item) for item in _plain_before(inputs.through, get)):
            return Inconclusive("a GET without an event id had not been served in time in that session either")
        if get.status is None and headers_waited(inputs.through, get) > timing.HEADERS_PROMPT:
            return fail("an answer to GET with an unknown event id", "none came", get)
        for message in get.messages():
            if owner(inputs.through, get.tap, message) is not None and _came_before(inputs.through, get, message):
                return fail(
                    "nothing of another stream",
                    f"the {_kind(message)} of an earlier request came again",
                    get,
                    events=(message.seq,),
                    charged_to=_charge(inputs, get, lambda item: any(m.is_response for m in item.messages())),
                )
        later = later_answers(inputs.through, get, get.t)
        if later and without_result(later[0]):
            return fail("a session that lives on", f"tools/list was then answered {said(later[0])}", get, later[0])
    return Pass(f"answered {said(gets[0])}; nothing came again", gets[0].events)


def _charge(inputs: Inputs, get: Exchange, same: Callable[[Exchange], bool]) -> Hop:
    """Return whose fault a deviation in a resumed stream is: the backend's only if it was asked to resume one."""
    return charge(inputs, get, lambda item: LAST_EVENT_ID in item.headers and same(item))


def _came_before(transcript: Transcript, get: Exchange, message: Message) -> bool:
    """Whether the same message came to that client on another of its streams; if not, it may be late, but not again."""
    others = (item for item in transcript.client() if item.tap == get.tap and item.id != get.id)
    return any(known.payload == message.payload and known.t < message.t for o in others for known in o.messages())


def _plain_before(transcript: Transcript, get: Exchange) -> tuple[Exchange, ...]:
    """Return the GETs of the same session before this one that named no event."""
    return tuple(
        item
        for item in session_gets(transcript)
        if item.tap == get.tap and item.t < get.t and LAST_EVENT_ID not in item.headers
    )


def _unserved(transcript: Transcript, get: Exchange) -> bool:
    """Whether a GET was not found, or had to wait for its answer longer than is fit."""
    return get.status == _NOT_FOUND or headers_waited(transcript, get) > timing.HEADERS_PROMPT


def _served(get: Exchange) -> bool:
    return get.status == 200 and get.is_stream


def _repeats(get: Exchange, streams: tuple[Exchange, ...]) -> bool:
    """Whether a GET brought a message that had come at the event it names, or before it.

    What passed the tap after that event may never have been read by a client that was leaving, and is due again.
    """
    named = [b.seq for item in streams for b in numbered(item) if b.id == get.headers[LAST_EVENT_ID]]
    before = [m.payload for item in streams for m in item.messages() if m.seq <= min(named, default=0)]
    return any(message.payload in before for message in get.messages())


def _answers(message: Message, origin: Exchange) -> bool:
    request = origin.request
    return message.is_response and isinstance(request, dict) and message.id == request.get("id")


def _kind(message: Message) -> str:
    return "response" if message.is_response else "progress"
