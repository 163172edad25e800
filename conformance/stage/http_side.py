"""A backend over HTTP and the tap that stands before it, on the far side of a gateway."""

from __future__ import annotations

from dataclasses import dataclass

from conformance.errors import CannotJudgeError
from conformance.evidence.events import Point
from conformance.evidence.log import Observation
from conformance.evidence.redact import Redactor
from conformance.stage.manifest import BackendManifest
from conformance.stage.manifest_tables import ServedFace
from conformance.stage.readiness import Probe, wait_ready
from conformance.stage.recorder import Recorder
from conformance.stage.runtime import Running, Runtime
from conformance.stage.tap_reading import TapReading, of_tap
from conformance.wire.tap import TapProcess
from conformance.wire.tap_address import TapMode, TcpAddress, TlsOptions


@dataclass(slots=True)
class HttpSide:
    """A backend's HTTP face, with or without a tap before it.

    label: the tap's name in evidence. script: of the witness. face: which of the faces that are served over HTTP.
    published: whether an engine publishes its port on this machine.
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
    published: bool = False
    server: Running | None = None
    tap: str | None = None
    _reading: TapReading | None = None

    @property
    def path(self) -> str:
        """Path of the backend's endpoint."""
        served = self.backend.served(self.face)
        return served.path if served else "/mcp"

    async def start(self) -> None:
        """Start (or start again) the backend and point the tap at it. Raises CannotJudgeError."""
        await self.begin()
        if self.published:
            await self.until_ready()

    async def begin(self) -> None:
        """Start it and point the tap at it. One that is published is not waited for: its port accepts at once."""
        self.server = await self.runtime.start_backend(
            self.backend,
            script=self.script,
            face=self.face,
            published=self.published,
            on_event=self.recorder.stage,
        )
        if self.tap is not None:
            await self.taps.set_upstream(self.tap, self.server.address)

    async def until_ready(self) -> None:
        """Wait until a published backend answers initialize. Raises CannotJudgeError."""
        assert self.server is not None, "it has been started"
        probe, seconds = Probe(self.server.address, self.path), self.backend.ready.seconds
        why = await wait_ready(
            "backend", probe, seconds=seconds, exited=self.server.wait(), on_event=self.recorder.stage
        )
        if why is not None:
            raise CannotJudgeError(f"{self.backend.title} never got ready: {why}; raise ready.seconds.")

    async def open_tap(self, name: str, listen: TcpAddress, tls: TlsOptions | None = None) -> str:
        """Put a tap before the backend, which may not run yet; return the URL that leads through it.

        tls: certificate and key of a tap that ends TLS there.
        """
        upstream = self.server.address if self.server else None
        mode: TapMode = "tls-terminate" if tls else "tcp"
        address = await self.taps.open_tap(name, listen=listen, upstream=upstream, mode=mode, tls=tls)
        self.tap = name
        self._reading = of_tap(self.taps, name, self.label, Point.BACKEND_TAP, self.redactor)
        return f"{'https' if tls else 'http'}://{address}{self.path}"

    async def collect(self, begin_ns: int = 0) -> list[Observation]:
        """Return what the tap has seen since it was opened that belongs to a cell which began then."""
        return await self._reading.collect(begin_ns) if self._reading is not None else []

    async def stop(self) -> None:
        """Stop the backend. First the tap before it refuses: the next container to start may be given its address."""
        if self.tap is not None:
            await self.taps.refuse(self.tap, "the stage has stopped it")
        if self.server is not None:
            await self.server.stop()
