"""A real client as a process on the harness's side: its driver is asked step by step, and every step is evidence.

The driver finds CLIENT_URL (the client tap), CLIENT_HEADERS (a JSON object, sent with every request) and
CLIENT_REVISION in its environment. It reads one JSON object a line, `{"step": "call", "tool": …, "arguments": {…}}`,
and answers each with one: `{"step": "call", "ok": true, "detail": "", …}`. What else it prints is kept as its log. It
ends when its standard input does. Where the client is a program that speaks MCP to an application on stdio, the driver
is that application, and starts it behind CLIENT_STDIO_TAP (a JSON array, the arguments that go before the program's),
so that what the two say is evidence as well.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from conformance import paths
from conformance.errors import CannotJudgeError
from conformance.evidence.events import JSON, Kind
from conformance.stage.client_manifest import ClientManifest, Step
from conformance.stage.environment import own_environment
from conformance.stage.packages import Installed, ensure_installed
from conformance.stage.placeholders import expand, expand_argv
from conformance.stage.recorder import Recorder

LEAVE: Final = 5.0
"""Seconds a driver may take to end once its standard input has; then it is killed, with whatever it started."""

_LINE_BYTES: Final = 2**24
"""Longest line of a driver: an answer with a thousand tools' names is far below it."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a driver said of a step. detail: why it is not ok. data: the step's own members, as `tools` or `text`."""

    ok: bool
    detail: str = ""
    data: Mapping[str, JSON] = field(default_factory=dict)

    @property
    def done(self) -> bool:
        """Whether the step was done: a call whose result is an error was not."""
        return self.ok and not self.data.get("is_error")


CANNOT: Final = Answer(ok=False, detail="the client has no such step")


@dataclass(slots=True)
class RealClient:
    """A started client. Create with `ClientHost.start`, ask with `step`, end with `end`.

    label: names its tap, `client:LABEL`, and its steps in the evidence.
    """

    label: str
    manifest: ClientManifest
    _process: asyncio.subprocess.Process
    _recorder: Recorder
    _log: asyncio.Task[None]
    _spool: Path
    _usable: bool = True

    async def step(
        self, step: Step, *, deadline: float, ask: Step | None = None, note: str = "", **members: JSON
    ) -> Answer:
        """Ask for a step and wait for its answer, `deadline` seconds at most; both are recorded.

        ask: what the driver is asked to do for it, where that has another name. note: the nonce of a call, for who
        reads the evidence. A client that did not answer is asked nothing more: whatever it is asked then, it cannot.
        """
        if not self.manifest.can(step):
            self._recorder.stimulus("client.cannot", client=self.label, step=step)
            return CANNOT
        if not self._usable:
            return Answer(ok=False, detail="an earlier step was not answered")
        asked = time.monotonic()
        self._recorder.stimulus("client.step", client=self.label, step=step, note=note, asked=members)
        answer = await self._ask({"step": ask or step, **members}, deadline)
        self._recorder.stimulus(
            "client.answer",
            client=self.label,
            step=step,
            note=note,
            ok=answer.ok,
            detail=answer.detail,
            seconds=round(time.monotonic() - asked, 3),
            data=dict(answer.data),
        )
        return answer

    async def end(self) -> None:
        """Let it end by itself, then kill its process group; recorded is which it was."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        killed = False
        try:
            async with asyncio.timeout(LEAVE):
                await self._process.wait()
        except TimeoutError:
            killed = True
        # The group holds what a driver that is gone left behind, too.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        with suppress(TimeoutError):
            async with asyncio.timeout(LEAVE):
                await self._process.wait()
                await self._log
        self._log.cancel()
        if self._spool.exists():
            whole, _, _ = self._spool.read_bytes().rpartition(b"\n")  # a tap that was killed may have been writing
            self._recorder.application(whole.splitlines())
        self._recorder.stimulus(
            "client.ended", client=self.label, code=self._process.returncode, killed=killed and self._usable
        )

    async def _ask(self, request: Mapping[str, JSON], deadline: float) -> Answer:
        assert self._process.stdin is not None
        try:
            async with asyncio.timeout(deadline):
                self._process.stdin.write(json.dumps(request).encode() + b"\n")
                await self._process.stdin.drain()
                return await self._answer(str(request["step"]))
        except TimeoutError:
            self._usable = False
            return Answer(ok=False, detail=f"no answer within {deadline:g} s")
        except OSError as error:
            self._usable = False
            return Answer(ok=False, detail=f"the client has ended ({error.strerror})")

    async def _answer(self, step: str) -> Answer:
        """Return the next answer to a step; what else is printed meanwhile is the client's log."""
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            text = line.decode("utf-8", errors="replace").rstrip()
            said = _object(text)
            if said.get("step") != step:
                self._recorder.stage(Kind.LOG, {"source": self.manifest.name, "line": text})
                continue
            data = {name: value for name, value in said.items() if name not in ("step", "ok", "detail")}
            return Answer(ok=said.get("ok") is True, detail=str(said.get("detail", "")), data=data)
        self._usable = False
        return Answer(ok=False, detail="the client ended without an answer")


