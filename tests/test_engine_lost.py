"""A container engine that goes away in the middle of a run: the harness survives it and says so."""

from __future__ import annotations

import asyncio
import json

import pytest

from conformance.errors import CannotJudgeError
from conformance.stage.engine_cleanup import remove_run
from conformance.stage.engine_side import engine_socket
from conformance.stage.engine_vigil import ENGINE_LOST, EngineVigil
from conformance.wire.tap import TapProcess, UnixAddress
from tests.engine_setup import engine_run, engine_test
from tests.test_clean_up import Harness

pytestmark = engine_test


async def relayed(folder, monkeypatch) -> TapProcess:
    """Put a relay before the engine, for whoever asks the environment where it is; its name is `engine`."""
    taps = await TapProcess.start(folder / "spool")
    socket = folder / "relayed.sock"
    await taps.open_tap("engine", listen=UnixAddress(str(socket)), upstream=UnixAddress(engine_socket()))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{socket}")
    return taps


def test_work_goes_on_as_long_as_the_engine_is_there(tmp_path, monkeypatch):
    async def drive():
        taps = await relayed(tmp_path, monkeypatch)
        done = []

        async def work(seconds):
            await asyncio.sleep(seconds)
            done.append(seconds)

        async with EngineVigil.over("test") as vigil:
            await vigil.guard(work(0.01))
            with pytest.raises(ZeroDivisionError):
                await vigil.guard(fails())
            causes = [await asyncio.to_thread(vigil.cause, "another")]
            guarded = asyncio.create_task(vigil.guard(work(60)))
            await asyncio.sleep(0)
            await taps.close_tap("engine")
            with pytest.raises(CannotJudgeError, match="stopped answering"):
                await guarded
            causes.append(vigil.cause("another"))
        await taps.stop()
        assert causes == ["another", ENGINE_LOST], "what goes wrong because the engine is lost is not another's fault"
        return done

    async def fails():
        raise ZeroDivisionError

    with engine_run():
        done = asyncio.run(drive())
        monkeypatch.undo()
    assert done == [0.01]


@pytest.mark.packages
def test_a_run_whose_engine_goes_away_ends_with_one_clear_sentence(tmp_path, monkeypatch):
    async def drive():
        taps = await relayed(tmp_path, monkeypatch)
        arguments = ("--target", "terminating", "--suite", "spin_up", "--runtime", "containers")
        harness = await asyncio.to_thread(Harness, tmp_path / "out", *arguments)
        await taps.close_tap("engine")
        status = await asyncio.to_thread(harness.process.wait, 120)
        await taps.stop()
        return harness, status

    with engine_run():
        harness, status = asyncio.run(drive())
        monkeypatch.undo()
        remove_run(harness.run)
    assert status == 3
    records = [json.loads(line) for line in (harness.out / "report.jsonl").read_text().splitlines()]
    reasons = {record["observed"] for record in records if record.get("verdict") == "harness-error"}
    assert reasons == {ENGINE_LOST}
    assert not [record for record in records if record.get("verdict") == "fail"]
    assert (harness.out / "summary.md").read_text().count("stopped answering in the middle of the run") == 1
    assert "Traceback" not in harness.stderr.read_text()
    harness.assert_clean()
