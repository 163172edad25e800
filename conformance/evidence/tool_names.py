"""The names that a gateway gives its backend's tools: beside a prefix, some replace texts within the names.

What is replaced is the target's manifest's to say; evidence holds it, so that whoever looks for a backend's tool in a
list of the gateway's knows what to look for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from conformance.evidence.events import JSON


@dataclass(frozen=True, slots=True)
class ToolNames:
    """What a gateway makes of a tool's name. replaced: what stands in place of each text, in the order of replacing."""

    replaced: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of_header(cls, header: Mapping[str, JSON]) -> ToolNames:
        """Return what an evidence file's header says of them."""
        return cls(header.get("tools_replaced") or {})

    def changed(self, tool: str) -> str:
        """Return the backend's name for a tool as the gateway spells it, without a prefix."""
        for old, new in self.replaced.items():
            tool = tool.replace(old, new)
        return tool

    def standing_for(self, tool: str, listed: Iterable[str]) -> list[str]:
        """Return the listed names that may stand for the backend's tool: those that end in its name as spelled there.

        Which prefix a gateway uses is its own affair, and may differ by backend.
        """
        return [name for name in listed if name.endswith(self.changed(tool))]
