"""The commands of `start.before`: run to their end before a gateway starts, as child processes or in its container."""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from conformance.evidence.events import Kind
from conformance.stage.child import DRAIN

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from conformance.stage.preparation import Preparation
    from conformance.stage.runtime import OnEvent

FAILED: Final = 77
"""Exit status of a container whose preparation failed; gateways here end with 0, 1, 2, 3 or a signal."""

_TAIL: Final = 300
"""Characters of a failed command's output that are shown: its last."""


async def run_commands(
    preparation: Preparation,
    *,
    resolve: Callable[[Sequence[str]], tuple[str, ...]],
    env: Mapping[str, str],
    cwd: Path,
    on_event: OnEvent,
) -> None:
    """Run the commands one after another as child processes and keep what they save.

    resolve: finds the program of an argument list. Together they may take `ready.seconds`. Raises PreparationError.
    """
    seconds = preparation.target.ready.seconds
    try:
        async with asyncio.timeout(seconds):
            for number, command in enumerate(preparation.commands(), start=1):
                what = f"command {number} of start.before ({command.argv[0]})"
                status, output, errors = await _run(resolve(command.argv), env, cwd)
                detail = f"ended with status {status}"
                on_event(Kind.READINESS, {"what": what, "ok": status == 0, "attempt": 1, "detail": detail})
                if status != 0:
                    said = preparation.shown((errors or output)[-_TAIL:])
                    raise preparation.failed(f"{what} {detail}: {said}", "it")
                if command.save is not None:
                    preparation.keep(command.save, output)
    except TimeoutError as error:
        raise preparation.failed(f"start.before did not end within {seconds:g} s", "it or ready.seconds") from error


async def _run(argv: Sequence[str], env: Mapping[str, str], cwd: Path) -> tuple[int, str, str]:
    """Return status, output and error output; whoever cancels this ends the program and all it started."""
    try:
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=dict(env),
            cwd=cwd,
            start_new_session=True,
        )
    except OSError as error:
        return FAILED, "", f"{argv[0]!r} cannot be started ({error.strerror})"
    try:
        output, errors = await process.communicate()
    finally:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        with suppress(TimeoutError):  # a stray that left the group may hold the output open
            async with asyncio.timeout(DRAIN):
                await process.wait()
    return process.returncode or 0, output.decode(errors="replace"), errors.decode(errors="replace")


def script(preparation: Preparation, argv: Sequence[str], folder: str) -> str:
    """Return the shell script that runs the commands in a container, leaves what they save in `folder`, becomes `argv`.

    One container for all: what a command leaves on its disk (a database with users) is there when the gateway starts.
    """
    lines = ["umask 077", shlex.join(["mkdir", "-p", folder])]
    for number, command in enumerate(preparation.commands(), start=1):
        out = f" >{shlex.quote(saved_file(folder, command.save))}" if command.save else ""
        told = f"command {number} of start.before ({command.argv[0]}) ended with status"
        lines.append(f'{shlex.join(command.argv)}{out} || {{ echo {shlex.quote(told)} "$?" >&2; exit {FAILED}; }}')
    return "\n".join([*lines, f"exec {shlex.join(argv)}", ""])


def saved_file(folder: str, name: str) -> str:
    """Return where in a container the output of the command that saves `name` is."""
    return f"{folder}/{name}"
