"""The detached supervisor: whatever becomes of the harness, nothing it started outlives it.

`python -m conformance.stage.supervisor PLAN` is started in a session of its own with a pipe to the harness as its
standard input. It becomes the subreaper of everything below it (Linux), starts the engine child, and waits. When the
pipe ends (the harness ended, was interrupted, crashed or was killed) or the engine child ends, it stops every
descendant, removes every container, network and image of the run and deletes the run's work folder.
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import psutil

from conformance.errors import HarnessError
from conformance.stage.plan import Plan

_PR_SET_CHILD_SUBREAPER: Final = 36
_GRACE: Final = 6.0
"""Seconds the engine child may take to stop its instances in order, before everything is killed."""

RUN_VARIABLE: Final = "MCP_GATEWAY_CONFORMANCE_RUN"
EXIT_FILE: Final = "engine.exit"
"""File in the run's work folder that says the engine child ended, with its exit status."""


def become_subreaper() -> None:
    """Make orphaned descendants ours, so that a gateway's children are found after the gateway died. Linux only."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def kill_all(processes: Iterable[psutil.Process]) -> None:
    """SIGKILL processes; one that is gone already is what was wanted."""
    for process in processes:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue


def stop_descendants(child: subprocess.Popen[bytes], grace: float) -> None:
    """Ask the engine child to end in order, then kill whatever is left below this process, until nothing is."""
    if child.poll() is None:
        child.send_signal(signal.SIGTERM)
        try:
            child.wait(grace)
        except subprocess.TimeoutExpired:
            child.kill()
    while True:
        left = psutil.Process().children(recursive=True)
        if not left:
            return
        kill_all(left)
        psutil.wait_procs(left, timeout=2.0)
        _reap()


def _reap_orphans(keep: int) -> None:
    """Collect ended orphans that became our children; not the engine child, whose status is waited for elsewhere."""
    for process in psutil.Process().children():
        if process.pid != keep and process.status() == psutil.STATUS_ZOMBIE:
            os.waitpid(process.pid, os.WNOHANG)


def _reap() -> None:
    """Collect orphans that became our children, so that they do not stay as zombies."""
    while True:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return


def _wait(child: subprocess.Popen[bytes]) -> None:
    """Return when standard input ends or the engine child does."""
    child_fd = os.pidfd_open(child.pid) if hasattr(os, "pidfd_open") else -1
    watched: list[int] = [0] + ([child_fd] if child_fd >= 0 else [])
    while child.poll() is None:
        ready, _, _ = select.select(watched, [], [], 1.0)
        if 0 in ready and not os.read(0, 4096):
            return
        _reap_orphans(child.pid)
    if child_fd >= 0:
        os.close(child_fd)


def _remove_from_engine(run_id: str) -> None:
    """Remove the run's containers, networks and images; says on stderr when the engine does not answer."""
    from conformance.stage.engine_cleanup import remove_run  # noqa: PLC0415 - only needed where an engine was used

    try:
        remove_run(run_id)
    except HarnessError as error:
        print(f"clean-up: {error}", file=sys.stderr)
    except Exception as error:  # noqa: BLE001 - the last line of defence must reach its own end
        print(f"clean-up: the container engine could not be asked ({error!r})", file=sys.stderr)


def main(argv: list[str] | None = None) -> int:
    """Run the supervisor; the only argument is the plan file. Returns the engine child's exit status."""
    plan_file = Path((argv or sys.argv[1:])[0])
    plan = Plan.read(plan_file)
    work = Path(plan.work)
    become_subreaper()
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, signal.SIG_IGN)
    environment = {**os.environ, RUN_VARIABLE: plan.run_id}
    with (work / "engine.log").open("wb") as log:
        child = subprocess.Popen(
            [sys.executable, "-m", plan.engine, str(plan_file)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )
    _wait(child)
    ended = child.poll()
    if ended is not None:
        _tell(work, ended)
    stop_descendants(child, _GRACE)
    if ended is None:
        _tell(work, child.returncode)
    if plan.runtime == "containers":
        _remove_from_engine(plan.run_id)
    _await_reader()
    shutil.rmtree(work, ignore_errors=True)  # another clean-up of the same run may be under way
    return child.returncode


def _tell(work: Path, status: int) -> None:
    """Write the engine child's end where the harness looks for it."""
    tail = (work / "engine.log").read_bytes()[-4000:].decode("utf-8", "replace") if work.is_dir() else ""
    partial = work / f"{EXIT_FILE}.partial"
    partial.write_text(json.dumps({"status": status, "log": tail}), encoding="utf-8")
    partial.rename(work / EXIT_FILE)


def _await_reader() -> None:
    """Keep the work folder until the harness has let go of the pipe: it may still be reading how things ended."""
    while os.read(0, 4096):
        pass


if __name__ == "__main__":
    sys.exit(main())
