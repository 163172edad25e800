"""The reference gateways are healthy: what both do alike, and the pass-through."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from conformance.stage.manifest import load_target
from tests.gateway_process import CHILD, free_port, gateway
from tests.gateway_talk import call, listening
from tests.witness_process import PATIENCE, Client, events, http_witness, initialize_params, message_of


@pytest.fixture(scope="module")
def witness() -> Iterator[Client]:
    with http_witness() as client:
        yield client


@pytest.fixture(scope="module")
def passing(witness: Client) -> Iterator[Client]:
    with gateway("passthrough", "--upstream", witness.url) as client:
        yield client


@pytest.fixture(scope="module")
def ending_both(witness: Client) -> Iterator[Client]:
    with gateway("terminating", "--upstream", witness.url, "--upstream-command", CHILD) as client:
        yield client


@pytest.fixture(params=["passthrough", "terminating"])
def either(request: pytest.FixtureRequest, passing: Client, ending_both: Client) -> tuple[Client, str]:
    """Return a new client of each gateway, and the prefix of the witness's names behind it."""
    if request.param == "passthrough":
        return passing.another(), ""
    return ending_both.another(), "http_"


@pytest.fixture
def client(ending_both: Client) -> Client:
    return ending_both.another().open()


# Both gateways.


@pytest.mark.parametrize("name", ["passthrough", "terminating"])
def test_manifest(name: str) -> None:
    target = load_target(name)
    assert "http" in target.fronts
    assert target.endpoint.path == "/mcp"


def test_a_whole_session(either: tuple[Client, str]) -> None:
    client, prefix = either
    client.open()
    names = [tool["name"] for tool in client.answer("tools/list")["result"]["tools"]]
    assert prefix + "echo" in names
    assert client.call(prefix + "echo", text="\u00e9\U0001f600\u2028")["text"] == "\u00e9\U0001f600\u2028"
    assert [client.call(prefix + "counter")["count"] for _ in range(2)] == [1, 2]
    assert client.delete().is_success
    assert client.request("ping").status_code == 404
    with client.listen() as response:
        assert response.status_code == 404


def test_sessions_do_not_meet(either: tuple[Client, str]) -> None:
    first, prefix = either
    first.open()
    second = first.another().open()
    assert first.call(prefix + "counter")["count"] == 1
    assert second.call(prefix + "counter")["count"] == 1
    assert first.session != second.session


@pytest.mark.parametrize("request_id", [0, -1, 2**53 - 1, "", "7", "a-b"])
def test_ids_keep_value_and_type(either: tuple[Client, str], request_id: object) -> None:
    client, prefix = either
    answer = message_of(client.open().post(call(prefix + "echo", request_id, text="x")))
    assert answer["id"] == request_id
    assert type(answer["id"]) is type(request_id)


def test_progress_keeps_its_token_and_comes_before_the_answer(either: tuple[Client, str]) -> None:
    client, prefix = either
    response = client.open().post(call(prefix + "slow", token="t", seconds=0.35, progress_every=0.1))
    *progress, answer = events(response.text)
    assert [message["params"]["progressToken"] for message in progress] == ["t"] * 3
    assert answer["result"]["structuredContent"]["progress"] == 3


def test_events_are_sent_when_they_come(either: tuple[Client, str]) -> None:
    client, prefix = either
    client.open()
    body = json.dumps(call(prefix + "slow", token="t", seconds=30, progress_every=0.1))
    with client.http.stream("POST", client.url, content=body, headers=client.headers()) as response:
        events = (chunk for chunk in response.iter_raw() if b"jsonrpc" in chunk)  # a priming event has no message
        assert b"progress" in next(events)


def test_list_change_reaches_the_get_stream(either: tuple[Client, str]) -> None:
    client, prefix = either
    client.open()
    with listening(client, lambda received: b"notifications/tools/list_changed" in received):
        assert client.call(prefix + "notify", kind="list_changed")["delivered"] is True


def test_second_get_does_no_harm(either: tuple[Client, str]) -> None:
    client, prefix = either
    client.open()
    with listening(client, lambda received: b"list_changed" in received):
        with client.listen() as second:
            assert second.status_code == 409
        client.call(prefix + "notify", kind="list_changed")


