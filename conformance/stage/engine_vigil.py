"""Whether the container engine is there for as long as a run needs it: one connection to it, held open and watched.

An engine that is stopped closes its connections before it ends its containers; so what then becomes of gateways is not
taken for their own doing.
"""

from __future__ import annotations

import asyncio
import threading
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, Final, Self

from docker.errors import DockerException
from requests.exceptions import RequestException
from urllib3.exceptions import HTTPError

from conformance.errors import CannotJudgeError
from conformance.stage.engine import START_ENGINE, connect
from conformance.stage.engine_probe import engine_answers
from conformance.stage.labels import RUN_LABEL

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine

ENGINE_LOST: Final = (
    "The container engine stopped answering in the middle of the run, so what was still to be judged is not; "
    f"{START_ENGINE}, and run again with --resume. The next run removes what this one left there."
)


class EngineVigil:
    """The connection of one run. Create with `over`."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._loop = asyncio.get_running_loop()
        self._ended = asyncio.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    @classmethod
    @asynccontextmanager
    async def over(cls, run_id: str) -> AsyncIterator[Self]:
        """Hold the connection within. Raises CannotJudgeError when no engine answers."""
        client = await asyncio.to_thread(connect)
        # Of its own label there is nothing: the connection only has to be there.
        filters = {"label": f"{RUN_LABEL}={run_id}.vigil"}
        self = cls(await asyncio.to_thread(lambda: client.api.events(filters=filters)))
        try:
            yield self
        finally:
            self._stopping = True
            self._stream.close()
            await asyncio.to_thread(self._thread.join)
            await asyncio.to_thread(client.close)

    @property
    def lost(self) -> bool:
        """Whether the engine closed the connection."""
        return self._ended.is_set()

    def cause(self, trouble: str) -> str:
        """Return what trouble comes from: where the engine is lost, that. Blocks, for the engine is asked."""
        return ENGINE_LOST if self.lost or not engine_answers() else trouble

    async def guard(self, work: Coroutine[Any, Any, None]) -> None:
        """Do `work`, as long as the engine is there. Raises CannotJudgeError once it is lost, work being cancelled.

        Whatever goes wrong because the engine is lost is that, and nothing else.
        """
        working, ended = asyncio.create_task(work), asyncio.create_task(self._ended.wait())
        try:
            await asyncio.wait((working, ended), return_when=asyncio.FIRST_COMPLETED)
            failed = working.done() and not working.cancelled() and working.exception() is not None
            # What the work asked of the engine may fail a moment before the end of this connection is seen.
            if failed and not self.lost and not await asyncio.to_thread(engine_answers):
                self._ended.set()
            if not self.lost:
                working.result()
        finally:
            for task in (working, ended):
                task.cancel()
            await asyncio.gather(working, ended, return_exceptions=True)
        if self.lost:
            raise CannotJudgeError(ENGINE_LOST)

    def _read(self) -> None:
        with suppress(DockerException, RequestException, HTTPError, OSError, ValueError):  # how an end may look
            for _ in self._stream:
                continue
        if not self._stopping:
            self._loop.call_soon_threadsafe(self._ended.set)
