"""The containers runtime: real containers on internal networks, followed, captured, removed."""

from __future__ import annotations

import asyncio
import contextlib

import httpx
import pytest

from conformance.errors import CannotJudgeError, PreparationError
from conformance.evidence.events import Kind
from conformance.stage.container_runtime import ContainerRuntime
from conformance.stage.edge_config import EdgePlan
from conformance.stage.edge_variant import EdgeVariant
from conformance.stage.engine_cleanup import run_containers
from conformance.stage.labels import run_labels
from conformance.stage.manifest import (
    TargetManifest,
    known_edges,
    load_backend,
    load_edge,
    load_target,
    target_from_command,
)
from conformance.stage.networks import create_networks
from conformance.stage.plan import Plan
from conformance.stage.running_container import ContainerSpec, start_container
from conformance.stage.runtime import EngineAccess, Ready
from conformance.stage.scenario import SpinUp
from conformance.wire.tap import TapProcess, TcpAddress, UnixAddress
from tests.engine_setup import engine_run, engine_test

pytestmark = engine_test


async def started(client, run_id, base, *argv, **more):
    side = await asyncio.to_thread(create_networks, client, run_id)
    events, hello = [], asyncio.Event()

    def on_event(kind, data):
        events.append((kind, data))
        if data.get("line") == "hello":
            hello.set()

    spec = ContainerSpec(
        name="gateway",
        image=base,
        argv=argv,
        network=side.gateway.name,
        port=8080,
        labels=run_labels(run_id),
        **more,
    )
    return await start_container(spec, on_event), events, hello


def test_a_container_is_followed_captured_and_removed():
    async def drive(client, run_id, base):
        script = "cat /etc/x/config; echo $WORD; trap 'printf last; exit 3' TERM; sleep 60 & wait"
        files = (("/etc/x/config", "from a file\n"),)
        running, events, hello = await started(
            client, run_id, base, "sh", "-c", script, env={"WORD": "hello"}, files=files
        )
        await asyncio.wait_for(hello.wait(), 20)
        await running.stop()
        await running.stop()
        return running, events

    with engine_run() as (client, run_id, base):
        running, events = asyncio.run(drive(client, run_id, base))
        assert run_containers(client, run_id) == []
    assert running.returncode == 3
    assert [*running.log] == ["from a file", "hello", "last"]
    assert "  last" in running.tail()
    assert [kind for kind, _ in events if kind is not Kind.LOG] == [
        Kind.PROCESS_START,
        Kind.PROCESS_EXIT,
        Kind.CONTAINER_INSPECT,
    ]
    inspect = events[-1][1]["inspect"]
    assert inspect["state"]["ExitCode"] == 3
    assert inspect["memory"] == 1 << 30
    assert "env" not in {name.lower() for name in inspect}


def test_killing_ends_it_at_once_and_its_exit_is_told():
    async def drive(client, run_id, base):
        running, events, _ = await started(client, run_id, base, "sh", "-c", "trap '' TERM; sleep 60 & wait; sleep 60")
        await running.kill()
        assert await running.wait() == 137
        await running.kill()
        await running.stop()
        return events

    with engine_run() as (client, run_id, base):
        events = asyncio.run(drive(client, run_id, base))
    assert [data["code"] for kind, data in events if kind is Kind.PROCESS_EXIT] == [137]


def test_a_paused_container_goes_on_where_it_was():
    async def drive(client, run_id, base):
        running, _, hello = await started(client, run_id, base, "sh", "-c", "sleep 2; echo hello; sleep 60")
        await running.pause()
        state = await asyncio.to_thread(lambda: client.containers.get(running.id).status)
        await running.resume()
        await asyncio.wait_for(hello.wait(), 20)
        await running.stop()
        return state

    with engine_run() as (client, run_id, base):
        assert asyncio.run(drive(client, run_id, base)) == "paused"


