"""Family transparency, payloads: large arguments and results pass as they are.

RFC 9110 section 15.5.14 (413); the specification sets no limit to a message.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from conformance import timing
from conformance.evidence.events import JSON, Hop, Kind
from conformance.evidence.links import nonce_of
from conformance.evidence.transcript import Exchange, Message, Transcript
from conformance.rules.base import Inputs, Level, Precondition, Side, fail, rule
from conformance.rules.keep_alive_evidence import backend_answer, calls, links_of, succeeded
from conformance.rules.transparency_messages_evidence import arguments_of, texts_of
from conformance.rules.verdicts import Inconclusive, Pass, Verdict

SUITE: Final = "transparency"

MUST_PASS: Final = 800_000
"""Characters, which make a body of under 1 MB. Up to here a refusal is a fault: one picture as base64 has as much, and
the SDKs' servers take 4 MiB."""


_OF_THE_TEXT: Final = 1024
"""Bytes. A chunk of more than this is no comment and no head of a message."""
_SHORTENED: Final = re.compile(r"(\d+) characters, SHA-256 ")
_RECENT: Final = timing.RELAY_PROMPT


@dataclass(frozen=True, slots=True)
class Large:
    """A call with a large text: the characters in its body, and whether that went `up` or came `down`."""

    call: Exchange
    size: int
    way: str


def _large(transcript: Transcript) -> Iterator[Large]:
    """Yield the calls that the scenario made large, in order."""
    made = {event.data.get("nonce"): event.data for event in transcript.stimuli("payload")}
    for call in calls(transcript):
        found = made.get(nonce_of(call))
        if found is not None:
            yield Large(call, int(found["size"]), str(found["way"]))


LARGE = Precondition("large-payload", "a call with a large text", lambda transcript: any(_large(transcript)))


@rule(
    id="MGC737",
    title="Large arguments and results pass unchanged",
    suite=SUITE,
    level=Level.PRACTICE,
    side=Side.TRANSPARENCY,
    requirements=("FLOW-22",),
    when=LARGE,
    failure_classes=("large-payload-lost",),
)
def payloads_pass(inputs: Inputs) -> Verdict:
    """Compare large texts on both sides of the gateway, by length and digest.

    What it checks: what is sent arrives; above MUST_PASS characters an error that the client gets is as good.
    Why it matters: files and pictures travel as text in calls; default limits of parsers cut or refuse them.
    A failing exchange: {"text": 0.8 MB} → 413; or backend → 4 MB of text, client ← its first MB
    A conforming exchange: {"text": 0.8 MB} → its result; {"text": 16 MB} → 413
    Known gaps: other members of a result than its content are not compared; where the gateway's own tool puts its
    backend's text into a text of its own, that is only to be no shorter.
    """
    passed: list[int] = []
    undecided = "no large text was answered"
    for large in _large(inputs.through):
        trouble = _trouble(inputs.through, large)
        if not trouble:
            passed.append(large.size)
        elif _undecided(inputs.through, large):
            undecided = f"one of {large.size} characters was still on its way when its client gave up"
            break
        elif not (large.size > MUST_PASS and _said_no(large.call)):
            limit = "unchanged" if large.size <= MUST_PASS else "unchanged, or refused with an error"
            return fail(
                f"a body of {large.size} characters passes {limit}",
                f"going {large.way}, {trouble}",
                large.call,
                charged_to=_to_blame(inputs.through, large),
                symptom="large-payload-lost",
            )
    if not passed:
        return Inconclusive(undecided)
    return Pass(f"{len(passed)} texts passed unchanged, the longest of {max(passed)} characters")


def _trouble(transcript: Transcript, large: Large) -> str:
    """Return what became of a large text, empty when it arrived."""
    linked = links_of(transcript, large.call)
    if not linked:
        return f"the call did not reach the backend; the client got {_got(large.call)}"
    link = linked[-1]
    if large.way == "up" and arguments_of(link.backend) != arguments_of(large.call):
        return "other arguments reached the backend"
    sent = backend_answer(transcript, link)
    if sent is None or sent.result is None:
        return f"the backend gave no result; the client got {_got(large.call)}"
    answer = large.call.answer()
    if answer is None or not succeeded(large.call):
        return f"the client got {_got(large.call)}"
    own = transcript.meta_tool
    if own is not None and own.text_in:
        shorter = _length(answer) < _length(sent)
        return "a shorter result reached the client" if shorter else ""
    return "" if _content(answer) == _content(sent) else "another result reached the client"


def _undecided(transcript: Transcript, large: Large) -> bool:
    """Whether the text was still on its way when its client gave up: a slow machine has decided then.

    So it has where the machine was too busy in the silence before: a text is no longer passed on that is not read.
    Of a text on its way from a stdio backend nothing is seen until its line ends.
    """
    call, end = large.call, transcript.over_for_client(large.call)
    if call.how not in ("abandoned", "open") or call.answer() is not None:
        return False
    for link in links_of(transcript, call)[-1:]:
        answer = backend_answer(transcript, link)
        on_its_way = large.size > MUST_PASS and link.exchange is None if answer is None else answer.t > end - _RECENT
        if on_its_way:
            return True
    chunks = (event for event in transcript.of(Kind.CHUNK) if event.data["length"] > _OF_THE_TEXT and event.t <= end)
    last = max((call.t, *(event.t for event in chunks)))
    silent = end - last - _RECENT
    return silent <= 0 or transcript.lag(last, end) > silent * timing.LAG_SHARE


def _content(message: Message) -> JSON:
    return (message.result or {}).get("content")


def _length(message: Message) -> int:
    """Return the characters of a result's texts; a long one is told in evidence by its length and digest."""
    told = ((text, _SHORTENED.match(text)) for text in texts_of(message) if isinstance(text, str))
    return sum(int(found[1]) if found else len(text) for text, found in told)


def _got(call: Exchange) -> str:
    answer = call.answer()
    if answer is not None:
        return "an error" if not succeeded(call) else "a result"
    return f"HTTP {call.status}" if call.status is not None else f"no response ({call.how})"


def _said_no(call: Exchange) -> bool:
    """Whether the client was told of a failure: by an error, a tool error or an HTTP error."""
    return (call.status or 0) >= 400 or (call.answer() is not None and not succeeded(call))


def _to_blame(transcript: Transcript, large: Large) -> Hop:
    """Return the backend where it refused the text that had reached it unchanged, else the gateway."""
    for link in links_of(transcript, large.call)[-1:]:
        answer = backend_answer(transcript, link)
        refused = link.exchange is not None and (link.exchange.status or 0) >= 400
        if refused or (answer is not None and answer.result is None):
            return Hop.BACKEND
    return Hop.GATEWAY
