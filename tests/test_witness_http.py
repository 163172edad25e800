"""The correct script over Streamable HTTP: what the reference servers answer, row by row."""

from __future__ import annotations

import json
import re
import socket
import threading
from collections.abc import Iterator

import pytest

from conformance.witness.http_wire import MAX_BODY
from tests.witness_process import Client, events, http_witness, initialize_params, message_of

REVISIONS = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")


@pytest.fixture(scope="module")
def witness() -> Iterator[Client]:
    with http_witness() as client:
        yield client


@pytest.fixture
def client(witness: Client) -> Client:
    return witness.another().open()


@pytest.mark.parametrize("revision", REVISIONS)
def test_initialize_echoes_a_known_revision(witness: Client, revision: str) -> None:
    client = witness.another()
    result = client.initialize(revision)["result"]
    assert result["protocolVersion"] == revision
    assert result["capabilities"]["tools"] == {"listChanged": True}
    assert client.session is not None
    assert re.fullmatch(r"[0-9a-f]{32}", client.session)


@pytest.mark.parametrize("revision", ["2026-07-28", "1.0.0", "2099-01-01"])
def test_initialize_proposes_the_latest_for_an_unknown_revision(witness: Client, revision: str) -> None:
    assert witness.another().initialize(revision)["result"]["protocolVersion"] == "2025-11-25"


def test_stream_headers_and_shape_of_a_post_answer(client: Client) -> None:
    response = client.request("ping")
    assert response.headers["content-type"] == "text/event-stream"
    assert response.headers["cache-control"] == "no-cache, no-transform"
    assert response.headers["x-accel-buffering"] == "no"
    assert response.text == 'event: message\ndata: {"jsonrpc":"2.0","id":3,"result":{}}\n\n'.replace(
        "3", str(client.last_id)
    )


def test_list_is_answered_before_initialized(witness: Client) -> None:
    client = witness.another()
    client.initialize()
    assert client.answer("tools/list")["result"]["tools"]


def test_capabilities_are_real(client: Client) -> None:
    assert client.answer("prompts/list")["result"]["prompts"][0]["name"] == "greeting"
    prompt = client.answer("prompts/get", {"name": "greeting", "arguments": {"name": "Ada"}})
    assert "Ada" in prompt["result"]["messages"][0]["content"]["text"]
    (resource,) = client.answer("resources/list")["result"]["resources"]
    assert client.answer("resources/read", {"uri": resource["uri"]})["result"]["contents"][0]["text"]
    assert client.answer("resources/templates/list")["result"] == {"resourceTemplates": []}
    assert client.answer("logging/setLevel", {"level": "error"})["result"] == {}


@pytest.mark.parametrize(
    ("method", "params", "code"),
    [
        ("no/such", None, -32601),
        ("tools/call", {"name": "nope", "arguments": {}}, -32602),
        ("tools/call", {"name": 123}, -32602),
        ("tools/call", None, -32602),
        ("tools/list", {"cursor": "never-issued"}, -32602),
        ("prompts/get", {"name": "nope"}, -32602),
        ("resources/read", {"uri": "witness://nope"}, -32002),
        ("logging/setLevel", {"level": "loud"}, -32602),
    ],
)
def test_a_refused_request_is_a_json_rpc_error_in_a_200(
    client: Client, method: str, params: dict[str, object] | None, code: int
) -> None:
    answer = client.answer(method, params)
    assert (answer["id"], answer["error"]["code"]) == (client.last_id, code)
    assert client.answer("ping")["result"] == {}


def test_notifications_and_responses_are_accepted_with_an_empty_202(client: Client) -> None:
    bodies = (
        {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 999}},
        {"jsonrpc": "2.0", "method": "notifications/cancelled"},
        {"jsonrpc": "2.0", "method": "notifications/of-no-kind"},
        {"jsonrpc": "2.0", "id": "unasked", "result": {}},
    )
    for body in bodies:
        response = client.post(body)
        assert (response.status_code, response.content) == (202, b"")
        assert response.headers["content-length"] == "0"


