"""What a search finds: evidence that departs from its model."""

from __future__ import annotations

from dataclasses import dataclass

from conformance.evidence.events import JSON, Hop
from conformance.spec.catalogue import Level


@dataclass(frozen=True, slots=True)
class Departure:
    """Something that the model of a search does not know.

    kind: what tells it from others. rows, source: what the model rests on. step: number of the step that brought it,
    from 1; 0 where no steps were recorded. events: the decisive exchange's, as in a verdict.
    """

    kind: str
    expected: str
    observed: str
    level: Level
    rows: tuple[str, ...]
    source: str
    charged_to: Hop
    events: tuple[int, ...]
    step: int = 0

    def to_json(self) -> dict[str, JSON]:
        """Return the JSON object of a search's report."""
        return {
            "kind": self.kind,
            "expected": self.expected,
            "observed": self.observed,
            "level": str(self.level),
            "requirements": list(self.rows),
            "source": self.source,
            "charged_to": str(self.charged_to),
            "events": list(self.events),
        }
