"""What a scenario does to the replicas of the gateway behind an edge. Each step is a stimulus in the evidence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from conformance.evidence.events import Kind
from conformance.stage.edge_side import EdgeSide, Replica
from conformance.stage.recorder import Recorder
from conformance.stage.runtime import Running
from conformance.wire.toxics import Toxic


@dataclass(frozen=True, slots=True)
class Replicas:
    """The replicas, by their number from 1, which is that of the tap before each: `edge:1`."""

    edge: EdgeSide
    recorder: Recorder

    @property
    def numbers(self) -> tuple[int, ...]:
        """The number of every replica."""
        return tuple(replica.number for replica in self.edge.replicas)

    async def issuer(self, session: str | None) -> int:
        """Return the number of the replica that issued a session; the first's where none did."""
        for replica in self.edge.replicas:
            for seen in await replica.reading.collect():
                headers = seen.data["headers"] if seen.kind is Kind.HTTP_RESPONSE else ()
                if any(name.lower() == "mcp-session-id" and value == session for name, value in headers):
                    return replica.number
        return self.numbers[0]

    async def stop(self, number: int) -> None:
        """Stop a replica in order; connections to it are then refused."""
        self._step("replica.stop", number)
        await self._running(number).stop()
        await self._replica(number).closed()
        self._step("replica.stopped", number)

    async def restart(self, number: int) -> None:
        """Stop a replica in order, unless it has ended, and start it again with the same configuration."""
        if self._running(number).returncode is None:
            await self.stop(number)
        self._step("replica.start", number)
        await self.edge.start_again(self._replica(number))
        self._step("replica.ready", number)

    async def kill(self, number: int) -> None:
        """SIGKILL a replica; connections to it are then refused."""
        self._step("replica.kill", number)
        await self._running(number).kill()
        await self._replica(number).closed()
        self._step("replica.killed", number)

    async def pause(self, number: int) -> None:
        """Keep a replica from running (SIGSTOP): its port accepts, and nothing is answered."""
        self._step("replica.pause", number)
        self._replica(number).paused = True
        await self._running(number).pause()

    async def resume(self, number: int) -> None:
        """Let a paused replica run again."""
        await self._running(number).resume()
        self._replica(number).paused = False
        self._step("replica.resumed", number)

    async def toxics(self, number: int, toxics: Sequence[Toxic]) -> None:
        """Set the toxics between the edge and a replica; an empty sequence removes them."""
        await self.edge.taps.set_toxics(self._replica(number).tap, toxics)

    def _step(self, name: str, number: int) -> None:
        replica = self._replica(number)
        pid = replica.running.pid if replica.running is not None else None
        self.recorder.stimulus(name, replica=number, tap=replica.reading.label, pid=pid)

    def _replica(self, number: int) -> Replica:
        return self.edge.replicas[number - 1]

    def _running(self, number: int) -> Running:
        running = self._replica(number).running
        assert running is not None, "a stage is handed to a scenario once every replica has started"
        return running
