"""How long a full run (without --long) takes, against what its waits and exclusive sections allow it to take.

For each target: one run in the process runtime, and after it the official MCP conformance suite on the same gateway
before the same backend. Read the ratio to the bound, and the times of the two suites against each other: the absolute
numbers are this machine's.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench.measuring import machine  # noqa: E402 - runs from a checkout without installing
from bench.official_suite import official  # noqa: E402
from bench.run_times import EXCLUSIVE_LIMIT, WAIT_FACTOR, Section, run_times, sections  # noqa: E402
from conformance.errors import CannotJudgeError, ExitCode, HarnessError  # noqa: E402
from conformance.evidence.events import JSON  # noqa: E402
from conformance.report.files import REPORT  # noqa: E402
from conformance.report.jsonl import read_report  # noqa: E402

DONE: Final = (ExitCode.OK, ExitCode.UNEXPECTED, ExitCode.CANNOT_JUDGE)
"""Exit codes of a run that was driven and judged to its end; what it found is not what is asked here."""
SHOWN: Final = 5
"""Sections printed of each kind."""


def measure(target: str, backend: str, folder: Path) -> dict[str, JSON]:
    """Return the times of one full run, and of the official suite after it. Raises HarnessError."""
    command = [sys.executable, "-m", "conformance", "run", "--target", target, "--backend", backend]
    command += ["--runtime", "process", "--out", str(folder)]
    print(f"{target} before {backend}: a full run", flush=True)
    begun = time.time()
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    times = (begun, time.time())
    if ended.returncode not in DONE:
        raise CannotJudgeError(f"the run of {target} ended with {ended.returncode}: {ended.stderr.strip()[-500:]}")
    found = sections(folder / "evidence")
    verdicts = Counter(result.verdict for result in read_report(folder / REPORT).results)
    print(f"{target} before {backend}: the official suite", flush=True)
    beside = official(target, backend, folder / "official")
    return {
        "target": target,
        "backend": backend,
        "run": run_times(found, *times).to_json(),
        "verdicts": dict(verdicts),
        "sections": [as_json(item) for item in found],
        "official": beside.to_json(),
        "machine": machine(),
    }


def as_json(section: Section) -> dict[str, JSON]:
    """Return a section as a JSON object."""
    return {"cell": section.cell.id, "kind": str(section.kind), "seconds": round(section.seconds, 2)}


def table(measured: Mapping[str, JSON]) -> list[str]:
    """Return the lines that show what `measure` returned."""
    run, beside, verdicts, at = measured["run"], measured["official"], measured["verdicts"], measured["machine"]
    judged = verdicts.get("pass", 0) + verdicts.get("fail", 0)
    lines = [
        f"{measured['target']} before {measured['backend']} · load {at['load_1min']} on {at['cores']} cores",
        f"  full run                    {run['wall']:7.1f} s   {judged} of {sum(verdicts.values())} rules judged",
        f"  official suite              {beside['seconds']:7.1f} s   {beside['checks']} checks",
        f"  start-up                    {run['start_up']:7.1f} s",
        f"  longest single wait         {run['longest_wait']:7.1f} s",
    ]
    lines += [
        f"  exclusive sections          {seconds:7.1f} s   {shared}" for shared, seconds in run["exclusive"].items()
    ]
    lines.append(
        f"  bound                       {run['bound']:7.1f} s   {WAIT_FACTOR:g} x wait + exclusive + start-up; the run "
        f"took {run['wall_of_bound']:.2f} of it"
    )
    for kind in dict.fromkeys(item["kind"] for item in measured["sections"]):
        lines += _slowest(kind, [item for item in measured["sections"] if item["kind"] == kind])
    return lines


def _slowest(kind: str, found: Sequence[Mapping[str, JSON]]) -> list[str]:
    slowest = sorted(found, key=lambda item: -item["seconds"])[:SHOWN]
    lines = [f"  {kind}: {len(found)} sections, {sum(item['seconds'] for item in found):.1f} s; the longest"]
    return lines + [f"    {item['seconds']:6.1f} s  {item['cell']}" for item in slowest]


def main() -> int:
    """Measure, print and write; 0 when every run kept its bound, 1 when one did not, otherwise nothing was measured."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="example: python bench/full_run.py --target terminating\n"
        "The official suite is installed from npm, and Node with it where this machine has none of version 22.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--target", action="append", help="default: terminating and passthrough, one after the other")
    parser.add_argument("--backend", default="witness", help="default: witness")
    parser.add_argument("--out", type=Path, default=Path("reports/bench"), help="folder (default reports/bench)")
    chosen = parser.parse_args()
    measured = []
    try:
        for target in chosen.target or ("terminating", "passthrough"):
            measured.append(measure(target, chosen.backend, chosen.out.resolve() / target))
            print("\n".join(table(measured[-1])), flush=True)
    except HarnessError as error:
        print(error, file=sys.stderr)
        return int(error.exit_code)
    file = chosen.out / "full_run.json"
    file.write_text(json.dumps(measured, indent=1) + "\n", encoding="utf-8")
    holds = all(item["run"]["holds"] for item in measured)
    word = "every run kept" if holds else "NOT every run kept"
    print(f"{word} its bound, and its exclusive sections under {EXCLUSIVE_LIMIT:.0f} s; all times are in {file}")
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
