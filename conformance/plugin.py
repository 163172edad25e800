"""The pytest plugin: one item per cell and rule, each waiting for its cell's evidence and then judging it.

The controller starts the supervisor (and with it the one engine child that drives every cell); items, wherever xdist
runs them, only wait and judge. Results travel in `user_properties`, so that the controller alone writes reports.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

import pytest

from conformance.errors import EvidenceError
from conformance.evidence.events import JSON
from conformance.expectations import Expectations, Outcome
from conformance.judging import Judgement, applicable, judge_files, transcript
from conformance.judging_order import as_evidence_comes, driving_ended, judged_on
from conformance.report.allure import allure_labels
from conformance.report.escape import shown_lines
from conformance.rules.all import rules
from conformance.rules.base import Rule
from conformance.rules.verdicts import Fail, HarnessFault, Pass
from conformance.stage.plan import DIRECT, Cell, Plan
from conformance.stage.scenario import scenarios
from conformance.stage.supervisor import EXIT_FILE

if TYPE_CHECKING:
    from _pytest.mark.structures import ParameterSet

RESULT_PROPERTY: Final = "conformance-result"
EMPTY_PARAMETER_SET: Final = "NOTSET"  # the id that pytest gives it; ids of this harness are cells, rules and causes
_POLL: Final = 0.05


@dataclass(frozen=True, slots=True)
class Session:
    """What every item needs: the plan, which rules are selected, and what the baseline expects. driven: its cells."""

    plan: Plan
    selected: tuple[str, ...]
    expectations: Expectations
    driven: frozenset[Cell]

    @classmethod
    def read(cls, path: Path) -> Session:
        """Read the file that `run` wrote for its pytest session."""
        data = json.loads(path.read_text(encoding="utf-8"))
        plan = Plan.read(Path(data["plan"]))
        return cls(plan, tuple(data["rules"]), Expectations.from_json(data["expectations"]), frozenset(plan.cells))


SESSION: Final = pytest.StashKey[Session]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option by which `run` hands over its session file."""
    group = parser.getgroup("mcp-gateway-conformance")
    group.addoption("--conformance-session", metavar="FILE", help="session file written by `run`; not for typing")


def pytest_configure(config: pytest.Config) -> None:
    """Read the session file, in the controller and in every xdist worker."""
    given = config.getoption("--conformance-session")
    if given:
        config.stash[SESSION] = Session.read(Path(given))


def judged_items(plan: Plan, selected: tuple[str, ...], suite: str) -> Iterator[tuple[Cell, Rule]]:
    """Yield the (cell, rule) pairs of one suite, in a stable order."""
    known = scenarios()
    chosen = [rule for rule in rules() if not selected or rule.id in selected]
    for cell in plan.cells:
        scenario = known[cell.scenario]
        if scenario.suite == suite and cell.target != DIRECT:
            for rule in applicable(tuple(chosen), scenario.brings, cell.revision):
                yield cell, rule


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make one item per cell and rule of the suite that the module names."""
    if "judgement" not in metafunc.fixturenames:
        return
    session = metafunc.config.stash.get(SESSION, None)
    if session is None:
        raise pytest.UsageError("the scenarios are run by `mcp-gateway-conformance run`, not by pytest directly")
    suite = str(metafunc.module.SUITE)
    params: list[ParameterSet] = [
        pytest.param((cell, rule), id=f"{cell.id}/{rule.id}")
        for cell, rule in judged_items(session.plan, session.selected, suite)
    ]
    metafunc.parametrize("judgement", params, indirect=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out the item that pytest makes, to be skipped, of a test to which the plan gives nothing."""
    items[:] = [item for item in items if not item.name.endswith(f"[{EMPTY_PARAMETER_SET}]")]


def pytest_runtestloop(session: pytest.Session) -> bool | None:
    """Judge each cell's items once its evidence is there; what was not collected whole, or has no cell, is pytest's."""
    own = session.config.stash.get(SESSION, None)
    if own is None or session.testsfailed or session.config.option.collectonly:
        return None
    cells: dict[Cell, list[pytest.Item]] = {}
    for item in session.items:
        if "judgement" not in (given := _parameters(item)):
            return None
        cells.setdefault(given["judgement"][0], []).append(item)
    patience = float(session.config.getoption("--timeout"))
    for items in as_evidence_comes(cells, own.plan, patience=patience):
        for item, following in zip_longest(items, items[1:]):
            session.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            if session.shouldfail:
                raise session.Failed(session.shouldfail)
            if session.shouldstop:
                raise session.Interrupted(session.shouldstop)
    return True


def _parameters(item: pytest.Item) -> dict[str, Any]:
    return item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}


