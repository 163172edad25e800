"""A gateway or backend as a child process: its own session, its output captured, stopped with everything it started."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import psutil

from conformance.errors import CannotJudgeError
from conformance.evidence.events import Kind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from conformance.stage.runtime import OnEvent

STOP_GRACE: Final = 5.0
"""Seconds between SIGTERM and SIGKILL. Of the gateways here the slowest takes 2.0 s to end (measured); one that waits
for an open stream to end would wait for ever."""

DRAIN: Final = 1.0
"""Seconds the output may take to end once the program is dead; what was written before is read in milliseconds."""

LOG_LINES: Final = 2000
"""Lines kept of a process's output; the last ones."""

LINE_BYTES: Final = 1024 * 1024
"""Longest line kept whole, as redaction needs it; a longer one is kept in pieces, cut where there is white space."""

_SHOWN: Final = 8192
"""Longest line shown in an error message, in characters."""

_READ_BYTES: Final = 65536


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line of output and when it was read, on the monotonic clock."""

    t_ns: int
    text: str


@dataclass(slots=True)
class Child:
    """A started program. Create with `Child.start`, end with `stop`."""

    name: str
    argv: Sequence[str]
    _process: asyncio.subprocess.Process
    _on_event: OnEvent
    log: deque[LogLine] = field(default_factory=lambda: deque(maxlen=LOG_LINES))
    _started: set[psutil.Process] = field(default_factory=set)
    _reading: asyncio.Task[None] | None = None
    _watching: asyncio.Task[int] | None = None

    @classmethod
    async def start(
        cls, name: str, argv: Sequence[str], *, env: Mapping[str, str], cwd: Path, on_event: OnEvent
    ) -> Child:
        """Start `argv` with exactly this environment. Raises CannotJudgeError when there is no such program."""
        read_end, write_end = os.pipe()
        try:
            # A pipe of our own: with asyncio's, the exit is noticed only once every grandchild has closed it too.
            process = await asyncio.create_subprocess_exec(
                *argv,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=write_end,
                stderr=write_end,
                env=dict(env),
                cwd=cwd,
                start_new_session=True,
            )
        except OSError as error:
            os.close(read_end)
            raise CannotJudgeError(
                f"{argv[0]!r} cannot be started ({error.strerror}); install it, or correct the command that starts the "
                f"{name}: --command, or that in its manifest."
            ) from error
        finally:
            os.close(write_end)
        child = cls(name, tuple(argv), process, on_event)
        on_event(Kind.PROCESS_START, {"name": name, "pid": process.pid, "argv": list(argv)})
        child._reading = asyncio.create_task(child._read(read_end))
        child._watching = asyncio.create_task(child._watch())
        return child

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """Its exit status, None while it runs, negative for the signal that ended it."""
        return self._process.returncode

    def tail(self, lines: int = 12) -> str:
        """Return its last lines of output, indented, or a note that there are none."""
        last = [_shown(line.text) for line in list(self.log)[-lines:]]
        return "\n".join(f"  {line}" for line in last) or "  (it printed nothing)"

    def listens(self, port: int) -> bool:
        """Return whether it or something it started listens at that TCP port."""
        for process in self._family():
            with suppress(psutil.Error):
                for connection in process.net_connections(kind="tcp"):
                    if connection.status == psutil.CONN_LISTEN and connection.laddr[1] == port:
                        return True
        return False

    async def wait(self) -> int:
        """Wait until it ends; return its exit status."""
        return await self._process.wait()

    async def kill(self) -> None:
        """SIGKILL it and nothing that it started; `stop` still ends those."""
        self._started.update(self._family())
        with suppress(ProcessLookupError):
            self._process.kill()
        await self.wait()
        await self._exit_told()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to it and to everything that it started."""
        for process in self._family():
            with suppress(psutil.NoSuchProcess):
                process.send_signal(number)

    async def stop(self) -> None:
        """SIGTERM it, give it `STOP_GRACE`, then SIGKILL it and whatever it started that is left."""
        self._started.update(self._family())
        with suppress(ProcessLookupError):
            self._process.terminate()
        with suppress(TimeoutError):
            async with asyncio.timeout(STOP_GRACE):
                await self.wait()
        self._started.update(self._family())
        # The group first: it also holds what a dead parent left behind, which nothing can find from above any more.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        for process in self._started:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        await self.wait()
        await self._exit_told()
        await self._drained()

    async def _exit_told(self) -> None:
        if self._watching is not None:
            await self._watching

    async def _drained(self) -> None:
        """Read what is left of the output; a stray that left the group before a crash may hold the pipe open."""
        if self._reading is not None:
            _, open_still = await asyncio.wait({self._reading}, timeout=DRAIN)
            for reading in open_still:
                reading.cancel()
                with suppress(asyncio.CancelledError):
                    await reading

    def _family(self) -> list[psutil.Process]:
        try:
            process = psutil.Process(self.pid)
            return [process, *process.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    async def _watch(self) -> int:
        code = await self.wait()
        self._on_event(Kind.PROCESS_EXIT, {"name": self.name, "pid": self.pid, "code": code})
        return code

    async def _read(self, descriptor: int) -> None:
        reader = asyncio.StreamReader()
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(descriptor, "rb", buffering=0)
        )
        rest = b""
        try:
            while chunk := await reader.read(_READ_BYTES):
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    self._keep(line)
                while len(rest) > LINE_BYTES:
                    end = rest.rfind(b" ", 0, LINE_BYTES) + 1 or LINE_BYTES
                    self._keep(rest[:end])
                    rest = rest[end:]
            if rest:
                self._keep(rest)
        finally:
            transport.close()

    def _keep(self, line: bytes) -> None:
        text = line.decode("utf-8", errors="replace").rstrip("\r")
        self.log.append(LogLine(time.monotonic_ns(), text))
        self._on_event(Kind.LOG, {"source": self.name, "line": text})


def _shown(line: str) -> str:
    """Return a line for an error message; a long one is not cut, as half a secret would not be known for one."""
    return line if len(line) <= _SHOWN else f"(a line of {len(line)} characters)"
