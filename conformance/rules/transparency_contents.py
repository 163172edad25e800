"""Family transparency, contents: what one side says reaches the other unchanged, and each call reaches it once.

Both sides of a call are linked by its nonce; where there is no such link nothing is said.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from conformance.evidence.events import JSON
from conformance.evidence.links import links, nonce_of
from conformance.evidence.transcript import Exchange, Transcript
from conformance.rules.base import OWN_TOOLS, Inputs, Level, Precondition, Side, charge, fail, rule
from conformance.rules.isolation_evidence import LOG, nonce_in
from conformance.rules.session_reuse_evidence import posted, said
from conformance.rules.transparency_messages_evidence import (
    SUITE,
    Served,
    arguments_of,
    error_words,
    failed_at_backend,
    garbled_text,
    members_lost,
    not_served,
    other_error,
    served,
    strange_members,
    strange_meta,
    texts_of,
    turned_away,
)
from conformance.rules.verdicts import Fail, Inconclusive, NotExercised, Pass, Verdict
from conformance.spec.revisions import Revision

ALTERED: Final = "content-altered"
NO_LINK: Final = "no call can be followed from one side to the other, for none was answered on both"


def _beyond_ascii(transcript: Transcript) -> list[Exchange]:
    """Return the calls with a nonce whose text is not ASCII."""
    calls = [item for item in posted(transcript, "tools/call") if nonce_of(item) is not None]
    return [item for item in calls if not str(arguments_of(item).get("text", "")).isascii()]


def _with_meta(transcript: Transcript) -> list[Exchange]:
    return [item for item in posted(transcript, "tools/call") if strange_meta(item.request.get("params"))]


UNICODE: Final = Precondition(
    "text-beyond-ascii",
    "a call whose text is not ASCII",
    lambda transcript: bool(_beyond_ascii(transcript)),
)
STRANGE_META: Final = Precondition(
    "meta-of-strangers",
    "a call with members of `_meta` that no revision defines",
    lambda transcript: bool(_with_meta(transcript)),
)
BOTH_SIDES: Final = Precondition(
    "call-on-both-sides",
    "a call that was answered on both sides of the gateway",
    lambda transcript: any(True for _ in served(transcript)),
)
FAILED: Final = Precondition(
    "call-failed-by-backend",
    "a call that the backend answered with an error",
    lambda transcript: any(map(failed_at_backend, served(transcript))),
)


@rule(
    id="MGC713",
    title="Text reaches the other side as it was written",
    suite=SUITE,
    level=Level.MUST,
    side=Side.TRANSPARENCY,
    requirements=("MSG-02",),
    when=UNICODE,
    failure_classes=(ALTERED,),
)
def text_survives(inputs: Inputs) -> Verdict:
    """Judge text with characters beyond ASCII on its way to the backend and back.

    What it checks: the call's text at the backend, and the result's text at the client, are the same by code points.
    Why it matters: JSON-RPC is UTF-8; a hop that assumes another encoding, or normalizes, damages names and data.
    A failing exchange: client: "café"; backend gets "cafÃ©"
    A conforming exchange: client: "café"; backend gets "café", and the client its echo
    Known gaps: a lone surrogate, which no UTF-8 can hold, is not sent.
    """
    asked = _beyond_ascii(inputs.through)
    for item in asked:
        if garbled := _garbled(inputs.through, item):
            return garbled
    both = [call for call in served(inputs.through) if call.link.client in asked]
    for call in both:
        wanted, came = arguments_of(call.link.client)["text"], arguments_of(call.link.backend).get("text")
        if came != wanted:
            return _altered(call, f"the text {wanted!a} at the backend", f"the gateway sent it {came!a}")
        if texts_of(call.got) != texts_of(call.said) and call.said.result is not None and call.got.result is not None:
            return _altered(call, f"the texts {texts_of(call.said)!a} at the client", f"it got {texts_of(call.got)!a}")
    if not both:
        return Inconclusive(NO_LINK)
    return Pass(f"{len(both)} texts, the same on both sides", both[0].link.client.events)


def _garbled(transcript: Transcript, item: Exchange) -> Fail | None:
    """Return the failure where bytes that are no UTF-8 stand in place of a call or its answer."""
    nonce = nonce_of(item) or ""
    for other in (item, *transcript.backend):
        wrong = other.request_body if other is not item else garbled_text(other)
        if nonce in wrong and "\ufffd" in wrong:
            where = "the client" if other is item else "the backend"
            return fail("UTF-8", f"{where} got what is no UTF-8: {wrong[:80]!a}", item, other, symptom=ALTERED)
    return None


def _altered(call: Served, expected: str, observed: str) -> Fail:
    """Return the failure for a call whose contents differ on the two sides."""
    where = (call.link.backend.seq, call.said.seq, call.got.seq)
    return fail(expected, observed, call.link.client, events=where, symptom=ALTERED)


@rule(
    id="MGC714",
    title="Unknown metadata does not keep a call from being served",
    suite=SUITE,
    level=Level.MUST,
    side=Side.SERVER,
    requirements=("MSG-19",),
    revisions=(Revision.V2025_06_18, Revision.V2025_11_25),
    when=STRANGE_META,
    failure_classes=(ALTERED,),
)
def unknown_meta_is_accepted(inputs: Inputs) -> Verdict:
    """Judge calls whose `_meta` has members of a vendor's, or under a reserved prefix, with values of every type.

    What it checks: such a call is answered with a result, as calls without them are.
    Why it matters: the keys belong to others; who presumes that values are text refuses what a later revision sends.
    A failing exchange: tools/call with _meta {"io.modelcontextprotocol/later": [1]} → -32602
    A conforming exchange: the same → a result
    Known gaps: whether the members reach the backend is MGC715's.
    """
    asked = _with_meta(inputs.through)
    plain = [item for item in posted(inputs.through, "tools/call") if item not in asked]
    if plain and all(map(not_served, plain)):
        return Inconclusive("no call without such members was served either")
    for item in asked:
        if not_served(item):
            return fail(
                "a result for a call with unknown members in `_meta`",
                f"it was answered {said(item)}",
                item,
                charged_to=charge(inputs, item, not_served),
                symptom=ALTERED,
            )
    return Pass(f"{len(asked)} call(s) with unknown metadata, each served", asked[0].events)


@rule(
    id="MGC715",
    title="Unknown metadata reaches the other side",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.TRANSPARENCY,
    requirements=("SAME-03", "MSG-19"),
    revisions=(Revision.V2025_06_18, Revision.V2025_11_25),
    when=STRANGE_META,
    failure_classes=(ALTERED,),
    needs_plain_tools=True,
)
def unknown_meta_survives(inputs: Inputs) -> Verdict:
    """Judge members of `_meta` that the gateway does not know, in calls, in results and in log messages.

    What it checks: each that one side sent came to the other with its value.
    Why it matters: tracing, tenancy and cost attribution travel there; a gateway that drops them cuts the trace.
    A failing exchange: client: _meta {"com.example/trace": …}; backend gets _meta {}
    A conforming exchange: client: _meta {"com.example/trace": …}; backend gets the same
    Known gaps: a log message that does not arrive at all is not judged here.
    """
    both = [call for call in served(inputs.through) if strange_meta(call.link.client.request.get("params"))]
    for call in both:
        for where, sent, came in _metas(call):
            lost = members_lost(strange_meta(sent), strange_meta(came))
            if lost:
                return _altered(call, f"the `_meta` of the {where} on the other side", f"without {lost}")
    logs = list(_logs(inputs.through))
    for seqs, sent, came in logs:
        lost = members_lost(strange_meta(sent), strange_meta(came))
        if lost:
            expected = "the `_meta` of the backend's log message at the client"
            return fail(expected, f"without {lost}", events=seqs, symptom=ALTERED)
    if not both:
        return Inconclusive(NO_LINK)
    return Pass(f"{len(both)} call(s) and {len(logs)} log message(s) kept their `_meta`", both[0].link.client.events)


def _metas(call: Served) -> Iterator[tuple[str, JSON, JSON]]:
    yield "call", call.link.client.request["params"], call.link.backend.params
    if call.said.result is not None and call.got.result is not None:
        yield "result", call.said.result, call.got.result


def _logs(transcript: Transcript) -> Iterator[tuple[tuple[int, ...], JSON, JSON]]:
    """Yield the log messages that carry a nonce and came on both sides: their events, and their params on each."""
    came = {nonce_in(m): m for m in transcript.client_messages() if m.method == LOG and m.direction == "down"}
    for message in transcript.backend_messages:
        got = came.get(nonce_in(message)) if message.method == LOG and nonce_in(message) is not None else None
        if got is not None:
            yield (message.seq, got.seq), message.params, got.params


@rule(
    id="MGC716",
    title="Arguments and structured results arrive as they were sent",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.TRANSPARENCY,
    requirements=("SAME-04",),
    when=BOTH_SIDES,
    failure_classes=(ALTERED,),
)
def data_survives(inputs: Inputs) -> Verdict:
    """Judge the data of calls: what the tool is given, and what it returns to programs.

    What it checks: every argument of a call reaches the backend, and structuredContent the client, with equal values.
    Why it matters: the schema of these data is the tool's; a gateway that drops nulls or the whole changes results.
    A failing exchange: backend: {"content": […], "structuredContent": {…}}; client gets {"content": […]}
    A conforming exchange: client gets both, with the same values
    Known gaps: text in arguments and results is MGC713's; where the gateway's own tool puts its backend's text into a
    result of another form, structuredContent is not judged.
    """
    both, own = list(served(inputs.through)), inputs.through.meta_tool
    reshaped = own is not None and bool(own.text_in)
    for call in both:
        lost = members_lost(arguments_of(call.link.client), arguments_of(call.link.backend), but=("text",))
        if lost:
            return _altered(call, "the arguments of the call at the backend", f"without {lost}, or with another value")
        said_, got = call.said.result, call.got.result
        if reshaped or said_ is None or got is None:
            continue
        if members_lost(_structured(said_), _structured(got)):
            came = "other values" if "structuredContent" in got else "none"
            return _altered(call, "the result's structuredContent at the client", f"it got {came}")
    what = f"arguments, and {OWN_TOOLS.why}" if reshaped else "data"
    return Pass(f"{len(both)} call(s), on both sides the same {what}", both[0].link.client.events)


def _structured(result: Mapping[str, JSON]) -> Mapping[str, JSON]:
    """Return a result's structured content, the text of an echo aside."""
    found = result.get("structuredContent")
    return {name: value for name, value in found.items() if name != "text"} if isinstance(found, Mapping) else {}


