"""A backend over HTTP and the tap that stands before it, on the far side of a gateway."""

from __future__ import annotations

from dataclasses import dataclass, field

from conformance.evidence.events import Point
from conformance.evidence.log import Observation
from conformance.evidence.redact import Redactor
from conformance.stage.manifest import BackendManifest
from conformance.stage.manifest_tables import ServedFace
from conformance.stage.recorder import Recorder
from conformance.stage.runtime import Running, Runtime
from conformance.wire.assemble import TapAssembler
from conformance.wire.spool import read_spool
from conformance.wire.tap import TapProcess
from conformance.wire.tap_address import TcpAddress


@dataclass(slots=True)
class HttpSide:
    """A backend's HTTP face, with or without a tap before it.

    label: the tap's name in evidence. script: of the witness. face: which of the faces that are served over HTTP.
    server: the running backend, None before its start. tap: the tap's name in the tap process, None while none stands.
    """

    runtime: Runtime
    taps: TapProcess
    backend: BackendManifest
    label: str
    script: str
    face: ServedFace
    recorder: Recorder
    redactor: Redactor
    server: Running | None = None
    tap: str | None = None
    _assembler: TapAssembler | None = None
    _assembled: int = 0
    """How far the tap's spool was read, in bytes."""
    _seen: list[Observation] = field(default_factory=list)

    @property
    def path(self) -> str:
        """Path of the backend's endpoint."""
        served = self.backend.served(self.face)
        return served.path if served else "/mcp"

    async def start(self) -> None:
        """Start (or start again) the backend and point the tap at it."""
        self.server = await self.runtime.start_backend(
            self.backend, script=self.script, face=self.face, on_event=self.recorder.stage
        )
        if self.tap is not None:
            await self.taps.set_upstream(self.tap, self.server.address)

    async def open_tap(self, name: str, listen: TcpAddress) -> str:
        """Put a tap before the backend, which may not run yet; return the URL that leads through it."""
        address = await self.taps.open_tap(name, listen=listen, upstream=self.server.address if self.server else None)
        self.tap = name
        return f"http://{address}{self.path}"

    async def collect(self) -> list[Observation]:
        """Return what the tap has seen since it was opened. Only what is new is read and parsed."""
        if self.tap is None:
            return []
        size = await self.taps.sync(self.tap)
        if self._assembler is None:
            self._assembler = TapAssembler(self.label, Point.BACKEND_TAP, self.redactor)
        if size > self._assembled:  # not when another cell's evidence, collected meanwhile, has reached further
            new = read_spool(self.taps.spool_path(self.tap), self._assembled, size)
            self._seen += self._assembler.feed(new)
            self._assembled = size
        return self._seen

    async def stop(self) -> None:
        """Stop the backend. First the tap before it refuses: the next container to start may be given its address."""
        if self.tap is not None:
            await self.taps.refuse(self.tap, "the stage has stopped it")
        if self.server is not None:
            await self.server.stop()
