"""The process runtime: start, readiness, capture, failure and stop, on real child processes."""

import asyncio
import json
import os
import socket
import sys
import time
from pathlib import Path

import psutil
import pytest

from conformance.errors import CannotJudgeError
from conformance.evidence.events import Kind
from conformance.stage import child as child_module
from conformance.stage import process_runtime
from conformance.stage.child import Child
from conformance.stage.manifest import load_backend, load_target, target_from_command
from conformance.stage.manifest_tables import Faces, Install, StdioFace
from conformance.stage.plan import Plan
from conformance.stage.process_runtime import ProcessRuntime, free_port
from conformance.stage.readiness import Probe, wait_ready
from conformance.stage.runtime import Ready
from conformance.stage.scenario import SpinUp
from conformance.wire.tap_address import TcpAddress

PYTHON = sys.executable

# A gateway of the worst kind: serves initialize over HTTP, starts a child that ignores its parent, ignores SIGTERM.
STUBBORN = """
import http.server, json, os, signal, subprocess, sys
port = int(sys.argv[1])
print("a line", flush=True)
print("x" * 20000, file=sys.stderr, flush=True)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
helper = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, start_new_session=True)
print("helper", helper.pid, flush=True)
print("environment", json.dumps(dict(os.environ)), flush=True)
class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        answer = {"jsonrpc": "2.0", "id": asked["id"], "result": {"authorized": self.headers["X-Key"]}}
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_):
        pass
http.server.HTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""


class Events:
    """Remembers what a runtime tells."""

    def __init__(self) -> None:
        self.all: list[tuple[Kind, dict]] = []

    def __call__(self, kind: Kind, data: dict) -> None:
        json.dumps(data)
        self.all.append((kind, data))

    def of(self, kind: Kind) -> list[dict]:
        return [data for one, data in self.all if one is kind]

    def lines(self) -> list[str]:
        return [data["line"] for data in self.of(Kind.LOG)]

    def line(self, start: str) -> str:
        return next(line for line in self.lines() if line.startswith(start)).removeprefix(start)


@pytest.fixture
def events() -> Events:
    return Events()


@pytest.fixture
def runtime(tmp_path) -> ProcessRuntime:
    plan = Plan(run_id="run-1", out=str(tmp_path), work=str(tmp_path / "work"), runtime="process", cells=())
    return ProcessRuntime(plan)


def gateway(code: str, *arguments: str, env: dict[str, str] | None = None, seconds: float = 20.0):
    """A target that runs Python code; it gets its port and a backend URL that it need not use."""
    target = target_from_command("gw", "x {backend_url}", env=env or {})
    start = target.start.model_copy(update={"command": ("{python}", "-c", code, "{port}", *arguments)})
    return target.model_copy(update={"start": start, "ready": target.ready.model_copy(update={"seconds": seconds})})


def start(runtime, target, events, *, ready=Ready.ANSWERS, secrets=None):
    return runtime.start_gateway(
        target,
        values={"backend_url": "u"},
        secrets=secrets or {},
        spin_up=None,
        engine=None,
        ready=ready,
        on_event=events,
    )


def test_the_witness_through_the_passthrough_gateway(runtime, events):
    async def drive() -> None:
        backend = load_backend("witness")
        server = await runtime.start_backend(backend, script="correct", on_event=events)
        url = f"http://{server.address}{backend.faces.http.path}"
        target = load_target("passthrough")
        values = {"backend_url": url}
        front = await runtime.start_gateway(
            target, values=values, secrets={}, spin_up=None, ready=Ready.ANSWERS, engine=None, on_event=events
        )
        assert psutil.pid_exists(front.pid)
        assert front.address != server.address
        await front.stop()
        await server.stop()

    asyncio.run(drive())
    told = events.of(Kind.READINESS)
    good = [data["what"].partition(" at ")[0] for data in told if data["ok"]]
    assert good == ["backend accepts", "backend answers initialize", "gateway accepts", "gateway answers initialize"]
    assert all(set(data) == {"what", "ok", "attempt", "detail"} for data in told)
    assert "DELETE of its session: 200" in told[-1]["detail"]
    assert [data["name"] for data in events.of(Kind.PROCESS_START)] == ["backend", "gateway"]
    assert [data["name"] for data in events.of(Kind.PROCESS_EXIT)] == ["gateway", "backend"]


def test_under_a_misbehaving_script_only_the_port_is_waited_for(runtime, events):
    async def drive() -> None:
        server = await runtime.start_backend(load_backend("witness"), script="hang_on_initialize", on_event=events)
        await server.stop()

    asyncio.run(drive())
    assert {data["what"].partition(" at ")[0] for data in events.of(Kind.READINESS)} == {"backend accepts"}


def test_stop_ends_everything_and_output_is_kept(runtime, events, monkeypatch):
    monkeypatch.setattr(child_module, "STOP_GRACE", 0.2)
    monkeypatch.setenv("SECRET_OF_THE_USER", "hunter2")

    async def drive() -> int:
        running = await start(runtime, gateway(STUBBORN, env={"KEY": "{port}"}), events)
        await running.stop()
        return running.pid

    pid = asyncio.run(drive())
    helper = int(events.line("helper "))
    assert not psutil.pid_exists(pid)
    assert has_ended(helper)
    assert events.of(Kind.PROCESS_EXIT) == [{"name": "gateway", "pid": pid, "code": -9}]
    assert "a line" in events.lines()
    assert "x" * 20000 in events.lines()
    environment = json.loads(events.line("environment "))
    assert environment["MCP_GATEWAY_CONFORMANCE_RUN"] == "run-1"
    assert environment["KEY"].isdigit()
    assert environment["HOME"] != os.environ["HOME"]
    assert Path(environment["TMPDIR"]).is_relative_to(runtime.plan.work)
    assert "SECRET_OF_THE_USER" not in environment


def has_ended(pid):
    """Wait for the end of a process that was told to end: the kernel takes a moment to see to it."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.01)
    return False


