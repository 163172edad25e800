"""What the engine reported, by image: which containers exist, and waiting until some do no more."""

from __future__ import annotations

import asyncio
from typing import Any

from conformance.evidence.redact import Redactor
from conformance.stage.engine_events import EngineEvent
from conformance.stage.engine_log import EngineLog


class Watch:
    """Stands in for the engine's stream of events."""

    def __init__(self, *events: EngineEvent) -> None:
        self.events = events
        self.asked: list[bool] = []

    async def wait_for(self, wanted: Any, seconds: float) -> EngineEvent | None:
        found = next(filter(wanted, self.events), None)
        if found is None:
            await asyncio.sleep(seconds)
        self.asked.append(found is not None)
        return found


def event(action: str, container: str, image: str = "image") -> EngineEvent:
    return EngineEvent(action, container, "name", image, {}, 0, None)


def log(*events: EngineEvent) -> EngineLog:
    made = EngineLog(Redactor())
    made.watch = Watch(*events)  # type: ignore[assignment]
    return made


def test_what_was_created_and_not_removed_exists() -> None:
    seen = log(event("create", "a"), event("create", "b"), event("destroy", "a"), event("create", "c", "other"))
    assert seen.existing("image") == {"b"}


def test_a_removal_that_was_reported_is_not_waited_for() -> None:
    seen = log(event("create", "a"), event("destroy", "a"))
    asyncio.run(seen.removal(frozenset({"a"}), 60.0))
    assert isinstance(seen.watch, Watch)
    assert seen.watch.asked == [True]


def test_a_removal_that_never_comes_is_given_up() -> None:
    seen = log(event("create", "a"))
    asyncio.run(seen.removal(frozenset({"a"}), 0.01))
    assert seen.existing("image") == {"a"}
