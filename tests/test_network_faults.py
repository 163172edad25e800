"""Network faults brought about before a healthy gateway: what the same evidence says where nobody declared them.

A run that brings a fault about knows which; a deployment does not. So the header's word for it is taken out here.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from conformance.diagnosis.classify import classify
from conformance.diagnosis.timeline import timeline
from conformance.errors import ExitCode
from conformance.evidence.events import Hop
from conformance.evidence.log import read_evidence
from conformance.evidence.transcript import Transcript
from conformance.execution import execute
from conformance.rules.all import rule_named
from conformance.rules.base import Inputs, judge
from conformance.rules.verdicts import Fail
from conformance.running import Selection, cells_of
from conformance.stage.manifest import load_backend, load_target
from conformance.stage.scenario import NetworkFault

FAULTS = {
    NetworkFault.PORT_CLOSED: (Hop.CONFIGURATION, "refuses connections"),
    NetworkFault.TLS_EXPIRED: (Hop.CONFIGURATION, "expired on"),
    NetworkFault.TLS_TO_PLAIN: (Hop.CONFIGURATION, "speaks plain HTTP and was spoken TLS to"),
    NetworkFault.PAGE: (Hop.EDGE, "answers with a web page"),
}


def scenario_of(fault: NetworkFault) -> str:
    return f"network-{fault.name.lower().replace('_', '-')}"


@pytest.fixture(scope="module")
def driven(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("network")
    selection = Selection(
        (load_target("passthrough"),), (load_backend("witness"),), "process", out, suites=("network",)
    )
    wanted = {scenario_of(fault) for fault in FAULTS}
    only = frozenset(cell for cell in cells_of(selection) if cell.scenario in wanted)
    assert execute(replace(selection, only=only)) is ExitCode.OK
    return out


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_named_and_charged_where_nobody_declared_it(driven: Path, fault: NetworkFault) -> None:
    (file,) = (driven / "evidence").glob(f"*__{scenario_of(fault)}.jsonl")
    header, *events = read_evidence(file)
    assert header.data["network_fault"] == str(fault)
    undeclared = replace(header, data={**header.data, "network_fault": ""})
    inputs = Inputs(Transcript([undeclared, *events]))
    rule = rule_named("MGC980")
    assert rule is not None
    verdict = judge(rule, inputs)
    assert isinstance(verdict, Fail)
    found = classify(rule, verdict, inputs)
    hop, says = FAULTS[fault]
    assert (found.failure_class, found.hop) == (str(fault), hop)
    assert found.confidence >= 0.9
    assert says in verdict.observed
    told = [moment.text for moment in timeline(inputs.through, verdict.events) if moment.decisive]
    assert any(text.startswith("probe from this machine: http") for text in told)
