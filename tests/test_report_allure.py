"""Allure's labels: what a result is filed under, and where its requirements are to be read."""

from __future__ import annotations

import allure_commons
import pytest
from report_sample import result

from conformance.report.allure import allure_labels
from conformance.spec.catalogue import requirements


class Recorder:
    def __init__(self):
        self.labels = []
        self.links = []

    @allure_commons.hookimpl
    def add_label(self, label_type, labels):
        self.labels += [(str(label_type), str(label)) for label in labels]

    @allure_commons.hookimpl
    def add_link(self, url, link_type, name):
        self.links.append((name, url))


@pytest.fixture
def recorder():
    recorder = Recorder()
    allure_commons.plugin_manager.register(recorder)
    yield recorder
    allure_commons.plugin_manager.unregister(recorder)


def test_a_result_is_filed_under_target_suite_and_scenario(recorder):
    allure_labels(result())
    found = dict(recorder.labels)
    assert {found[name] for name in ("epic", "feature", "story")} == {"gw", "get_sse", "get-in-session"}
    assert found["severity"].lower().endswith("critical")
    assert ("tag", "GET-03") in recorder.labels
    ((name, url),) = recorder.links
    assert name == "GET-03"
    assert url == "https://modelcontextprotocol.io/specification/2025-11-25/basic/transports"


def test_rows_of_practice_have_no_passage(recorder):
    row = next(row for row in requirements() if row.level == "PRACTICE")
    allure_labels(result(level="PRACTICE", requirements=[row.id]))
    assert ("tag", row.id) in recorder.labels
    assert not recorder.links
