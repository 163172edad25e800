"""Real clients as processes: what their drivers are told, what is recorded of them, and that they end."""

from __future__ import annotations

import asyncio
import functools
import json
from pathlib import Path
from typing import Any

import psutil
import pytest

from conformance.errors import CannotJudgeError, UsageError
from conformance.evidence.events import Kind
from conformance.evidence.log import write_evidence
from conformance.evidence.redact import Redactor
from conformance.evidence.transcript import Transcript
from conformance.stage import manifest as manifest_module
from conformance.stage.client_manifest import ClientManifest
from conformance.stage.manifest import known_clients, load_client
from conformance.stage.real_client import Answer, ClientHost, RealClient
from conformance.stage.recorder import Recorder
from fixtures.clients.mbro.driver import documents

DRIVER = """
import json, os, subprocess, sys, time
print("a banner", flush=True)
print("a word", file=sys.stderr, flush=True)
for line in sys.stdin:
    request = json.loads(line)
    if request["step"] == "list":
        time.sleep(60)
    if request["step"] == "close":
        sys.exit(3)
    if request["step"] == "call":
        subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    told = dict((name, os.environ["CLIENT_" + name]) for name in ("URL", "HEADERS", "REVISION"))
    print("not an answer", flush=True)
    print(json.dumps({"step": request["step"], "ok": True, "told": told, "asked": request}), flush=True)
"""
MANIFEST: dict[str, Any] = {
    "name": "fake",
    "title": "Fake",
    "version": "1",
    "driver": {"command": ["{python}", "-c", DRIVER], "steps": ["connect", "list", "call", "idle", "close"]},
}


def in_a_loop(test):
    """Run a test that is a coroutine."""

    @functools.wraps(test)
    def run(*arguments, **named):
        asyncio.run(test(*arguments, **named))

    return run


@pytest.fixture
def recorder() -> Recorder:
    return Recorder(Redactor())


async def started(tmp_path: Path, recorder: Recorder, data: dict[str, Any] = MANIFEST) -> RealClient:
    host = ClientHost("run", tmp_path, lambda _: None)
    return await host.start(
        ClientManifest.model_validate(data),
        "real",
        url="http://127.0.0.1:1/mcp",
        headers={"X-Key": "value"},
        revision="2025-11-25",
        recorder=recorder,
    )


def steps(recorder: Recorder) -> list[tuple[str, str]]:
    seen = [item.data for item in recorder.observations if item.kind is Kind.STIMULUS]
    return [(str(data["name"]), str(data.get("step", ""))) for data in seen]


@in_a_loop
async def test_a_step_is_asked_answered_and_recorded(tmp_path, recorder):
    client = await started(tmp_path, recorder)
    answer = await client.step("idle", ask="call", deadline=20.0, note="n-1", tool="echo", arguments={"a": 1})
    await client.end()
    assert answer.ok
    assert answer.data["asked"] == {"step": "call", "tool": "echo", "arguments": {"a": 1}}
    told = answer.data["told"]
    assert (told["URL"], json.loads(told["HEADERS"])) == ("http://127.0.0.1:1/mcp", {"X-Key": "value"})
    assert told["REVISION"] == "2025-11-25"
    assert steps(recorder) == [
        ("client.start", ""),
        ("client.step", "idle"),
        ("client.answer", "idle"),
        ("client.ended", ""),
    ]
    assert recorder.observations[-1].data["killed"] is False


APPLICATION = """
import json, os, subprocess, sys
program = "import sys; print(input()); print('no JSON')"
for line in sys.stdin:
    told = [*json.loads(os.environ["CLIENT_STDIO_TAP"]), sys.executable, "-c", program]
    asked = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
    ran = subprocess.run(told, input=json.dumps(asked) + "\\n", capture_output=True, text=True)
    print(json.dumps({"step": "connect", "ok": True, "lines": ran.stdout.splitlines()}), flush=True)
"""


@in_a_loop
async def test_what_an_application_and_its_client_say_on_stdio_is_evidence(tmp_path, recorder):
    driver = {"command": ["{python}", "-c", APPLICATION], "steps": ["connect"]}
    client = await started(tmp_path, recorder, MANIFEST | {"driver": driver})
    answer = await client.step("connect", deadline=20.0)
    await client.end()
    assert len(answer.data["lines"]) == 2
    write_evidence(tmp_path / "evidence.jsonl", {}, recorder.observations, {"complete": True})
    (ran,) = Transcript.read(tmp_path / "evidence.jsonl").stdio_clients
    assert ran.tap == "application:real"
    assert [(message.direction, message.method) for message in ran.messages] == [("up", "ping"), ("down", "ping")]
    assert len(ran.stray_lines) == 1
    assert ran.code == 0
    assert not Transcript.read(tmp_path / "evidence.jsonl").processes


