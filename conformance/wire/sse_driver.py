"""The driving client of HTTP+SSE (2024-11-05 basic/transports § HTTP with SSE).

One GET stream carries every answer; messages are posted to the URI that its `endpoint` event names. Like the other
drivers it only drives; what happened is read from the client's tap.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Hashable, Mapping
from contextlib import asynccontextmanager, suppress
from urllib.parse import urljoin, urlsplit

import httpx

from conformance import timing
from conformance.evidence.events import JSON
from conformance.evidence.meta_tools import MetaTool
from conformance.wire.driver import Listening, McpClient, Milestone, Record, Reply
from conformance.wire.sse import SseEvent


class SseClient(McpClient):
    """One client of the old transport; what it asks is asked as of the other client, while its stream is open.

    url: the tap's address with the path of the HTTP+SSE endpoint. authorities: HOST:PORTs that stand for the tap's in
    an absolute URI. A URI that leads elsewhere is not followed, as the SDKs' clients do not.
    """

    def __init__(
        self,
        name: str,
        url: str,
        *,
        revision: str,
        record: Record,
        headers: Mapping[str, str] | None = None,
        meta_tool: MetaTool | None = None,
        authorities: tuple[str, ...] = (),
    ) -> None:
        super().__init__(name, url, revision=revision, record=record, headers=headers, meta_tool=meta_tool)
        self._stream_url = url
        self._authorities = (urlsplit(url).netloc, *authorities)
        self._endpoint = asyncio.Event()
        self._waiting: dict[JSON, asyncio.Future[Mapping[str, JSON]]] = {}

    @property
    def has_endpoint(self) -> bool:
        """Whether the open stream named a URI that can be posted to."""
        return self._endpoint.is_set()

    @asynccontextmanager
    async def open(self, *, deadline: float = timing.ANSWER) -> AsyncIterator[Listening]:
        """Open the stream, wait for its endpoint event and read on until the block ends.

        The block begins once the event came, the stream ended or the deadline passed.
        """
        self._endpoint.clear()
        listening = Listening()
        headers = {**self.headers(), "Accept": "text/event-stream"}
        task = asyncio.create_task(self._read(self._stream_url, headers, listening))
        named = asyncio.create_task(self._endpoint.wait())
        try:
            done, _ = await asyncio.wait({task, named}, timeout=deadline, return_when=asyncio.FIRST_COMPLETED)
            if not done:
                self._record("gave-up", client=self.name, what="endpoint", seconds=deadline, status=listening.status)
            yield listening
        finally:
            self._endpoint.clear()
            for each in (task, named):
                each.cancel()
                with suppress(asyncio.CancelledError):
                    await each

    async def _take(self, event: SseEvent, listening: Listening) -> tuple[Mapping[str, JSON], ...]:
        if event.event == "endpoint":
            self._follow(event.data)
            return ()
        arrived = await super()._take(event, listening)
        for message in arrived:
            answered = message.get("id")
            # A server may send an object as an id, which no dictionary takes as a key.
            known = "method" not in message and isinstance(answered, Hashable)
            waiting = self._waiting.pop(answered, None) if known else None
            if waiting is not None and not waiting.done():
                waiting.set_result(message)
        return arrived

    def _follow(self, uri: str) -> None:
        try:
            meant = urlsplit(urljoin(self._stream_url, uri))
        except ValueError:
            self._record("endpoint-refused", client=self.name, why="it is no URI")
            return
        if meant.netloc not in self._authorities:
            self._record("endpoint-refused", client=self.name, why="it leads to another origin")
            return
        self.url = meant._replace(scheme="http", netloc=self._authorities[0]).geturl()
        self._endpoint.set()

    async def post(
        self,
        message: JSON,
        *,
        headers: Mapping[str, str | None] | None = None,
        deadline: float = timing.ANSWER,
        milestone: Milestone | None = None,
    ) -> Reply:
        """POST one message to the URI that was named and, for a request, wait for the answer on the stream.

        Without a URI nothing is sent; giving up after `deadline` seconds is recorded. milestone: as for
        `McpClient.post`.
        """
        if not self.has_endpoint:
            return Reply(trouble="the stream named no URI to post to")
        wanted = message.get("id") if isinstance(message, Mapping) and "method" in message else None
        loop = asyncio.get_running_loop()
        until = loop.time() + deadline
        if wanted is None:
            return await super().post(message, headers=headers, deadline=deadline, milestone=milestone)
        answer = self._waiting[wanted] = loop.create_future()
        try:
            reply = await super().post(message, headers=headers, deadline=deadline, milestone=milestone)
            refused = reply.status is None or not httpx.codes.is_success(reply.status)
            if refused or reply.answer(wanted) is not None:  # in the body, where it should not be: the drive goes on
                return reply
            async with asyncio.timeout_at(until):
                return Reply(reply.status, reply.headers, (*reply.messages, await answer))
        except TimeoutError:
            self._record("gave-up", client=self.name, what="answer", seconds=deadline, status=None)
            return Reply(trouble=f"no answer on the stream within {deadline} s")
        finally:
            self._waiting.pop(wanted, None)

    async def delete(self) -> Reply:
        """Do nothing: a session of this transport ends with its stream."""
        return Reply()
