"""What the rules of family clients read from evidence: a real client's steps, and whose fault one that failed is.

A client's word is not enough. Where a step failed, the exchanges at the client tap while it lasted are looked at: if
one of them was answered wrongly, that is the gateway's, or the backend's where the linked exchange behind it was; if
each was answered as it must be, the client stumbled over correct answers. A client that fails the same step straight at
the backend fails without any gateway.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from conformance import timing
from conformance.evidence.events import JSON, Event, Hop
from conformance.evidence.exchanges import is_outline
from conformance.evidence.transcript import Exchange, Message, Transcript
from conformance.rules.base import Inputs, Precondition
from conformance.rules.initialize_ordering_evidence import DISCOVER, asked_of_backends, result_fault, said
from conformance.rules.preconditions import initializes
from conformance.rules.transparency_calls_evidence import capabilities_of, has
from conformance.rules.transparency_negotiation import OFFER_OF
from conformance.spec.revisions import MODERN

SUITE: Final = "clients"
STUMBLES: Final = "client-stumbles"
ERAS: Final = "era-mismatch"
"""Class of what happens to a client that the gateway agreed with on a revision that its backend does not speak."""

INVALID_REQUEST: Final = -32600
"""JSON-RPC 2.0, 5.1: what was sent is not a request that may be made."""

METHOD_NOT_FOUND: Final = -32601
CONFLICT: Final = 409

_SESSION: Final = "mcp-session-id"


@dataclass(frozen=True, slots=True)
class StepSeen:
    """A step of the contract: what was asked of the client and what it said. start, end: seconds.

    nonce: the text that a call's result must hold, empty where the backend's tool returns none.
    """

    name: str
    client: str
    ok: bool
    detail: str
    data: Mapping[str, JSON]
    nonce: str
    start: float
    end: float
    events: tuple[int, ...]

    @property
    def succeeded(self) -> bool:
        """Whether the client did it; a call whose result is an error was not done."""
        return self.ok and not self.data.get("is_error")

    @property
    def words(self) -> str:
        """Why it failed, in the client's words."""
        return self.detail or str(self.data.get("text") or "it gave no reason")[:200]


def steps(transcript: Transcript, name: str) -> tuple[StepSeen, ...]:
    """Return the steps of one name that were asked of real clients and came to an end, in order."""
    found: list[StepSeen] = []
    asked: Event | None = None
    for event in transcript.events:
        if event.data.get("step") != name:
            continue
        if event.data.get("name") == "client.step":
            asked = event
        elif event.data.get("name") == "client.answer" and asked is not None:
            found.append(_seen(asked, event))
    return tuple(found)


def _seen(asked: Event, answered: Event) -> StepSeen:
    said_ = answered.data
    return StepSeen(
        name=str(said_["step"]),
        client=f"client:{said_['client']}",
        ok=bool(said_["ok"]),
        detail=str(said_["detail"]),
        data=said_["data"],
        nonce=str(asked.data.get("note") or ""),
        start=asked.t,
        end=answered.t,
        events=(asked.seq, answered.seq),
    )


def asked_for(step: str, what: str) -> Precondition:
    """Return the precondition that a real client was asked for a step. what: the step in words."""
    return Precondition(
        f"client-{step}",
        f"{what}: the client has no such step, the backend no tool for it, or what comes before it failed",
        lambda transcript: bool(steps(transcript, step)),
    )


def during(transcript: Transcript, step: StepSeen) -> tuple[Exchange, ...]:
    """Return what the client asked the gateway's endpoint while the step lasted."""
    made = (i for i in transcript.exchanges if i.tap == step.client and step.start <= i.t <= step.end)
    return tuple(item for item in made if not item.is_metadata)


def fault(item: Exchange, end: float, *, lost: bool = False) -> str:
    """Return what is wrong with the answer to a client's request, empty when nothing is.

    end: until when it was waited for, in seconds. lost: the session may be gone, so that 404 is the right answer.
    """
    if item.status is None:
        return _silence(item, end)
    if lost and item.status == 404 and _SESSION in item.headers:
        return ""
    if item.method == "GET":
        fine = item.status == 405 or (item.status == 200 and item.is_stream)
        fine = fine or (400 <= item.status < 500 and _SESSION not in item.headers)  # a probe, outside of any session
        return "" if fine else f"GET was answered {item.status} {item.content_type}".rstrip()
    if item.method == "DELETE":
        return "" if item.status < 300 or item.status == 405 else f"DELETE was answered {item.status}"
    if not isinstance(item.request, Mapping) or item.rpc_method == DISCOVER:
        return ""  # the probe for a modern server may be refused, and is then followed by initialize
    if "id" in item.request and item.rpc_method is not None:
        return _wrong_answer(item)
    return "" if item.status < 300 else f"{item.rpc_method or 'a response'} was answered {item.status}"


def _silence(item: Exchange, end: float) -> str:
    """Say that no response came, unless the client itself left before one had to."""
    until = item.ended(end)
    if item.how == "abandoned" and until - item.t < timing.ANSWER:
        return ""
    how = {"rst": "was reset", "fin": "was closed without a response"}.get(item.how, "had no response")
    return f"{item.method} {item.rpc_method or ''} {how} in {until - item.t:.1f} s".replace("  ", " ")


