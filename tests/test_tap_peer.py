"""Who is at the other end of a Unix socket."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from conformance.wire import tap_peer


def test_the_peer_of_a_unix_socket_is_named() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    with ours, theirs:
        assert tap_peer.peer_facts(ours)["pid"] == os.getpid()


def test_a_tcp_peer_has_no_such_facts() -> None:
    with socket.socket(socket.AF_INET) as sock:
        assert tap_peer.peer_facts(sock) == {}


@pytest.mark.parametrize("path", ["/docker/{}", "/system.slice/docker-{}.scope", "/kubepods/pod1/{}"])
def test_the_container_is_read_from_the_control_group(
    path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "0123456789abcdef" * 4
    (tmp_path / "cgroup").write_text(f"0::{path.format(name)}\n")
    monkeypatch.setattr(tap_peer, "Path", lambda _: tmp_path / "cgroup")
    assert tap_peer.container_of(1) == name


def test_a_process_that_has_gone_is_in_no_container() -> None:
    assert tap_peer.container_of(2**22 + 1) is None
