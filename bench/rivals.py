"""The proxies that the tap is compared with: HAProxy in TCP mode, mitmproxy as a recording reverse proxy."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from conformance.errors import CannotJudgeError
from conformance.stage.packages import ensure_python_env
from conformance.wire.tap_address import TcpAddress

MITMPROXY: Final = "mitmproxy==11.0.2"
"""The last release that runs on every Python the harness itself runs on."""
START_SECONDS: Final = 30.0
"""How long a proxy may take until it accepts; mitmproxy on a loaded machine: 6 s."""
_HAPROXY: Final = """\
global
    nbthread {threads}
defaults
    mode tcp
    timeout connect 5s
    timeout client 60s
    timeout server 60s
listen relay
    bind {listen}
    server upstream {upstream}
"""


@dataclass(frozen=True, slots=True)
class Way:
    """An address that POSTs are sent to, and the process that stands there between client and server, if any."""

    address: TcpAddress
    pid: int | None = None


@contextlib.contextmanager
def haproxy(upstream: TcpAddress, folder: Path, threads: int) -> Iterator[Way]:
    """Run HAProxy in TCP mode while the block runs; it records nothing.

    threads: how many it has; by default that is one for each core. Raises CannotJudgeError when it is not installed or
    does not start.
    """
    program = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin")
    if program is None:
        raise CannotJudgeError("HAProxy is not installed; on Debian and Ubuntu: apt-get install haproxy")
    listen = _free()
    config = folder / f"haproxy-{threads}.cfg"
    config.write_text(_HAPROXY.format(threads=threads, listen=listen, upstream=upstream), encoding="utf-8")
    with _running([program, "-db", "-f", str(config)], listen, config.with_suffix(".log")) as pid:
        yield Way(listen, pid)


@contextlib.contextmanager
def mitmproxy(upstream: TcpAddress, folder: Path) -> Iterator[Way]:
    """Run mitmdump as a reverse proxy that writes every flow to a file, while the block runs.

    It is installed in an environment of its own. Raises CannotJudgeError when that fails or it does not start.
    """
    program = ensure_python_env([MITMPROXY], on_progress=print) / "mitmdump"
    listen = _free()
    command = [str(program), "--quiet", "--mode", f"reverse:http://{upstream}", "--set", f"confdir={folder}"]
    command += ["--listen-host", listen.host, "--listen-port", str(listen.port), "-w", str(folder / "flows")]
    with _running(command, listen, folder / "mitmproxy.log") as pid:
        yield Way(listen, pid)


def _free() -> TcpAddress:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return TcpAddress(*sock.getsockname())


@contextlib.contextmanager
def _running(command: Sequence[str], listen: TcpAddress, log: Path) -> Iterator[int]:
    """Run a program while the block runs, once it accepts connections; give its process id."""
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
    try:
        _await_accept(process, listen, log)
        yield process.pid
    finally:
        process.terminate()
        process.wait()


def _await_accept(process: subprocess.Popen[bytes], listen: TcpAddress, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            socket.create_connection((listen.host, listen.port), timeout=1.0).close()
        except OSError:
            time.sleep(0.05)  # not up yet; each try is a probe of its own
        else:
            return
    raise CannotJudgeError(f"{process.args!r} does not accept connections: {log.read_text(errors='replace').strip()}")
