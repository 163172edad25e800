"""Which exchange on the client's side of the gateway belongs to which on the backend's (DESIGN: Linking the two sides).

Gateways rewrite ids, sessions and tool names, so none of these is ever compared across the gateway. A link rests either
on the harness's nonce in the arguments of a tools/call, or on the exchange having been the sole one in flight.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from conformance.evidence.transcript import Exchange, Message, Transcript


class Basis(StrEnum):
    """What a link rests on."""

    NONCE = "nonce"
    SOLE_IN_FLIGHT = "sole in flight"


@dataclass(frozen=True, slots=True)
class Link:
    """A client's exchange and one thing the gateway did towards a backend because of it.

    client: the exchange at the client tap. backend: the request the gateway sent. exchange: its HTTP exchange, None
    when the backend speaks stdio.
    """

    client: Exchange
    backend: Message
    basis: Basis
    exchange: Exchange | None = None


def links(transcript: Transcript) -> tuple[Link, ...]:
    """Return every link that the evidence supports, by nonce where one travels, else by sole in flight."""
    exchanges = {item.id: item for item in transcript.backend}
    sent = [message for message in transcript.backend_messages if message.direction == "up" and message.method]
    found: list[Link] = []
    for client in transcript.client():
        nonce = nonce_of(client)
        if nonce is not None:
            found += [
                Link(client, message, Basis.NONCE, exchanges.get(message.exchange or ""))
                for message in sent
                if message.nonce == nonce
            ]
        elif client.rpc_method is not None and _alone(transcript, client):
            found += [
                Link(client, message, Basis.SOLE_IN_FLIGHT, exchanges.get(message.exchange or ""))
                for message in sent
                if message.method == client.rpc_method and client.t <= message.t <= transcript.end_of(client)
            ]
    return tuple(found)


def linked_exchange(transcript: Transcript, client: Exchange) -> Exchange | None:
    """Return the one backend exchange that answers for `client`'s, also where nothing posted can be compared.

    A GET or DELETE, or a POST whose body is not JSON-RPC, links to the sole backend exchange with the same HTTP method
    that began while it alone was in flight (a GET: until its response's headers; what then comes down its stream may
    come beside other requests). None when there is no such exchange or more than one.
    """
    by_message = [link.exchange for link in links(transcript) if link.client.id == client.id and link.exchange]
    if client.rpc_method is not None:
        return by_message[0] if len(by_message) == 1 else None
    if not _alone(transcript, client):
        return None
    until = _answered(transcript, client)
    same = [item for item in transcript.backend if item.method == client.method and client.t <= item.t <= until]
    return same[0] if len(same) == 1 else None


def nonce_of(exchange: Exchange) -> str | None:
    """Return the nonce in the arguments of a posted tools/call, None where there is none."""
    return Message(exchange.seq, exchange.t, "up", exchange.request, "post", exchange.tap, None).nonce


def _alone(transcript: Transcript, exchange: Exchange) -> bool:
    """Whether no other client's request was unanswered while this one waited; open streams do not count."""
    until = _answered(transcript, exchange)
    return not any(
        other.id != exchange.id and other.method != "GET" and other.t < until and transcript.end_of(other) > exchange.t
        for other in transcript.client()
    )


def _answered(transcript: Transcript, exchange: Exchange) -> float:
    """Return until when a request was in flight, in seconds: a GET until its headers, others until their end."""
    if exchange.method == "GET" and exchange.t_response is not None:
        return exchange.t_response
    return transcript.end_of(exchange)
