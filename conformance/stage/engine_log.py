"""What the engine reported during a run, kept as observations and handed out by image."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

from conformance.evidence.events import JSON, Kind, Point
from conformance.evidence.log import Observation
from conformance.evidence.redact import Redactor
from conformance.stage.engine_events import EngineEvent, EngineWatch


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

    def existing(self, image: str) -> frozenset[str]:
        """Return the ids of the containers of `image` that were created and not removed."""
        events = [event for event in (self.watch.events if self.watch else ()) if event.image == image]
        removed = {event.container for event in events if event.action == "destroy"}
        return frozenset(event.container for event in events if event.action == "create") - removed

    async def removal(self, containers: frozenset[str], seconds: float) -> None:
        """Wait until the engine has reported each of these containers as removed, at most `seconds`."""
        if self.watch is None:
            return
        with suppress(TimeoutError):  # what is left then is in the evidence, for the rules to find
            async with asyncio.timeout(seconds):
                for container in containers:
                    await self.watch.wait_for(partial(_is, "destroy", container), seconds)

    async def kill(self, containers: frozenset[str], seconds: float) -> None:
        """SIGKILL these containers and wait until the engine has reported the end of each, at most `seconds`."""
        if self.watch is None:
            return
        for container in containers:
            await self.watch.kill(container)
        for container in containers:
            await self.watch.wait_for(partial(_is, "die", container), seconds)

    async def stop(self) -> None:
        """Stop watching."""
        if self.watch is not None:
            await self.watch.stop()


def _is(action: str, container: str, event: EngineEvent) -> bool:
    return event.container == container and event.action == action
