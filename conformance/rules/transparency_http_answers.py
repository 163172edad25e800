"""Family transparency, answers: both forms of a backend's answer are read, and its faults stay what they are.

2025-11-25 basic/transports, Sending Messages to the Server 5 and 6; server/tools, Error Handling.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from conformance.evidence.events import Hop
from conformance.evidence.links import Link
from conformance.evidence.transcript import Exchange, Message, Transcript
from conformance.rules.base import Inputs, Level, Precondition, Side, fail, rule
from conformance.rules.get_sse_resumption_evidence import LAST_EVENT_ID
from conformance.rules.isolation_evidence import same_id
from conformance.rules.keep_alive_evidence import backend_answer, calls, links_of, primed, succeeded
from conformance.rules.verdicts import NotApplicable, Pass, Verdict

SUITE: Final = "transparency"


def _answered(transcript: Transcript) -> Iterator[tuple[Exchange, Link]]:
    """Yield calls that the backend answered with a good result over HTTP, and how they reached it."""
    for call in calls(transcript):
        for link in links_of(transcript, call)[-1:]:
            answer = backend_answer(transcript, link)
            whole = link.exchange is not None and link.exchange.status == 200 and link.exchange.how == "complete"
            if whole and answer is not None and answer.result is not None and not answer.result.get("isError"):
                yield call, link


def _form(link: Link) -> str:
    """Return the media type of the backend's answer as it was written."""
    return link.exchange.response_headers.get("content-type", "nothing") if link.exchange is not None else "nothing"


FORMS_OF_ANSWERS = Precondition(
    "answers-in-both-forms",
    "calls that the backend answered, some with JSON and some with an event stream",
    lambda transcript: len({link.exchange.content_type for _, link in _answered(transcript) if link.exchange}) > 1,
)


@rule(
    id="MGC734",
    title="A backend's answer is read in either of its forms",
    suite=SUITE,
    level=Level.MUST,
    side=Side.CLIENT,
    requirements=("POST-09",),
    when=FORMS_OF_ANSWERS,
    failure_classes=("http-form-mishandled",),
)
def answers_are_read_in_both_forms(inputs: Inputs) -> Verdict:
    """Compare what a client gets with the result that the backend gave, form by form.

    What it checks: results sent as JSON and as an event, with and without parameters and comments, arrive as they are.
    Why it matters: the server chooses the form, per request; a client of one form loses the other's results.
    A failing exchange: backend → 200 application/json; charset=utf-8 {"result": …}; client ← {"error": …}
    A conforming exchange: backend → 200 application/json; charset=utf-8 {"result": …}; client ← {"result": …}
    Known gaps: contents are compared, other members of the result are not.
    """
    through = inputs.through
    forms: list[str] = []
    for call, link in _answered(through):
        sent, came = backend_answer(through, link), call.answer()
        content = (came.result or {}).get("content") if came is not None else None
        if sent is None or sent.result is None or content == sent.result.get("content"):
            forms.append(_form(link))
            continue
        got = "another result" if content is not None else f"no result, HTTP status {call.status}"
        return fail(
            f"the result that the backend sent as {_form(link)}",
            f"the client got {got}",
            call,
            *([link.exchange] if link.exchange is not None else []),
        )
    return Pass(f"read: {', '.join(sorted(set(forms)))}")


def faulted(transcript: Transcript) -> tuple[tuple[Exchange, tuple[Link, ...]], ...]:
    """Return calls that reached the backend and got no good result there, in no attempt of the gateway's."""
    found = []
    for call in calls(transcript):
        linked = links_of(transcript, call)
        if linked and not any(_good(transcript, link) for link in linked):
            found.append((call, linked))
    return tuple(found)


def _good(transcript: Transcript, link: Link) -> bool:
    answer = backend_answer(transcript, link) or _resumed_answer(transcript, link)
    refused = link.exchange is not None and (link.exchange.status or 0) >= 400
    return answer is not None and answer.result is not None and not refused


