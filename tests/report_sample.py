"""Records of a small run, made for the tests of the report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from conformance.report.jsonl import ReportWriter, read_report
from conformance.report.records import Header, Report, Selection

HOSTILE = (
    "\x1b[31mred\x1b[0m\x9b2J [bold]m[/bold] <script>alert(1)</script> a|b `x` ```\n::error::x\u202e\u2028\ud800 @team"
)
"""What a server may send: terminal escapes, rich markup, HTML, table cells, fences, workflow commands, bidi, a mention."""

HEADER = Header(
    harness="0.1.0",
    python="3.11.9",
    targets={"gw": "1.2.3", "other": "4"},
    backends={"witness": "0.1.0"},
    digests={"evidence schema": "0" * 64},
    seed=7,
    engine=None,
    platform="Linux x86_64",
    profile="2025-11-25",
    selection=Selection(("get_sse",), ("2025-11-25",), "process"),
    started="2026-01-02T03:04:05Z",
)


def result(rule: str = "GET-R01", verdict: str = "pass", **changes: Any) -> dict[str, Any]:
    """Return a `result` record."""
    record = {
        "kind": "result",
        "target": "gw",
        "runtime": "process",
        "backend": "witness",
        "revision": "2025-11-25",
        "backend_revision": "2025-11-25",
        "suite": "get_sse",
        "scenario": "get-in-session",
        "rule": rule,
        "title": "GET opens a stream or answers 405",
        "level": "MUST",
        "requirements": ["GET-03"],
        "verdict": verdict,
        "charged_to": {"fail": "gateway", "harness-error": "harness"}.get(verdict),
        "expected": "200 with an event stream, or 405" if verdict == "fail" else None,
        "observed": "GET was answered 400",
        "failure_class": "get-sse-wrong-status" if verdict == "fail" else None,
        "events": [3, 4] if verdict == "fail" else [],
        "evidence": "evidence/gw.jsonl",
        "expectation": {"pass": "ok", "fail": "unexpected-failure"}.get(verdict, "not-judged"),
        **changes,
    }
    parts = ("target", "runtime", "backend", "revision", "backend_revision", "scenario", "rule")
    return {"id": "/".join(record[part] for part in parts), **record}


def diagnosis(*symptoms: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """Return a `diagnosis` record that explains some results."""
    return {
        "kind": "diagnosis",
        "id": "gw/process/witness/2025-11-25/get-sse-wrong-status",
        "target": "gw",
        "backend": "witness",
        "revision": "2025-11-25",
        "runtime": "process",
        "failure_class": "get-sse-wrong-status",
        "title": "GET is answered 400",
        "hop": "gateway",
        "confidence": 0.9,
        "symptoms": [symptom["id"] for symptom in symptoms],
        "reproduce": ["curl -i http://127.0.0.1:8080/mcp", "mcp-gateway-conformance replay evidence/gw.jsonl"],
        "separations": [
            {"neighbour": "get-sse-409-stale", "made": True, "says": "the status was 400, not 405"},
            {"neighbour": "get-sse-dead-stream", "made": False, "says": "no stream was opened"},
        ],
        "timeline": [
            {"t": 0.5, "point": "client-tap", "text": "GET /mcp"},
            {"t": 0.75, "point": "backend-tap", "text": "GET /mcp answered 200"},
            {"t": 15.75, "point": "client-tap", "text": "answered 400 text/html"},
        ],
        "remedy": "Answer 405 where there is no stream.",
        "evidence": ["evidence/gw.jsonl"],
        **changes,
    }


def write(
    path: Path,
    *records: dict[str, Any],
    header: Header = HEADER,
    exit_code: int = 0,
    complete: bool = True,
    unmet: tuple[dict[str, Any], ...] = (),
) -> Path:
    """Write a report of these results and diagnoses."""
    with ReportWriter(path) as writer:
        writer.header(header)
        for record in records:
            kinds = {"result": writer.result, "diagnosis": writer.diagnosis, "spin-up": writer.spin_up}
            kinds[record["kind"]](record)
        writer.footer(exit_code=exit_code, complete=complete, unmet=unmet)
    return path


def report(tmp_path: Path, *records: dict[str, Any], **how: Any) -> Report:
    """Return the report of these records, as a reader gets it."""
    return read_report(write(tmp_path / "report.jsonl", *records, **how))
