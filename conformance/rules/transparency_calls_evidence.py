"""What the rules on calls of family transparency read off the evidence: progress, and what the client is asked."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from conformance import timing
from conformance.evidence.events import JSON
from conformance.evidence.exchanges import progress_token
from conformance.evidence.links import Link, links
from conformance.evidence.members import member
from conformance.evidence.transcript import BackendSession, Exchange, Message, Transcript

SUITE: Final = "transparency"
PROGRESS: Final = "notifications/progress"

CAPABILITY_OF: Final[Mapping[str, str]] = {
    "sampling/createMessage": "sampling",
    "roots/list": "roots",
    "elicitation/create": "elicitation",
}
"""What a client must have declared before it may be asked (basic/lifecycle, Capability Negotiation)."""


# calls --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Call:
    """A client's tools/call and what belongs to it on both sides.

    link: the one call it became at the backend. session: the backend session of that call. answer: what the client got.
    """

    client: Exchange
    link: Link
    session: BackendSession
    answer: Message | None

    @property
    def token(self) -> JSON:
        """The progress token that the client gave, None when it asked for none."""
        return progress_token(self.client.request)

    @property
    def nonce(self) -> str:
        """The nonce that links the two sides."""
        return self.link.backend.nonce or ""

    @property
    def given(self) -> JSON:
        """The progress token that the gateway gave to the backend, None when it asked for none."""
        return progress_token(self.link.backend.payload)

    def sent(self) -> tuple[Message, ...]:
        """Return the progress that the backend reported for the call, in order."""
        return tuple(
            message
            for message in self.session.messages
            if message.direction == "down" and message.method == PROGRESS and same(reported_for(message), self.given)
        )

    def sent_early(self) -> tuple[Message, ...]:
        """Return the progress that the backend reported at least PROGRESS_EARLY before it answered, if it did."""
        answer = self.session.response_to(self.link.backend)
        return tuple(m for m in self.sent() if answer is None or answer.t - m.t >= timing.PROGRESS_EARLY)

    def got(self, transcript: Transcript) -> tuple[Message, ...]:
        """Return the progress under the client's token that came down its streams, in order.

        On another stream than the call's own it counts only until the client gives the token to another request.
        """
        again = (
            item.t
            for item in transcript.client()
            if item.tap == self.client.tap and item.t > self.client.t and same(progress_token(item.request), self.token)
        )
        until = min(again, default=math.inf)
        found = (m for m in down(transcript, self.client.tap) if m.method == PROGRESS)
        return tuple(
            m
            for m in found
            if self.token is not None
            and same(reported_for(m), self.token)
            and (m.exchange == self.client.id or self.client.t <= m.t < until)
        )

    def over(self, transcript: Transcript) -> float:
        """Return when the client had its answer, or the call's response ended, in seconds."""
        if self.answer is not None:
            return self.answer.t
        return transcript.end_of(self.client)


def calls(transcript: Transcript) -> tuple[Call, ...]:
    """Return the clients' calls that became exactly one call at the backend."""
    by_client: dict[str, list[Link]] = {}
    for link in links(transcript):
        by_client.setdefault(link.client.id, []).append(link)
    homes = {message.seq: session for session in transcript.backend_sessions for message in session.messages}
    return tuple(
        Call(item, found[0], homes[found[0].backend.seq], item.answer())
        for item in transcript.client()
        if item.rpc_method == "tools/call" and len(found := by_client.get(item.id, [])) == 1
    )


def reported_for(message: Message) -> JSON:
    """Return the token that a progress notification bears."""
    return message.params.get("progressToken")


def same(one: JSON, other: JSON) -> bool:
    """Whether two tokens are one: 1 and "1" are not, nor are 1 and true."""
    return type(one) is type(other) and one == other


def down(transcript: Transcript, tap: str) -> Iterator[Message]:
    """Yield what came down the streams of one client, in order of its arrival."""
    found = [m for item in transcript.client() if item.tap == tap for m in item.messages()]
    yield from sorted(found, key=lambda message: message.seq)


