"""The command `replays` from end to end: a cause is driven without and with its remedy, asserted, and has its page."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest


@pytest.mark.packages
def test_a_cause_is_driven_and_asserted_and_told_on_a_page(tmp_path):
    out = tmp_path / "out"
    argv = [sys.executable, "-m", "conformance", "replays", "--replay", "R5b", "--json", "--out", str(out)]
    told = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stderr[-3000:]
    (replay,) = json.loads(told.stdout)
    (cause,) = replay["causes"]
    assert cause["name"] == "R5b"
    assert {item["assertion"]: item["state"] for item in cause["assertions"]} == dict.fromkeys(
        ("seen", "diagnosed", "remedied"), "pass"
    )
    assert "proxy-buffers-sse" in (out / "R5.html").read_text()
    assert json.loads((out / "R5.json").read_text()) == replay
