"""A reference gateway as a real process on loopback."""

from __future__ import annotations

import os
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from conformance.paths import ROOT
from tests.witness_process import PATIENCE, Client, ending

CHILD = shlex.join([sys.executable, "-m", "conformance.witness", "--face", "stdio"])


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def accepting(port: int, process: subprocess.Popen[bytes]) -> None:
    """Wait until something listens at the port, as long as the process lives."""
    deadline = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except ConnectionRefusedError:
            time.sleep(0.02)
        else:
            return
    raise AssertionError(f"nothing listens; exit status {process.poll()}")


@contextmanager
def running(arguments: list[str], port: int) -> Iterator[Client]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with ending(subprocess.Popen([sys.executable, *arguments], env=environment)) as process:
        accepting(port, process)
        with httpx.Client(timeout=PATIENCE, headers={"Accept-Encoding": "identity"}) as http:
            yield Client(f"http://127.0.0.1:{port}/mcp", http, process)


@contextmanager
def gateway(kind: str, *arguments: str) -> Iterator[Client]:
    """Start a reference gateway as its manifest does; yield a client of it."""
    port = free_port()
    with running(["-m", f"fixtures.gateways.{kind}.gateway", "--port", str(port), *arguments], port) as client:
        yield client


@contextmanager
def terminating(upstream: str, **settings: float) -> Iterator[Client]:
    """Start a terminating gateway with settings of its own."""
    port = free_port()
    program = (
        "from fixtures.gateways.serving import serve\n"
        "from fixtures.gateways.terminating.gateway import TerminatingGateway\n"
        "from fixtures.gateways.terminating.protocol import Settings\n"
        f"gateway = TerminatingGateway(upstream={upstream!r}, settings=Settings(**{settings!r}))\n"
        f"serve(gateway, host='127.0.0.1', port={port})\n"
    )
    with running(["-c", program], port) as client:
        yield client
