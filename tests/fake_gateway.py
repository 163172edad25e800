"""A gateway of forty lines in this process, healthy but for the faults it is given."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from uuid import uuid4

INFO = {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": {"name": "fake", "version": "1"}}


class Fake(ThreadingHTTPServer):
    """faults: `ended-served` serves a session after its DELETE, `stops` takes no more than so many initializes."""

    daemon_threads = True

    def __init__(self, *faults: str, stops: int | None = None) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.faults = faults
        self.left = stops
        self.sessions: set[str] = set()


class Handler(BaseHTTPRequestHandler):
    server: Fake
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self.settle(405)

    def do_DELETE(self) -> None:
        if self.refused():
            return
        if "ended-served" not in self.server.faults:
            self.server.sessions.discard(self.headers["Mcp-Session-Id"])
        self.settle(204)

    def do_POST(self) -> None:
        try:
            message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        except ValueError:
            self.settle(400)
            return
        if message["method"] == "initialize" and "Mcp-Session-Id" not in self.headers:
            self.initialize(message)
        elif self.refused():
            return
        elif "id" not in message:
            self.settle(202)
        elif message["method"] == "initialize":
            self.settle(400)
        else:
            self.settle(200, {"jsonrpc": "2.0", "id": message["id"], "result": {"tools": []}})

    def initialize(self, message: dict[str, Any]) -> None:
        if self.server.left is not None:
            self.server.left -= 1
        if self.server.left is not None and self.server.left < 0:
            self.settle(500)
            return
        if "params" not in message:
            self.settle(400)
            return
        session = str(uuid4())
        self.server.sessions.add(session)
        self.settle(200, {"jsonrpc": "2.0", "id": message["id"], "result": INFO}, session)

    def refused(self) -> bool:
        """Whether the request names no live session, and was told so."""
        named = self.headers.get("Mcp-Session-Id")
        if named in self.server.sessions:
            return False
        self.settle(400 if named is None else 404)
        return True

    def settle(self, status: int, message: Any = None, session: str | None = None) -> None:
        body = b"" if message is None else json.dumps(message).encode()
        self.send_response(status)
        if session is not None:
            self.send_header("Mcp-Session-Id", session)
        if body:
            self.send_header("Content-Type", "application/json")
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def fake_gateway(*faults: str, stops: int | None = None) -> Iterator[str]:
    """Serve it; yield its URL."""
    with Fake(*faults, stops=stops) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/mcp"
        finally:
            server.shutdown()
            thread.join()
