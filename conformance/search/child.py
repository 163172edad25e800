"""The search's engine child: starts the gateway, lets Hypothesis drive it, writes what was found.

`python -m conformance.search.child PLAN`, started by the supervisor like the engine child of a run. Hypothesis works in
a thread of its own; everything that touches the gateway happens in the event loop of the main one.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final, Generic

from conformance.errors import HarnessError
from conformance.evidence.events import JSON, Hop
from conformance.evidence.transcript import Transcript
from conformance.search.departure import Departure
from conformance.search.experiment import Experiment, Step
from conformance.search.hunt import Found, Hunt
from conformance.search.lifecycle import Lifecycle
from conformance.search.registration import Registrations
from conformance.search.subject import Subject
from conformance.stage.manifest import load_backend, target_of
from conformance.stage.plan import Plan
from conformance.stage.redaction import redactor_for
from conformance.stage.runtimes import make_runtime
from conformance.wire.tap import TapProcess

LIFECYCLE: Final = "lifecycle"
REGISTRATION: Final = "registration"
"""What is searched over."""
ASKED: Final = "search.json"
"""File in the run's work folder: what is asked for."""
OUTCOME: Final = "search.json"
"""File in the output folder: what came of it."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What the command asks for. over: LIFECYCLE or REGISTRATION. levels: departures of other levels are left out."""

    over: str
    seed: int
    examples: int
    seconds: float
    levels: tuple[str, ...]

    def write(self, work: Path) -> None:
        """Write it into the run's work folder."""
        (work / ASKED).write_text(json.dumps(asdict(self)), encoding="utf-8")

    @classmethod
    def read(cls, work: Path) -> Asked:
        """Read what `write` wrote."""
        data = json.loads((work / ASKED).read_text(encoding="utf-8"))
        return cls(**{**data, "levels": tuple(data["levels"])})


@dataclass(slots=True)
class Search(Generic[Step]):
    """One search: the subject, what is asked, and what did not come again on a fresh instance."""

    subject: Subject[Step]
    asked: Asked
    loop: asyncio.AbstractEventLoop
    say: Callable[..., None]
    unrepeated: list[dict[str, JSON]] = field(default_factory=list)
    behind: dict[str, int] = field(default_factory=dict)
    """How often each kind of departure was the backend's own."""
    driven: int = 0

    def examine(self, sequence: tuple[Step, ...], known: Collection[str]) -> tuple[Departure, ...]:
        """Drive a sequence from Hypothesis's thread; see `_examine`."""
        return asyncio.run_coroutine_threadsafe(self._examine(sequence, known), self.loop).result()

    async def _examine(self, sequence: tuple[Step, ...], known: Collection[str]) -> tuple[Departure, ...]:
        """Return the departures of a sequence that hold: a new kind must come again on a fresh instance.

        Earlier sequences may have left the instance damaged, and then it is not this sequence that does it.
        """
        if not sequence:
            return ()
        self.driven += 1
        scratch = Path(self.subject.plan.work) / "sequence.jsonl"
        first = self._counted(await self.subject.observe(sequence, scratch, whole=False))
        self.say("searching", driven=self.driven)
        if all(item.kind in known for item in first):
            return first
        again = await self._on_fresh(sequence, scratch)
        repeated = tuple(item for item in again if item.kind in {one.kind for one in first})
        missing = {item.kind for item in first} - {item.kind for item in again} - set(known)
        if missing and not repeated:
            self.unrepeated.append({"steps": self._told(sequence), "kinds": sorted(missing)})
        elif repeated:
            self.say("departs", steps=len(sequence), kind=repeated[0].kind)
        return repeated

    async def _on_fresh(self, sequence: tuple[Step, ...], file: Path) -> tuple[Departure, ...]:
        await self.subject.fresh()
        return self._counted(await self.subject.observe(sequence, file, whole=True))

    def _counted(self, found: tuple[Departure, ...]) -> tuple[Departure, ...]:
        """Return what is the gateway's and of a level that counts; of the rest the backend's share is noted."""
        for item in found:
            if item.charged_to is Hop.BACKEND:
                self.behind[item.kind] = self.behind.get(item.kind, 0) + 1
        return tuple(
            item for item in found if item.charged_to is not Hop.BACKEND and str(item.level) in self.asked.levels
        )

    def _told(self, sequence: tuple[Step, ...]) -> list[dict[str, JSON]]:
        return self.subject.experiment.to_json(sequence)

    async def prove(self, number: int, found: Found[Step]) -> dict[str, JSON] | None:
        """Drive what was found a last time on a fresh instance; return its record, None when it does not come again."""
        plan = self.subject.plan
        file = plan.evidence_dir / f"{self.subject.cell.slug}-{number}.jsonl"
        again = await self._on_fresh(found.sequence, file)
        same = next((item for item in again if item.kind == found.departure.kind), None)
        if same is None:
            self.unrepeated.append({"steps": self._told(found.sequence), "kinds": [found.departure.kind]})
            return None
        return {
            **same.to_json(),
            "steps": self._told(found.sequence),
            "reproduction": list(self.subject.experiment.reproduction(Transcript.read(file))),
            "evidence": str(file.relative_to(plan.out)),
        }


