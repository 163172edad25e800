"""Names that a gateway gives its backend's tools: what is replaced in them, and where that is looked for."""

from __future__ import annotations

from conformance.evidence.tool_names import ToolNames


def test_a_name_is_looked_for_as_the_gateway_spells_it() -> None:
    names = ToolNames({"_": "-"})
    assert names.changed("add_a_tool") == "add-a-tool"
    assert names.standing_for("add_tool", ["one-add-tool", "two-add_tool", "add-tools"]) == ["one-add-tool"]


def test_without_a_word_on_it_names_stay_as_they_are() -> None:
    names = ToolNames.of_header({"cell": "gateway/process"})
    assert names.standing_for("add_tool", ["one_add_tool", "one-add-tool"]) == ["one_add_tool"]