def overlapping(transcript: Transcript) -> bool:
    """Whether two calls that asked for progress were under way at once."""
    asked = [(item, item.answer()) for item in transcript.client() if progress_token(item.request) is not None]
    return any(
        one.id != other.id and one.t <= other.t and (answer is None or other.t < answer.t)
        for one, answer in asked
        for other, _ in asked
    )


# what the backend asks ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Asked:
    """A backend's request for the client, and what became of it.

    copies: what reached clients. answers: what clients posted in answer to those. heard: what the backend got.
    """

    backend: Message
    session: BackendSession
    copies: tuple[Message, ...]
    answers: tuple[Message, ...]
    heard: Message | None

    @property
    def events(self) -> tuple[int, ...]:
        """`seq` numbers of all that was seen of it."""
        heard = () if self.heard is None else (self.heard.seq,)
        return (self.backend.seq, *(m.seq for m in (*self.copies, *self.answers)), *heard)


def asked(transcript: Transcript) -> tuple[Asked, ...]:
    """Return every request of a backend that is for the client, in order.

    Copies at the client are told by the nonce of the call that caused them; where none travels (a relay may make the
    request anew), by being the only such request while no other call was under way.
    """
    said = transcript.client_messages()
    return tuple(
        _asked(transcript, said, session, message)
        for session in transcript.backend_sessions
        for message in session.messages
        if message.direction == "down" and message.is_request and message.method in CAPABILITY_OF
    )


def _asked(transcript: Transcript, said: tuple[Message, ...], session: BackendSession, message: Message) -> Asked:
    like = [m for m in said if m.direction == "down" and m.is_request and m.method == message.method]
    nonces = {m.nonce for m in said if m.direction == "up" and m.nonce is not None and mentions(message, m.nonce)}
    copies = [m for m in like if any(mentions(m, nonce) for nonce in nonces)]
    if not copies:
        during = [call for call in calls(transcript) if call.client.t <= message.t <= call.over(transcript)]
        copies = [m for m in like if len(during) == 1 and message.t <= m.t <= during[0].over(transcript)]
    answers = [
        answer
        for copy in copies
        for answer in said
        if answer.direction == "up" and answer.is_response and answer.tap == copy.tap and same(answer.id, copy.id)
    ]
    heard = next(
        (m for m in session.messages if m.direction == "up" and m.is_response and same(m.id, message.id)), None
    )
    return Asked(message, session, tuple(copies), tuple(answers), heard)


def mentions(message: Message, nonce: str) -> bool:
    """Whether a nonce stands anywhere in a message's params."""
    return bool(nonce) and nonce in json.dumps(message.params)


# what was negotiated ------------------------------------------------------------------------------------------------


def capabilities_of(payload: Mapping[str, JSON] | None) -> Mapping[str, JSON]:
    """Return the capabilities in the params of an initialize or in its result."""
    found = (payload or {}).get("capabilities")
    return found if isinstance(found, Mapping) else {}


def has(capabilities: Mapping[str, JSON], path: str) -> bool:
    """Whether a capability is declared; path: its name, with a dot before a sub-capability. `false` denies it."""
    found = member(capabilities, path)
    return found is not None and found is not False


def of_clients(transcript: Transcript) -> frozenset[str]:
    """Return what any client of the recording declared that it can be asked."""
    sent = [m for m in transcript.client_messages() if m.direction == "up" and m.method == "initialize"]
    return frozenset(kind for kind in CAPABILITY_OF.values() if any(has(capabilities_of(m.params), kind) for m in sent))


def told_backend(session: BackendSession) -> tuple[Message | None, Mapping[str, JSON]]:
    """Return the gateway's initialize in a backend session and the capabilities of the client that it claims."""
    for message in session.up("initialize"):
        return message, capabilities_of(message.params)
    return None, {}


def told_gateway(session: BackendSession) -> Mapping[str, JSON] | None:
    """Return what the backend declared in a session; None when its answer to initialize was not seen."""
    for message in session.up("initialize"):
        answer = session.response_to(message)
        if answer is not None and answer.result is not None:
            return capabilities_of(answer.result)
    return None
