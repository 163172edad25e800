"""Calling the command line as its users do, in this process or as a program."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

import pytest

from conformance.cli import main
from conformance.paths import ROOT


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    def sentence(self, code: int) -> str:
        """Return the one sentence of an error, after checking that there is nothing else."""
        assert self.code == code, self
        assert self.out == ""
        assert self.err.startswith("error: ")
        assert self.err.count("\n") == 1, self.err
        assert "Traceback" not in self.err
        return self.err.removeprefix("error: ").strip()


def cli(capsys: pytest.CaptureFixture[str], *arguments: str) -> Outcome:
    """Call the command line in this process."""
    code = main(arguments)
    seen = capsys.readouterr()
    return Outcome(int(code), seen.out, seen.err)


def program(*arguments: str, **environment: str) -> Outcome:
    """Start the command line as a program, with no terminal."""
    done = subprocess.run(
        [sys.executable, "-m", "conformance", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd=ROOT,
        env={**os.environ, **environment},
    )
    return Outcome(done.returncode, done.stdout, done.stderr)
