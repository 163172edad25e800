"""The pytest items of the replays: three for each cause, which wait for the evidence of both its sides.

Beside `conformance.plugin`, whose session they read; results travel to the controller the same way.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from conformance.errors import EvidenceError
from conformance.evidence.events import JSON
from conformance.plugin import RESULT_PROPERTY, SESSION, HarnessTroubleError, await_evidence, engine_end
from conformance.replays.catalogue import Cause, Condition, Side, Topology, replays
from conformance.replays.driving import SIDES, driven, load_measured, what_came
from conformance.replays.findings import (
    Asserted,
    Assertion,
    Driven,
    State,
    assertions,
    due,
    measured_assertion,
    tried_assertion,
    trouble,
)
from conformance.stage.plan import Plan

if TYPE_CHECKING:
    from _pytest.mark.structures import ParameterSet


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make one item for each cause or condition that the plan drives, in each test that asserts something of it."""
    for assertion in Assertion:
        if assertion not in metafunc.fixturenames:
            continue
        session = metafunc.config.stash.get(SESSION, None)
        if session is None:
            raise pytest.UsageError("the replays are run by `mcp-gateway-conformance replays`, not by pytest directly")
        params: list[ParameterSet] = [
            pytest.param(cause, id=cause.name)
            for replay in replays()
            for cause in replay.causes
            if cause.cell(Side.FAILING) in session.plan.cells and assertion in due(cause)
        ]
        params += [
            pytest.param(condition, id=condition.name)
            for replay in replays()
            for condition in replay.tried
            if condition.cell in session.plan.cells and assertion is Assertion.TRIED
        ]
        metafunc.parametrize(str(assertion), params, indirect=True)


@pytest.fixture
def seen(request: pytest.FixtureRequest) -> Asserted:
    """Return whether the failure was seen on the failing side."""
    return _asserted(request, Assertion.SEEN)


@pytest.fixture
def diagnosed(request: pytest.FixtureRequest) -> Asserted:
    """Return whether the diagnosis names the true cause and hop, and no wrong one."""
    return _asserted(request, Assertion.DIAGNOSED)


@pytest.fixture
def remedied(request: pytest.FixtureRequest) -> Asserted:
    """Return whether the same scenario passes with the remedy."""
    return _asserted(request, Assertion.REMEDIED)


@pytest.fixture
def measured(request: pytest.FixtureRequest) -> Asserted:
    """Return whether the write-up's success criteria hold as ratios to the control."""
    return _asserted(request, Assertion.MEASURED)


@pytest.fixture
def tried(request: pytest.FixtureRequest) -> Asserted:
    """Return what became of the client under a condition."""
    condition: Condition = request.param
    plan = request.config.stash[SESSION].plan
    replay = next(item for item in replays() if item.id == condition.replay)
    file = await_evidence(plan, condition.cell)
    if file is None:
        found = Asserted(Assertion.TRIED, State.TROUBLE, f"{condition.name}: {engine_end(plan)}")
        return _reported(request, condition.name, condition.topology, found)
    try:
        found = tried_assertion(what_came(replay, condition, file.parent))
    except EvidenceError as error:
        found = Asserted(Assertion.TRIED, State.TROUBLE, f"{condition.name}: {error}")
    return _reported(request, condition.name, condition.topology, found)


def _asserted(request: pytest.FixtureRequest, assertion: Assertion) -> Asserted:
    """Wait until both sides of the cause were driven, hand the result to the controller and return it."""
    cause: Cause = request.param
    plan = request.config.stash[SESSION].plan
    asked = _measured(plan, cause) if assertion is Assertion.MEASURED else _of(plan, cause)
    found = next(item for item in asked if item.assertion is assertion)
    return _reported(request, cause.name, cause.failing, found)


def _reported(request: pytest.FixtureRequest, name: str, topology: Topology, found: Asserted) -> Asserted:
    request.node.user_properties.append((RESULT_PROPERTY, json.dumps(record(name, topology, found))))
    if found.state is State.TROUBLE:
        raise HarnessTroubleError(found.detail)
    return found


def enforce(found: Asserted) -> None:
    """End a pytest item as its assertion came out."""
    if found.state is State.NOT_EXERCISED:
        pytest.skip(f"not exercised: {found.detail}")
    if found.state is not State.HOLDS:
        pytest.fail(found.detail, pytrace=False)


def record(name: str, topology: Topology, found: Asserted) -> dict[str, JSON]:
    """Return the result record of one assertion, as the live progress and the command read it.

    name: of the cause or the condition. topology: what it is shown as.
    """
    return {
        "kind": "replay",
        "cause": name,
        "assertion": str(found.assertion),
        "rule": f"{name} {found.assertion}",
        "target": topology.target.name,
        "verdict": str(found.state),
        "observed": found.detail,
        "expectation": "unexpected-failure" if found.state is State.FAILS else "",
    }


def _measured(plan: Plan, cause: Cause) -> tuple[Asserted, ...]:
    for side in SIDES:
        cell = cause.cell(side, cause.load)
        if await_evidence(plan, cell) is None or await_evidence(plan, cell.control) is None:
            return trouble(cause, engine_end(plan))
    try:
        return (measured_assertion(load_measured(cause, plan.evidence_dir)),)
    except EvidenceError as error:
        return trouble(cause, str(error))


def _of(plan: Plan, cause: Cause) -> tuple[Asserted, ...]:
    sides: list[Driven] = []
    for side in SIDES:
        cell = cause.cell(side)
        file = await_evidence(plan, cell)
        if file is None:
            return trouble(cause, engine_end(plan))
        if cell.control in plan.cells:
            await_evidence(plan, cell.control)
        try:
            sides.append(driven(cell, file))
        except EvidenceError as error:
            return trouble(cause, str(error))
    return assertions(cause, *sides)