@pytest.mark.parametrize("missing", [None, "f" * 32])
def test_missing_session_is_400_and_unknown_session_404(witness: Client, missing: str | None) -> None:
    client = witness.another()
    client.session = missing
    status = 400 if missing is None else 404
    answers = [client.request("tools/list"), client.notify("notifications/initialized"), client.delete()]
    with client.listen() as stream:
        stream.read()
        answers.append(stream)
    assert [answer.status_code for answer in answers] == [status] * 4
    assert answers[0].json()["id"] == client.last_id
    assert all("mcp-session-id" not in answer.headers for answer in answers)


def test_second_initialize_in_a_session_is_400_and_harms_nothing(client: Client) -> None:
    assert client.request("initialize", initialize_params()).status_code == 400
    assert client.answer("ping")["result"] == {}


def test_initialize_with_an_unknown_session_is_404(witness: Client) -> None:
    client = witness.another()
    assert client.request("initialize", initialize_params(), mcp_session_id="f" * 32).status_code == 404


@pytest.mark.parametrize("missing", ["protocolVersion", "capabilities", "clientInfo"])
def test_malformed_initialize_is_refused_and_harms_nobody(witness: Client, client: Client, missing: str) -> None:
    params = {name: value for name, value in initialize_params().items() if name != missing}
    response = witness.another().request("initialize", params)
    assert response.status_code == 200
    assert message_of(response)["error"]["code"] == -32602
    assert "mcp-session-id" not in response.headers
    assert client.answer("ping")["result"] == {}
    assert witness.another().open().answer("tools/list")["result"]["tools"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"mcp_protocol_version": "1999-01-01"}, 400),
        ({"mcp_protocol_version": "2026-07-28"}, 400),
        ({"mcp_protocol_version": ""}, 400),
        ({"mcp_protocol_version": "2025-03-26"}, 200),
        ({"accept": "application/json"}, 406),
        ({"accept": "text/event-stream"}, 406),
        ({"accept": ""}, 406),
        ({"accept": "*/*"}, 200),
        ({"accept": "text/*;q=0.5, application/*"}, 200),
        ({"content_type": "text/plain"}, 415),
        ({"content_type": "application/json; charset=utf-8"}, 200),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://[::1"}, 403),
        ({"origin": "http://localhost:6274"}, 200),
        ({"origin": "http://127.0.0.1"}, 200),
    ],
)
def test_headers_are_checked(client: Client, headers: dict[str, str], status: int) -> None:
    response = client.request("tools/list", **headers)
    assert response.status_code == status
    if status != 200:
        assert response.json()["error"]["message"]
    assert response.headers.get("mcp-session-id") is None


def test_refused_origin_is_answered_without_an_id(client: Client) -> None:
    assert "id" not in client.request("tools/list", origin="https://evil.example").json()


def test_version_header_may_be_absent(client: Client) -> None:
    client.revision = None
    assert client.answer("tools/list")["result"]["tools"]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", -32700),
        (b'"\xff"', -32700),
        (b"[" * 100_000, -32700),
        (b"1", -32600),
        (b'{"id":1,"method":"ping"}', -32600),
        (b'{"jsonrpc":"2.0","id":null,"method":"ping"}', -32600),
        (b'{"jsonrpc":"2.0","id":1.5,"method":"ping"}', -32600),
        (b'{"jsonrpc":"2.0","id":true,"method":"ping"}', -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":7}', -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":"ping","params":[]}', -32600),
        (b'{"jsonrpc":"2.0","id":1}', -32600),
        (b'{"jsonrpc":"2.0","id":1,"result":{},"error":{}}', -32600),
        (b'[{"jsonrpc":"2.0","id":1,"method":"ping"}]', -32600),
    ],
)
def test_what_is_no_single_message_is_400(client: Client, body: bytes, code: int) -> None:
    response = client.post(body)
    assert response.status_code == 400
    assert response.json()["error"]["code"] == code
    assert client.answer("ping")["result"] == {}


def test_batches_exist_in_2025_03_26_only(witness: Client) -> None:
    client = witness.another().open("2025-03-26")
    client.revision = None
    batch = [client.body("ping"), client.body("tools/list"), {"jsonrpc": "2.0", "method": "notifications/x"}]
    answers = events(client.post(batch).text)
    assert {answer["id"] for answer in answers} == {batch[0]["id"], batch[1]["id"]}
    assert client.post(batch[2:]).status_code == 202
    assert client.post([]).status_code == 400
    assert client.post([client.body("initialize", initialize_params())]).status_code == 400