@rule(
    id="MGC717",
    title="Members that no revision defines reach the other side",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.TRANSPARENCY,
    requirements=("SAME-05",),
    when=STRANGE_META,
    failure_classes=(ALTERED,),
    needs_plain_tools=True,
)
def unknown_members_survive(inputs: Inputs) -> Verdict:
    """Judge members of a call's params, of its result and of its content that the gateway cannot know.

    What it checks: each that one side sent came to the other with its value.
    Why it matters: revisions add members; a gateway that keeps only those it knows holds back both of its sides.
    A failing exchange: backend: {"content": […], "comExampleMember": 1}; client gets {"content": […]}
    A conforming exchange: client gets both members
    Known gaps: members of log messages and of lists are not judged; `_meta` is MGC715's.
    """
    both = [call for call in served(inputs.through) if strange_meta(call.link.client.request.get("params"))]
    for call in both:
        pairs = [("call", call.link.client.request["params"], call.link.backend.params)]
        if call.said.result is not None and call.got.result is not None:
            pairs += [("result", call.said.result, call.got.result)]
            pairs += [("content", *items) for items in _contents(call)]
        for where, sent, came in pairs:
            if lost := members_lost(strange_members(sent), came):
                return _altered(call, f"every member of the {where} on the other side", f"without {lost}")
    if not both:
        return Inconclusive(NO_LINK)
    return Pass(f"{len(both)} call(s) kept members that no revision defines", both[0].link.client.events)


