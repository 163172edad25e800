"""Family streaming, events: whoever reads a conforming event stream finds the message on it (MGC601 to 603)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from conformance.evidence.events import JSON
from conformance.evidence.links import nonce_of
from conformance.evidence.transcript import Exchange, Message, Transcript
from conformance.rules.base import Inputs, Level, Precondition, Side, fail, rule
from conformance.rules.keep_alive_evidence import backend_answer, calls, links_of
from conformance.rules.transparency_messages_evidence import arguments_of
from conformance.rules.verdicts import Inconclusive, NotExercised, Pass, Verdict

SUITE: Final = "streaming"
LINE_ENDS: Final = ("sse-crlf", "sse-cr", "sse-split", "sse-bom")
FIELDS: Final = ("sse-data-lines", "sse-other-fields")
UNENDED: Final = "sse-unended"


def manner_of(exchange: Exchange) -> str | None:
    """Return the manner in which a call asked the witness to answer, None where it asked for none."""
    manner = arguments_of(exchange).get("manner")
    return manner if isinstance(manner, str) else None


def asked_in(transcript: Transcript, *manners: str) -> tuple[Exchange, ...]:
    """Return the calls that asked to be answered in one of these manners."""
    return tuple(call for call in calls(transcript) if manner_of(call) in manners)


def text_of(answer: Message | None) -> JSON:
    """Return the text of a tool's result, None where it has none."""
    content = answer.result.get("content") if answer is not None and answer.result is not None else None
    first = content[0] if isinstance(content, list) and content else None
    return first.get("text") if isinstance(first, Mapping) else None


SPELLED: Final = Precondition(
    "spelled-streams",
    "a call answered on an event stream in an unusual spelling",
    lambda transcript: bool(asked_in(transcript, *LINE_ENDS, *FIELDS)),
)
UNENDED_EVENT: Final = Precondition(
    "unended-event",
    "a call whose answer's event was not ended by a blank line",
    lambda transcript: bool(asked_in(transcript, UNENDED)),
)


@rule(
    id="MGC601",
    title="Event streams are read whatever ends their lines and however they are cut",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.CLIENT,
    requirements=("SSEW-01",),
    when=SPELLED,
    failure_classes=("sse-misread",),
)
def line_ends_are_read(inputs: Inputs) -> Verdict:
    """Judge the gateway as the reader of its backend's event stream.

    What it checks: calls answered with CR, LF or CRLF as line ends, a byte order mark, or an event cut inside a
    character and inside CRLF, are answered with the backend's own text.
    Why it matters: SDKs differ in the line ends they send, and packets end anywhere.
    A failing exchange: backend → `data: {…}` CR CR; client ← nothing
    A conforming exchange: backend → `data: {…}` CR CR; client ← the result
    Known gaps: line ends mixed on one stream are not tried.
    """
    return _read_as_sent(inputs, LINE_ENDS)


@rule(
    id="MGC602",
    title="Event streams are read whatever fields and comments stand on them",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.CLIENT,
    requirements=("SSEW-02",),
    when=SPELLED,
    failure_classes=("sse-misread",),
)
def fields_are_read(inputs: Inputs) -> Verdict:
    """Judge the gateway as the reader of its backend's event stream.

    What it checks: calls answered with the message over several data fields, with and without the space after the
    colon, beside unknown fields and events of another type, are answered with the backend's own text.
    Why it matters: all of it is legal, and a reader that takes the first data field, or stops at what it does not know,
    loses the answer.
    A failing exchange: backend → `data: {"jsonrpc":"2.0",` LF `data: "id":3,…}`; client ← nothing
    A conforming exchange: backend → the same; client ← the result
    Known gaps: an event of another type must only do no harm; whether it is passed on is not judged.
    """
    return _read_as_sent(inputs, FIELDS)


def _read_as_sent(inputs: Inputs, manners: tuple[str, ...]) -> Verdict:
    through = inputs.through
    asked = asked_in(through, *manners)
    if not asked:
        return NotExercised(f"a call answered in one of {', '.join(manners)}")
    for call in asked:
        linked = links_of(through, call)
        sent = backend_answer(through, linked[-1]) if linked else None
        if sent is None:
            return Inconclusive(f"the call in manner {manner_of(call)} has no answer at the backend")
        answer = call.answer()
        if text_of(answer) != text_of(sent):
            got = "nothing" if answer is None else f"the error {answer.error}" if answer.error else "another text"
            return fail(
                f"the result that the backend sent in the manner {manner_of(call)}",
                f"the client got {got}, HTTP status {call.status}",
                call,
                events=(sent.seq,),
                symptom="sse-misread",
            )
    return Pass(f"answers in the manners {', '.join(str(manner_of(call)) for call in asked)} arrived", asked[0].events)


@rule(
    id="MGC603",
    title="An event that no blank line has ended is discarded",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.CLIENT,
    requirements=("SSEW-03",),
    when=UNENDED_EVENT,
    failure_classes=("sse-misread",),
)
def unended_events_are_discarded(inputs: Inputs) -> Verdict:
    """Judge what the gateway makes of an event that was not ended when the stream was.

    What it checks: the message in it does not reach the client.
    Why it matters: a stream that breaks off leaves half an event; who takes it for a whole one passes on half a result.
    A failing exchange: backend → `data: {…}` LF, end of the stream; client ← the result
    A conforming exchange: backend → the same; client ← an error, or the end of its stream
    Known gaps: that the client is told something is another rule's.
    """
    for call in asked_in(inputs.through, UNENDED):
        if not links_of(inputs.through, call):
            return Inconclusive("the call was not seen at the backend")
        answer = call.answer()
        if answer is not None and str(nonce_of(call)) in str(answer.result):  # the witness puts it into each result
            return fail("no result: its event was never ended", "the result reached the client", call)
    return Pass("the result in an event without its end did not reach the client")