def test_get_can_be_opened_again(either: tuple[Client, str]) -> None:
    client, _ = either
    client.open()
    for _ in range(5):
        with client.listen() as response:
            assert response.status_code == 200


def test_backend_is_cancelled(either: tuple[Client, str]) -> None:
    client, prefix = either
    client.open()
    with ThreadPoolExecutor(1) as pool:
        body = json.dumps(call(prefix + "slow", 5, token=1, seconds=30, progress_every=0.1))
        with client.http.stream("POST", client.url, content=body, headers=client.headers()) as response:
            chunks = response.iter_raw()
            next(chunks)
            rest = pool.submit(lambda: b"".join(chunks))
            assert client.notify("notifications/cancelled", {"requestId": 5, "reason": "r"}).status_code == 202
            assert b'"result"' not in rest.result(PATIENCE)
    assert client.call(prefix + "whoami")["cancelled"] == 1


def test_errors_of_the_backend_keep_code_and_message(either: tuple[Client, str]) -> None:
    client, prefix = either
    error = message_of(client.open().post(call(prefix + "no_such_tool")))["error"]
    assert error["code"] == -32602
    assert "no_such_tool" in error["message"]


MALFORMED: list[Any] = [
    None,
    [],
    "text",
    {},
    {**initialize_params(), "clientInfo": None},
    {**initialize_params(), "capabilities": []},
    {**initialize_params(), "protocolVersion": 1},
]


@pytest.mark.parametrize("params", MALFORMED)
def test_malformed_initialize_harms_nobody(either: tuple[Client, str], params: Any) -> None:
    client, prefix = either
    bystander = client.another().open()
    response = client.post({"jsonrpc": "2.0", "id": "i", "method": "initialize", "params": params})
    assert message_of(response)["error"]["code"] in (-32602, -32600)
    assert "mcp-session-id" not in response.headers
    assert bystander.call(prefix + "counter")["count"] == 1


@pytest.mark.parametrize("script", ["crlf", "json_only", "paginated", "get_405", "rejects_before_initialized"])
@pytest.mark.parametrize("kind", ["passthrough", "terminating"])
def test_legal_variants_of_a_backend(kind: str, script: str) -> None:
    prefix = "http_" if kind == "terminating" else ""
    with http_witness(script) as backend, gateway(kind, "--upstream", backend.url) as client:
        client.open()
        assert client.answer("tools/list")["result"]["tools"][0]["name"] == prefix + "echo"
        assert client.call(prefix + "echo", text="t")["text"] == "t"


@pytest.mark.parametrize("kind", ["passthrough", "terminating"])
def test_stops_on_sigterm_with_an_open_stream(kind: str, witness: Client) -> None:
    with gateway(kind, "--upstream", witness.url) as client, client.open().listen():
        client.process.terminate()
        client.process.wait(PATIENCE)


# Pass-through.


def test_passthrough_keeps_the_backends_bytes() -> None:
    with http_witness("crlf") as backend, gateway("passthrough", "--upstream", backend.url) as client:
        backend.open()
        client.open()
        direct, relayed = backend.request("ping"), client.request("ping")
        assert relayed.content == direct.content
        same = {"content-type", "cache-control", "x-accel-buffering"}
        assert {name: relayed.headers.get(name) for name in same} == {name: direct.headers.get(name) for name in same}


def test_passthrough_answers_for_a_backend_that_is_not_there() -> None:
    with gateway("passthrough", "--upstream", f"http://127.0.0.1:{free_port()}/mcp") as client:
        response = client.request("ping")
        assert response.status_code == 502
        assert response.json()["id"] == client.last_id
        assert "error" in response.json()


def test_passthrough_closes_upstream_with_its_client(passing: Client) -> None:
    client = passing.another().open()
    with client.listen() as response:
        assert response.status_code == 200
        assert client.call("whoami")["listening"] is True
    deadline = time.monotonic() + 10
    while client.call("whoami")["listening"]:  # the gateway passes the end on after the client has left
        assert time.monotonic() < deadline
    with client.listen() as response:  # else the backend answers 409
        assert response.status_code == 200


def test_passthrough_cuts_what_the_backend_cut() -> None:
    with http_witness("reset_mid_event") as backend, gateway("passthrough", "--upstream", backend.url) as client:
        client.open()
        with pytest.raises(Exception, match="incomplete chunked read"):
            client.post(call("echo", text="t"))
