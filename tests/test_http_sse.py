"""HTTP+SSE of the witness and of both reference gateways, byte by byte."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpx
import pytest

from tests.gateway_process import gateway
from tests.witness_process import Client, ending, http_witness, initialize_params

NONCE = {"nonce": "n-1"}
ODD = "/odd%20path/messages/?session="


@pytest.fixture(scope="module")
def witness() -> Iterator[Client]:
    with http_witness() as client:
        yield client


@pytest.fixture(scope="module", params=["witness", "passthrough", "terminating"])
def server(request: pytest.FixtureRequest, witness: Client) -> Iterator[tuple[str, str]]:
    """Yield the URL of an HTTP+SSE endpoint and the prefix of the witness's tools there."""
    if request.param == "witness":
        yield urljoin(witness.url, "/sse"), ""
        return
    with gateway(request.param, "--upstream", witness.url) as client:
        yield urljoin(client.url, "/sse"), "http_" if request.param == "terminating" else ""


class OldClient:
    """An open stream and the URI on it."""

    def __init__(self, url: str, http: httpx.Client, response: httpx.Response) -> None:
        self._http = http
        self._lines = response.iter_lines()
        kind, data = self.event()
        assert kind == "endpoint"
        self.uri = data
        self.url = urljoin(url, data)

    def event(self) -> tuple[str, str]:
        """Read the next event; comments are passed over."""
        fields: dict[str, str] = {}
        for line in self._lines:
            if not line and fields:
                return fields.get("event", "message"), fields["data"]
            name, _, value = line.partition(":")
            if name:
                fields[name] = value.removeprefix(" ")
        raise AssertionError("the stream ended")

    def post(self, message: dict[str, Any]) -> httpx.Response:
        return self._http.post(self.url, json={"jsonrpc": "2.0", **message})

    def ask(self, method: str, request_id: int = 1, **params: Any) -> dict[str, Any]:
        """Post a request; return what comes on the stream next."""
        assert self.post({"id": request_id, "method": method, "params": params}).status_code == 202
        kind, data = self.event()
        assert kind == "message"
        answer: dict[str, Any] = json.loads(data)
        assert answer["id"] == request_id
        return answer

    def open(self) -> OldClient:
        self.ask("initialize", 0, **initialize_params("2024-11-05"))
        assert self.post({"method": "notifications/initialized"}).status_code == 202
        return self


@contextmanager
def listening(url: str) -> Iterator[OldClient]:
    with httpx.Client(timeout=20) as http, http.stream("GET", url, headers={"Accept": "text/event-stream"}) as response:
        assert response.status_code == 200
        assert response.headers["content-type"] == "text/event-stream"
        yield OldClient(url, http, response)


def test_answers_come_on_the_stream(server: tuple[str, str]) -> None:
    url, prefix = server
    with listening(url) as client:
        client.open()
        assert client.url.startswith(url.removesuffix("/sse"))
        names = [tool["name"] for tool in client.ask("tools/list")["result"]["tools"]]
        assert f"{prefix}echo" in names
        answer = client.ask("tools/call", 2, name=f"{prefix}echo", arguments={"nonce": "n-1", "text": "x"})
        assert "n-1" in str(answer["result"])


def test_two_clients_are_kept_apart(server: tuple[str, str]) -> None:
    url, prefix = server
    with listening(url) as one, listening(url) as other:
        for client in (one.open(), other.open()):
            assert client.ask("ping", 7)["result"] == {}
        for client, nonce in ((one, "n-1"), (other, "n-2")):
            answer = client.ask("tools/call", 8, name=f"{prefix}echo", arguments={"nonce": nonce, "text": "x"})
            assert nonce in str(answer["result"])


def test_a_closed_streams_uri_is_refused(server: tuple[str, str]) -> None:
    with listening(server[0]) as client:
        client.open()
        gone = client.url
    deadline = 50
    for _ in range(deadline):
        status = httpx.post(gone, json={"jsonrpc": "2.0", "id": 1, "method": "ping"}).status_code
        if status == 404:
            return
    raise AssertionError("the session outlived its stream")


def test_what_is_no_message_is_refused(server: tuple[str, str]) -> None:
    with listening(server[0]) as client:
        assert httpx.post(client.url, content=b"{", headers={"Content-Type": "application/json"}).status_code == 400
        assert httpx.post(client.url, content=b"{}", headers={"Content-Type": "text/plain"}).status_code == 415
        answer = client.ask("tools/list")
        assert answer["error"]["code"] == -32600


def test_the_witness_takes_its_odd_uri_only(witness: Client) -> None:
    with listening(urljoin(witness.url, "/sse")) as client:
        assert client.uri.startswith(ODD)
        for other in (client.url.replace("%2F", "/"), client.url.removesuffix("&empty=")):
            assert httpx.post(other, json={"jsonrpc": "2.0", "id": 1, "method": "ping"}).status_code == 404


def test_the_face_alone_serves_nothing_else() -> None:
    with http_witness("correct", face="sse") as client:
        assert client.url.endswith("/sse")
        assert httpx.post(client.url, json={}).status_code == 405
        assert httpx.post(urljoin(client.url, "/mcp"), json={}).status_code == 404
        with listening(client.url) as old:
            assert old.open().ask("ping")["result"] == {}


def test_a_script_refuses_posts_in_turn() -> None:
    with http_witness("old_transport_barred", face="sse") as client:
        assert [httpx.post(client.url, json={}).status_code for _ in range(4)] == [401, 500, 429, 401]


# backends of the old transport


@pytest.fixture(scope="module")
def old_backend() -> Iterator[Client]:
    with http_witness("correct", face="sse") as client:
        yield client


def test_the_terminating_gateway_falls_back(old_backend: Client) -> None:
    with gateway("terminating", "--upstream", old_backend.url) as client:
        client.open()
        answer = client.call("http_echo", text="x")
        assert answer["tool"] == "echo"
        assert client.delete().status_code == 200


def test_the_terminating_gateway_connects_anew_when_the_old_stream_ends() -> None:
    with http_witness("correct", face="sse") as backend:
        address = urlsplit(backend.url).netloc
        with gateway("terminating", "--upstream", backend.url) as client:
            client.open()
            assert client.call("http_echo", text="x")["tool"] == "echo"
            with ending(backend.process):
                pass
            assert "error" in client.answer("tools/call", {"name": "http_echo", "arguments": {**NONCE, "text": "x"}})
            with http_witness("correct", "--listen", address, face="sse"):
                assert client.call("http_echo", text="x")["tool"] == "echo"


def test_the_terminating_gateway_reports_other_refusals() -> None:
    with (
        http_witness("old_transport_barred", face="sse") as backend,
        gateway("terminating", "--upstream", backend.url) as client,
    ):
        client.open()
        for _ in range(3):
            assert "could not be initialized" in client.answer("tools/list")["error"]["message"]


def test_the_passthrough_gateway_hands_the_refusal_on_and_relays_the_fallback(old_backend: Client) -> None:
    with gateway("passthrough", "--upstream", old_backend.url) as client:
        assert httpx.post(client.url, json={}).status_code == 405
        with listening(client.url) as old:
            assert old.uri.startswith(f"/relayed{ODD}")
            assert old.open().ask("ping")["result"] == {}
