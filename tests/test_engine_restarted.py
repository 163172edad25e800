"""A container engine that is really stopped, and started again: its containers end, and connections to it with them."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from conformance.errors import CannotJudgeError
from conformance.stage import images
from conformance.stage.engine_vigil import EngineVigil
from conformance.stage.manifest import load_backend
from tests.engine_setup import engine_run, engine_test
from tests.gateway_process import gateway
from tests.gateway_talk import call
from tests.private_engine import PrivateEngine, private_engine
from tests.witness_process import message_of

pytestmark = [*engine_test, pytest.mark.timeout(300)]


@pytest.fixture
def engine(tmp_path: Path):
    with private_engine(tmp_path) as started:
        yield started


def test_a_run_notices_that_its_engine_is_stopped_and_the_next_one_finds_it_again(
    engine: PrivateEngine, monkeypatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", engine.host)

    async def drive() -> None:
        async with EngineVigil.over("test") as vigil:
            guarded = asyncio.create_task(vigil.guard(asyncio.sleep(120)))
            await asyncio.to_thread(engine.stop)
            with pytest.raises(CannotJudgeError, match="stopped answering"):
                await guarded
        await asyncio.to_thread(engine.start)
        async with EngineVigil.over("test") as again:
            await again.guard(asyncio.sleep(0.01))

    asyncio.run(drive())


def test_the_reference_gateway_serves_again_once_its_engine_is_back(engine: PrivateEngine) -> None:
    with engine_run() as (client, _, _):
        image = images.ensure_backend_image(client, load_backend("witness"), print)
        engine.take(image)
    command = f"docker --host {engine.host} run -i --rm --network none {image}"
    with gateway("terminating", "--upstream-command", command) as first:
        first.open()
        assert first.call("child_echo", text="before")["text"] == "before"
        (old,) = engine.containers()
        engine.stop()
        assert "error" in message_of(first.post(call("child_echo", text="between")))
        engine.start()
        assert old not in engine.containers()
        second = first.another().open()
        assert second.call("child_echo", text="after")["text"] == "after"
        assert first.call("child_echo", text="the old session")["text"] == "the old session"
        assert len(engine.containers()) == 2
    assert engine.containers() == []
