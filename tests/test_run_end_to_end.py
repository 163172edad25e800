"""One real run each of a healthy gateway and of one with a fault, and what its folder holds."""

import json
import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from conformance.report.validate import validate_file
from tests.gateway_process import free_port, gateway
from tests.witness_process import http_witness

SECRET = "sk-0123456789abcdef-user-supplied"


def run(out: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "conformance", "run", *arguments, "--suite", "get_sse", "--out", str(out)]
    return subprocess.run(command, check=False, capture_output=True, env={**os.environ, **environment})


def started(out: Path, target: str, *more: str) -> subprocess.CompletedProcess[bytes]:
    return run(out, "--target", target, "--backend", "witness", "--runtime", "process", *more)


@pytest.fixture(scope="module")
def faulty(tmp_path_factory):
    out = tmp_path_factory.mktemp("faulty")
    return out, started(out, "mutant:unknown_get_400")


def test_a_healthy_gateway_ends_with_0(tmp_path):
    done = started(tmp_path, "passthrough")
    assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()


def test_xdist_workers_only_judge(tmp_path):
    done = run(
        tmp_path, "--target", "passthrough", "--backend", "witness", "--runtime", "process", PYTEST_ADDOPTS="-n 2"
    )
    assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()
    records = [json.loads(line) for line in (tmp_path / "report.jsonl").read_text().splitlines()]
    judged = [(record["scenario"], record["rule"]) for record in records if record["kind"] == "result"]
    assert judged
    assert len(set(judged)) == len(judged)


def test_a_faulty_one_ends_with_1_and_names_the_cause(faulty):
    out, done = faulty
    assert done.returncode == 1
    records = [json.loads(line) for line in (out / "report.jsonl").read_text().splitlines()]
    failed = [(r["rule"], r["failure_class"]) for r in records if r["kind"] == "result" and r["verdict"] == "fail"]
    assert failed == [("MGC310", "unknown-session-wrong-status")]
    diagnoses = [(r["failure_class"], r["hop"]) for r in records if r["kind"] == "diagnosis"]
    assert diagnoses == [("unknown-session-wrong-status", "gateway")]


def test_every_file_keeps_to_its_schema(faulty):
    out, _ = faulty
    assert validate_file("report", out / "report.jsonl") > 0
    for file in (out / "evidence").iterdir():
        assert validate_file("evidence", file) > 0


def test_junit_has_real_children(faulty):
    out, _ = faulty
    cases = ET.parse(out / "junit.xml").findall(".//testcase")
    failures = [case for case in cases if case.find("failure") is not None]
    records = [json.loads(line) for line in (out / "report.jsonl").read_text().splitlines()]
    assert len(cases) == sum(record["kind"] == "result" for record in records)
    assert len(failures) == 1
    assert "MGC310" in failures[0].get("name")
    assert "404" in failures[0].find("failure").get("message")


def test_the_other_reports_are_there(faulty):
    out, _ = faulty
    assert "MGC310" in (out / "summary.md").read_text()
    assert (out / "classes" / "unknown-session-wrong-status.md").is_file()
    assert list((out / "allure-results").glob("*-result.json"))
    assert not list(out.glob("badge*.json")), "a run of one suite gets no badge"


def test_replay_comes_to_the_same_verdict(faulty):
    out, _ = faulty
    evidence = next((out / "evidence").glob("mutant*get-with-wrong-session.jsonl"))
    done = subprocess.run(
        [sys.executable, "-m", "conformance", "replay", str(evidence), "--json"], check=False, capture_output=True
    )
    assert done.returncode == 1
    assert "MGC310" in done.stdout.decode()


def test_a_running_gateway_is_judged_and_the_users_secret_is_written_nowhere(tmp_path):
    with http_witness() as witness:
        arguments = ("--url", witness.url, "--header-env", "Authorization=GATEWAY_AUTH")
        done = run(tmp_path, *arguments, GATEWAY_AUTH=f"Bearer {SECRET}")
    assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()) + done.stdout + done.stderr
    assert SECRET.encode() not in written
    assert b"redacted:" in written


def test_a_running_gateway_whose_upstream_is_the_witness_is_judged_from_both_sides(tmp_path):
    listen = f"127.0.0.1:{free_port()}"
    with gateway("passthrough", "--upstream", f"http://{listen}/mcp") as running:
        done = run(tmp_path, "--url", running.url, "--witness-listen", listen, "--quick")
    assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()
    records = [json.loads(line) for line in (tmp_path / "report.jsonl").read_text().splitlines()]
    results = {record["rule"]: record for record in records if record["kind"] == "result"}
    assert (results["MGC311"]["verdict"], results["MGC311"]["backend"]) == ("pass", "witness")


def test_a_running_gateway_with_another_upstream_is_not_judged_by_it(tmp_path):
    listen = f"127.0.0.1:{free_port()}"
    with http_witness() as elsewhere, gateway("passthrough", "--upstream", elsewhere.url) as running:
        done = run(tmp_path, "--url", running.url, "--witness-listen", listen, "--quick")
    assert done.returncode == 3
    assert f"nothing arrived at the witness at http://{listen}/mcp" in done.stdout.decode()
