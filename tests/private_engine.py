"""A container engine of a test's own, which can be stopped and started again without harm to anybody else's."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

START_SECONDS = 60.0
STOP_SECONDS = 60.0


@dataclass
class PrivateEngine:
    """An engine below a folder. It has no networks: two engines would dispute this machine's filter rules."""

    folder: Path
    process: subprocess.Popen[bytes] | None = None

    @property
    def host(self) -> str:
        """Where it is, as DOCKER_HOST says it."""
        return f"unix://{self.folder / 'engine.sock'}"

    def start(self) -> None:
        """Start it and wait until it answers."""
        argv = ["dockerd", "--host", self.host, "--bridge", "none", "--iptables=false"]
        argv += ["--data-root", str(self.folder / "data"), "--exec-root", str(self.folder / "exec")]
        argv += ["--pidfile", str(self.folder / "engine.pid")]
        with (self.folder / "engine.log").open("ab") as log:
            self.process = subprocess.Popen(argv, stdout=log, stderr=log)
        deadline = time.monotonic() + START_SECONDS
        while not self.answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                said = (self.folder / "engine.log").read_text(errors="replace").splitlines()
                pytest.skip(f"no engine of one's own here: {said[-1] if said else 'it said nothing'}")
            time.sleep(0.2)

    def stop(self) -> None:
        """Stop it in order: it ends its containers."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait(STOP_SECONDS)
            self.process = None

    def answers(self) -> bool:
        """Whether it answers."""
        return self.asked("version").returncode == 0

    def asked(self, *arguments: str, **more: Any) -> subprocess.CompletedProcess[bytes]:
        """Run the engine's command line against it."""
        argv = ["docker", "--host", self.host, *arguments]
        return subprocess.run(argv, capture_output=True, check=False, timeout=START_SECONDS, **more)

    def take(self, image: str) -> None:
        """Bring an image over from the engine that the environment names."""
        with subprocess.Popen(["docker", "save", image], stdout=subprocess.PIPE) as saving:
            loaded = self.asked("load", stdin=saving.stdout)
        assert loaded.returncode == 0, loaded.stderr

    def containers(self) -> list[str]:
        """Return the ids of its containers, ended ones included."""
        return self.asked("ps", "--all", "--quiet", "--no-trunc").stdout.decode().split()


@contextmanager
def private_engine(folder: Path) -> Iterator[PrivateEngine]:
    """Yield a running engine, which is stopped afterwards; skips where none can be had."""
    if os.geteuid() != 0 or shutil.which("dockerd") is None:
        pytest.skip("an engine of one's own needs root, and dockerd")
    engine = PrivateEngine(folder)
    engine.start()
    try:
        yield engine
    finally:
        engine.stop()
        shutil.rmtree(folder, ignore_errors=True)  # its layers are a quarter of a gigabyte