@pytest.fixture
def judgement(request: pytest.FixtureRequest) -> Outcome:
    """Wait for the cell's evidence, judge it, hand the result to the controller; harness errors end here, as errors."""
    session = request.config.stash[SESSION]
    cell, rule = request.param
    through, *controls = (await_evidence(session.plan, one) for one in judged_on(cell, session.driven))
    control = controls[0] if controls else None
    if through is None:
        result = Judgement(cell, rule, HarnessFault(engine_end(session.plan)), None, "")
    else:
        result = judge_files(cell, rule, through, control)
    outcome = session.expectations.outcome(result)
    record = {**result.to_json(), "expectation": outcome.expectation, "known": _known(outcome), **_driven(through)}
    allure_labels(record)
    request.node.user_properties.append((RESULT_PROPERTY, json.dumps(record)))
    if isinstance(result.verdict, HarnessFault):
        raise HarnessTroubleError(shown_lines(result.verdict.error))
    return outcome


def enforce(outcome: Outcome) -> None:
    """End a pytest item as its outcome demands. Harness errors never come here: they end in the fixture."""
    verdict, known = outcome.judgement.verdict, outcome.known
    if isinstance(verdict, Pass):
        if outcome.expectation == "unexpected-pass" and known is not None:
            _fail(f"passes, though the baseline lists it ({known.seen}); remove the entry")
        return
    if not isinstance(verdict, Fail):
        pytest.skip(f"{verdict.name}: {outcome.judgement.to_json()['observed']}")
    if outcome.expectation == "known-failure" and known is not None:
        pytest.xfail(shown_lines(f"known failure ({known.failure_class}; {known.issue}): {verdict.observed}"))
    if outcome.expectation == "charged-elsewhere":
        pytest.xfail(shown_lines(f"charged to the {verdict.charged_to}, not to the target: {verdict.observed}"))
    if outcome.expectation == "below-threshold":
        pytest.xfail(shown_lines(f"{outcome.judgement.rule.level} finding: {verdict.observed}"))
    text = f"expected: {verdict.expected}\nobserved: {verdict.observed}\ncharged to: {verdict.charged_to}"
    if known is not None:
        text += f"\nthe baseline lists this failure as {known.failure_class}"
    _fail(text)


def _fail(text: str) -> NoReturn:
    pytest.fail(shown_lines(text), pytrace=False)


class HarnessTroubleError(Exception):
    """The harness could not judge; reported as an error of the item's set-up, never as a failure."""


def _known(outcome: Outcome) -> dict[str, str] | None:
    entry = outcome.known
    return {"failure_class": entry.failure_class, "issue": entry.issue, "seen": entry.seen} if entry else None


def _driven(through: Path | None) -> dict[str, JSON]:
    """Return which run drove a cell, and when, as its evidence says; nothing where none can be read."""
    try:
        header = transcript(through).header if through is not None else {}
    except EvidenceError:
        header = {}
    if "started" not in header:
        return {}
    at = datetime.fromtimestamp(float(header["started"]), UTC)
    return {"run": str(header["run"]), "driven": at.isoformat(timespec="seconds")}


def await_evidence(plan: Plan, cell: Cell) -> Path | None:
    """Return the cell's evidence file once it is there, None when the engine child ended without writing it."""
    file = plan.evidence_file(cell)
    while not file.exists():
        if driving_ended(plan):
            return file if file.exists() else None
        time.sleep(_POLL)  # a file's appearance is the marker; there is nothing else to wait on across processes
    return file


def engine_end(plan: Plan) -> str:
    """Return how the engine child ended without driving a cell that was to be driven."""
    try:
        end: dict[str, JSON] = json.loads((Path(plan.work) / EXIT_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return "the driving process ended before this cell was driven"
    said = f"the driving process ended with status {end.get('status')} before this cell was driven"
    return f"{said}; its last words: {end.get('log') or 'none'}"


class Collector:
    """The controller's own plugin: hands every result record on as it comes, from wherever it was judged.

    trouble: what kept pytest itself from collecting or finishing, for the end of the run.
    """

    def __init__(self, on_result: Callable[[dict[str, JSON]], None]) -> None:
        self._on_result = on_result
        self.trouble: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Pass on the record that the item's set-up attached; an item without one is trouble, never silence."""
        if report.when != "setup":
            return
        records = [value for name, value in report.user_properties if name == RESULT_PROPERTY]
        for value in records:
            self._on_result(json.loads(str(value)))
        if not records:
            self.trouble.append(f"{report.nodeid} ended without a result: {report.longrepr}")

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Remember a suite that could not be collected: its rules were not judged."""
        if report.failed:
            self.trouble.append(f"{report.nodeid} could not be collected: {report.longrepr}")

    def pytest_internalerror(self, excrepr: object) -> None:
        """Remember a failure of pytest or of this plugin."""
        self.trouble.append(str(excrepr))
