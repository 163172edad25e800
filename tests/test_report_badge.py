"""The badge: what it counts, and when there is none."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest
from report_sample import HEADER, report, result

from conformance.report.badge import Badge, NoBadge, badge, write_badges
from conformance.report.badge_svg import svg
from conformance.spec.profiles import Profile
from conformance.spec.revisions import Revision

PROFILE = Profile(Revision.V2025_11_25, frozen=True, requirements=("GET-03", "GET-05"))
BOTH = (result(), result("GET-R02", requirements=["GET-05"]))


def test_all_rows_pass(tmp_path):
    found = badge(report(tmp_path, *BOTH), "gw", PROFILE)
    assert found == Badge("gw", "2025-11-25", 2, 2)
    assert found.to_json() == {
        "schemaVersion": 1,
        "label": "MCP gateway 2025-11-25",
        "message": "required 2/2",
        "color": "brightgreen",
    }


def test_one_failure_fails_its_row_whatever_else_passes(tmp_path):
    failed = result(verdict="fail", scenario="second-get", expectation="known-failure")
    found = badge(report(tmp_path, *BOTH, failed), "gw", PROFILE)
    assert found == Badge("gw", "2025-11-25", 1, 2)
    assert found.to_json()["isError"] is True


def test_a_failure_of_the_backend_is_not_the_targets(tmp_path):
    theirs = result(verdict="fail", scenario="second-get", charged_to="backend", expectation="charged-elsewhere")
    assert badge(report(tmp_path, *BOTH, theirs), "gw", PROFILE) == Badge("gw", "2025-11-25", 2, 2)
    alone = badge(report(tmp_path, BOTH[1], theirs), "gw", PROFILE)
    assert isinstance(alone, NoBadge)
    assert "GET-03" in alone.why


@pytest.mark.parametrize("verdict", ["not-exercised", "inconclusive"])
def test_a_row_that_nothing_judged_is_missing(tmp_path, verdict):
    found = badge(report(tmp_path, BOTH[0], result("GET-R02", verdict, requirements=["GET-05"])), "gw", PROFILE)
    assert found == NoBadge("gw", "1 of 2 required rows were not judged: GET-05")


@pytest.mark.parametrize(
    ("how", "extra", "says"),
    [
        ({"header": replace(HEADER, selection=replace(HEADER.selection, quick=True))}, (), "--quick"),
        ({"header": replace(HEADER, selection=replace(HEADER.selection, partial=True))}, (), "limited"),
        ({"complete": False}, (), "did not end in order"),
        ({"exit_code": 3}, (), "status 3"),
        ({"exit_code": 1}, (result("GET-R09", "harness-error"),), "harness errors"),
    ],
)
def test_a_partial_or_errored_run_has_none(tmp_path, how, extra, says):
    found = badge(report(tmp_path, *BOTH, *extra, **how), "gw", PROFILE)
    assert isinstance(found, NoBadge)
    assert says in found.why


def test_an_unfinished_profile_has_none(tmp_path):
    found = badge(report(tmp_path, *BOTH), "gw", replace(PROFILE, frozen=False))
    assert isinstance(found, NoBadge)
    assert "not frozen" in found.why


def test_only_the_profiles_revision_counts(tmp_path):
    older = result(verdict="fail", revision="2025-06-18")
    assert badge(report(tmp_path, *BOTH, older), "gw", PROFILE) == Badge("gw", "2025-11-25", 2, 2)


def test_files_of_one_and_of_several_targets(tmp_path):
    write_badges(report(tmp_path, *BOTH), PROFILE, tmp_path)
    assert json.loads((tmp_path / "badge.json").read_text(encoding="utf-8"))["message"] == "required 2/2"
    assert (tmp_path / "badge-gw.json").read_bytes() == (tmp_path / "badge.json").read_bytes()
    assert (tmp_path / "badge-gw.svg").read_bytes() == (tmp_path / "badge.svg").read_bytes()

    several = tmp_path / "several"
    several.mkdir()
    found = write_badges(report(several, *BOTH, result(target="../other")), PROFILE, several)
    assert [type(item) for item in found] == [NoBadge, Badge]
    assert sorted(path.name for path in several.glob("badge*")) == ["badge-gw.json", "badge-gw.svg"]


def test_a_row_that_does_not_apply_is_not_counted(tmp_path):
    found = badge(
        report(tmp_path, BOTH[0], result("GET-R02", "not-applicable", requirements=["GET-05"])), "gw", PROFILE
    )
    assert isinstance(found, Badge)
    assert found.message == "required 1/1 (1 n/a)"


def test_the_picture_says_what_the_endpoint_does_and_equal_badges_are_equal_files():
    for colour in ("brightgreen", "red"):
        texts = ["".join(element.itertext()).strip() for element in ET.fromstring(svg("MCP <&", '"2/2', colour))]
        assert any("MCP <&" in text for text in texts)
        assert any('"2/2' in text for text in texts)
    assert svg("a", "b", "red") == svg("a", "b", "red")
