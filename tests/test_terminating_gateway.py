"""The terminating reference gateway is healthy: towards its clients, and towards its backends."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from tests.gateway_process import CHILD, gateway, terminating
from tests.gateway_talk import call, listening
from tests.witness_process import PATIENCE, Client, events, http_witness, initialize_params, message_of


@pytest.fixture(scope="module")
def witness() -> Iterator[Client]:
    with http_witness() as client:
        yield client


@pytest.fixture(scope="module")
def ending_both(witness: Client) -> Iterator[Client]:
    with gateway("terminating", "--upstream", witness.url, "--upstream-command", CHILD) as client:
        yield client


@pytest.fixture
def client(ending_both: Client) -> Client:
    return ending_both.another().open()


# The client's side.


@pytest.mark.parametrize(
    ("headers", "body", "status", "code"),
    [
        ({"accept": "application/json"}, b"{}", 406, -32600),
        ({"content_type": "text/plain"}, b"{}", 415, -32600),
        ({"origin": "http://evil.example"}, b"{}", 403, -32600),
        ({}, b"{", 400, -32700),
        ({}, b"\xff", 400, -32700),
        ({}, b'{"jsonrpc":"2.0","id":null,"method":"ping"}', 400, -32600),
        ({}, b'{"id":1,"method":"ping"}', 400, -32600),
        ({}, b'[{"jsonrpc":"2.0","id":1,"method":"ping"}]', 400, -32600),
        ({"mcp_protocol_version": "1999-01-01"}, b'{"jsonrpc":"2.0","id":1,"method":"ping"}', 400, -32600),
        ({"mcp_session_id": "unknown"}, b'{"jsonrpc":"2.0","id":1,"method":"ping"}', 404, -32600),
    ],
)
def test_refusals(client: Client, headers: dict[str, str], body: bytes, status: int, code: int) -> None:
    response = client.post(body, **headers)
    assert response.status_code == status
    assert response.json()["error"]["code"] == code
    assert client.answer("ping")["result"] == {}


def test_requests_outside_a_session(ending_both: Client) -> None:
    client = ending_both.another()
    assert client.request("tools/list").status_code == 400
    assert client.delete().status_code == 400
    with client.listen() as response:
        assert response.status_code == 400
    assert client.http.put(client.url).status_code == 405


@pytest.fixture(scope="module")
def guarded(witness: Client) -> Iterator[Client]:
    arguments = ("--upstream", witness.url, "--token", "alices", "--token", "bobs", "--upstream-token", "its-own")
    with gateway("terminating", *arguments) as client:
        yield client


def signed_in(client: Client, token: str) -> Client:
    """Return a new client whose session the token opened; each of its requests still needs one."""
    one = client.another()
    response = one.request("initialize", initialize_params(), authorization=f"Bearer {token}")
    assert response.status_code == 200
    one.session, one.revision = response.headers["mcp-session-id"], "2025-11-25"
    return one


@pytest.mark.parametrize("headers", [{}, {"authorization": "Bearer nobodys"}, {"authorization": "Basic alices"}])
def test_each_request_needs_a_token(guarded: Client, headers: dict[str, str]) -> None:
    refused = guarded.another().request("initialize", initialize_params(), **headers)
    assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
    alice = signed_in(guarded, "alices")
    assert alice.request("ping", **headers).status_code == 401
    assert alice.request("ping", authorization="bearer alices").status_code == 200
    old = guarded.http.get(guarded.url.replace("/mcp", "/sse"), headers=headers)
    assert old.status_code == 401


def test_a_session_is_its_tokens(guarded: Client) -> None:
    alice = signed_in(guarded, "alices")
    stolen = alice.request("ping", authorization="Bearer bobs")
    unknown = alice.request("ping", authorization="Bearer bobs", mcp_session_id="unknown")
    assert (stolen.status_code, stolen.json()["error"]) == (404, unknown.json()["error"])
    assert alice.request("ping", authorization="Bearer alices").status_code == 200


def test_an_old_clients_stream_is_its_tokens(guarded: Client) -> None:
    sse = guarded.url.replace("/mcp", "/sse")
    with guarded.http.stream("GET", sse, headers={"authorization": "Bearer alices"}) as stream:
        lines = stream.iter_lines()  # kept: the stream is closed with its iterator
        uri = next(line for line in lines if line.startswith("data: ")).removeprefix("data: ")
        target = guarded.url.replace("/mcp", uri)
        body = {"jsonrpc": "2.0", "method": "notifications/unknown"}
        statuses = [
            guarded.http.post(target, json=body, headers={"authorization": f"Bearer {token}"}).status_code
            for token in ("bobs", "alices")
        ]
    assert statuses == [404, 202]


def test_notifications_and_stray_responses_are_accepted_without_a_word(client: Client) -> None:
    for body in (
        {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 99}},
        {"jsonrpc": "2.0", "method": "notifications/cancelled"},
        {"jsonrpc": "2.0", "method": "notifications/unknown"},
        {"jsonrpc": "2.0", "id": 99, "result": {}},
    ):
        response = client.post(body)
        assert (response.status_code, response.content) == (202, b"")


@pytest.mark.parametrize(("asked", "given"), [("2024-11-05", "2024-11-05"), ("2099-01-01", "2025-11-25")])
def test_versions_are_negotiated_on_each_leg(ending_both: Client, asked: str, given: str) -> None:
    client = ending_both.another().open(asked)
    assert client.revision == given
    assert client.call("http_whoami")["revision"] == "2025-11-25"


def test_batches_on_the_revision_that_has_them(ending_both: Client) -> None:
    client = ending_both.another().open("2025-03-26")
    answers = events(client.post([call("http_echo", 1, text="a"), call("child_echo", "1", text="b")]).text)
    assert {answer["id"]: answer["result"]["structuredContent"]["text"] for answer in answers} == {1: "a", "1": "b"}


def test_equal_ids_and_tokens_of_two_clients_do_not_meet(ending_both: Client) -> None:
    clients = [ending_both.another().open() for _ in range(2)]
    with ThreadPoolExecutor(2) as pool:
        bodies = [call("http_slow", 1, token=1, nonce=str(n), seconds=0.35, progress_every=0.1) for n in range(2)]
        answers = list(pool.map(lambda client, body: events(client.post(body).text), clients, bodies))
    for n, messages in enumerate(answers):
        assert [message["params"]["message"] for message in messages[:-1]] == [str(n)] * 3
        assert messages[-1]["result"]["structuredContent"]["nonce"] == str(n)


def test_a_dropped_post_is_not_a_cancellation(client: Client) -> None:
    body = json.dumps(call("http_slow", token=1, seconds=1, progress_every=0.1))
    with client.http.stream("POST", client.url, content=body, headers=client.headers()) as response:
        next(response.iter_raw())
    facts = client.call("http_whoami")
    assert facts["cancelled"] == 0


def test_messages_of_a_call_come_on_its_stream(client: Client) -> None:
    for prefix in ("http_", "child_"):
        message, answer = events(client.post(call(prefix + "notify", kind="log")).text)
        assert message["method"] == "notifications/message"
        assert "result" in answer


def test_backend_pings_are_answered_by_the_gateway(client: Client) -> None:
    assert client.call("http_server_ping")["answered"] is True
    assert client.call("child_server_ping")["answered"] is True


def test_keepalive_on_both_kinds_of_stream(witness: Client) -> None:
    with terminating(witness.url, keepalive=0.2) as client:
        client.open()
        with listening(client, lambda received: received.count(b": keepalive\n\n") > 1):
            assert ": keepalive\n\n" in client.post(call("http_slow", seconds=0.9)).text


def test_unknown_method(client: Client) -> None:
    assert client.answer("no/such")["error"]["code"] == -32601


def test_stateless_variant(witness: Client) -> None:
    with gateway("terminating", "--upstream", witness.url, "--json-only", "--stateless") as client:
        response = client.request("initialize", initialize_params())
        assert "mcp-session-id" not in response.headers
        assert client.notify("notifications/initialized").status_code == 202
        response = client.post(call("http_echo", text="t"), mcp_session_id="ignored")
        assert response.headers["content-type"] == "application/json"
        assert response.json()["result"]["structuredContent"]["text"] == "t"
        with client.listen() as stream:
            assert stream.status_code == 405
            assert stream.headers["allow"] == "POST"
        assert client.delete().status_code == 405


# The backends' side.


def test_delete_ends_the_backends_sessions(client: Client) -> None:
    children = psutil.Process(client.process.pid).children
    child = psutil.Process(client.call("child_whoami")["process"])
    assert child in children()
    session = client.call("http_whoami")["session"]
    assert session != client.session
    assert client.delete().status_code == 200
    assert child not in children()


def test_delete_reaches_an_http_backend(witness: Client, client: Client) -> None:
    session = client.call("http_whoami")["session"]
    client.delete()
    assert witness.another().request("ping", mcp_session_id=session).status_code == 404


def test_children_end_with_the_gateway(witness: Client) -> None:
    with gateway("terminating", "--upstream", witness.url, "--upstream-command", CHILD) as client:
        child = psutil.Process(client.open().call("child_whoami")["process"])
    assert not child.is_running()


def test_child_that_exits_is_started_again(client: Client) -> None:
    before = client.call("child_whoami")["process"]
    assert "exited" in message_of(client.post(call("child_exit", code=3)))["error"]["message"]
    assert client.call("child_whoami")["process"] != before
    assert client.call("http_counter")["count"] == 1


def test_session_that_the_backend_forgot_is_replaced() -> None:
    with http_witness("forgets_sessions") as backend, gateway("terminating", "--upstream", backend.url) as client:
        client.open()
        assert all(client.call("http_echo", text="t")["text"] == "t" for _ in range(8))


@pytest.mark.parametrize("script", ["html_500", "call_500_json", "reset_mid_event", "half_answer", "empty_200_stream"])
def test_failing_calls_are_answered(script: str) -> None:
    with http_witness(script) as backend, gateway("terminating", "--upstream", backend.url) as client:
        client.open()
        response = client.post(call("http_counter", "id"))
        assert response.status_code == 200
        answer = message_of(response)
        assert answer["id"] == "id"
        assert isinstance(answer["error"]["code"], int)
        assert client.answer("tools/list")["result"]["tools"]


def test_silent_call_is_given_up_and_cancelled() -> None:
    with http_witness("silent_call") as backend, terminating(backend.url, call_timeout=0.3) as client:
        client.open()
        assert message_of(client.post(call("http_counter")))["error"]["code"] == -32001


def test_progress_extends_a_call_only_up_to_the_limit(witness: Client) -> None:
    with terminating(witness.url, call_timeout=0.5, call_limit=1.5) as client:
        client.open()
        assert client.call("http_echo", text="t")
        answer = client.post(call("http_slow", token=1, seconds=1, progress_every=0.1))
        assert "result" in events(answer.text)[-1]
        answer = client.post(call("http_slow", token=1, seconds=30, progress_every=0.1))
        assert events(answer.text)[-1]["error"]["code"] == -32001


def test_one_backend_that_hangs_does_not_take_the_other_with_it() -> None:
    hanging = ("--upstream-command", f"{CHILD} --script hang_on_initialize")
    with http_witness() as backend, gateway("terminating", "--upstream", backend.url, *hanging) as client:
        result = client.open().answer("tools/list")["result"]
        assert {tool["name"].partition("_")[0] for tool in result["tools"]} == {"http"}
        assert list(result["_meta"]["gateway.reference/unavailable"]) == ["child_"]
        assert "error" in message_of(client.post(call("child_echo", text="t")))


def test_backend_that_is_down_is_tried_again() -> None:
    with http_witness() as first:
        port = first.url.rpartition(":")[2].partition("/")[0]
        with gateway("terminating", "--upstream", first.url) as client:
            client.open()
            first.process.terminate()
            first.process.wait(PATIENCE)
            assert "error" in client.answer("tools/list")
            with http_witness("correct", "--listen", f"127.0.0.1:{port}"):
                assert client.answer("tools/list")["result"]["tools"]


def test_requests_wait_for_a_slow_handshake() -> None:
    with http_witness("slow_initialize") as backend, terminating(backend.url, initialize_wait=0.1) as client:
        client.initialize()
        with listening(client, lambda received: b"list_changed" in received):
            assert client.answer("tools/list")["result"]["tools"][0]["name"] == "http_echo"
            assert client.call("http_whoami")["requests"] <= 3


def test_banner_on_stdout_is_passed_over() -> None:
    with gateway("terminating", "--upstream-command", f"{CHILD} --script banner_on_stdout") as client:
        assert client.open().call("child_echo", text="t")["text"] == "t"


def test_no_backend_is_refused_at_the_start() -> None:
    with pytest.raises(AssertionError, match="exit status 2"), gateway("terminating"):
        pass


def test_cancellation_races_leave_nothing_behind(client: Client) -> None:
    process = psutil.Process(client.process.pid)
    client.call("http_echo", text="warm")
    before = process.num_fds()
    with ThreadPoolExecutor(1) as pool:
        for n in range(60):
            answering = pool.submit(client.post, call("http_slow", n, seconds=0.02))
            time.sleep(n / 2000)
            assert client.notify("notifications/cancelled", {"requestId": n}).status_code == 202
            assert [answer["id"] for answer in events(answering.result(PATIENCE).text)] in ([], [n])
    assert client.call("http_echo", text="t")["text"] == "t"
    assert process.num_fds() <= before + 2
