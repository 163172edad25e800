"""The stdio face: one process, one session, one message a line."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from conformance.witness.all_tools import ALL_TOOLS
from tests.witness_process import PATIENCE, ending, initialize_params, start


class Child:
    """A stdio witness and the two pipes to it."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self.process = process
        self.stdin = process.stdin
        self.stdout = process.stdout

    def write(self, *messages: Any) -> None:
        lines = [message if isinstance(message, bytes) else json.dumps(message).encode() for message in messages]
        self.stdin.write(b"\n".join(lines) + b"\n")
        self.stdin.flush()

    def read(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(self.stdout.readline())
        return message

    def ask(self, method: str, params: dict[str, Any] | None = None, identifier: int | str = 1) -> dict[str, Any]:
        self.write(request(method, params, identifier))
        answer = self.read()
        assert answer["id"] == identifier
        return answer

    def open(self, revision: str = "2025-11-25") -> dict[str, Any]:
        answer = self.ask("initialize", initialize_params(revision), "init")
        self.write({"jsonrpc": "2.0", "method": "notifications/initialized"})
        return answer

    def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        answer = self.ask("tools/call", {"name": tool, "arguments": {"nonce": "n", **arguments}})
        facts: dict[str, Any] = json.loads(answer["result"]["content"][0]["text"])
        return facts


def request(method: str, params: dict[str, Any] | None = None, identifier: int | str = 1) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": identifier, "method": method} | ({"params": params} if params else {})


@contextmanager
def stdio_witness(script: str = "correct") -> Iterator[Child]:
    with ending(start("--script", script, face="stdio")) as process:
        yield Child(process)


@pytest.fixture
def child() -> Iterator[Child]:
    with stdio_witness() as child:
        yield child


def test_handshake_call_and_end_of_input(child: Child) -> None:
    assert child.open()["result"]["protocolVersion"] == "2025-11-25"
    assert len(child.ask("tools/list")["result"]["tools"]) == len(ALL_TOOLS)
    facts = child.call("echo", text="é\u2028")
    assert (facts["text"], facts["connection"], facts["process"]) == ("é\u2028", 0, child.process.pid)
    assert facts["session"]
    child.stdin.close()
    assert child.process.wait(timeout=PATIENCE) == 0
    assert child.stdout.read() == b""


def test_what_was_asked_just_before_the_end_is_answered(child: Child) -> None:
    calls = [request("ping", None, number) for number in range(20)]
    child.write(request("initialize", initialize_params(), "init"), *calls)
    child.stdin.close()
    answers = [json.loads(line) for line in child.stdout]
    assert [answer["id"] for answer in answers] == ["init", *range(20)]


def test_a_long_call_does_not_outlive_the_end_of_input(child: Child) -> None:
    child.open()
    child.write(request("tools/call", {"name": "slow", "arguments": {"nonce": "n", "seconds": 600}}))
    child.stdin.close()
    assert child.process.wait(timeout=PATIENCE) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_end_it_in_peace(child: Child, number: signal.Signals) -> None:
    child.open()
    child.process.send_signal(number)
    assert child.process.wait(timeout=PATIENCE) == 0
    assert child.process.stderr is not None
    assert child.process.stderr.read() == b""


def test_nothing_but_ping_before_initialize(child: Child) -> None:
    assert child.ask("tools/list")["error"]["code"] == -32600
    assert child.ask("ping")["result"] == {}
    assert child.ask("initialize", {"protocolVersion": "2025-11-25"})["error"]["code"] == -32602
    child.open()
    assert child.ask("ping")["result"] == {}


def test_what_is_no_message_is_answered_and_harms_nothing(child: Child) -> None:
    child.open()
    child.write(b"{", b"", b"[]", {"jsonrpc": "2.0", "id": None, "method": "ping"})
    assert [child.read()["error"]["code"] for _ in range(3)] == [-32700, -32600, -32600]
    assert child.ask("ping")["result"] == {}


def test_batches_exist_in_2025_03_26_only(child: Child) -> None:
    child.open("2025-03-26")
    child.write([request("ping", None, "a"), request("ping", None, "b")])
    assert [child.read()["id"], child.read()["id"]] == ["a", "b"]


def test_cancelled_ends_the_call_without_an_answer(child: Child) -> None:
    child.open()
    child.write(
        request("tools/call", {"name": "slow", "arguments": {"nonce": "n", "seconds": 600}}, "slow"),
        {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": "slow"}},
    )
    assert child.call("whoami")["cancelled"] == 1


def test_progress_ping_and_notifications_share_stdout(child: Child) -> None:
    child.open()
    slow = {"name": "slow", "arguments": {"nonce": "n", "seconds": 0.2, "progress_every": 0.1}}
    child.write(request("tools/call", slow | {"_meta": {"progressToken": "t"}}))
    assert child.read()["params"]["progressToken"] == "t"
    assert child.read()["id"] == 1
    child.write(request("tools/call", {"name": "server_ping", "arguments": {"nonce": "n"}}))
    ping = child.read()
    child.write({"jsonrpc": "2.0", "id": ping["id"], "result": {}})
    assert child.read()["result"]["structuredContent"]["answered"] is True
    child.write(request("tools/call", {"name": "add_tool", "arguments": {"nonce": "n", "name": "extra"}}))
    assert child.read()["method"] == "notifications/tools/list_changed"
    assert child.read()["result"]["structuredContent"]["notified"] == 1


def test_exit_ends_the_process(child: Child) -> None:
    child.open()
    child.write(request("tools/call", {"name": "exit", "arguments": {"nonce": "n", "code": 9}}))
    assert child.process.wait(timeout=PATIENCE) == 9
    assert child.stdout.read() == b""


def test_a_second_initialize_is_answered_as_the_sdks_do(child: Child) -> None:
    child.open()
    assert child.open("2025-06-18")["result"]["protocolVersion"] == "2025-06-18"


def test_strict_single_session_refuses_a_second_initialize() -> None:
    with stdio_witness("strict_single_session") as child:
        child.open()
        second = child.ask("initialize", initialize_params())["error"]
        assert second == {"code": -32600, "message": "Invalid Request: Server already initialized"}


def test_banner_on_stdout() -> None:
    with stdio_witness("banner_on_stdout") as child:
        assert child.stdout.readline() == b"*** witness MCP server ***\n"
        assert child.stdout.readline() == b"INFO: starting up\n"
        child.open()
        assert child.ask("ping")["result"] == {}


@pytest.mark.parametrize("script", ["silent", "hang_on_initialize"])
def test_no_answer_to_initialize(script: str) -> None:
    with stdio_witness(script) as child:
        child.write(request("initialize", initialize_params()))
        child.stdin.close()
        assert child.stdout.read() == b""
        assert child.process.wait(timeout=PATIENCE) == 0


def test_silent_call_answers_the_rest() -> None:
    with stdio_witness("silent_call") as child:
        child.open()
        child.write(request("tools/call", {"name": "whoami", "arguments": {"nonce": "n"}}, "never"))
        assert child.ask("ping")["result"] == {}


def test_rejects_before_initialized() -> None:
    with stdio_witness("rejects_before_initialized") as child:
        child.ask("initialize", initialize_params())
        assert child.ask("tools/list")["error"]["code"] == -32602
        child.write({"jsonrpc": "2.0", "method": "notifications/initialized"})
        assert child.ask("tools/list")["result"]["tools"]


def test_slow_initialize_refuses_what_jumps_the_handshake() -> None:
    with stdio_witness("slow_initialize") as child:
        child.write(request("initialize", initialize_params(), "init"), request("tools/list", None, "early"))
        assert child.read()["id"] == "early"
        assert "result" in child.read()


@pytest.mark.parametrize(
    ("script", "method"),
    [
        ("late_tools", "notifications/tools/list_changed"),
        ("events_out_of_band", "notifications/tools/list_changed"),
        ("pings_client", "ping"),
    ],
)
def test_unasked_messages_come_after_initialized(script: str, method: str) -> None:
    with stdio_witness(script) as child:
        child.open()
        assert child.read()["method"] == method


def test_paginated() -> None:
    with stdio_witness("paginated") as child:
        child.open()
        first = child.ask("tools/list")["result"]
        assert len(first["tools"]) == 4
        assert len(child.ask("tools/list", {"cursor": first["nextCursor"]})["result"]["tools"]) == 4


def test_a_reader_that_went_away_ends_nothing_until_stdin_does(child: Child) -> None:
    child.open()
    child.stdout.close()
    child.write(request("ping"), request("ping"))
    child.stdin.close()
    assert child.process.wait(timeout=PATIENCE) == 0
    assert child.process.stderr is not None
    assert child.process.stderr.read() == b""