def test_kill_ends_it_alone(runtime, events):
    async def drive() -> None:
        running = await start(runtime, gateway(STUBBORN), events)
        await running.kill()
        assert await running.wait() == -9
        await running.stop()

    asyncio.run(drive())
    # Its own parent's death closes its standard input, after which it ends by itself, where the stop does not end it.
    assert has_ended(int(events.line("helper ")))
    assert [data["code"] for data in events.of(Kind.PROCESS_EXIT)] == [-9]


def test_a_gateway_that_ends_is_noticed_at_once_with_its_last_lines(runtime, events):
    target = gateway("print('no backend, no work'); raise SystemExit(7)", seconds=600)
    with pytest.raises(CannotJudgeError) as caught:
        asyncio.run(asyncio.wait_for(start(runtime, target, events), 60))
    assert str(caught.value) == (
        "x {backend_url} never got ready: it ended with status 7; correct its start command or raise ready.seconds. "
        "Its last lines:\n  no backend, no work"
    )


def test_a_stray_that_holds_the_output_open_does_not_hold_up_the_stop(runtime, events):
    code = (
        "import subprocess, sys\n"
        "stray = [sys.executable, '-c', 'import time; time.sleep(600)']\n"
        "print('stray', subprocess.Popen(stray, start_new_session=True).pid)\n"
        "raise SystemExit(7)"
    )
    with pytest.raises(CannotJudgeError, match="it ended with status 7"):
        asyncio.run(asyncio.wait_for(start(runtime, gateway(code), events), 60))
    psutil.Process(int(events.line("stray "))).kill()


def test_a_gateway_that_never_gets_ready_shows_its_last_lines(runtime, events):
    target = gateway("import time; print('still thinking', flush=True); time.sleep(600)", seconds=1.5)
    with pytest.raises(CannotJudgeError) as caught:
        asyncio.run(start(runtime, target, events))
    assert "never got ready: not within 1.5 s (last try: Connection refused);" in str(caught.value)
    assert str(caught.value).endswith("  still thinking")
    assert len(events.of(Kind.PROCESS_EXIT)) == 1


