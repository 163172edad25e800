"""The benchmarks run and print what they promise; what they measure is nobody's verdict."""

from __future__ import annotations

import json
import subprocess
import sys

from conformance.paths import ROOT


def test_tap_overhead_prints_ratios_with_their_spread() -> None:
    small = ["--rounds", "2", "--pings", "50", "--bulk-mb", "1", "--json"]
    command = [sys.executable, str(ROOT / "bench" / "tap_overhead.py"), *small]
    ended = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    found = json.loads(ended.stdout)
    assert {"p50_ratio", "p99_ratio", "throughput_ratio"} <= set(found)
    for spread in found.values():
        assert spread["smallest"] <= spread["median"] <= spread["largest"]
