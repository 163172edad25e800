"""What the engine reported during a run, kept as observations and handed out by image."""

from __future__ import annotations

from dataclasses import dataclass, field

from conformance.evidence.events import JSON, Kind, Point
from conformance.evidence.log import Observation
from conformance.evidence.redact import Redactor
from conformance.stage.engine_events import EngineWatch


@dataclass(slots=True)
class EngineLog:
    """Collects an EngineWatch's observations. Create with `EngineLog.start`, end with `stop`."""

    redactor: Redactor
    observations: list[Observation] = field(default_factory=list)
    watch: EngineWatch | None = None

    @classmethod
    async def start(cls, run_id: str, redactor: Redactor) -> EngineLog:
        """Begin to watch the containers of a run. Raises CannotJudgeError when no engine answers."""
        self = cls(redactor)
        self.watch = await EngineWatch.start(run_id, self._take)
        return self

    def _take(self, kind: Kind, data: dict[str, JSON], t_ns: int) -> None:
        self.observations.append(Observation(t_ns, Point.ENGINE, kind, self.redactor.plain(data)))

    def of(self, image: str) -> list[Observation]:
        """Return what concerns containers of `image`, and the clock samples that date it."""
        containers = {
            item.data["container"]
            for item in self.observations
            if item.kind is Kind.ENGINE_EVENT and item.data.get("image") == image
        }
        return [
            item for item in self.observations if item.kind is Kind.CLOCK or item.data.get("container") in containers
        ]

    async def stop(self) -> None:
        """Stop watching."""
        if self.watch is not None:
            await self.watch.stop()
