"""The wheel, installed outside the checkout, brings its suites, fixtures and schemas along and runs."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.packages
@pytest.mark.timeout(600)
def test_the_wheel_runs_outside_the_checkout(tmp_path):
    environment = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    python = environment / "bin" / "python"
    install = [python, "-m", "pip", "install", "--quiet", "--constraint", ROOT / "constraints.txt", ROOT]
    subprocess.run(install, check=True, cwd=tmp_path)
    program = environment / "bin" / "mcp-gateway-conformance"
    listed = subprocess.run([program, "list", "rules", "--json"], check=True, cwd=tmp_path, capture_output=True)
    assert len(json.loads(listed.stdout)) >= 30
    command = [program, "run", "--target", "passthrough", "--backend", "witness", "--suite", "get_sse"]
    done = subprocess.run(
        [*command, "--runtime", "process", "--out", tmp_path / "out"], check=False, cwd=tmp_path, capture_output=True
    )
    assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()
    records = [json.loads(line) for line in (tmp_path / "out" / "report.jsonl").read_text().splitlines()]
    assert records[-1]["complete"]
    assert {record["verdict"] for record in records if record["kind"] == "result"} == {"pass"}