@pytest.mark.parametrize("name", known_edges())
def test_an_edge_runs_in_a_container_of_its_own(tmp_path, name):
    edge = load_edge(name)
    lines = []

    async def drive(run_id, told):
        plan = Plan(run_id=run_id, out=str(tmp_path), work=str(tmp_path), runtime="containers", cells=())
        runtime = ContainerRuntime(plan, on_progress=lines.append)
        await runtime.prepare(None, [])
        version = await runtime.prepare_edge(edge)
        nobody = TcpAddress(runtime.backend_tap_host, 9)
        running = await runtime.start_edge(EdgePlan(edge, EdgeVariant(), (nobody,), "/mcp"), on_event=told)
        async with httpx.AsyncClient(trust_env=False) as http:
            answer = await http.post(f"http://{running.address}/mcp", json={})
        await running.stop()
        return version, answer

    with engine_run() as (client, run_id, _):
        version, answer = asyncio.run(drive(run_id, lambda *_: None))
        assert run_containers(client, run_id) == []
    assert any(digit.isdigit() for digit in version)
    assert answer.status_code in {502, 503}


def test_what_the_engine_refuses_is_said_and_leaves_nothing():
    with engine_run() as (client, run_id, base):
        spec = ContainerSpec("gateway", base, ("true",), "no-such-network", 8080, run_labels(run_id))
        with pytest.raises(CannotJudgeError, match="no-such-network"):
            asyncio.run(start_container(spec, lambda *_: None))
        assert run_containers(client, run_id) == []


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        ("sh -c 'echo the reason; exit 4' {backend_url}", r"(?s)it ended with status 4.*the reason"),
        ("no-such-program {backend_url}", r"(?s)it ended with status 127.*no-such-program"),
    ],
)
def test_an_exit_during_start_up_is_noticed_and_its_last_lines_are_shown(tmp_path, command, shown):
    target = target_from_command("broken", command, env={})

    async def drive(run_id):
        runtime = ContainerRuntime(plan(run_id, tmp_path))
        await runtime.prepare(target, ())
        values = {"backend_url": "http://127.0.0.1:9/mcp"}
        await runtime.start_gateway(
            target,
            values=values,
            secrets={},
            spin_up=None,
            engine=None,
            ready=Ready.ANSWERS,
            on_event=lambda *_: None,
        )

    with engine_run() as (client, run_id, _):
        with pytest.raises(CannotJudgeError, match=shown):
            asyncio.run(drive(run_id))
        assert run_containers(client, run_id) == []


# Serves the file that a command left on its disk; 200 to whoever brings the token that another printed.
PREPARED = (
    "import http.server, sys\n"
    "class H(http.server.BaseHTTPRequestHandler):\n"
    "    def do_GET(self):\n"
    "        known = self.headers['Authorization'] == 'Bearer ' + open('/tmp/user').read().strip()\n"
    "        self.send_response(200 if known else 401)\n"
    "        self.end_headers()\n"
    "http.server.HTTPServer(('', int(sys.argv[1])), H).serve_forever()\n"
)


def prepared(*commands):
    data = {
        "name": "prepared",
        "title": "The gateway",
        "version": "1",
        "start": {
            "command": ["python3", "-c", PREPARED, "{port}", "{backend_url}"],
            "before": list(commands),
            "requests": [{"method": "GET", "path": "/", "headers": {"Authorization": "Bearer {TOKEN}"}}],
        },
    }
    return TargetManifest.model_validate(data)


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("cat /tmp/user", ""),
        ("echo nobody", r"prepared: GET / was answered 401 "),
        ("true", "the command that gives TOKEN printed nothing"),
        ("echo reason >&2; exit 3", r"prepared: .*reason.*command 2 of start.before \(sh\) ended with status 3"),
    ],
)
def test_what_commands_leave_in_the_container_is_there_when_the_gateway_starts(tmp_path, command, said):
    target = prepared(
        {"command": ["sh", "-c", "echo 'a token' >/tmp/user"]},
        {"command": ["sh", "-c", command], "save": "TOKEN"},
    )

    async def drive(run_id):
        runtime = ContainerRuntime(plan(run_id, tmp_path))
        await runtime.prepare(target, ())
        running = await runtime.start_gateway(
            target,
            values={"backend_url": "u"},
            secrets={},
            spin_up=None,
            engine=None,
            ready=Ready.ACCEPTS,
            on_event=lambda *_: None,
        )
        await running.stop()
        return dict(running.saved)

    with engine_run() as (client, run_id, _):
        if not said:
            assert asyncio.run(drive(run_id)) == {"TOKEN": "a token"}
        else:
            with pytest.raises(PreparationError, match=said):
                asyncio.run(drive(run_id))
        assert run_containers(client, run_id) == []