@in_a_loop
async def test_what_a_driver_prints_besides_is_its_log(tmp_path, recorder):
    client = await started(tmp_path, recorder)
    await client.step("connect", deadline=20.0)
    await client.end()
    lines = {item.data["line"] for item in recorder.observations if item.kind is Kind.LOG}
    assert {"a banner", "a word", "not an answer"} <= lines


@in_a_loop
async def test_a_client_is_not_asked_what_it_cannot(tmp_path, recorder):
    client = await started(tmp_path, recorder)
    answer = await client.step("stream", deadline=20.0)
    await client.end()
    assert not answer.ok
    assert ("client.cannot", "stream") in steps(recorder)


@in_a_loop
async def test_a_client_that_does_not_answer_is_asked_nothing_more_and_killed(tmp_path, recorder, monkeypatch):
    monkeypatch.setattr("conformance.stage.real_client.LEAVE", 0.2)
    client = await started(tmp_path, recorder)
    late = await client.step("list", deadline=0.2)
    after = await client.step("call", deadline=20.0)
    await client.end()
    assert "no answer within 0.2 s" in late.detail
    assert after == Answer(ok=False, detail="an earlier step was not answered")
    assert not psutil.pid_exists(client._process.pid)


@in_a_loop
async def test_a_client_that_ends_says_nothing(tmp_path, recorder):
    client = await started(tmp_path, recorder)
    answer = await client.step("close", deadline=20.0)
    await client.end()
    assert answer.detail == "the client ended without an answer"
    assert recorder.observations[-1].data["code"] == 3


@in_a_loop
async def test_what_a_driver_started_ends_with_it(tmp_path, recorder):
    client = await started(tmp_path, recorder)
    await client.step("call", deadline=20.0)
    (child,) = psutil.Process(client._process.pid).children()
    await client.end()
    _, alive = await asyncio.to_thread(psutil.wait_procs, [child], 5)
    assert not alive


@in_a_loop
async def test_a_program_that_is_not_there_is_named(tmp_path, recorder):
    data = {**MANIFEST, "driver": {"command": ["/nowhere/client"], "steps": ["connect"]}}
    with pytest.raises(CannotJudgeError, match=r"'/nowhere/client' cannot be started .* client fake"):
        await started(tmp_path, recorder, data)


# drivers --------------------------------------------------------------------------------------------------------------


def test_what_mbro_prints_is_one_document_after_the_other():
    assert documents('{\n  "success": "Connected"\n}\n[]\n{"error": "x"}\n') == [
        {"success": "Connected"},
        [],
        {"error": "x"},
    ]
    assert documents(" \n") == []


# manifests ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", known_clients())
def test_each_client_is_pinned_locked_and_described(name):
    client = load_client(name)
    assert client.folder is not None
    assert client.driver.steps[0] == "connect"
    if name != "reference":
        assert client.licence
        assert client.homepage
        assert client.version in "".join((*client.install.pypi, *client.install.npm))
    if client.install.pypi:
        assert f"=={client.version}" in (client.folder / "constraints.txt").read_text()
    if client.install.npm:
        assert client.version in (client.folder / "package-lock.json").read_text()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('steps = ["list"]', "steps must begin with 'connect'"),
        ('steps = ["connect", "idle"]', "name 'call' too"),
        ('steps = ["connect", "dance"]', "driver.steps"),
        ('steps = ["connect"]\nrevisions = ["2024-11-05"]', "no revision '2024-11-05'"),
        ('steps = ["connect"]\nenv = { A = "{port}" }', "unknown placeholder {port}"),
        ('step = ["connect"]', "unknown key 'step'"),
    ],
)
def test_a_malformed_client_is_named(tmp_path, monkeypatch, text, said):
    folder = tmp_path / "clients" / "mine"
    folder.mkdir(parents=True)
    head = 'name = "mine"\ntitle = "Mine"\nversion = "1"\n[driver]\ncommand = ["client"]\n'
    (folder / "client.toml").write_text(head + text)
    monkeypatch.setattr(manifest_module, "FIXTURES", tmp_path)
    with pytest.raises(UsageError, match=said):
        load_client("mine")


def test_a_client_that_is_not_there_is_named():
    with pytest.raises(UsageError, match="did you mean 'python-mcp'"):
        load_client("pyton-mcp")
