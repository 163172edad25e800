"""How a run ends, and what its report's header says of it."""

from pathlib import Path

import pytest

from conformance.errors import ExitCode
from conformance.execution import PROFILED, exit_code, header_of
from conformance.expectations import Known, Unmet
from conformance.resuming import manifest_digest
from conformance.running import Judged, Selection
from conformance.spec.profiles import profile
from conformance.stage.manifest import load_backend, load_target
from conformance.stage.plan import UrlTarget
from conformance.stage.scenario import DEFAULT_SUITES, SUITES

PASS, KNOWN = ("pass", "ok"), ("fail", "known-failure")
UNEXPECTED, ERROR = ("fail", "unexpected-failure"), ("harness-error", "not-judged")
UNDECIDED, SKIPPED = ("inconclusive", "not-judged"), ("not-exercised", "not-judged")


def ended(*results, trouble=(), interrupted=False):
    records = tuple({"verdict": verdict, "expectation": expectation} for verdict, expectation in results)
    return exit_code(Judged("id", (), records, trouble, interrupted))


@pytest.mark.parametrize("result", [PASS, KNOWN, ("fail", "charged-elsewhere"), ("fail", "below-threshold")])
def test_what_was_expected_ends_with_0(result):
    assert ended(result, SKIPPED) is ExitCode.OK


@pytest.mark.parametrize("expectation", ["unexpected-failure", "unexpected-pass", "wrong-class"])
def test_each_surprise_ends_with_1(expectation):
    assert ended(PASS, ("fail", expectation)) is ExitCode.UNEXPECTED


def test_what_could_not_be_judged_ends_with_3():
    assert ended(PASS, ERROR) is ExitCode.CANNOT_JUDGE
    assert ended(PASS, trouble=("suite could not be collected",)) is ExitCode.CANNOT_JUDGE


@pytest.mark.parametrize(("undecided", "wanted"), [(2, ExitCode.OK), (3, ExitCode.CANNOT_JUDGE)])
def test_over_two_in_a_hundred_undecided_is_not_judged(undecided, wanted):
    assert ended(*[UNDECIDED] * undecided, *[PASS] * (100 - undecided)) is wanted


@pytest.mark.parametrize(("state", "wanted"), [("stale", ExitCode.UNEXPECTED), ("unchecked", ExitCode.OK)])
def test_a_stale_baseline_entry_is_as_unexpected_as_a_failure(state, wanted):
    entry = Known(target="gw", rule="MGC301", failure_class="accept-406", seen="s", issue="i")
    records = ({"verdict": "pass", "expectation": "ok"},)
    assert exit_code(Judged("id", (), records, (), interrupted=False), (Unmet.of(entry, state, "w"),)) is wanted


@pytest.mark.parametrize("results", [(), (SKIPPED,), (("not-applicable", "not-judged"),)])
def test_nothing_judged_ends_with_5(results):
    assert ended(*results) is ExitCode.NOTHING_RAN


def test_the_first_that_applies_is_used():
    everything = (UNEXPECTED, ERROR, UNDECIDED)
    assert ended(*everything, trouble=("t",), interrupted=True) is ExitCode.INTERRUPTED
    assert ended(*everything, trouble=("t",)) is ExitCode.UNEXPECTED
    assert ended(ERROR, SKIPPED) is ExitCode.CANNOT_JUDGE


# the header -----------------------------------------------------------------------------------------------------------


def header(backends=("witness", "everything"), **more):
    chosen = {"runtime": "process", "out": Path("out"), **more}
    return header_of(Selection((load_target("passthrough"),), tuple(map(load_backend, backends)), **chosen))


def test_a_whole_run_is_not_partial():
    assert not header().selection.partial
    assert not header(suites=(*SUITES[::-1],)).selection.partial
    assert not header(suites=DEFAULT_SUITES).selection.partial


@pytest.mark.parametrize(
    "narrowed",
    [
        {"suites": SUITES[1:]},
        {"rules": ("MGC301",)},
        {"backends": ("witness",)},
        {"url": UrlTarget("http://127.0.0.1:1/mcp")},
    ],
    ids=lambda item: next(iter(item)),
)
def test_a_narrowed_run_is_partial(narrowed):
    assert header(**narrowed).selection.partial


def test_only_one_frozen_revision_is_a_profile():
    assert all(header(revisions=(revision,)).profile == revision for revision in PROFILED)
    assert all(profile(revision).frozen for revision in PROFILED)
    assert header(revisions=("2025-03-26",)).profile is None
    assert header(revisions=("2025-06-18", "2025-11-25")).profile is None


def test_what_decided_the_run_is_named_by_digest():
    digests = header().digests
    assert set(digests) == {"evidence-schema", "passthrough", "witness", "everything"}
    assert all(len(str(digest)) == 64 for digest in digests.values())
    assert digests["passthrough"] == manifest_digest(load_target("passthrough"))