def _wrong_answer(item: Exchange) -> str:
    answer = item.answer()
    if answer is None or answer.result is None:
        return f"{item.rpc_method} was answered {said(item)}"
    if item.rpc_method == "initialize":
        return result_fault(answer.result) or ""
    if item.rpc_method == "tools/list" and not (isinstance(answer.result.get("tools"), list) or is_outline(item)):
        return "the answer to tools/list holds no list"
    if item.rpc_method == "tools/call" and answer.result.get("isError"):
        return f"the call's result is an error: {json.dumps(answer.result.get('content'))[:160]}"
    return ""


@dataclass(frozen=True, slots=True)
class Blame:
    """Whose fault a failed step is. why: what shows it. exchanges: those that do."""

    hop: Hop
    why: str
    exchanges: tuple[Exchange, ...] = ()

    def symptom(self, otherwise: str) -> str:
        """Return the class that the failure is a symptom of. otherwise: the gateway's, where nothing tells more."""
        if self.hop is Hop.CLIENT:
            return STUMBLES
        return ERAS if any(map(is_modern, self.exchanges)) else otherwise


def is_modern(item: Exchange) -> bool:
    """Whether a request is of a revision without a handshake: client and gateway have agreed on that."""
    version = item.headers.get("mcp-protocol-version", "")
    return version in MODERN and item.rpc_method != DISCOVER


def blame(inputs: Inputs, step: StepSeen, *, lost: bool = False) -> Blame:
    """Return whose fault it is that a real client failed a step.

    lost: the gateway may rightly have forgotten the session.
    """
    if (straight := _straight(inputs, step)) is not None:
        return straight
    made = during(inputs.through, step)
    for item, wrong in _wronged(inputs.through, step, lost=lost):
        hop = Hop.BACKEND if _same_behind(inputs, item) else Hop.GATEWAY
        return Blame(hop, wrong, (item,))
    if not made:
        return Blame(Hop.CLIENT, "the client sent nothing")
    return Blame(Hop.CLIENT, f"each of its {len(made)} request(s) was answered as it must be", made[-2:])


def _wronged(transcript: Transcript, step: StepSeen, *, lost: bool = False) -> Iterator[tuple[Exchange, str]]:
    """Yield what was answered wrongly while a step lasted, and how."""
    for item in during(transcript, step):
        wrong = fault(item, step.end, lost=lost)
        if wrong and not _asked_wrongly(transcript, item):
            yield item, wrong


def _asked_wrongly(transcript: Transcript, item: Exchange) -> bool:
    """Whether a client was refused what it may not ask: what was not declared, or a second GET beside an open one.

    Reference servers answer 409 to the second GET of a session.
    """
    answer, offer = item.answer(), OFFER_OF.get(str(item.rpc_method))
    if answer is not None and answer.error is not None and answer.error.get("code") == METHOD_NOT_FOUND:
        opened = [i.answer() for i in initializes(transcript) if i.tap == item.tap and i.seq < item.seq]
        told = opened[-1] if opened else None
        return offer is not None and told is not None and not has(capabilities_of(told.result), offer)
    return (item.method, item.status) == ("GET", CONFLICT) and any(
        other.method == "GET" and other.is_stream and (other.tap, other.session) == (item.tap, item.session)
        for other in transcript.exchanges
        if other.t < item.t < transcript.over_for_client(other)
    )


def _straight(inputs: Inputs, step: StepSeen) -> Blame | None:
    """Return the blame for a step that fails straight at the backend as well, None where it does not."""
    control = inputs.control
    if control is None or not control.footer.get("complete"):
        return None
    alone = [item for item in steps(control, step.name) if not item.succeeded]
    if not alone:
        return None
    wrong = [why for _, why in _wronged(control, alone[0])]
    if wrong:
        return Blame(Hop.BACKEND, f"straight at the backend it fails as well: {wrong[0]}")
    return Blame(Hop.CLIENT, f"straight at the backend it fails as well, which answered as it must: {alone[0].words}")


def _same_behind(inputs: Inputs, item: Exchange) -> bool:
    """Whether the backend answered what the gateway asked of it because of a request with an error, or not at all.

    What it refused with a 4xx status, or as an invalid request, the gateway had asked wrongly.
    """
    exchanges = {other.id: other for other in inputs.through.backend}
    for request, answer in asked_of_backends(inputs.through, item):
        behind = exchanges.get(request.exchange or "")
        refused = behind is not None and behind.status is not None and 400 <= behind.status < 500
        invalid = answer is not None and answer.error is not None and answer.error.get("code") == INVALID_REQUEST
        if _failed(answer) and not (refused or invalid):
            return True
    return False


def _failed(answer: Message | None) -> bool:
    return answer is None or answer.result is None or bool(answer.result.get("isError"))


def holds(value: JSON, text: str) -> bool:
    """Whether a text stands anywhere in a JSON value."""
    return text in json.dumps(value, ensure_ascii=False)