async def search(plan: Plan, asked: Asked, experiment: Experiment[Step], say: Callable[..., None]) -> dict[str, JSON]:
    """Search and return the outcome as JSON. Raises HarnessError when the gateway cannot be driven at all."""
    redactor = redactor_for(plan)
    cell = plan.cells[0]
    target = target_of(plan.targets[cell.target], plan.folders.get(cell.target)) if plan.url is None else None
    backend = load_backend(cell.backend) if plan.url is None else None
    spool = Path(plan.work) / "spool"
    spool.mkdir(mode=0o700, parents=True, exist_ok=True)
    begun = time.monotonic()
    taps = await TapProcess.start(spool)
    try:
        runtime = make_runtime(plan, lambda line: say("installing", line=line))
        if backend is not None:
            await runtime.prepare(target, (backend,))
        subject = Subject(plan, runtime, taps, redactor, target, backend, experiment)
        work = Search(subject, asked, asyncio.get_running_loop(), say)
        try:
            await subject.look()
            say("begun")
            hunt = Hunt(work.examine, experiment.alphabet, asked.seed, asked.examples, asked.seconds)
            found = await asyncio.to_thread(hunt.run)
            proven = [await work.prove(number, item) for number, item in enumerate(found, start=1)]
        finally:
            await subject.stop()
    finally:
        await taps.stop()
    return {
        "cell": cell.id,
        "seed": asked.seed,
        "examples": asked.examples,
        "examined": hunt.examined,
        "out_of_time": hunt.late,
        "instances": subject.starts,
        "seconds": round(time.monotonic() - begun, 1),
        "found": [item for item in proven if item is not None],
        "charged_to_backend": work.behind,
        "unrepeated": work.unrepeated,
        "error": "",
    }


async def _searched(plan: Plan, asked: Asked, say: Callable[..., None]) -> dict[str, JSON]:
    if asked.over == LIFECYCLE:
        return await search(plan, asked, Lifecycle(), say)
    return await search(plan, asked, Registrations(), say)


def main() -> None:
    """Entry point."""
    plan = Plan.read(Path(sys.argv[1]))
    asked = Asked.read(Path(plan.work))
    # The thread that waits for an answer cannot be stopped in order; the supervisor clears away whatever is left.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(143))

    def say(what: str, **detail: JSON) -> None:
        """Append one line to the progress file."""
        with plan.progress_file.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"what": what, **detail}) + "\n")

    try:
        outcome = asyncio.run(_searched(plan, asked, say))
    except HarnessError as error:
        outcome = {"error": redactor_for(plan).text(str(error)), "exit_code": int(error.exit_code)}
    partial = Path(plan.out) / f"{OUTCOME}.partial"
    partial.write_text(json.dumps(outcome, indent=2) + "\n", encoding="utf-8")
    partial.rename(Path(plan.out) / OUTCOME)


if __name__ == "__main__":
    main()
