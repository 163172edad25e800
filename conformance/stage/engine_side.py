"""The engine's side of an instance whose gateway starts its backend's container: the tapped socket, and the faults."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from conformance.stage.scenario import SpinUp
from conformance.wire.tap import TapProcess
from conformance.wire.tap_address import UnixAddress
from conformance.wire.toxics import EngineDenied

ENGINE_TAP: Final = "engine:main"
SOCKET: Final = "engine.sock"
"""Name of the tapped socket's file."""

_DEFAULT_SOCKET: Final = "/var/run/docker.sock"


@dataclass(frozen=True, slots=True)
class EngineSide:
    """A tap before the engine's socket. socket: what the gateway gets, alone in its folder. command: its backend's."""

    tap: str
    socket: Path
    command: tuple[str, ...]

    @property
    def image(self) -> str:
        """The image that the gateway is told to run."""
        return self.command[-1]

    @classmethod
    async def open(cls, taps: TapProcess, instance: str, kind: SpinUp, command: tuple[str, ...]) -> EngineSide:
        """Open the tap (or leave its socket out, when the engine is to be missing) and set its fault."""
        tap = f"{instance}:engine"
        folder = taps.spool_dir.parent / "engine" / instance
        folder.mkdir(parents=True, mode=0o755)
        socket = folder / SOCKET
        listen = folder.parent / f"{instance}.unused.sock" if kind is SpinUp.ENGINE_MISSING else socket
        await taps.open_tap(tap, listen=UnixAddress(str(listen)), upstream=UnixAddress(engine_socket()))
        if kind is SpinUp.ENGINE_DENIED:
            await taps.set_toxics(tap, [EngineDenied()])
        if kind is SpinUp.IMAGE_MISSING:
            command = (*command[:-1], f"{command[-1]}-missing")
        return cls(tap, socket, command)


def engine_socket() -> str:
    """Return the path of the engine's own socket (DOCKER_HOST, else the usual place)."""
    host = os.environ.get("DOCKER_HOST", "")
    return host.removeprefix("unix://") if host.startswith("unix://") else _DEFAULT_SOCKET
