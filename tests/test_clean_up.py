"""Whatever becomes of the harness, nothing it started outlives it by 15 seconds."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import docker
import psutil
import pytest

from conformance.stage.labels import RUN_LABEL
from conformance.stage.supervisor import RUN_VARIABLE

CLEAN_WITHIN = 15.0
STARTED_WITHIN = 60.0
INSTALLED_WITHIN = 900.0
"""What the first run of a gateway in containers on a machine may take until it drives: packages and images come first."""


def processes_of_runs(above: int | None = None) -> dict[int, str]:
    """Return the run id of every process that a harness started, or that of pid `above` did, by pid."""
    found = {}
    for process in psutil.process_iter() if above is None else psutil.Process(above).children(recursive=True):
        try:
            run = process.environ().get(RUN_VARIABLE)
            if run and process.status() != psutil.STATUS_ZOMBIE:
                found[process.pid] = run
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


class Harness:
    """A real command in a session of its own, waited for until it drives.

    deaf: to Ctrl-C, as after `nohup … &`. within: what goes before its argument list. patience: seconds until it drives.
    """

    def __init__(
        self, out: Path, *arguments: str, command="run", deaf=False, within=(), patience=STARTED_WITHIN
    ) -> None:
        argv = [*within, sys.executable, "-m", "conformance", command, *arguments, "--out", str(out)]
        if deaf:
            argv = ["sh", "-c", 'trap "" INT; exec "$@"', "sh", *argv]
        self.out = out
        self.stderr = out.parent / "stderr"
        with self.stderr.open("w") as said:
            self.process = subprocess.Popen(argv, start_new_session=True, stdout=subprocess.DEVNULL, stderr=said)
        self.run = self._await_drive(patience)

    def _await_drive(self, patience: float) -> str:
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline and self.process.poll() is None:
            for run in {run for run in processes_of_runs(self.process.pid).values() if self.folder(run)}:
                progress = self.folder(run)[0] / "progress.jsonl"
                if progress.exists() and '"driving"' in progress.read_text():
                    return run
            time.sleep(0.1)
        self.process.kill()
        self.process.wait()
        raise AssertionError(f"the run did not drive anything within {patience} s: {self.stderr.read_text()}")

    @staticmethod
    def folder(run: str) -> list[Path]:
        return list(Path(tempfile.gettempdir()).glob(f"mcp-gateway-conformance-{run}-*"))

    def left(self) -> list[object]:
        return [*[pid for pid, run in processes_of_runs().items() if run == self.run], *self.folder(self.run)]

    def assert_clean(self, more=list) -> None:
        deadline = time.monotonic() + CLEAN_WITHIN
        while left := [*self.left(), *more()]:
            assert time.monotonic() < deadline, f"left {CLEAN_WITHIN} s after the end: {left}"
            time.sleep(0.1)


@pytest.fixture
def harness(tmp_path):
    arguments = ("--target", "terminating", "--backend", "witness", "--suite", "keep_alive", "--runtime", "process")
    started = Harness(tmp_path / "out", *arguments)
    yield started
    if started.process.poll() is None:
        started.process.kill()
    started.process.wait()


def test_the_harness_is_killed(harness):
    harness.process.kill()
    harness.assert_clean()


@pytest.mark.parametrize("name", [signal.SIGINT, signal.SIGTERM])
def test_the_harness_is_interrupted_and_says_so(harness, name):
    harness.process.send_signal(name)
    assert harness.process.wait(CLEAN_WITHIN) == 2
    harness.assert_clean()
    last = json.loads((harness.out / "report.jsonl").read_text().splitlines()[-1])
    assert (last["kind"], last["exit_code"], last["complete"]) == ("footer", 2, False)


@pytest.mark.parametrize(("name", "deaf"), [(signal.SIGINT, False), (signal.SIGTERM, False), (signal.SIGTERM, True)])
def test_mutants_that_are_interrupted_leave_nothing(tmp_path, name, deaf):
    harness = Harness(tmp_path / "out", "get_answers_400", command="mutants", deaf=deaf)
    harness.process.send_signal(name)
    try:
        assert harness.process.wait(CLEAN_WITHIN) == 2
    finally:
        harness.process.kill()
    assert harness.left() == []


def test_a_kept_stage_ends_with_sigterm_where_ctrl_c_is_ignored(tmp_path):
    arguments = ("--target", "passthrough", "--backend", "witness", "--rule", "MGC601", "--runtime", "process")
    harness = Harness(tmp_path / "out", *arguments, "--keep", deaf=True)
    deadline = time.monotonic() + STARTED_WITHIN
    while "the stage is up" not in harness.stderr.read_text():
        assert time.monotonic() < deadline, harness.stderr.read_text()
        time.sleep(0.1)
    harness.process.terminate()
    try:
        assert harness.process.wait(CLEAN_WITHIN) == 0
    finally:
        harness.process.kill()
    harness.assert_clean()


def test_the_driving_process_is_killed(harness):
    supervisor = next(
        child for child in psutil.Process(harness.process.pid).children() if "supervisor" in " ".join(child.cmdline())
    )
    engine = next(child for child in supervisor.children() if "engine_child" in " ".join(child.cmdline()))
    os.kill(engine.pid, signal.SIGKILL)
    assert harness.process.wait(60) == 3
    harness.assert_clean()


@pytest.mark.engine
@pytest.mark.packages
@pytest.mark.timeout(INSTALLED_WITHIN + 120)
def test_the_harness_is_killed_while_gateways_start_containers(tmp_path):
    arguments = ("--target", "supergateway", "--suite", "spin_up", "--runtime", "containers")
    harness = Harness(tmp_path / "out", *arguments, patience=INSTALLED_WITHIN)
    client = docker.from_env()
    wanted = {"label": f"{RUN_LABEL}={harness.run}"}

    def containers() -> list[object]:
        listed = [*client.api.containers(all=True, filters=wanted), *client.api.networks(filters=wanted)]
        return [*listed, *client.api.images(filters=wanted)]

    try:
        deadline = time.monotonic() + STARTED_WITHIN
        while len(client.api.containers(filters=wanted)) < 2:
            assert time.monotonic() < deadline, "no gateway started a container"
            time.sleep(0.1)
        harness.process.kill()
        harness.process.wait()
        harness.assert_clean(containers)
    finally:
        client.close()
