"""The broken releases: their folders, and what the records of a pair are taken to mean."""

from dataclasses import replace

import pytest

from conformance.diagnosis.failure_classes import failure_classes
from conformance.release_pairs import PairOutcome, judge_pair
from conformance.stage.broken_releases import broken_releases

RELEASES = broken_releases()
PAIR = replace(RELEASES[0], failure_class="class-a", scenarios=())


def record(verdict="pass", failure_class=None, rule="MGC1", scenario="s", charged_to="gateway"):
    found = {"rule": rule, "verdict": verdict, "failure_class": failure_class, "scenario": scenario}
    return {**found, "charged_to": charged_to if verdict == "fail" else None, "observed": "seen"}


FLAGGED = record("fail", "class-a")


def test_there_are_ten_with_names_of_their_own():
    names = [item.target(which).name for item in RELEASES for which in ("bad", "fixed")]
    assert len(RELEASES) >= 10
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("release", RELEASES, ids=[item.id for item in RELEASES])
def test_a_release_is_complete(release):
    assert release.failure_class in {item.id for item in failure_classes()}
    for which, version in (("bad", release.bad), ("fixed", release.fixed)):
        target = release.target(which)
        assert target.version == version
        assert any(
            f"{release.package}" in item and version in item for item in (*target.install.pypi, *target.install.npm)
        )
        locks = {file.name for file in (release.folder / which).iterdir()} & {"constraints.txt", "package-lock.json"}
        assert len(locks) == 1


@pytest.mark.parametrize(
    ("bad", "fixed", "outcome"),
    [
        ([FLAGGED, record("harness-error", scenario="t")], [record()], PairOutcome.TOLD_APART),
        ([record()], [record()], PairOutcome.MISSED),
        ([record("fail", "class-b")], [record()], PairOutcome.MISSED),
        ([record("fail", "class-a", charged_to="backend")], [record()], PairOutcome.MISSED),
        ([], [], PairOutcome.MISSED),
        ([FLAGGED], [FLAGGED], PairOutcome.FIXED_FLAGGED),
        ([FLAGGED], [record(), record("fail", "class-a", rule="MGC2", scenario="t")], PairOutcome.FIXED_FLAGGED),
        ([FLAGGED], [record("harness-error")], PairOutcome.NOT_JUDGED),
        ([record("harness-error")], [record()], PairOutcome.NOT_JUDGED),
        ([FLAGGED], [record("not-exercised")], PairOutcome.FIXED_NOT_PASSED),
        ([FLAGGED], [], PairOutcome.FIXED_NOT_PASSED),
    ],
)
def test_a_pair(bad, fixed, outcome):
    assert judge_pair(PAIR, bad, fixed).outcome is outcome


def test_only_the_scenarios_that_show_the_defect_count():
    pair = replace(PAIR, scenarios=("s",))
    elsewhere = record("fail", "class-a", scenario="t")
    assert judge_pair(pair, [FLAGGED, elsewhere], [record(), elsewhere]).outcome is PairOutcome.TOLD_APART
    assert judge_pair(pair, [elsewhere], [record()]).outcome is PairOutcome.MISSED
