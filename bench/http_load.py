"""Small POSTs on kept-alive connections: a client that counts them, and the servers that answer them.

Client and bare server do as little as HTTP/1.1 allows, each in one process with one thread, so that what stands between
them shows. The other server is the witness, which answers each POST as the MCP request that it is.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import re
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

from conformance.wire.tap_address import TcpAddress

REQUEST_BODY: Final = (
    b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"nonce":"n","text":"hi"}}}'
)
ANSWER_BODY: Final = b'{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"hi"}]}}'
REQUEST: Final = (
    b"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    b"Accept: application/json, text/event-stream\r\nMcp-Session-Id: 5f0c2a7e9b1d4c38\r\n"
    b"MCP-Protocol-Version: 2025-11-25\r\nContent-Length: %d\r\n\r\n%s" % (len(REQUEST_BODY), REQUEST_BODY)
)
ANSWER: Final = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (
    len(ANSWER_BODY),
    ANSWER_BODY,
)
PATIENCE: Final = 30.0
"""Seconds without any answer after which a measurement is given up."""
_READ: Final = 1 << 16
_OK: Final = b"HTTP/1.1 200 "
_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)


def message_end(data: bytes) -> int:
    """Return where the first HTTP message in `data` ends, 0 while it is not whole. It must state its length."""
    head = data.find(b"\r\n\r\n")
    if head < 0:
        return 0
    length = _LENGTH.search(data, 0, head + 2)
    if length is None:
        raise ValueError(f"a message without Content-Length: {data[:head]!r}")
    end = head + 4 + int(length[1])
    return end if end <= len(data) else 0


class _Client:
    """One kept-alive connection with at most one POST in flight."""

    def __init__(self, address: TcpAddress) -> None:
        self.sock = socket.create_connection((address.host, address.port))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._begun = b""

    def post(self) -> None:
        self.sock.sendall(REQUEST)

    def answered(self) -> bool:
        """Read once; tell whether the answer is whole.

        Raises EOFError when the connection ends before it is, ValueError for another status than 200.
        """
        got = self.sock.recv(_READ)
        if not got:
            raise EOFError("a connection ended on which a POST was not answered")
        self._begun += got
        if not message_end(self._begun):
            return False
        if not self._begun.startswith(_OK):
            raise ValueError(f"a POST was not answered with 200: {self._begun[:80]!r}")
        self._begun = b""
        return True


def posts_per_second(address: TcpAddress, connections: int, posts: int) -> float:
    """Return how many POSTs a second are answered through an address.

    connections: how many there are, each with one POST in flight at a time. posts: how many are timed; each connection
    makes one more before, since setting up is not what is measured.
    Raises TimeoutError when nothing is answered for PATIENCE seconds, EOFError when a connection ends, ValueError when
    an answer is not 200.
    """
    with contextlib.ExitStack() as stack:
        poll = stack.enter_context(contextlib.closing(select.epoll()))
        clients = {}
        for _ in range(connections):
            client = _Client(address)
            stack.enter_context(client.sock)
            poll.register(client.sock, select.EPOLLIN)
            clients[client.sock.fileno()] = client
            client.post()
        _await_answers(poll, clients, connections, again=0)
        start = time.perf_counter()
        for client in clients.values():
            client.post()
        _await_answers(poll, clients, posts, again=posts - connections)
        return posts / (time.perf_counter() - start)


def _await_answers(poll: select.epoll, clients: dict[int, _Client], answers: int, *, again: int) -> None:
    """Return after so many answers; whoever is answered posts again, `again` times in all."""
    while answers:
        ready = poll.poll(PATIENCE)
        if not ready:
            raise TimeoutError(f"{answers} POSTs were not answered, the first of them for {PATIENCE:.0f} s")
        for fd, _ in ready:
            if not clients[fd].answered():
                continue
            answers -= 1
            if again:
                again -= 1
                clients[fd].post()


@contextlib.contextmanager
def witness() -> Iterator[TcpAddress]:
    """Run the harness's own MCP server while the block runs: without sessions, answering with JSON."""
    command = [sys.executable, "-m", "conformance.witness", "--script", "json_only"]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        try:
            url = urlsplit(str(json.loads(process.stderr.readline())["url"]))
            yield TcpAddress(str(url.hostname), url.port or 0)
        finally:
            process.terminate()


@contextlib.contextmanager
def answering() -> Iterator[TcpAddress]:
    """Run the bare server in a process of its own while the block runs."""
    with socket.create_server(("127.0.0.1", 0), backlog=512) as listener:
        process = multiprocessing.get_context("fork").Process(target=_serve, args=(listener,), daemon=True)
        process.start()
        try:
            yield TcpAddress(*listener.getsockname())
        finally:
            process.terminate()
            process.join()


def _serve(listener: socket.socket) -> None:
    """Answer every whole request on every connection, until the process is ended."""
    poll = select.epoll()
    poll.register(listener, select.EPOLLIN)
    open_ones: dict[int, socket.socket] = {}
    begun: dict[int, bytes] = {}
    while True:
        for fd, _ in poll.poll():
            if fd == listener.fileno():
                sock, _ = listener.accept()
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                open_ones[sock.fileno()], begun[sock.fileno()] = sock, b""
                poll.register(sock, select.EPOLLIN)
                continue
            sock = open_ones[fd]
            try:
                got = sock.recv(_READ)
            except ConnectionResetError:
                got = b""
            if not got:
                poll.unregister(sock)
                sock.close()
                continue
            begun[fd] += got
            while end := message_end(begun[fd]):
                begun[fd] = begun[fd][end:]
                sock.sendall(ANSWER)