@pytest.mark.parametrize("identifier", [0, 2**53 - 1, "", "7", "e9a1f0a4"])
def test_ids_come_back_as_they_were(client: Client, identifier: int | str) -> None:
    answer = message_of(client.post({"jsonrpc": "2.0", "id": identifier, "method": "ping"}))
    assert answer["id"] == identifier
    assert type(answer["id"]) is type(identifier)


def test_other_methods_and_paths(client: Client) -> None:
    response = client.http.put(client.url, content=b"{}", headers=client.headers())
    assert (response.status_code, response.headers["allow"]) == (405, "GET, POST, DELETE")
    assert client.http.post(client.url + "x", content=b"{}", headers=client.headers()).status_code == 404
    assert client.http.post(client.url + "/", json=client.body("ping"), headers=client.headers()).status_code == 200


def test_delete_ends_the_session_and_its_streams(client: Client) -> None:
    with client.listen() as stream:
        assert (client.delete().status_code, stream.read()) == (200, b"")
    assert client.request("tools/list").status_code == 404
    assert client.delete().status_code == 404
    with client.listen() as stream:
        assert stream.status_code == 404


def test_get_answers_headers_at_once_and_refuses_a_second_stream(client: Client) -> None:
    with client.listen() as stream:
        assert stream.status_code == 200
        assert stream.headers["content-type"] == "text/event-stream"
        assert stream.headers["cache-control"] == "no-cache, no-transform"
        assert stream.headers["x-accel-buffering"] == "no"
        with client.listen() as second:
            assert second.status_code == 409
        assert client.call("whoami")["listening"] is True
    # The stream is free again as soon as its FIN has been read, which the next request may outrun.
    while client.call("whoami")["listening"]:
        pass
    with client.listen(last_event_id="never-issued") as again:
        assert again.status_code == 200


def test_get_wants_an_event_stream(client: Client) -> None:
    with client.listen(accept="application/json") as stream:
        assert stream.status_code == 406


def test_every_result_says_where_its_call_arrived(client: Client) -> None:
    first = client.answer("tools/call", {"name": "echo", "arguments": {"nonce": "a", "text": "é\u2028𝄞"}})["result"]
    facts = first["structuredContent"]
    assert json.loads(first["content"][0]["text"]) == facts
    assert (facts["nonce"], facts["text"], facts["session"]) == ("a", "é\u2028𝄞", client.session)
    assert facts["process"] == client.process.pid
    second = client.call("echo", text="")
    assert second["request"] == facts["request"] + 1
    assert second["connection"] == facts["connection"]
    client.http.get(client.url, headers={"connection": "close"})
    assert client.call("echo", text="")["connection"] > facts["connection"]


def test_older_revisions_get_no_newer_fields(witness: Client) -> None:
    client = witness.another().open("2025-03-26")
    result = client.answer("tools/call", {"name": "echo", "arguments": {"nonce": "a", "text": ""}})["result"]
    assert "structuredContent" not in result
    assert client.answer("tools/call", {"name": "echo", "arguments": {}})["error"]["code"] == -32602


def test_counter_counts_per_session(witness: Client) -> None:
    one, two = witness.another().open(), witness.another().open()
    assert [one.call("counter")["count"], one.call("counter")["count"], two.call("counter")["count"]] == [1, 2, 1]


def test_tool_errors_are_results(client: Client) -> None:
    assert client.answer("tools/call", {"name": "fail", "arguments": {"nonce": "n"}})["result"]["isError"] is True
    wrong = client.answer("tools/call", {"name": "slow", "arguments": {"nonce": "n", "seconds": "2"}})["result"]
    assert wrong["isError"] is True
    assert "seconds" in wrong["content"][0]["text"]


def test_progress_comes_before_the_answer_and_only_if_asked_for(client: Client) -> None:
    arguments = {"nonce": "n", "seconds": 0.3, "progress_every": 0.05}
    silent = client.request("tools/call", {"name": "slow", "arguments": arguments})
    assert len(events(silent.text)) == 1
    asked = {"name": "slow", "arguments": arguments, "_meta": {"progressToken": 0}}
    *progress, answer = events(client.request("tools/call", asked).text)
    values = [each["params"]["progress"] for each in progress]
    assert values == sorted(set(values))
    assert len(values) == answer["result"]["structuredContent"]["progress"] > 2
    assert {each["params"]["progressToken"] for each in progress} == {0}