def test_an_error_answer_is_not_ready(runtime, events):
    code = STUBBORN.replace('"result": {"authorized": self.headers["X-Key"]}', '"error": {"code": -32603}')
    with pytest.raises(CannotJudgeError, match=r"last try: 200 .*-32603"):
        asyncio.run(start(runtime, gateway(code, seconds=2), events))


def test_probes_carry_the_headers_of_the_manifest(runtime, events):
    target = gateway(STUBBORN)
    endpoint = target.endpoint.model_copy(update={"headers": {"X-Key": "k-{KEY}"}})
    keyed = target.model_copy(update={"endpoint": endpoint, "secrets": {"KEY": "generate:hex:4"}})

    async def drive() -> None:
        running = await start(runtime, keyed, events, secrets={"KEY": "beef"})
        await running.kill()
        await running.stop()

    asyncio.run(drive())
    assert '"authorized": "k-beef"' in events.of(Kind.READINESS)[-1]["detail"]


def test_a_taken_port_is_noticed_and_another_one_tried(runtime, events, monkeypatch):
    """Another program answers at the port chosen first: what answers must be ours."""
    with socket.create_server(("127.0.0.1", 0)) as foreign:
        ports = iter([foreign.getsockname()[1], free_port()])
        monkeypatch.setattr(process_runtime, "free_port", lambda: next(ports))

        async def drive() -> None:
            running = await start(runtime, gateway(STUBBORN), events, ready=Ready.ACCEPTS)
            assert running.address.port != foreign.getsockname()[1]
            await running.kill()
            await running.stop()

        asyncio.run(drive())
    assert len(events.of(Kind.PROCESS_START)) == 2


