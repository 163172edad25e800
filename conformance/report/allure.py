"""Labels and links by which an Allure report groups the results: epic target, feature suite, story scenario."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from allure_commons import plugin_manager
from allure_commons.types import LabelType, LinkType, Severity

from conformance.evidence.events import JSON
from conformance.spec.catalogue import Level, Requirement, requirement

_SPECIFICATION: Final = "https://modelcontextprotocol.io/specification"
_SEVERITY: Final = {
    Level.MUST: Severity.CRITICAL,
    Level.SHOULD: Severity.NORMAL,
    Level.MAY: Severity.MINOR,
    Level.PRACTICE: Severity.NORMAL,
}


def allure_labels(record: Mapping[str, JSON]) -> None:
    """Label the pytest item that is running with what a `result` record says; links lead to the cited passages."""
    for label, value in (
        (LabelType.EPIC, record["target"]),
        (LabelType.FEATURE, record["suite"]),
        (LabelType.STORY, record["scenario"]),
        (LabelType.SEVERITY, _SEVERITY[Level(record["level"])]),
        (LabelType.TAG, record["rule"]),
    ):
        plugin_manager.hook.add_label(label_type=label, labels=(value,))
    for requirement_id in record["requirements"]:
        plugin_manager.hook.add_label(label_type=LabelType.TAG, labels=(requirement_id,))
        if url := _passage(requirement(requirement_id), str(record["revision"])):
            plugin_manager.hook.add_link(url=url, link_type=LinkType.LINK, name=requirement_id)


def _passage(row: Requirement, revision: str) -> str:
    """Return the address of the specification's page that a row comes from; empty for rows of practice."""
    page = row.source.partition(" §")[0].partition(",")[0].strip()
    return f"{_SPECIFICATION}/{revision}/{page}" if page.startswith(("basic/", "server/", "client/")) else ""