@dataclass(slots=True)
class ClientHost:
    """Installs and starts real clients, in either runtime on the harness's own machine.

    work: the run's work folder, which the supervisor deletes. on_progress: told of each installation.
    """

    run_id: str
    work: Path
    on_progress: Callable[[str], None]
    _installed: dict[str, Installed] = field(default_factory=dict)
    _numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    async def install(self, manifest: ClientManifest) -> Installed:
        """Install what a client pins, unless it is cached. Raises CannotJudgeError."""
        if manifest.name not in self._installed:
            self._installed[manifest.name] = await asyncio.to_thread(
                ensure_installed, manifest, self.on_progress, oldest_node=manifest.install.node
            )
        return self._installed[manifest.name]

    async def start(
        self,
        manifest: ClientManifest,
        label: str,
        *,
        url: str,
        headers: Mapping[str, str],
        revision: str,
        recorder: Recorder,
    ) -> RealClient:
        """Start a client's driver for one cell. Raises CannotJudgeError when its program cannot be started."""
        installed = await self.install(manifest)
        folder = self.work / "clients" / f"{manifest.name}-{next(self._numbers)}"
        (folder / "tmp").mkdir(parents=True, mode=0o700)
        values = _values(manifest, installed, folder) | {"revision": revision}
        argv = installed.resolve(expand_argv(manifest.driver.command, values))
        env = own_environment(installed, folder, self.run_id)
        env |= {name: expand(value, values) for name, value in manifest.driver.env.items()}
        env |= {"CLIENT_URL": url, "CLIENT_HEADERS": json.dumps(dict(headers)), "CLIENT_REVISION": revision}
        spool = folder / "stdio.jsonl"
        relay = (sys.executable, str(paths.STDIO_TAP), "--name", f"application:{label}", "--spool", str(spool))
        env["CLIENT_STDIO_TAP"] = json.dumps(relay)
        try:
            process = await asyncio.create_subprocess_exec(
                *argv,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env=env,
                cwd=folder,
                start_new_session=True,
                limit=_LINE_BYTES,
            )
        except OSError as error:
            raise CannotJudgeError(
                f"{argv[0]!r} cannot be started ({error.strerror}); correct driver.command of client {manifest.name}."
            ) from error
        recorder.stimulus("client.start", client=label, manifest=manifest.name, version=manifest.version)
        log = asyncio.create_task(_keep_log(process, manifest.name, recorder))
        return RealClient(label, manifest, process, recorder, log, spool)


async def _keep_log(process: asyncio.subprocess.Process, name: str, recorder: Recorder) -> None:
    """Record what a driver prints on its standard error, a line at a time."""
    assert process.stderr is not None
    while line := await process.stderr.readline():
        recorder.stage(Kind.LOG, {"source": name, "line": line.decode("utf-8", errors="replace").rstrip()})


def _values(manifest: ClientManifest, installed: Installed, folder: Path) -> dict[str, str]:
    values = {"python": str(installed.python), "config_dir": str(folder), "folder": str(manifest.folder)}
    if installed.node:
        values["node"] = str(installed.node)
    if installed.node_modules:
        values["node_modules"] = str(installed.node_modules)
    return values


def _object(text: str) -> Mapping[str, JSON]:
    """Return a line as a JSON object, an empty one where it is none."""
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