def test_a_port_that_stays_taken_is_said(runtime, events, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as foreign:
        monkeypatch.setattr(process_runtime, "free_port", lambda: foreign.getsockname()[1])
        with pytest.raises(CannotJudgeError, match="found its port taken 3 times; see what else takes ports here"):
            asyncio.run(start(runtime, gateway(STUBBORN), events, ready=Ready.ACCEPTS))


def test_a_program_that_does_not_exist(runtime, events):
    target = target_from_command("gw", "no-such-gateway {backend_url}", env={})
    with pytest.raises(CannotJudgeError, match=r"'no-such-gateway' cannot be started \(No such file or directory\)"):
        asyncio.run(start(runtime, target, events))


def test_the_stdio_command_brings_its_environment_along(runtime):
    command = asyncio.run(
        runtime.stdio_command(
            load_backend("witness"), script="correct", collector=TcpAddress("127.0.0.1", 9), tap="stdio:main"
        )
    )
    assert command[0] == "env"
    assert "MCP_GATEWAY_CONFORMANCE_RUN=run-1" in command
    assert command[-11:-7] == ("--name", "stdio:main", "--collector", "127.0.0.1:9")
    assert command[-7:] == (PYTHON, "-m", "conformance.witness", "--face", "stdio", "--script", "correct")


def test_the_stdio_command_sets_what_its_face_asks_for_and_knows_its_folder(runtime, tmp_path):
    face = StdioFace(command=(PYTHON, "{folder}/server.py"), env={"REGION": "nowhere"})
    time = load_backend("time")
    backend = time.model_copy(update={"install": Install(), "faces": Faces(stdio=face)})
    command = asyncio.run(
        runtime.stdio_command(backend, script="correct", collector=TcpAddress("127.0.0.1", 9), tap="t")
    )
    assert "REGION=nowhere" in command[: command.index(PYTHON)]
    assert command[-2:] == (PYTHON, f"{time.folder}/server.py")


def test_what_the_process_runtime_cannot_do_is_said(runtime, events):
    address = TcpAddress("127.0.0.1", 9)
    witness, time = load_backend("witness"), load_backend("time")
    with pytest.raises(CannotJudgeError, match="use --runtime containers for spin_up"):
        asyncio.run(runtime.stdio_command(witness, script="correct", collector=address, tap="t", spin_up=SpinUp.WORKS))
    with pytest.raises(CannotJudgeError, match="mcp-server-time has no HTTP face; choose a gateway that fronts stdio"):
        asyncio.run(runtime.start_backend(time, script="correct", on_event=events))


def test_readiness_gives_up_at_its_deadline_and_says_what_was_last(events):
    async def drive() -> str | None:
        never = asyncio.get_running_loop().create_future()
        probe = Probe(TcpAddress("127.0.0.1", free_port()), "/mcp")
        return await wait_ready("gateway", probe, seconds=0.3, exited=never, on_event=events)

    assert asyncio.run(drive()) == "not within 0.3 s (last try: Connection refused)"
    told = events.of(Kind.READINESS)
    assert [data["attempt"] for data in told] == list(range(1, len(told) + 1))


def test_what_serves_http_sse_alone_is_ready_once_its_stream_opens(events):
    replies = [b"500 Too Early\r\nContent-Type: text/html", b"200 OK\r\nContent-Type: text/event-stream"]

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if await reader.readline():
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 " + replies.pop(0) + b"\r\nConnection: close\r\n\r\n")
            await writer.drain()
        writer.close()

    async def drive() -> str | None:
        never = asyncio.get_running_loop().create_future()
        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            probe = Probe(TcpAddress("127.0.0.1", port), None, stream="/sse")
            return await wait_ready("gateway", probe, seconds=20, exited=never, on_event=events)

    assert asyncio.run(drive()) is None
    tried = [data["detail"] for data in events.of(Kind.READINESS) if "opens a stream" in data["what"]]
    assert tried == ["500 text/html", "200 text/event-stream"]


def test_the_log_is_bounded(events, tmp_path, monkeypatch):
    async def drive() -> Child:
        code = "for n in range(3000): print(n)"
        child = await Child.start("noisy", [PYTHON, "-c", code], env=dict(os.environ), cwd=tmp_path, on_event=events)
        await child.wait()
        await child.stop()
        return child

    child = asyncio.run(drive())
    assert len(child.log) == child_module.LOG_LINES
    assert child.tail(2) == "  2998\n  2999"
    stamps = [line.t_ns for line in child.log]
    assert stamps == sorted(stamps)


@pytest.mark.packages
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", ["mcp-proxy", "mcp-proxy-npm", "supergateway", "fastmcp-proxy-stdio"])
def test_gateways_that_front_stdio_pass_a_docker_run_on_whole(runtime, events, tmp_path, monkeypatch, name):
    """The stand-in for `docker` writes its arguments down and serves the witness."""
    from conformance import paths  # noqa: PLC0415

    stand_in = tmp_path / "bin" / "docker"
    stand_in.parent.mkdir()
    arguments = tmp_path / "arguments"
    stand_in.write_text(
        f'#!/bin/sh\nprintf "%s\\n" "$@" > {arguments}\n'
        f"PYTHONPATH={paths.ROOT} exec {PYTHON} -m conformance.witness --face stdio\n"
    )
    stand_in.chmod(0o755)
    monkeypatch.setenv("PATH", f"{stand_in.parent}{os.pathsep}{os.environ['PATH']}")
    docker = ("docker", "run", "-i", "--rm", "--label", "a=b c", "image:tag")

    async def drive() -> None:
        target = load_target(name)
        running = await runtime.start_gateway(
            target,
            values={"backend_command": docker},
            secrets={},
            spin_up=SpinUp.WORKS,
            ready=Ready.ANSWERS,
            engine=None,
            on_event=events,
        )
        await running.stop()

    asyncio.run(drive())
    assert arguments.read_text().splitlines() == list(docker[1:])
