"""Sessions of the witness and the outlets that carry messages to their clients."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from conformance.witness import jsonrpc
from conformance.witness.jsonrpc import JSON, Id
from conformance.witness.stored_streams import PRIMED_SINCE, Leaving, StoredStream

REVISIONS: Final = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
"""Revisions the witness speaks; it proposes the last where it does not know the one asked for (lifecycle § Version
Negotiation)."""

ASSUMED_REVISION: Final = "2025-03-26"
"""Revision of a request that names none and has no session (transports § Protocol Version Header)."""

BATCH_REVISION: Final = "2025-03-26"
"""The one revision that has batches (2025-03-26 basic/index § Batching; removed in 2025-06-18)."""

LOG_LEVELS: Final = ("debug", "info", "notice", "warning", "error", "critical", "alert", "emergency")


class Outlet(Protocol):
    """A way to the client: the stream of one POST, the GET stream, or stdout."""

    def send(self, message: JSON) -> bool:
        """Queue one message; False if this way carries no such message."""

    def end(self) -> None:
        """Say that nothing more will be sent this way."""

    def leave(self, how: Leaving, retry: int) -> bool:
        """Give up the connection and not the stream; False where nothing could be resumed."""


@dataclass(slots=True, eq=False)
class Session:
    """What one client shares with the witness; `id` is None where no session is issued."""

    id: str | None = field(default_factory=lambda: os.urandom(16).hex())
    revision: str = ASSUMED_REVISION
    client: Mapping[str, JSON] = field(default_factory=dict)
    log_level: str = "debug"
    opened: bool = False
    initialized: asyncio.Event = field(default_factory=asyncio.Event)
    listener: Outlet | None = None
    parked: StoredStream | None = None
    """The GET stream whose connection the server has closed, while nobody has come back for it."""
    stored: list[StoredStream] = field(default_factory=list)
    running: dict[Id, asyncio.Task[Any]] = field(default_factory=dict)
    own_tools: dict[str, Any] = field(default_factory=dict)
    """Tools that this session alone has, by name."""
    count: int = 0
    requests: int = 0
    cancelled: int = 0
    pings_sent: int = 0
    pings_answered: int = 0
    _awaited: dict[Id, asyncio.Future[jsonrpc.Response]] = field(default_factory=dict)
    _ids: Iterator[int] = field(default_factory=itertools.count)

    def push(self, message: JSON) -> bool:
        """Send a message unrelated to any request; False if nobody listens.

        Before `initialized` a server sends nothing but pings and logs (lifecycle § Initialization).
        """
        outlet = self.listener or self.parked
        return outlet is not None and self.initialized.is_set() and outlet.send(message)

    def store(self, *, unasked: bool) -> StoredStream:
        """Return a new stream that can be resumed; that of a GET (`unasked`) is not primed."""
        stream = StoredStream(unasked=unasked, primes=not unasked and self.revision >= PRIMED_SINCE)
        self.stored.append(stream)
        return stream

    def find(self, event_id: str) -> tuple[StoredStream, int] | None:
        """Return the stream that an event id belongs to, and the event's number in it."""
        for stream in self.stored:
            if (number := stream.number(event_id)) is not None:
                return stream, number
        return None

    async def ping(self, outlet: Outlet | None, timeout: float) -> bool:  # noqa: ASYNC109 - the timeout is the result
        """Ping the client on `outlet`; True if it answered with a result within `timeout` seconds."""
        response = await self.ask(outlet, "ping", {}, timeout)
        answered = response is not None and response.ok
        self.pings_answered += answered
        return answered

    async def ask(
        self,
        outlet: Outlet | None,
        method: str,
        params: Mapping[str, JSON],
        timeout: float,  # noqa: ASYNC109 - that no answer came in time is a result
    ) -> jsonrpc.Response | None:
        """Send the client a request on `outlet`; return its response, None if none came within `timeout` seconds.

        The id is unguessable, so that an answer made up by somebody in between is not taken for the client's.
        """
        identifier = f"witness-{next(self._ids)}-{os.urandom(4).hex()}"
        answer: asyncio.Future[jsonrpc.Response] = asyncio.get_running_loop().create_future()
        self._awaited[identifier] = answer
        try:
            if outlet is None or not outlet.send(jsonrpc.request(identifier, method, params)):
                return None
            self.pings_sent += method == "ping"
            async with asyncio.timeout(timeout):
                return await answer
        except TimeoutError:
            return None
        finally:
            del self._awaited[identifier]

    def take_response(self, response: jsonrpc.Response) -> None:
        """Hand the client's answer to whoever waits for it; one nobody waits for is ignored."""
        future = self._awaited.get(response.id)
        if future is not None and not future.done():
            future.set_result(response)

    def cancel(self, identifier: JSON) -> None:
        """End the running request of that id; unknown and malformed ids are ignored (cancellation § Error Handling)."""
        task = self.running.get(identifier) if jsonrpc.is_id(identifier) else None
        if task is not None and task.cancel():
            self.cancelled += 1

    def close(self) -> None:
        """End everything that runs for this session."""
        for task in list(self.running.values()):
            task.cancel()
        if self.listener is not None:
            self.listener.end()


class Sessions:
    """The live sessions by id, and a word to all of them."""

    def __init__(self) -> None:
        self._live: dict[str, Session] = {}

    def __len__(self) -> int:
        return len(self._live)

    def add(self, session: Session) -> None:
        """Let a session live."""
        if session.id is not None:
            self._live[session.id] = session

    def get(self, identifier: str) -> Session | None:
        """Return the live session of that id."""
        return self._live.get(identifier)

    def end(self, session: Session) -> None:
        """End a session and everything that runs for it."""
        if session.id is not None and self._live.pop(session.id, None) is not None:
            session.close()

    def broadcast(self, message: JSON) -> int:
        """Push a message to every session that listens; return how many did."""
        return sum(session.push(message) for session in list(self._live.values()))
