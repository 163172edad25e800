"""Taps as the harness uses them: one process per run that relays, stamps and spools for many taps."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import conformance
from conformance.errors import CannotJudgeError
from conformance.wire.spool import file_name
from conformance.wire.tap_address import (
    Address,
    TapMode,
    TcpAddress,
    TlsOptions,
    UnixAddress,
    address_from_json,
    address_to_json,
)
from conformance.wire.toxics import Toxic, to_json

__all__ = ["Address", "TapMode", "TapProcess", "TcpAddress", "TlsOptions", "UnixAddress"]

_STOP_PATIENCE: Final = 5.0
"""Seconds an orderly end may take (a drop of all connections and one write) before the process is killed."""


class TapProcess:
    """A running tap process. Every method raises CannotJudgeError when it refuses or has died."""

    def __init__(self, process: Process, spool_dir: Path) -> None:
        self._process = process
        self._dir = spool_dir
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._files: dict[str, str] = {}
        self._next = 0
        self._reader = asyncio.create_task(self._read_answers())

    @classmethod
    async def start(cls, spool_dir: Path) -> TapProcess:
        """Start the process; it ends by itself when this one does. `spool_dir` is made private to the user."""
        environment = _prepare(spool_dir)
        with (spool_dir / "tap.stderr").open("wb") as stderr:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "conformance.wire.tap_process",
                str(spool_dir),
                stdin=PIPE,
                stdout=PIPE,
                stderr=stderr,
                env=environment,
                # The scheduler shares the machine out by session first (sched(7), autogroup): in one of its own the
                # tap is not crowded out by what a gateway starts, and is put aside less often between read and send.
                start_new_session=True,
            )
        return cls(process, spool_dir)

    async def open_tap(
        self,
        name: str,
        *,
        listen: Address,
        upstream: Address | None,
        mode: TapMode = "tcp",
        tls: TlsOptions | None = None,
    ) -> Address:
        """Open a tap and return the address it listens on.

        name: unique among the open taps. upstream: dialled anew for each client; None refuses them.
        """
        answer = await self._ask(
            "open_tap",
            name=name,
            listen=address_to_json(listen),
            upstream=address_to_json(upstream),
            mode=mode,
            tls=asdict(tls or TlsOptions()),
        )
        self._files[name] = file_name(name)
        return _known(answer)

    async def open_collector(self, name: str, listen: TcpAddress) -> TcpAddress:
        """Open a collector of stdio-tap records and return its address; `spool_path` is a JSON-lines file.

        Raises CannotJudgeError where it gets no address of its own.
        """
        address = _known(await self._ask("open_collector", name=name, listen=address_to_json(listen)))
        self._files[name] = file_name(name, lines=True)
        if not isinstance(address, TcpAddress):
            raise CannotJudgeError(f"The collector {name} got no TCP address.")
        return address

    async def set_upstream(self, name: str, upstream: Address) -> None:
        """Set where connections accepted from now on go."""
        await self._ask("set_upstream", name=name, upstream=address_to_json(upstream))

    async def refuse(self, name: str, why: str) -> None:
        """Reset connections accepted from now on, as before a closed port, until an upstream is set.

        why: what the records of these connections (CONNECT_FAILED) give as the error.
        """
        await self._ask("refuse", name=name, why=why)

    async def close_port(self, name: str) -> None:
        """Stop listening until an upstream is set: the port is closed, and the system refuses who dials it.

        Unlike `refuse`, nothing is accepted first, and nothing is recorded: a proxy tells the two apart.
        """
        await self._ask("close_port", name=name)

    async def set_toxics(self, name: str, toxics: Sequence[Toxic]) -> None:
        """Replace the toxics, in force when this returns and recorded in the spool; [] removes all."""
        await self._ask("set_toxics", name=name, toxics=to_json(toxics))

    async def sync(self, name: str) -> int:
        """Return the size in bytes of the spool file, in which everything relayed so far now stands.

        For a collector, every connected stdio tap is first asked for what it has; one that does not answer is an error.
        """
        return int(await self._ask("sync", name=name))

    async def close_tap(self, name: str) -> None:
        """Stop listening, drop the connections, close the spool in order. For collectors too."""
        await self._ask("close", name=name)

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    @property
    def spool_dir(self) -> Path:
        """The private folder of the spools."""
        return self._dir

    def spool_path(self, name: str) -> Path:
        """Return the spool file of a tap or collector; binary (`read_spool`) or JSON lines."""
        return self._dir / self._files[name]

    async def stop(self) -> None:
        """End the process in order; returns when it is gone."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            await asyncio.wait_for(self._process.wait(), _STOP_PATIENCE)
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
        await self._reader

    async def _ask(self, do: str, **arguments: Any) -> Any:
        stdin = self._process.stdin
        if stdin is None or self._reader.done():
            raise self._death()
        self._next += 1
        number = self._next
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        try:
            with contextlib.suppress(ConnectionError):  # then the reader ends, and fails `answer`
                stdin.write(json.dumps({"id": number, "do": do, **arguments}).encode() + b"\n")
                await stdin.drain()
            said = await answer
        finally:
            self._waiting.pop(number, None)
        if "error" in said:
            what = " ".join(f"{key}={value}" for key, value in arguments.items() if key in {"name", "listen"})
            raise CannotJudgeError(f"The tap process could not {do} ({what}): {said['error']}.")
        return said["ok"]

    async def _read_answers(self) -> None:
        stdout = self._process.stdout
        while stdout is not None and (line := await stdout.readline()):
            said = json.loads(line)
            waiting = self._waiting.get(said["id"])
            if waiting is not None and not waiting.done():
                waiting.set_result(said)
        await self._process.wait()
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(self._death())

    def _death(self) -> CannotJudgeError:
        lines = (self._dir / "tap.stderr").read_text(errors="replace").strip().splitlines()
        why = f": {lines[-1]}" if lines else ""
        return CannotJudgeError(f"The tap process has ended (exit code {self._process.returncode}){why}.")


def _prepare(spool_dir: Path) -> dict[str, str]:
    """Make the private folder; return an environment in which this very package is importable."""
    spool_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    spool_dir.chmod(0o700)
    package_parent = str(Path(conformance.__file__).resolve().parents[1])
    path = os.pathsep.join(filter(None, [package_parent, os.environ.get("PYTHONPATH")]))
    return os.environ | {"PYTHONPATH": path}


def _known(answer: Any) -> Address:
    address = address_from_json(answer)
    if address is None:
        raise CannotJudgeError("The tap process named no address.")
    return address