def test_cancelled_ends_the_call_without_an_answer(client: Client) -> None:
    body = client.body("tools/call", {"name": "slow", "arguments": {"nonce": "n", "seconds": 600}})
    with client.http.stream("POST", client.url, json=body, headers=client.headers()) as stream:
        client.notify("notifications/cancelled", {"requestId": body["id"], "reason": "enough"})
        assert stream.read() == b""
    assert client.call("whoami")["cancelled"] == 1


def test_a_lost_connection_is_no_cancellation(client: Client) -> None:
    body = client.body("tools/call", {"name": "slow", "arguments": {"nonce": "n", "seconds": 600}})
    with client.http.stream("POST", client.url, json=body, headers=client.headers()):
        pass
    assert client.call("whoami")["cancelled"] == 0
    client.notify("notifications/cancelled", {"requestId": body["id"]})
    assert client.call("whoami")["cancelled"] == 1, "the call was still running"


def next_message(lines: Iterator[str]) -> dict[str, object]:
    """Return the next message of an open stream."""
    for line in lines:
        if line.startswith("data: "):
            message: dict[str, object] = json.loads(line.removeprefix("data: "))
            return message
    raise AssertionError("the stream ended without a message")


def test_notify_takes_the_stream_it_is_told(client: Client) -> None:
    assert client.call("notify", kind="list_changed")["delivered"] is False, "nobody listens"
    with client.listen() as stream:
        lines = stream.iter_lines()
        facts = client.call("notify", kind="list_changed", nonce="on-get")
        assert (facts["stream"], facts["delivered"]) == ("get", True)
        message = next_message(lines)
        assert message["method"] == "notifications/tools/list_changed"
        assert message["params"] == {"_meta": {"mcp-gateway-conformance/nonce": "on-get"}}
    own = client.request("tools/call", {"name": "notify", "arguments": {"nonce": "log", "kind": "log"}})
    log, answer = events(own.text)
    assert log["params"] == {"level": "info", "logger": "witness", "data": {"nonce": "log"}}
    assert answer["result"]["structuredContent"]["delivered"] is True
    client.answer("logging/setLevel", {"level": "error"})
    assert client.call("notify", kind="log")["delivered"] is False


def test_no_notification_before_initialized(witness: Client) -> None:
    client = witness.another()
    client.initialize()
    with client.listen():
        assert client.call("notify", kind="list_changed")["delivered"] is False


def test_server_ping_is_answered_by_a_post_of_its_own(client: Client) -> None:
    body = client.body("tools/call", {"name": "server_ping", "arguments": {"nonce": "n"}})
    with client.http.stream("POST", client.url, json=body, headers=client.headers()) as stream:
        lines = stream.iter_lines()
        ping = next_message(lines)
        assert ping["method"] == "ping"
        assert client.post({"jsonrpc": "2.0", "id": ping["id"], "result": {}}).status_code == 202
        answer = next_message(lines)
    assert answer["result"]["structuredContent"]["answered"] is True  # type: ignore[index]


def test_add_tool_tells_all_who_listen() -> None:
    with http_witness() as witness:
        one, two = witness.another().open(), witness.another().open()
        with one.listen() as first, two.listen() as second:
            assert one.call("add_tool", name="extra")["notified"] == 2
            for stream in (first, second):
                assert next_message(stream.iter_lines())["method"] == "notifications/tools/list_changed"
        assert two.call("extra")["tool"] == "extra"
        assert two.answer("tools/list")["result"]["tools"][-1]["name"] == "extra"
        again = one.answer("tools/call", {"name": "add_tool", "arguments": {"nonce": "n", "name": "extra"}})
        assert again["error"]["code"] == -32602


def test_exit_ends_the_process_with_its_code() -> None:
    with http_witness() as witness:
        client = witness.another().open()
        body = client.body("tools/call", {"name": "exit", "arguments": {"nonce": "n", "code": 7}})
        with pytest.raises(Exception, match=r"(?i)disconnected|closed|reset|incomplete"):
            client.post(body)
        assert client.process.wait(timeout=20) == 7