def _resumed_answer(transcript: Transcript, link: Link) -> Message | None:
    """Return the answer that a backend gave where the gateway resumed the call's stream, which had event ids."""
    if link.exchange is None or not primed(link.exchange):
        return None
    resuming = (
        item
        for item in transcript.backend
        if item.method == "GET"
        and LAST_EVENT_ID in item.headers
        and item.t > link.backend.t
        and (item.tap, item.session) == (link.backend.tap, link.backend.session)
    )
    answers = (message for item in resuming for message in item.messages() if message.is_response)
    return next((message for message in answers if same_id(message.id, link.backend.id)), None)


FAULT = Precondition(
    "fault-of-backend",
    "a call that reached the backend and got no result there",
    lambda transcript: bool(faulted(transcript)),
)


@rule(
    id="MGC735",
    title="A backend's fault does not read as a success",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.TRANSPARENCY,
    requirements=("FLOW-23",),
    when=FAULT,
    failure_classes=("error-misclassified",),
)
def fault_is_no_success(inputs: Inputs) -> Verdict:
    """Judge the answers to calls that the backend answered with a fault.

    What it checks: at most one response comes, and it is an error or a tool error, not a good result. A stream that
    ended before the answer is no fault where the answer came when the gateway resumed it.
    Why it matters: a model takes the text of a good result for what the tool found, an error page included.
    A failing exchange: backend → 500; client ← {"result": {"content": [{"text": "Error: 500"}]}}
    A conforming exchange: backend → 500; client ← {"result": {"content": […], "isError": true}}, or an error, or 502
    Known gaps: no answer at all is judged in suite keep_alive; how well an error's code fits is not judged.
    """
    found = faulted(inputs.through)
    for call, linked in found:
        responses = [message for message in call.messages() if message.is_response]
        behind = [link.exchange for link in linked if link.exchange is not None]
        if succeeded(call) or len(responses) > 1:
            return fail(
                "one error, tool error or HTTP error",
                "the client got a good result" if len(responses) == 1 else f"the client got {len(responses)} responses",
                call,
                *behind,
            )
    events = tuple(seq for call, _ in found for seq in call.events)
    return Pass(f"{len(found)} fault(s), none of them a success", events)


def _after_fault(transcript: Transcript) -> tuple[tuple[Exchange, Exchange], ...]:
    """Return, for each call that met a fault, the next call in its session that did not meet one itself."""
    broken = {call.id for call, _ in faulted(transcript)}
    pairs = []
    made = calls(transcript)
    for number, call in enumerate(made):
        later = [item for item in made[number + 1 :] if item.tap == call.tap and item.session == call.session]
        if call.id in broken and later and later[0].id not in broken:
            pairs.append((call, later[0]))
    return tuple(pairs)


AFTER_FAULT = Precondition(
    "call-after-fault",
    "a call in a session in which one met a fault of the backend",
    lambda transcript: bool(_after_fault(transcript)),
)


@rule(
    id="MGC736",
    title="A backend's fault costs one call and not the session",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.TRANSPARENCY,
    requirements=("FLOW-24",),
    when=AFTER_FAULT,
    failure_classes=("fault-poisons-session",),
)
def session_survives_a_fault(inputs: Inputs) -> Verdict:
    """Judge the call that follows one that met a fault of the backend.

    What it checks: it is answered with a result, where the backend answers it.
    Why it matters: one bad gateway answer in the morning, and every user's session is dead until it is opened anew.
    A failing exchange: call → backend resets; next call → no answer, and nothing reaches the backend
    A conforming exchange: call → backend resets, client ← an error; next call → its result
    Known gaps: a session that the gateway ends with 404, so that its client begins anew, passes.
    """
    pairs = _after_fault(inputs.through)
    ended = [later for _, later in pairs if later.status == 404]
    for call, later in pairs:
        if not succeeded(later) and later.status != 404:
            answer = later.answer()
            got = "an error" if answer is not None else f"no answer, HTTP status {later.status}"
            return fail("the next call's result", f"it got {got}", call, later, charged_to=Hop.GATEWAY)
    if len(ended) == len(pairs):
        return NotApplicable("the gateway ends the session when the backend fails")
    return Pass(f"{len(pairs)} call(s) after a fault were served", pairs[0][1].events)
