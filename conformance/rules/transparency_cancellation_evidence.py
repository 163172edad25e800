"""What the rules on cancellation read off the evidence: which call a cancel names, and what it became at the backend.

Ids are compared on one side of the gateway only: a client's cancel with that client's own calls, a gateway's cancel
with its own requests. What belongs together across the gateway is told by the nonce of the call.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from conformance import timing
from conformance.evidence.events import JSON
from conformance.evidence.links import Basis, Link, links
from conformance.evidence.transcript import BackendSession, Exchange, Message, Transcript
from conformance.rules.answers import without_result

SUITE: Final = "transparency"
CANCELLED: Final = "notifications/cancelled"
CROWD: Final = 6
"""Requests under way at one time in a session that keep a gateway busy: some open a session at the backend for each."""


def same(one: JSON, other: JSON) -> bool:
    """Whether two JSON-RPC ids are one, in value and type."""
    return type(one) is type(other) and bool(one == other)


def over_at(transcript: Transcript, call: Exchange) -> float | None:
    """Return when a call was answered or its response ended by the server, in seconds; None when neither was seen."""
    answer = call.answer()
    if answer is not None:
        return answer.t
    left = transcript.left_at(call)
    ended = call.how in ("complete", "fin", "rst") and call.t_end is not None
    return call.t_end if ended and (left is None or (call.t_end or 0.0) <= left) else None


def lagged(transcript: Transcript, start: float, end: float) -> bool:
    """Whether a busy machine could have decided what came between two times."""
    return transcript.lag(start, end) > max(end - start, timing.CANCEL_PROMPT) * timing.LAG_SHARE


# the client's side ---------------------------------------------------------------------------------------------------


def cancels(transcript: Transcript) -> tuple[Exchange, ...]:
    """Return the clients' POSTs of notifications/cancelled."""
    return tuple(item for item in transcript.client() if item.rpc_method == CANCELLED)


def named_by(cancel: Exchange) -> JSON:
    """Return the requestId of a cancel, None where there is none to be read."""
    params = cancel.request.get("params")
    return params.get("requestId") if isinstance(params, dict) else None


def same_session(one: Exchange, other: Exchange) -> bool:
    """Whether two exchanges are of one client and bear the same session id, or none."""
    return one.tap == other.tap and one.headers.get("mcp-session-id") == other.headers.get("mcp-session-id")


def requests(transcript: Transcript, beside: Exchange) -> tuple[Exchange, ...]:
    """Return the requests that were posted in the session of another exchange."""
    return tuple(
        item
        for item in transcript.client()
        if item.rpc_method is not None and "id" in item.request and same_session(item, beside)
    )


def under_way(transcript: Transcript, exchange: Exchange, t: float) -> bool:
    """Whether a request had been sent and not been answered at a time, in seconds."""
    answer = exchange.answer()
    over = answer.t if answer is not None else transcript.end_of(exchange)
    return exchange.t < t < over


def in_a_crowd(transcript: Transcript, cancel: Exchange) -> bool:
    """Whether so much was under way in a cancel's session that a gateway may be busy before it comes to the cancel."""
    return sum(under_way(transcript, item, cancel.t) for item in requests(transcript, cancel)) >= CROWD


def call_of(transcript: Transcript, cancel: Exchange) -> Exchange | None:
    """Return the request under way that a client's cancel names; None when it names none."""
    named = [
        item
        for item in requests(transcript, cancel)
        if same(item.request["id"], named_by(cancel)) and under_way(transcript, item, cancel.t)
    ]
    return named[-1] if named else None


def lost(transcript: Transcript, exchange: Exchange) -> bool:
    """Whether a request was refused or ended without a result, or was waited for as long as LOST_ANSWER in vain."""
    if not without_result(exchange):
        return False
    ended = exchange.answer() is not None or exchange.how in ("complete", "fin", "rst")
    return ended or transcript.end_of(exchange) - exchange.t >= timing.LOST_ANSWER


def named_requests(transcript: Transcript) -> tuple[Exchange, ...]:
    """Return the requests that a cancel of their own session names.

    Also those that were answered by then, and those that their cancel has overtaken: two connections keep no order, and
    a receiver may know of either first.
    """
    found = {
        item.id: item
        for cancel in cancels(transcript)
        for item in requests(transcript, cancel)
        if same(item.request["id"], named_by(cancel)) and item.t < cancel.t + timing.CANCEL_PROMPT
    }
    return tuple(found.values())