def _contents(call: Served) -> Iterator[tuple[JSON, JSON]]:
    """Yield the items of content on both sides, in order."""
    sent, came = ((result or {}).get("content") for result in (call.said.result, call.got.result))
    if isinstance(sent, list) and isinstance(came, list):
        yield from zip(sent, came, strict=False)


@rule(
    id="MGC718",
    title="A backend's error stays the error that it was",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.TRANSPARENCY,
    requirements=("SAME-06",),
    when=FAILED,
    failure_classes=("error-misclassified", ALTERED),
    needs_plain_tools=True,
)
def errors_survive(inputs: Inputs) -> Verdict:
    """Judge what a client gets where the backend answered a call with an error.

    What it checks: a protocol error keeps code and data, and its message at least as a part; a tool's stays a tool's.
    Why it matters: programs act on the code; models read a tool's error and correct themselves, a protocol's they never
    see.
    A failing exchange: backend: error 4711 "Rejected"; client gets a result {"isError": true}, or error -32603
    A conforming exchange: backend: error 4711 "Rejected"; client gets error 4711 "backend a: Rejected"
    Known gaps: no specification says what a gateway makes of its backend's errors.
    """
    both = [call for call in served(inputs.through) if failed_at_backend(call)]
    for call in both:
        if wrong := other_error(call):
            where = (call.link.backend.seq, call.said.seq, call.got.seq)
            expected = f"the backend's error: {error_words(call.said.error)}"
            return fail(expected, wrong, call.link.client, events=where, symptom="error-misclassified")
        error, got = call.said.error or {}, call.got.error or {}
        if members_lost({"data": error["data"]} if "data" in error else {}, got):
            return _altered(call, f"the error's data {error['data']}", f"the client got {got.get('data')}")
    return Pass(f"{len(both)} error(s) of the backend, the same at the client", both[0].link.client.events)


