"""A witness as a real process on loopback, and an HTTP client that speaks to it byte by byte where it must."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from conformance.paths import ROOT

BOTH_TYPES = "application/json, text/event-stream"
PATIENCE = 20.0


def start(*arguments: str, face: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "conformance.witness", "--face", face, *arguments]
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


@contextmanager
def ending(process: subprocess.Popen[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """Stop the process as an operator would; whoever does not stop is a failure."""
    with process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            process.wait(timeout=PATIENCE)


def start_beating(script: str, period: float) -> subprocess.Popen[bytes]:
    """Start the script with another keep-alive period, so that a test need not wait 15 s for a comment."""
    code = (
        "import dataclasses, sys; from conformance.witness import SCRIPTS, run_http;"
        f"script = dataclasses.replace(SCRIPTS[{script!r}], keepalive_period={period});"
        "sys.exit(run_http('127.0.0.1:0', script))"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, env=environment)


@contextmanager
def http_witness(
    script: str = "correct", *options: str, keepalive: float | None = None, face: str = "http"
) -> Iterator[Client]:
    if keepalive is None:
        process = start("--script", script, "--listen", "127.0.0.1:0", *options, face=face)
    else:
        process = start_beating(script, keepalive)
    with ending(process):
        assert process.stderr is not None
        ready = json.loads(process.stderr.readline())
        assert ready["ready"] is True
        with httpx.Client(timeout=PATIENCE, headers={"Accept-Encoding": "identity"}) as http:
            yield Client(ready["url"], http, process)


def events(text: str) -> list[dict[str, Any]]:
    """Return the messages of an event stream, whatever its line ends."""
    blocks = text.replace("\r\n", "\n").split("\n\n")
    return [json.loads(block.partition("data: ")[2]) for block in blocks if block.startswith("event: message")]


def message_of(response: httpx.Response) -> dict[str, Any]:
    """Return the one message that answers a request."""
    if response.headers["content-type"] == "application/json":
        message: dict[str, Any] = response.json()
        return message
    assert response.headers["content-type"] == "text/event-stream"
    (message,) = events(response.text)
    return message


def initialize_params(revision: str = "2025-11-25") -> dict[str, Any]:
    return {"protocolVersion": revision, "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}


@dataclass
class Client:
    """One client; `session` and `revision` become the headers of its requests."""

    url: str
    http: httpx.Client
    process: subprocess.Popen[bytes]
    session: str | None = None
    revision: str | None = None
    last_id: int = field(default=0)

    def headers(self, **more: str) -> dict[str, str]:
        headers = {"accept": BOTH_TYPES, "content-type": "application/json"}
        if self.session:
            headers["mcp-session-id"] = self.session
        if self.revision:
            headers["mcp-protocol-version"] = self.revision
        return headers | {name.replace("_", "-"): value for name, value in more.items()}

    def body(self, method: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
        self.last_id += 1
        return {"jsonrpc": "2.0", "id": self.last_id, "method": method} | ({"params": params} if params else {})

    def post(self, body: Any, **headers: str) -> httpx.Response:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.http.post(self.url, content=content, headers=self.headers(**headers))

    def request(self, method: str, params: dict[str, Any] | None = None, **headers: str) -> httpx.Response:
        return self.post(self.body(method, params), **headers)

    def notify(self, method: str, params: dict[str, Any] | None = None) -> httpx.Response:
        return self.post({"jsonrpc": "2.0", "method": method} | ({"params": params} if params else {}))

    def answer(self, method: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
        response = self.request(method, params)
        assert response.status_code == 200
        return message_of(response)

    def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """Call a tool and return the facts in its result."""
        result = self.answer("tools/call", {"name": tool, "arguments": {"nonce": "n", **arguments}})["result"]
        facts: dict[str, Any] = json.loads(result["content"][0]["text"])
        return facts

    def initialize(self, revision: str = "2025-11-25") -> dict[str, Any]:
        response = self.request("initialize", initialize_params(revision))
        assert response.status_code == 200
        message = message_of(response)
        self.session = response.headers.get("mcp-session-id")
        self.revision = message["result"]["protocolVersion"]
        return message

    def open(self, revision: str = "2025-11-25") -> Client:
        """Go through the whole handshake."""
        self.initialize(revision)
        assert self.notify("notifications/initialized").status_code == 202
        return self

    def another(self) -> Client:
        """Return a second client of the same witness."""
        return Client(self.url, self.http, self.process)

    @contextmanager
    def listen(self, **headers: str) -> Iterator[httpx.Response]:
        more = {"accept": "text/event-stream", **headers}
        with self.http.stream("GET", self.url, headers=self.headers(**more)) as response:
            yield response

    def delete(self, **headers: str) -> httpx.Response:
        return self.http.delete(self.url, headers=self.headers(**headers))
