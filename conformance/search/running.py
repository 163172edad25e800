"""Running a search from the command's process: the plan, the supervisor, the outcome."""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from conformance.errors import CannotJudgeError, ExitCode, HarnessError, UsageError
from conformance.evidence.events import JSON
from conformance.progress import Follower, Record
from conformance.search.child import OUTCOME, Asked
from conformance.stage.attached import UNSEEN, URL_TARGET
from conformance.stage.manifest import BackendManifest, TargetManifest
from conformance.stage.plan import Cell, Plan, RuntimeName, UrlTarget
from conformance.stage.supervisor import EXIT_FILE

_POLL: Final = 0.1


@dataclass(frozen=True, slots=True)
class Quarry:
    """What is searched: a target before a backend, or a URL."""

    target: TargetManifest | None
    backend: BackendManifest | None
    url: UrlTarget | None
    runtime: RuntimeName
    revision: str
    secret_env: tuple[str, ...] = ()

    def cell(self, over: str) -> Cell:
        """Return the cell that evidence and outcome name; no suite has a scenario of its name."""
        target = self.target.name if self.target else URL_TARGET
        backend = self.backend.name if self.backend else UNSEEN
        return Cell(target, self.runtime, backend, self.revision, self.revision, f"{over}-search")


def run_search(quarry: Quarry, asked: Asked, out: Path, on_progress: Callable[[Record], None]) -> dict[str, JSON]:
    """Search and return the outcome, which stands in `out`/search.json too.

    Whatever happens, nothing that was started is left when this returns. on_progress: told of each step from a thread.
    Raises CannotJudgeError or UsageError when the gateway cannot be driven.
    """
    out = out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    (out / OUTCOME).unlink(missing_ok=True)
    for old in (out / "evidence").glob(f"*__{quarry.cell(asked.over).scenario}-*.jsonl"):
        old.unlink()
    run_id = secrets.token_hex(6)
    work = Path(tempfile.mkdtemp(prefix=f"mcp-gateway-conformance-{run_id}-"))
    target = quarry.target
    plan = Plan(
        run_id=run_id,
        out=str(out),
        work=str(work),
        runtime=quarry.runtime,
        cells=(quarry.cell(asked.over),),
        targets={target.name: target.model_dump(mode="json")} if target else {},
        folders={target.name: str(target.folder)} if target and target.folder else {},
        url=quarry.url,
        secret_env=quarry.secret_env,
        engine="conformance.search.child",
    )
    plan.write(work / "plan.json")
    asked.write(work)
    supervisor = subprocess.Popen(
        [sys.executable, "-m", "conformance.stage.supervisor", str(work / "plan.json")],
        stdin=subprocess.PIPE,
        start_new_session=True,
    )
    with Follower(plan.progress_file, on_progress):
        try:
            end = _await_end(supervisor, work / EXIT_FILE)
        finally:
            if supervisor.stdin is not None:
                supervisor.stdin.close()
            supervisor.wait()
    return _outcome(out / OUTCOME, end)


def _await_end(supervisor: subprocess.Popen[bytes], exit_file: Path) -> dict[str, JSON]:
    """Return what the supervisor says of the child's end."""
    while not exit_file.exists():
        if supervisor.poll() is not None:
            return {"status": supervisor.returncode, "log": "the supervisor ended"}
        time.sleep(_POLL)
    end: dict[str, JSON] = json.loads(exit_file.read_text(encoding="utf-8"))
    return end


def _outcome(file: Path, end: dict[str, JSON]) -> dict[str, JSON]:
    if not file.exists():
        raise CannotJudgeError(f"the search broke (status {end['status']}):\n{end['log']}")
    outcome: dict[str, JSON] = json.loads(file.read_text(encoding="utf-8"))
    if outcome["error"]:
        kind: type[HarnessError] = UsageError if outcome["exit_code"] == ExitCode.USAGE else CannotJudgeError
        raise kind(str(outcome["error"]))
    return outcome