def test_a_gateway_gets_the_engine_only_through_the_socket_it_is_given(tmp_path):
    code = "import os, socket, sys; print(os.environ.get('DOCKER_HOST')); socket.create_server(('', int(sys.argv[1]))).accept()"
    target = target_from_command("g", f'python3 -c "{code}" {{port}} {{backend_command}}', env={})

    async def drive(run_id, given):
        runtime = ContainerRuntime(plan(run_id, tmp_path))
        await runtime.prepare(target, ())
        running = await runtime.start_gateway(
            target,
            values={"backend_command": ("true",)},
            secrets={},
            spin_up=SpinUp.WORKS,
            engine=EngineAccess(given) if given else None,
            ready=Ready.ACCEPTS,
            on_event=lambda *_: None,
        )
        await running.stop()
        return list(running.log)

    folder = tmp_path / "engine"
    folder.mkdir()
    with engine_run() as (_, run_id, _):
        assert asyncio.run(drive(run_id, None)) == ["None"]
    with engine_run() as (_, run_id, _):
        assert asyncio.run(drive(run_id, folder / "engine.sock"))[0].startswith("unix://")


@pytest.mark.packages
def test_a_gateway_and_its_backend_meet_at_the_tap_alone(tmp_path):
    async def drive(run_id):
        runtime = ContainerRuntime(plan(run_id, tmp_path))
        target, witness = load_target("passthrough"), load_backend("witness")
        await runtime.prepare(target, [witness])
        async with contextlib.AsyncExitStack() as stack:
            taps = await TapProcess.start(tmp_path / "spool")
            stack.push_async_callback(taps.stop)
            backend = await runtime.start_backend(witness, script="correct", on_event=lambda *_: None)
            stack.push_async_callback(backend.stop)
            tap = await taps.open_tap(
                "backend", listen=TcpAddress(runtime.backend_tap_host, 0), upstream=backend.address
            )
            values = {"backend_url": f"http://{tap}/mcp"}
            gateway = await runtime.start_gateway(
                target,
                values=values,
                secrets={},
                spin_up=None,
                engine=None,
                ready=Ready.ANSWERS,
                on_event=lambda *_: None,
            )
            stack.push_async_callback(gateway.stop)
            assert gateway.address.host != backend.address.host
            assert await taps.sync("backend") > 0

    with engine_run() as (client, run_id, _):
        asyncio.run(drive(run_id))
        assert run_containers(client, run_id) == []


@pytest.mark.packages
def test_a_gateway_starts_its_backend_as_a_container_through_the_engine_tap(tmp_path):
    async def drive(client, run_id):
        runtime = ContainerRuntime(plan(run_id, tmp_path))
        target, time = load_target("mcp-proxy"), load_backend("time")
        await runtime.prepare(target, [time])
        async with contextlib.AsyncExitStack() as stack:
            taps = await TapProcess.start(tmp_path / "spool")
            stack.push_async_callback(taps.stop)
            folder = tmp_path / "engine"
            folder.mkdir()
            socket = UnixAddress(str(folder / "engine.sock"))
            await taps.open_tap("engine", listen=socket, upstream=UnixAddress("/var/run/docker.sock"))
            collector = await taps.open_collector("stdio", TcpAddress(runtime.backend_tap_host, 0))
            command = await runtime.stdio_command(
                time, script="correct", collector=collector, tap="stdio:main", spin_up=SpinUp.WORKS
            )
            gateway = await runtime.start_gateway(
                target,
                values={"backend_command": command},
                secrets={},
                spin_up=SpinUp.WORKS,
                engine=EngineAccess(folder / "engine.sock"),
                ready=Ready.ANSWERS,
                on_event=lambda *_: None,
            )
            stack.push_async_callback(gateway.stop)
            assert len(run_containers(client, run_id)) == 2
            url = f"http://{gateway.address}/mcp"
            params = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
            message = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params}
            async with httpx.AsyncClient(trust_env=False) as http:
                headers = {"Accept": "application/json, text/event-stream"}
                assert (await http.post(url, json=message, headers=headers)).status_code == 200
            await taps.sync("engine")
            await taps.sync("stdio")
            assert b"/containers/create" in taps.spool_path("engine").read_bytes()
            assert b'"kind": "start"' in taps.spool_path("stdio").read_bytes()

    with engine_run() as (client, run_id, _):
        asyncio.run(drive(client, run_id))


def plan(run_id, folder):
    return Plan(run_id, str(folder), str(folder), "containers", ())
