"""The engine's side of an instance whose gateway starts its backend's container: the tapped socket, and the faults."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Final

from conformance.stage.runtime import EngineAccess
from conformance.stage.scenario import SpinUp
from conformance.wire.tap import TapProcess
from conformance.wire.tap_address import UnixAddress
from conformance.wire.toxics import EngineDenied, Reset

ENGINE_TAP: Final = "engine:main"
SOCKET: Final = "engine.sock"
"""Name of the tapped socket's file."""
ENGINE_FOLDER: Final = "/run/mcp-gateway-conformance"
ENGINE_PATH: Final = f"{ENGINE_FOLDER}/{SOCKET}"
"""Where the tapped socket is in the container of a gateway, its folder being mounted there."""

_LITTLE_MEMORY: Final = ("--memory=64m", "--memory-swap=64m")
"""Enough for the tap and an interpreter in the container, a quarter of what the server of that scenario takes."""

_DEFAULT_SOCKET: Final = "/var/run/docker.sock"


@dataclass(frozen=True, slots=True)
class EngineSide:
    """A tap before the engine's socket. access: what the gateway gets. command: its backend's."""

    tap: str
    access: EngineAccess
    command: tuple[str, ...]
    taps: TapProcess

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
        if kind is SpinUp.MEMORY_SHORT:
            command = (*command[:-1], *_LITTLE_MEMORY, command[-1])
        if kind is SpinUp.ENGINE_FORBIDDEN:
            socket.chmod(0)
        access = EngineAccess(socket, kind is SpinUp.ENGINE_READ_ONLY, kind is SpinUp.ENGINE_FORBIDDEN)
        return cls(tap, access, command, taps)

    async def lose(self) -> None:
        """Reset what is open at the tap, and whatever is opened until the engine comes back."""
        await self.taps.refuse(self.tap, "the engine is gone")
        await self.taps.set_toxics(self.tap, [Reset()])

    async def come_back(self) -> None:
        """Let connections through to the engine again."""
        await self.taps.set_toxics(self.tap, [])
        await self.taps.set_upstream(self.tap, UnixAddress(engine_socket()))


def engine_socket() -> str:
    """Return the path of the engine's own socket (DOCKER_HOST, else the usual place)."""
    host = os.environ.get("DOCKER_HOST", "")
    return host.removeprefix("unix://") if host.startswith("unix://") else _DEFAULT_SOCKET
