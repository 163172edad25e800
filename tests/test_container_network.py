"""Network faults among real containers, and probes from inside their network namespaces."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from conformance.errors import CannotJudgeError
from conformance.evidence.network import obstacle
from conformance.stage.container_network import filter_trouble
from conformance.stage.container_runtime import PORT, ContainerRuntime
from conformance.stage.engine_cleanup import run_containers
from conformance.stage.manifest import load_backend, target_from_command
from conformance.stage.plan import Plan
from conformance.stage.readiness import Probe, wait_ready
from conformance.stage.runtime import Ready
from conformance.wire.reaching import reach
from tests.engine_setup import engine_run, engine_test

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

pytestmark = engine_test


def on_networks(folder: Path, drive: Callable[[ContainerRuntime], Awaitable[None]]) -> None:
    """Drive a runtime whose networks stand and whose witness can be started; nothing is left of it."""

    async def prepared(run_id: str) -> None:
        runtime = ContainerRuntime(Plan(run_id, str(folder), str(folder), "containers", ()))
        await runtime.prepare(None, (load_backend("witness"),))
        await drive(runtime)

    with engine_run() as (client, run_id, _):
        asyncio.run(prepared(run_id))
        assert run_containers(client, run_id) == []


def test_a_rule_in_a_container_s_namespace_drops_what_comes_to_its_port(tmp_path: Path) -> None:
    async def drive(runtime: ContainerRuntime) -> None:
        barred = await runtime.filtered_port(load_backend("witness"), on_event=lambda *_: None)
        try:
            place, facts = await runtime.probe(f"http://{barred.address}/mcp", gateway=None, authority=None)
            found = obstacle(facts)
        finally:
            await barred.stop()
        assert place == "gateway"
        assert facts["connect_error"] == "timeout"
        assert found is not None
        assert found.kind == "connect-blocked"

    on_networks(tmp_path, drive)
    with engine_run() as (client, run_id, _):
        assert filter_trouble(client, run_id) == ""


def test_a_wrongly_published_port_accepts_with_nothing_behind_it(tmp_path: Path) -> None:
    async def drive(runtime: ContainerRuntime) -> None:
        barred = await runtime.dead_port(load_backend("witness"), on_event=lambda *_: None)
        try:
            facts = await asyncio.to_thread(reach, f"http://{barred.address}/mcp")
            beyond = await asyncio.to_thread(reach, f"http://{barred.beyond}/")
        finally:
            await barred.stop()
        found = obstacle(facts, [beyond | {"place": "beyond"}])
        assert found is not None
        assert found.kind == "published-port-dead"
        assert "nothing listens behind it" in found.says

    on_networks(tmp_path, drive)


def test_a_backend_is_published_at_a_port_of_the_engine_s_choice(tmp_path: Path) -> None:
    async def drive(runtime: ContainerRuntime) -> None:
        witness = load_backend("witness")
        backend = await runtime.start_backend(witness, script="correct", published=True, on_event=lambda *_: None)
        probe = Probe(backend.address, "/mcp")
        try:
            why = await wait_ready("backend", probe, seconds=30, exited=backend.wait(), on_event=lambda *_: None)
            assert why is None
            facts = await asyncio.to_thread(reach, f"http://{backend.address}/mcp")
        finally:
            await backend.stop()
        assert backend.address.host == "127.0.0.1"
        assert backend.address.port != PORT
        assert facts["answer"] == "http"

    on_networks(tmp_path, drive)


def test_a_gateway_s_port_is_filtered_for_a_while_and_published_wrongly(tmp_path: Path) -> None:
    target = target_from_command("plain", "python3 -m http.server {port} {backend_url}", env={})
    command = ("python3", "-m", "http.server", "{port}", "--directory", "/tmp")
    target = target.model_copy(update={"start": target.start.model_copy(update={"command": command})})

    async def drive(runtime: ContainerRuntime) -> None:
        await runtime.prepare(target, ())
        gateway = await runtime.start_gateway(
            target, values={}, secrets={}, spin_up=None, engine=None, ready=Ready.ACCEPTS, on_event=lambda *_: None
        )
        seen = []
        try:
            for bar in (runtime.filtered_front(gateway), runtime.dead_front(target, gateway, on_event=lambda *_: None)):
                barred = await bar
                try:
                    found = obstacle(await asyncio.to_thread(reach, f"http://{barred.address}/"))
                    seen.append(found.kind if found else "")
                finally:
                    await barred.stop()
                seen.append((await asyncio.to_thread(reach, f"http://{gateway.address}/"))["answer"])
            beside = obstacle(await runtime.probe_beside(f"http://localhost:{PORT}/") | {"place": "client"})
        finally:
            await gateway.stop()
        assert seen == ["connect-blocked", "http", "published-port-dead", "http"]
        assert beside is not None
        assert beside.kind == "container-loopback-unreachable"

    on_networks(tmp_path, drive)


LOOPBACK_ONLY = (
    "import http.server, sys\n"
    "http.server.HTTPServer(('127.0.0.1', int(sys.argv[1])), http.server.SimpleHTTPRequestHandler).serve_forever()\n"
)


def test_a_gateway_that_listens_on_loopback_alone_is_told_so(tmp_path: Path) -> None:
    target = target_from_command("shy", "python3 -c PROGRAM {port} {backend_url}", env={})
    command = ("python3", "-c", LOOPBACK_ONLY, "{port}", "{backend_url}")
    target = target.model_copy(
        update={
            "start": target.start.model_copy(update={"command": command}),
            "ready": target.ready.model_copy(update={"seconds": 3.0}),
        }
    )

    async def drive(runtime: ContainerRuntime) -> None:
        await runtime.prepare(target, ())
        await runtime.start_gateway(
            target,
            values={"backend_url": "http://127.0.0.1:9/mcp"},
            secrets={},
            spin_up=None,
            engine=None,
            ready=Ready.ANSWERS,
            on_event=lambda *_: None,
        )

    said = rf":{PORT} is refused, and 127.0.0.1 on the loopback address inside the gateway's container accepts; have it"
    with pytest.raises(CannotJudgeError, match=said):
        on_networks(tmp_path, drive)
