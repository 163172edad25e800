"""A container engine that is stopped and started again, for good, in the middle of a run: it says so, and is resumed.

The engine is one of the test's own, in a network namespace of its own, so that no other run's engine is touched.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import docker
import pytest
from docker.errors import DockerException

from conformance.stage.engine_vigil import ENGINE_LOST
from conformance.stage.images import ensure_backend_image, ensure_gateway_image
from conformance.stage.manifest import load_backend, load_target
from tests.engine_setup import engine_run, engine_test
from tests.test_clean_up import Harness

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = engine_test

SECONDS = 60.0
"""How long the engine may take to start or to end: it takes 1 to 5."""


class OwnEngine:
    """An engine that can be stopped and started; what it stores stays."""

    def __init__(self, folder: Path, namespace: int) -> None:
        self.within = ("nsenter", f"--net=/proc/{namespace}/ns/net")
        self.socket = f"unix://{folder / 'engine.sock'}"
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def client(self) -> docker.DockerClient:
        return docker.DockerClient(base_url=self.socket, version="auto", timeout=120)

    def start(self) -> None:
        folder = self._folder
        arguments = ["--host", self.socket, "--pidfile", str(folder / "pid"), "--iptables=true"]
        arguments += ["--data-root", str(folder / "data"), "--exec-root", str(folder / "exec")]
        with (folder / "log").open("a") as log:
            self._process = subprocess.Popen([*self.within, "dockerd", *arguments], stdout=log, stderr=log)
        deadline = time.monotonic() + SECONDS
        while self._process.poll() is None and time.monotonic() < deadline:
            try:
                self.client().close()
            except DockerException:
                time.sleep(0.1)
            else:
                return
        raise AssertionError(f"the engine did not start: {(folder / 'log').read_text()[-2000:]}")

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(SECONDS)
            self._process = None


@contextmanager
def own_engine() -> Iterator[OwnEngine]:
    """Yield an engine that is not started yet; what it stored is removed afterwards."""
    if os.geteuid() != 0 or not all(shutil.which(name) for name in ("dockerd", "unshare", "nsenter", "ip")):
        pytest.skip("an engine of one's own needs root, dockerd, unshare, nsenter and ip")
    # a short path: the engine's sockets lie below it, whose names have 108 bytes at most
    with tempfile.TemporaryDirectory(prefix="engine-", dir="/var/tmp", ignore_cleanup_errors=True) as name:
        ready = "ip link set lo up && echo ready && exec sleep infinity"
        holder = subprocess.Popen(["unshare", "--net", "sh", "-c", ready], stdout=subprocess.PIPE)
        assert holder.stdout is not None
        if holder.stdout.readline() != b"ready\n":
            holder.wait()
            pytest.skip("no network namespace can be made here")
        engine = OwnEngine(Path(name), holder.pid)
        try:
            yield engine
        finally:
            engine.stop()
            holder.terminate()
            holder.wait()


def hand_over_images(engine: OwnEngine) -> None:
    """Give the engine the images of the run: it has no way to the registries that they are built from."""
    with engine_run() as (client, _, _):
        witness = load_backend("witness")
        images = [
            ensure_gateway_image(client, load_target("terminating"), [witness], print),
            ensure_backend_image(client, witness, print),
        ]
        layers = [layer for image in images for layer in client.api.history(image)]
        tags = sorted({tag for layer in layers for tag in layer["Tags"] or ()})
        with subprocess.Popen(["docker", "save", *tags], stdout=subprocess.PIPE) as saving:
            subprocess.run(["docker", "--host", engine.socket, "load"], stdin=saving.stdout, check=True)
        assert saving.returncode == 0


@pytest.mark.packages
@pytest.mark.timeout(600)
def test_a_run_says_that_its_engine_was_stopped_and_goes_on_once_it_is_back(tmp_path, monkeypatch):
    with own_engine() as engine:
        engine.start()
        hand_over_images(engine)
        monkeypatch.setenv("DOCKER_HOST", engine.socket)
        arguments = ["--target", "terminating", "--backend", "witness", "--suite", "keep_alive"]
        arguments += ["--runtime", "containers"]
        harness = Harness(tmp_path / "out", *arguments, within=engine.within)
        engine.stop()
        assert harness.process.wait(120) == 3
        assert "stopped answering" in (harness.out / "summary.md").read_text()
        records = results(harness.out)
        assert {record["observed"] for record in records if record["verdict"] == "harness-error"} == {ENGINE_LOST}
        assert not [record for record in records if record["verdict"] == "fail"]

        engine.start()
        again = [sys.executable, "-m", "conformance", "run", *arguments, "--resume", "--out", str(harness.out)]
        said = subprocess.run([*engine.within, *again], capture_output=True, text=True, check=False)
        assert said.returncode == 0, said.stderr[-3000:]
        verdicts = {record["verdict"] for record in results(harness.out)}
        assert "pass" in verdicts
        assert not verdicts & {"fail", "harness-error"}
        with closing(engine.client()) as client:
            assert client.containers.list(all=True) == []


def results(out: Path) -> list[dict[str, str]]:
    """Return the records of the report that are verdicts."""
    records = [json.loads(line) for line in (out / "report.jsonl").read_text().splitlines()]
    return [record for record in records if "verdict" in record]