def test_concurrent_calls_do_not_wait_for_each_other(client: Client) -> None:
    body = client.body("tools/call", {"name": "slow", "arguments": {"nonce": "n", "seconds": 600}})
    with client.http.stream("POST", client.url, json=body, headers=client.headers()):
        assert client.call("echo", text="quick")["text"] == "quick"
    client.notify("notifications/cancelled", {"requestId": body["id"]})


def exchange(url: str, payload: bytes) -> bytes:
    """Send raw bytes and FIN, and return everything until the server's FIN."""
    host, port = url.removeprefix("http://").removesuffix("/mcp").split(":")
    received = bytearray()
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall(payload)
        connection.shutdown(socket.SHUT_WR)
        while data := connection.recv(65536):
            received += data
    return bytes(received)


def test_broken_http_is_400_and_ends_the_connection(client: Client) -> None:
    assert exchange(client.url, b"NOT HTTP\r\n\r\n").startswith(b"HTTP/1.1 400 ")
    assert client.answer("ping")["result"] == {}


def test_a_body_cut_short_harms_nobody(client: Client) -> None:
    exchange(client.url, b"POST /mcp HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{")
    assert client.answer("ping")["result"] == {}


def test_too_large_a_body_is_413(client: Client) -> None:
    head = f"POST /mcp HTTP/1.1\r\nHost: x\r\nContent-Length: {2 * MAX_BODY}\r\n\r\n".encode()
    assert exchange(client.url, head + b" " * (MAX_BODY + 1)).startswith(b"HTTP/1.1 413 ")


def test_pipelined_requests_and_a_half_closed_client_are_answered(client: Client) -> None:
    bodies = [json.dumps(client.body("ping")).encode() for _ in range(2)]
    head = "".join(f"{name}: {value}\r\n" for name, value in client.headers().items())
    payload = b"".join(
        f"POST /mcp HTTP/1.1\r\nHost: x\r\n{head}Content-Length: {len(body)}\r\n\r\n".encode() + body for body in bodies
    )
    assert exchange(client.url, payload).count(b'"result":{}') == 2


def test_http_1_0_and_expect_continue(client: Client) -> None:
    body = json.dumps(client.body("ping")).encode()
    head = "".join(f"{name}: {value}\r\n" for name, value in client.headers().items())
    lines = f"{head}Content-Length: {len(body)}\r\n"
    assert exchange(client.url, f"POST /mcp HTTP/1.0\r\n{lines}\r\n".encode() + body).endswith(b'"result":{}}\n\n')
    host, port = client.url.removeprefix("http://").removesuffix("/mcp").split(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall(f"POST /mcp HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n{lines}\r\n".encode())
        assert connection.recv(65536).startswith(b"HTTP/1.1 100 ")
        connection.sendall(body)
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")


def test_idle_streams_carry_a_comment(client: Client) -> None:
    """GET and a long POST beat each 15 s, and the answer of the call follows its comment."""
    body = client.body("tools/call", {"name": "slow", "arguments": {"nonce": "n", "seconds": 15.5}})
    posted: list[str] = []

    def post() -> None:
        posted.append(client.http.post(client.url, json=body, headers=client.headers()).text)

    calling = threading.Thread(target=post)
    calling.start()
    with client.listen() as stream:
        assert next(stream.iter_text()) == ": keepalive\n\n"
    calling.join()
    assert posted[0].startswith(": keepalive\n\nevent: message\n")


def test_a_tool_of_one_session_is_neither_listed_nor_called_in_another(witness):
    one, other = witness.another().open(), witness.another().open()
    added = {"name": "add_own_tool", "arguments": {"nonce": "n", "name": "mine"}}
    assert one.answer("tools/call", added)["result"]["structuredContent"]["name"] == "mine"
    lists = [[tool["name"] for tool in each.answer("tools/list")["result"]["tools"]] for each in (one, other)]
    assert ["mine" in names for names in lists] == [True, False]
    called = {"name": "mine", "arguments": {"nonce": "n"}}
    assert one.answer("tools/call", called)["result"]["structuredContent"]["tool"] == "mine"
    assert other.answer("tools/call", called)["error"]["code"] == -32602