@rule(
    id="MGC719",
    title="One call of a client makes one call at the backend",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.TRANSPARENCY,
    requirements=("SAME-07",),
    when=BOTH_SIDES,
    failure_classes=("unsafe-retry",),
)
def calls_are_made_once(inputs: Inputs) -> Verdict:
    """Judge how often the backend is called for one call of a client.

    What it checks: each nonce reaches a backend once; a call redirected with a 3xx status or refused with 4xx was not
    executed and may be made again.
    Why it matters: tools act; a call that is repeated after a failure sends the e-mail twice.
    A failing exchange: client: one tools/call; backend: tools/call → 500, tools/call → 500
    A conforming exchange: client: one tools/call; backend: tools/call → 500; client gets an error
    Known gaps: a call that the backend dropped without any response may have been executed or not, and is not counted.
    """
    made: dict[str, list[int]] = {}
    found = [link for link in links(inputs.through) if nonce_of(link.client) is not None]
    for link in found:
        if link.exchange is None or (link.exchange.status is not None and not turned_away(link.exchange)):
            made.setdefault(link.client.id, []).append(link.backend.seq)
    if not found:
        return NotExercised("a call with a nonce, by which it is found again at the backend")
    for link in found:
        seqs = made.get(link.client.id, [])
        if len(seqs) > 1:
            return fail(
                "one call at the backend",
                f"the call with nonce {nonce_of(link.client)} was made {len(seqs)} times",
                link.client,
                events=tuple(seqs),
                symptom="unsafe-retry",
            )
    return Pass(f"{len(made)} calls, each made once at the backend", found[0].client.events)
