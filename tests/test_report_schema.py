"""The published schemas: they say what the code says, accept what it writes and refuse what it does not."""

from __future__ import annotations

import json
from typing import get_args

import pytest
from jsonschema import Draft202012Validator
from report_sample import HOSTILE, diagnosis, result, write

from conformance.errors import EvidenceError
from conformance.evidence.events import SCHEMA_VERSION, Hop, Kind, Point
from conformance.evidence.log import Observation, write_evidence
from conformance.expectations import Expectation
from conformance.paths import SCHEMAS
from conformance.report.records import REPORT_SCHEMA_VERSION, VERDICTS
from conformance.report.validate import trouble, validate_file
from conformance.rules.base import Level

EVIDENCE = json.loads((SCHEMAS / "evidence.schema.json").read_text(encoding="utf-8"))
REPORT = json.loads((SCHEMAS / "report.schema.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("schema", [EVIDENCE, REPORT], ids=["evidence", "report"])
def test_the_schema_is_a_schema_and_describes_every_kind(schema):
    Draft202012Validator.check_schema(schema)
    kinds = schema["properties"]["kind"]["enum"]
    assert set(kinds) == set(schema["$defs"])
    assert [item["then"]["$ref"] for item in schema["allOf"]] == [f"#/$defs/{kind}" for kind in kinds]
    assert all(schema["$defs"][kind]["description"] for kind in kinds)


def test_the_vocabularies_are_those_of_the_code():
    fields = REPORT["$defs"]["result"]["properties"]
    assert fields["verdict"]["enum"] == list(VERDICTS)
    assert set(fields["level"]["enum"]) == set(Level)
    assert set(fields["expectation"]["enum"]) == set(get_args(Expectation))
    assert set(REPORT["$defs"]["diagnosis"]["properties"]["hop"]["enum"]) == set(Hop)
    assert REPORT["$defs"]["header"]["properties"]["schema"]["const"] == REPORT_SCHEMA_VERSION
    assert set(EVIDENCE["$defs"]) == set(Kind)
    assert set(EVIDENCE["properties"]["point"]["enum"]) == set(Point)
    assert EVIDENCE["$defs"]["header"]["properties"]["schema"]["const"] == SCHEMA_VERSION


def test_a_written_report_conforms(tmp_path):
    failed = result(verdict="fail", known={"failure_class": "x", "issue": "a/b#1", "seen": "1"}, observed=HOSTILE)
    others = [result(verdict=verdict) for verdict in VERDICTS if verdict != "fail"]
    path = write(tmp_path / "report.jsonl", failed, *others, diagnosis(failed), exit_code=1)
    assert validate_file("report", path) == 1 + 1 + len(others) + 1 + 1


@pytest.mark.parametrize(
    ("record", "says"),
    [
        ({"kind": "gossip"}, "kind"),
        ({}, "kind"),
        (result(verdict="skipped"), "verdict"),
        (result(verdict="fail", expected=None), "expected"),
        (result(verdict="fail", charged_to="weather"), "charged_to"),
        ({**result(), "observed": None}, "observed"),
        (diagnosis(), "symptoms"),
        (diagnosis(result(verdict="fail"), confidence=1.5), "confidence"),
    ],
)
def test_a_record_that_departs_is_refused(record, says):
    assert says in trouble("report", record)


def test_evidence_conforms_and_an_unknown_kind_does_not(tmp_path):
    header = {
        "cell": "gw/process/witness/2025-11-25/2025-11-25/get-in-session",
        "run": "r",
        "suite": "get_sse",
        "scenario": "get-in-session",
        "revision": "2025-11-25",
        "backend_revision": "2025-11-25",
        "runtime": "process",
        "witness_script": "correct",
        "control": False,
        "backend_tapped": True,
        "client_tapped": True,
        "claims": {},
        "redaction": "supplied",
        "started": 0.0,
    }
    seen = [
        Observation(1, Point.CLIENT_TAP, Kind.CHUNK, {"tap": "client:a", "conn": 1, "dir": "up", "length": 3}),
        Observation(2, Point.STAGE, Kind.LOG, {"source": "gateway", "line": "ready"}),
    ]
    path = tmp_path / "cell.jsonl"
    write_evidence(path, header, seen, {"complete": True})
    assert validate_file("evidence", path) == 4
    path.write_text(path.read_text(encoding="utf-8").replace('"kind":"log"', '"kind":"rumour"'), encoding="utf-8")
    with pytest.raises(EvidenceError, match=r"line 3 does not conform to the evidence schema: \$\.kind"):
        validate_file("evidence", path)


def test_a_line_that_is_not_json_is_named(tmp_path):
    path = tmp_path / "cell.jsonl"
    path.write_text("{}{\n", encoding="utf-8")
    with pytest.raises(EvidenceError, match="line 1 is not JSON"):
        validate_file("report", path)