@dataclass(frozen=True, slots=True)
class Cancelled:
    """A call that its client cancelled while it was under way, and what it was at the backend.

    cancel: the client's POST. call: its call. link: the one request that the call became. session: where.
    """

    cancel: Exchange
    call: Exchange
    link: Link
    session: BackendSession

    @property
    def answered(self) -> Message | None:
        """The backend's response to the call."""
        return self.session.response_to(self.link.backend)

    @property
    def told(self) -> Message | None:
        """The gateway's first cancel of just this request."""
        asked = self.link.backend
        found = (
            m for m in sent_cancels(self.session) if m.seq > asked.seq and same(m.params.get("requestId"), asked.id)
        )
        return next(found, None)

    @property
    def events(self) -> tuple[int, ...]:
        """`seq` numbers of what is decisive on the backend's side."""
        seen = (self.link.backend, self.told, self.answered)
        return tuple(message.seq for message in seen if message is not None)


def cancelled(transcript: Transcript) -> tuple[Cancelled, ...]:
    """Return the calls that were cancelled under way and had become exactly one call at the backend, in order."""
    by_client: dict[str, list[Link]] = {}
    for link in links(transcript):
        if link.basis is Basis.NONCE:
            by_client.setdefault(link.client.id, []).append(link)
    homes = {message.seq: session for session in transcript.backend_sessions for message in session.messages}
    pairs = ((cancel, call_of(transcript, cancel)) for cancel in cancels(transcript))
    return tuple(
        Cancelled(cancel, call, found[0], homes[found[0].backend.seq])
        for cancel, call in pairs
        if call is not None and len(found := by_client.get(call.id, [])) == 1
    )


def passed_on(transcript: Transcript, found: Iterable[Cancelled]) -> dict[str, Message]:
    """Return what told the backend of each cancel, by the id of the client's POST; what was never told is left out.

    That is the cancel of just this request; without one, any that came in time and names no other cancelled call's:
    what has a wrong id came too, and stands for one call only. A busy gateway has time from when it answered the
    client's.
    """
    given_up = {call.id for call in named_requests(transcript)}
    owners = {
        link.backend.seq: link.client.id
        for link in links(transcript)
        if link.basis is Basis.NONCE and link.client.id in given_up
    }
    reached: dict[str, Message] = {}
    taken: set[int] = set()
    for item in found:
        told = item.told if _because_of_it(transcript, item) else None
        if told is None:
            told = next(
                (
                    message
                    for message in sent_cancels(item.session)
                    if may_be_one_of(message, at_gateway((item.cancel,)))
                    and message.seq not in taken
                    and _owner(item.session, message, owners) in (None, item.call.id)
                ),
                None,
            )
        if told is not None:
            reached[item.cancel.id] = told
            taken.add(told.seq)
    return reached


def _because_of_it(transcript: Transcript, item: Cancelled) -> bool:
    """Whether the gateway's cancel of a call is due to its client's; that the client left may be why instead."""
    told, left = item.told, transcript.left_at(item.call)
    return told is not None and (left is None or told.t <= left or may_be_one_of(told, at_gateway((item.cancel,))))


def _owner(session: BackendSession, cancel: Message, owners: Mapping[int, str]) -> str | None:
    """Return the client's call whose request a gateway's cancel names, None where it is none of those known."""
    request = meant(session, cancel)
    return owners.get(request.seq) if request is not None else None


def strays(transcript: Transcript) -> tuple[Exchange, ...]:
    """Return the clients' cancels that name nothing under way: a relay may rightly hand such a one on."""
    return tuple(item for item in cancels(transcript) if call_of(transcript, item) is None)


def unsent(transcript: Transcript) -> tuple[tuple[float, float], ...]:
    """Return when the gateway may have been at cancels of calls under way that the backend was never asked, in seconds.

    The gateway may have been about to send such a call, had given it an id, and hands its cancel on; a busy one may
    still be at it when it ends the call for its client.
    """
    asked = {link.client.id for link in links(transcript) if link.basis is Basis.NONCE}
    pairs = ((cancel, call_of(transcript, cancel)) for cancel in cancels(transcript))
    return tuple(
        (cancel.t, max(_read_at(cancel), over_at(transcript, call) or 0.0))
        for cancel, call in pairs
        if call is not None and call.id not in asked
    )


def may_be_one_of(message: Message, known: Iterable[tuple[float, float]]) -> bool:
    """Whether what the gateway told its backend may be one of some clients' cancels, handed on.

    known: when each was sent, and until when the gateway was at it, in seconds.
    """
    return any(sent <= message.t <= until + timing.CANCEL_PROMPT for sent, until in known)


def at_gateway(cancels: Iterable[Exchange]) -> tuple[tuple[float, float], ...]:
    """Return when clients' cancels were sent and when the gateway had read them, in seconds; a busy one takes long."""
    return tuple((item.t, _read_at(item)) for item in cancels)


def _read_at(cancel: Exchange) -> float:
    return cancel.t if cancel.t_response is None else cancel.t_response


def is_malformed(cancel: Exchange) -> bool:
    """Whether a cancel's requestId is missing or neither a string nor an integer."""
    named = named_by(cancel)
    return isinstance(named, bool) or not isinstance(named, str | int)


