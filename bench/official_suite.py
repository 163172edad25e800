"""The official MCP conformance suite against a gateway that the harness starts."""

from __future__ import annotations

import asyncio
import json
import secrets
import shutil
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from conformance.errors import CannotJudgeError
from conformance.evidence.events import JSON
from conformance.evidence.redact import Redactor
from conformance.stage.instance import Instance
from conformance.stage.manifest import load_backend, load_target
from conformance.stage.packages import ensure_npm_env, node_command
from conformance.stage.plan import Plan
from conformance.stage.process_runtime import ProcessRuntime
from conformance.stage.recorder import Recorder
from conformance.wire.tap import TapProcess

PACKAGE: Final = "@modelcontextprotocol/conformance@0.1.16"
"""Its last release that is not a preview (npm)."""
NODE: Final = 22
"""Oldest Node that it runs on: it imports fs.globSync."""
OUTPUT: Final = "output.txt"
"""File in the folder of its results that has what it prints."""
SECONDS: Final = 300.0
"""When it is given up; against a reference gateway it takes 10 s."""


@dataclass(frozen=True, slots=True)
class Official:
    """What a run of the suite took in seconds, how many checks it made, and how many of each status."""

    seconds: float
    checks: int
    statuses: dict[str, int]

    def to_json(self) -> dict[str, JSON]:
        """Return it as a JSON object."""
        return {"package": PACKAGE, **asdict(self), "seconds": round(self.seconds, 2)}


def official(target: str, backend: str, folder: Path) -> Official:
    """Install the suite, start the gateway before the backend in the process runtime, and run it with its defaults.

    folder: for work and results; what is there is removed. Raises HarnessError when the gateway does not start,
    CannotJudgeError when the suite cannot be installed or leaves no checks.
    """
    shutil.rmtree(folder, ignore_errors=True)
    results = folder / "results"
    results.mkdir(parents=True)
    seconds = asyncio.run(_on_gateway(target, backend, folder, results))
    statuses = count_statuses(file.read_text(encoding="utf-8") for file in results.glob("*/checks.json"))
    if not statuses:
        raise CannotJudgeError(f"The official suite made no check; its output is {results / OUTPUT}.")
    return Official(seconds, sum(statuses.values()), statuses)


async def _on_gateway(target: str, backend: str, folder: Path, results: Path) -> float:
    """Return the seconds that the suite takes on a gateway started for it."""
    node = node_command(oldest=NODE, on_progress=print)
    program = ensure_npm_env([PACKAGE], on_progress=print) / ".bin" / "conformance"
    gateway, behind = load_target(target), load_backend(backend)
    plan = Plan(secrets.token_hex(6), out=str(folder), work=str(folder / "work"), runtime="process", cells=())
    runtime, redactor = ProcessRuntime(plan), Redactor()
    await runtime.prepare(gateway, (behind,))
    taps = await TapProcess.start(folder / "work" / "spool")
    try:
        recorder = Recorder(redactor)
        instance = await Instance.start(
            runtime, taps, gateway, behind, script="correct", recorder=recorder, redactor=redactor
        )
        try:
            url = f"http://{instance.front}{instance.path}"
            seconds = await _timed([str(node), str(program), "server", "--url", url], results)
        finally:
            await instance.stop()
    finally:
        await taps.stop()
    return seconds


def count_statuses(checks: Iterable[str]) -> dict[str, int]:
    """Return how many checks have which status, from the texts of the `checks.json` that each scenario leaves."""
    return dict(sorted(Counter(str(check["status"]) for text in checks for check in json.loads(text)).items()))


async def _timed(command: list[str], results: Path) -> float:
    """Return the seconds that the suite takes. Its exit status says whether checks failed: not what is asked here."""
    with (results / OUTPUT).open("wb") as output:
        begun = time.monotonic()
        process = await asyncio.create_subprocess_exec(
            *command,
            *("--output-dir", str(results)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            async with asyncio.timeout(SECONDS):
                await process.wait()
        except TimeoutError:
            raise CannotJudgeError(f"The official suite did not end within {SECONDS:.0f} s.") from None
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        return time.monotonic() - begun
