"""Each script over HTTP shows its misbehaviour, and nothing else of it differs from the correct server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from typing import Any

import httpx
import pytest

from conformance.errors import UsageError
from conformance.paths import ROOT
from conformance.witness import SCRIPTS, Face, find_script
from conformance.witness.all_tools import ALL_TOOLS
from conformance.witness.jsonrpc import Notification
from conformance.witness.protocol import Server
from conformance.witness.runner import parse_listen
from conformance.witness.sessions import Session
from tests.witness_process import Client, ending, events, http_witness, initialize_params, start

ECHO: dict[str, Any] = {"name": "echo", "arguments": {"nonce": "n", "text": "t"}}


def test_every_script_is_described() -> None:
    for name, script in SCRIPTS.items():
        assert name == script.name
        assert script.title
        assert script.description.endswith(".")
        assert script.faces


def test_unknown_script_and_wrong_face_are_told() -> None:
    with pytest.raises(UsageError, match="correct"):
        find_script("nope", Face.HTTP)
    with pytest.raises(UsageError, match="no meaning over stdio"):
        find_script("html_500", Face.STDIO)


@pytest.mark.parametrize("listen", ["", "8080", ":8080", "127.0.0.1:", "127.0.0.1:http", "127.0.0.1:65536"])
def test_malformed_address_is_told(listen: str) -> None:
    with pytest.raises(UsageError, match="HOST:PORT"):
        parse_listen(listen)


def test_taken_port_is_told() -> None:
    with http_witness() as client:
        address = client.url.removeprefix("http://").removesuffix("/mcp")
        command = [sys.executable, "-m", "conformance.witness", "--listen", address]
        second = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)
    assert second.returncode == 3
    assert second.stderr.startswith(f"error: The witness cannot listen on {address}")
    assert second.stderr.count("\n") == 1


def test_strict_single_session() -> None:
    with http_witness("strict_single_session") as client:
        early = client.request("tools/list")
        assert (early.status_code, early.json()["error"]["code"]) == (400, -32000)
        assert early.json()["error"]["message"] == "Bad Request: Server not initialized"
        with client.listen() as stream:
            assert stream.status_code == 400
        client.open()
        for other in (client.another(), client):
            second = other.request("initialize", initialize_params())
            assert (second.status_code, second.json()["error"]["code"]) == (400, -32600)
            assert second.json()["error"]["message"] == "Invalid Request: Server already initialized"
        assert client.call("echo", text="still")["text"] == "still"
        client.delete()
        assert client.another().open().call("echo", text="next")["text"] == "next"


@pytest.mark.parametrize(("script", "status"), [("get_400", 400), ("get_405", 405), ("json_only", 405)])
def test_get_is_refused_and_calls_work(script: str, status: int) -> None:
    with http_witness(script) as client:
        client.open()
        with client.listen() as stream:
            assert stream.status_code == status
            assert ("allow" in stream.headers) == (status == 405)
        assert client.call("echo", text="t")["text"] == "t"


def test_json_only_is_stateless() -> None:
    with http_witness("json_only") as client:
        response = client.request("initialize", initialize_params())
        assert response.headers["content-type"] == "application/json"
        assert "mcp-session-id" not in response.headers
        stranger = client.another()
        facts = stranger.call("counter")
        assert (facts["session"], facts["count"], stranger.call("counter")["count"]) == (None, 1, 1)
        stranger.session = "f" * 32
        assert stranger.call("echo", text="t")["text"] == "t", "a session header is ignored"
        assert stranger.delete().status_code == 405


def test_json_answers_keep_sessions() -> None:
    with http_witness("correct", "--json-only") as client:
        client.open()
        assert client.session
        response = client.request("tools/call", ECHO)
        assert response.headers["content-type"] == "application/json"
        assert client.call("server_ping")["answered"] is False, "a JSON answer carries no request"
        assert client.call("notify", kind="log")["delivered"] is False


def test_get_headers_come_with_the_first_byte() -> None:
    with http_witness("get_headers_withheld", keepalive=1.0) as client:
        client.open()
        with pytest.raises(httpx.ReadTimeout):
            client.http.get(client.url, headers=client.headers(accept="text/event-stream"), timeout=0.2)
        while client.call("whoami")["listening"]:
            pass
        with client.http.stream("GET", client.url, headers=client.headers(accept="text/event-stream")) as stream:
            assert next(stream.iter_text()) == ": keepalive\n\n"


@pytest.mark.parametrize(("script", "announced"), [("late_tools", True), ("late_tools_silent", False)])
def test_tools_appear_late(script: str, announced: bool) -> None:
    with http_witness(script) as client:
        client.open()
        assert client.answer("tools/list")["result"] == {"tools": []}
        assert client.answer("tools/call", ECHO)["error"]["code"] == -32602
        with client.listen() as stream:
            if announced:
                assert "notifications/tools/list_changed" in next(stream.iter_text())
            else:
                while not client.answer("tools/list")["result"]["tools"]:
                    time.sleep(0.1)
        assert client.call("echo", text="t")["text"] == "t"
        with client.another().open().listen() as other:
            assert other.status_code == 200


def test_slow_initialize_is_slow_and_answers() -> None:
    with http_witness("slow_initialize") as client:
        with pytest.raises(httpx.ReadTimeout):
            client.http.post(
                client.url, json=client.body("initialize", initialize_params()), headers=client.headers(), timeout=1.0
            )
        client.open()
        assert client.call("echo", text="t")["text"] == "t"


def test_hang_on_initialize_sends_not_even_headers() -> None:
    with http_witness("hang_on_initialize") as client, pytest.raises(httpx.ReadTimeout):
        client.http.post(
            client.url, json=client.body("initialize", initialize_params()), headers=client.headers(), timeout=1.0
        )


def test_silent_never_answers() -> None:
    with http_witness("silent") as client, pytest.raises(httpx.ReadTimeout):
        client.http.get(client.url, timeout=1.0)


def test_slow_start_listens_late() -> None:
    began = time.monotonic()
    with http_witness("slow_start") as client:
        assert time.monotonic() - began >= 5.0
        assert client.open().call("echo", text="t")["text"] == "t"


@pytest.mark.parametrize("face", ["http", "stdio"])
def test_exits_at_once(face: str) -> None:
    with ending(start("--script", "exits_at_once", face=face)) as process:
        assert process.wait(timeout=20) == 3
        assert process.stdout is not None
        assert process.stdout.read() == b""


def test_forgets_sessions_after_three_requests() -> None:
    with http_witness("forgets_sessions") as client:
        client.open()
        with client.listen() as stream:
            assert [client.request("ping").status_code for _ in range(4)] == [200, 200, 200, 404]
            assert stream.read() == b""
        assert client.notify("notifications/x").status_code == 404
        assert client.another().open().call("echo", text="t")["text"] == "t"


def test_no_keepalive_leaves_streams_silent() -> None:
    with http_witness("no_keepalive") as client:
        client.open()
        body = client.body("tools/call", {"name": "slow", "arguments": {"nonce": "n", "seconds": 15.5}})
        assert client.post(body).text.startswith("event: message\n")


def test_html_500_after_the_tool_ran() -> None:
    with http_witness("html_500") as client:
        client.open()
        response = client.request("tools/call", ECHO)
        assert (response.status_code, response.headers["content-type"]) == (500, "text/html; charset=utf-8")
        assert client.answer("tools/list")["result"]["tools"]


def test_a_proxy_s_page_is_all_there_is() -> None:
    with http_witness("proxy_page") as client:
        for method in ("initialize", "ping"):
            response = client.request(method)
            assert (response.status_code, response.headers["content-type"]) == (502, "text/html")
            assert response.headers["via"]


def test_call_500_json() -> None:
    with http_witness("call_500_json") as client:
        client.open()
        response = client.request("tools/call", ECHO)
        assert (response.status_code, response.json()["id"]) == (500, client.last_id)
        assert response.json()["error"]["code"] == -32603


def read_broken(client: Client) -> tuple[bytes, type[Exception]]:
    """Call echo and return what arrived before the answer broke, and how it broke."""
    received = bytearray()
    with client.http.stream(
        "POST", client.url, json=client.body("tools/call", ECHO), headers=client.headers()
    ) as stream:
        try:
            for piece in stream.iter_raw():
                received += piece
        except httpx.HTTPError as error:
            return bytes(received), type(error)
    raise AssertionError("the answer was whole")


@pytest.mark.parametrize(
    ("script", "head", "broken"),
    [
        ("reset_mid_event", b'event: message\ndata: {"jsonrpc"', httpx.ReadError),
        ("half_answer", b'{"jsonrpc"', httpx.RemoteProtocolError),
    ],
)
def test_answers_cut_short(script: str, head: bytes, broken: type[Exception]) -> None:
    with http_witness(script) as client:
        client.open()
        received, error = read_broken(client)
        assert received.startswith(head)
        assert not received.endswith(b"\n\n")
        assert error is broken, "RST is a read error, FIN an incomplete body"
        assert client.answer("tools/list")["result"]["tools"]


def test_empty_200_stream() -> None:
    with http_witness("empty_200_stream") as client:
        client.open()
        response = client.request("tools/call", ECHO)
        assert (response.status_code, response.headers["content-type"]) == (200, "text/event-stream")
        assert response.content == b""


def test_silent_call_beats_and_never_answers() -> None:
    with http_witness("silent_call", keepalive=0.2) as client:
        client.open()
        body = client.body("tools/call", ECHO)
        with client.http.stream("POST", client.url, json=body, headers=client.headers()) as stream:
            assert next(stream.iter_text()) == ": keepalive\n\n"
        assert client.answer("ping")["result"] == {}


def test_rejects_before_initialized() -> None:
    with http_witness("rejects_before_initialized") as client:
        client.initialize()
        assert client.answer("ping")["result"] == {}
        early = client.answer("tools/list")["error"]
        assert early == {"code": -32602, "message": "Invalid request parameters"}
        client.notify("notifications/initialized")
        assert client.answer("tools/list")["result"]["tools"]


def test_paginated_pages_make_up_the_whole_list() -> None:
    with http_witness("paginated") as client:
        client.open()
        names: list[str] = []
        pages: list[dict[str, Any]] = []
        cursor: dict[str, Any] = {}
        while not pages or "nextCursor" in pages[-1]:
            pages.append(client.answer("tools/list", cursor)["result"])
            names += [tool["name"] for tool in pages[-1]["tools"]]
            cursor = {"cursor": pages[-1].get("nextCursor")}
        assert all(len(page["tools"]) == 4 for page in pages[:-1])
        assert names == [tool.name for tool in ALL_TOOLS]
        assert client.answer("tools/list", {"cursor": "x"})["error"]["code"] == -32602


def test_crlf_streams() -> None:
    with http_witness("crlf") as client:
        client.open()
        text = client.request("ping").text
        assert text.count("\r\n") == text.count("\n") == 3
        assert events(text)[0]["result"] == {}


def test_events_out_of_band() -> None:
    with http_witness("events_out_of_band") as client:
        client.open()
        with client.listen() as stream:
            assert "notifications/tools/list_changed" in next(stream.iter_text())


@pytest.mark.parametrize("answered", [True, False])
def test_pings_client_and_counts_the_answers(answered: bool) -> None:
    with http_witness("pings_client") as client:
        client.open()
        with client.listen() as stream:
            pieces = stream.iter_text()
            ping = message_from(next(pieces))
            assert ping["method"] == "ping"
            if answered:
                client.post({"jsonrpc": "2.0", "id": ping["id"], "result": {}})
            next(pieces)
        pings = client.call("whoami")["pings"]
        assert pings["sent"] >= 2
        assert pings["answered"] == int(answered)


def message_from(text: str) -> dict[str, Any]:
    (message,) = events(text)
    return message


@pytest.mark.parametrize(
    "name",
    [
        name
        for name, script in SCRIPTS.items()
        if Face.HTTP in script.faces
        and name not in {"hang_on_initialize", "silent", "exits_at_once", "slow_start", "slow_initialize"}
        and not script.page
        and script.answers_version is None
    ],
)
def test_every_serving_script_answers_the_handshake(name: str) -> None:
    with http_witness(name) as client:
        client.open()
        assert client.answer("ping")["result"] == {}
        assert client.delete().status_code == (405 if name == "json_only" else 200)


def test_help_names_the_scripts() -> None:
    command = [sys.executable, "-m", "conformance.witness", "--help"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout
    assert all(name in shown for name in SCRIPTS)


def test_the_package_needs_nothing_but_h11() -> None:
    """An image holds the witness with conformance.errors and conformance.timing, and h11."""
    code = (
        "import sys; before = set(sys.modules); import conformance.witness;"
        "print(*(name for name in set(sys.modules) - before if name.partition('.')[0] not in sys.stdlib_module_names))"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT).stdout
    foreign = {name for name in loaded.split() if not name.startswith(("conformance.witness", "h11"))}
    assert foreign == {"conformance", "conformance.errors", "conformance.timing"}


@pytest.mark.parametrize(
    ("session", "named"), [(Session(id="s-1"), "s-1"), (Session(id=None), f"process {os.getpid()}")], ids=["id", "none"]
)
def test_what_comes_in_is_printed_where_that_is_wanted(
    session: Session, named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    told = Notification("notifications/cancelled", {"requestId": 7})
    Server(SCRIPTS["correct"]).notice(session, told)
    assert not capsys.readouterr().err
    Server(replace(SCRIPTS["correct"], shown=True)).notice(session, told)
    shown = json.loads(capsys.readouterr().err)
    assert shown == {"session": named, "method": "notifications/cancelled", "params": {"requestId": 7}}