def beside(transcript: Transcript, cancel: Exchange) -> tuple[Exchange, ...]:
    """Return the requests of a cancel's session that were under way then or came later and that no cancel names."""
    given_up = {item.id for item in named_requests(transcript)}
    return tuple(
        item for item in requests(transcript, cancel) if item.id not in given_up and transcript.end_of(item) > cancel.t
    )


def went_on(transcript: Transcript) -> tuple[Cancelled, ...]:
    """Return the cancelled calls that their backend did not stop for.

    It answered CANCEL_RACE or more after the cancel; or, over HTTP, the gateway had gone by then.
    """
    return tuple(
        item
        for item in cancelled(transcript)
        if (
            item.answered.t - (item.told or item.cancel).t >= timing.CANCEL_RACE
            if item.answered is not None
            else item.link.exchange is not None and item.link.exchange.how == "abandoned"
        )
    )


# clients that leave --------------------------------------------------------------------------------------------------


def cut_off(transcript: Transcript) -> tuple[Link, ...]:
    """Return the calls under way at the backend whose client closed its connection, without any cancel of theirs."""
    given_up = {item.id for item in named_requests(transcript)}
    return tuple(
        link
        for link in links(transcript)
        if link.basis is Basis.NONCE
        and link.client.id not in given_up
        and (left := transcript.left_at(link.client)) is not None
        and link.backend.t < left
        and _unanswered(transcript, link.client, left)
    )


def _unanswered(transcript: Transcript, exchange: Exchange, left: float) -> bool:
    """Whether a request had no answer yet when its client left, which may be what ended it."""
    answer = exchange.answer()
    return transcript.end_of(exchange) >= left and (answer is None or answer.t > left)


def told_about(transcript: Transcript, request: Message) -> Message | None:
    """Return the gateway's first cancel of one of its requests, None when there is none."""
    for session, message in all_sent(transcript):
        named = meant(session, message)
        if named is not None and named.seq == request.seq:
            return message
    return None


def abandoned_initializes(transcript: Transcript) -> tuple[Exchange, ...]:
    """Return the clients' initializes that were left while the gateway awaited a backend's answer to its own."""
    return tuple(
        item
        for item in transcript.client()
        if item.rpc_method == "initialize"
        and (left := transcript.left_at(item)) is not None
        and _unanswered(transcript, item, left)
        and any(asked.t < left < over for asked, over in _handshakes(transcript))
    )


def cancels_of_initialize(transcript: Transcript) -> Iterator[tuple[Message, Message]]:
    """Yield each initialize of the gateway's with a cancel that names it while it was not answered.

    Over HTTP a cancel before the answer can bear no session id.
    """
    for session, told in all_sent(transcript):
        for asked, over in _handshakes(transcript):
            here = asked.tap == told.tap and (told.session is None or asked.session == session.key)
            if here and asked.t <= told.t < over and same(asked.id, told.params.get("requestId")):
                yield asked, told


def _handshakes(transcript: Transcript) -> Iterator[tuple[Message, float]]:
    """Yield the gateway's initializes with the time of their answer, in seconds; the evidence's end without one."""
    for session in transcript.backend_sessions:
        for asked in session.up("initialize"):
            answer = session.response_to(asked)
            yield asked, answer.t if answer is not None else transcript.end


# the backend's side --------------------------------------------------------------------------------------------------


def sent_cancels(session: BackendSession) -> tuple[Message, ...]:
    """Return the gateway's cancels in a backend session."""
    return session.up(CANCELLED)


def all_sent(transcript: Transcript) -> Iterator[tuple[BackendSession, Message]]:
    """Yield every cancel of the gateway's with its backend session."""
    for session in transcript.backend_sessions:
        for message in sent_cancels(session):
            yield session, message


def meant(session: BackendSession, cancel: Message) -> Message | None:
    """Return the request of the gateway's that its cancel names, None when it sent none of that id.

    Over HTTP the two go by connections of their own, so that a cancel may arrive up to CANCEL_RACE before its request.
    """
    named = cancel.params.get("requestId")
    found = [m for m in session.up() if m.is_request and same(m.id, named)]
    before = [m for m in found if m.seq < cancel.seq]
    overtaken = [m for m in found if m.via == "post" and 0 <= m.t - cancel.t <= timing.CANCEL_RACE]
    return before[-1] if before else next(iter(overtaken), None)


def known_over(transcript: Transcript, session: BackendSession, request: Message) -> float | None:
    """Return since when the gateway knew that a request of its was over, in seconds; None when that is not known.

    That is when its client had the backend's result; what cannot be linked to a call is known RELAY_PROMPT after the
    backend's answer, which may lie unread for a while.
    """
    answer = session.response_to(request)
    if answer is None:
        return None
    for link in links(transcript):
        if link.basis is Basis.NONCE and link.backend.seq == request.seq:
            relayed = link.client.answer()
            return relayed.t if relayed is not None and relayed.result is not None else None
    return answer.t + timing.RELAY_PROMPT
