"""Where a program of this machine listens."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

from conformance.stage.sockets import listening

LISTEN = "import socket,sys; s=socket.create_server((sys.argv[1], 0)); print(s.getsockname()[1], flush=True); input()"


def test_only_the_asked_port_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)):
        assert listening(os.getpid(), one.getsockname()[1]) == ("127.0.0.1",)


def test_a_child_s_socket_is_its_parent_s_too() -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", LISTEN, "0.0.0.0"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    with child:
        port = int(child.stdout.readline())
        assert listening(os.getpid(), port) == ("0.0.0.0",)
        child.communicate("\n")


def test_a_process_that_is_gone_listens_nowhere() -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    assert listening(child.pid, 1) == ()
