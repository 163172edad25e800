"""A gateway that is a ready image: pulled, present, replaced by a program of this machine, or not to be had."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from conformance import paths
from conformance.errors import CannotJudgeError, NotExercisedError
from conformance.stage import images
from conformance.stage.image_build import build_image
from conformance.stage.labels import run_labels
from conformance.stage.manifest import load_target
from conformance.stage.packages import ensure_installed
from conformance.stage.ready_image import ensure_ready_image
from tests.engine_setup import engine_run, engine_test

MANIFEST = """
name = "stand-in"
title = "Stand-in"
version = "1"
[install]
image = "{image}"
binary_env = "STAND_IN_BIN"
binary_arguments = ["-m", "fixtures.gateways.passthrough.gateway"]
[start]
command = ["--host", "{{host}}", "--port", "{{port}}", "--upstream", "{{backend_url}}"]
"""
NOWHERE = "registry.invalid/mcp-gateway-conformance/no-such-gateway:1"
"""No registry has it: the name's domain is reserved for that (RFC 2606)."""
SELECTED = ("--backend", "witness", "--rule", "MGC305")


def manifest(folder: Path, image: str = NOWHERE) -> Path:
    file = folder / "target.toml"
    file.write_text(MANIFEST.format(image=image))
    return file


def results(out: Path) -> list[dict]:
    records = (json.loads(line) for line in (out / "report.jsonl").read_text().splitlines())
    return [record for record in records if record["kind"] == "result"]


def stand_in(folder: Path) -> Path:
    """Return a program that runs our Python with our sources: what it is given after that is the gateway's."""
    file = folder / "stand-in"
    file.write_text(f'#!/bin/sh\nPYTHONPATH="{paths.ROOT}" exec "{sys.executable}" "$@"\n')
    file.chmod(0o755)
    return file


def run(out: Path, runtime: str, *targets: str, **environment: str) -> subprocess.CompletedProcess[str]:
    asked = [argument for target in targets for argument in ("--target", target)]
    return subprocess.run(
        [sys.executable, "-m", "conformance", "run", *asked, *SELECTED, "--runtime", runtime, "--out", str(out)],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
    )


def test_without_its_program_every_cell_is_not_exercised_and_nothing_passes(tmp_path):
    done = run(tmp_path / "out", "process", str(manifest(tmp_path)), STAND_IN_BIN="")
    assert done.returncode == 5
    found = results(tmp_path / "out")
    assert {record["verdict"] for record in found} == {"not-exercised"}
    assert all(record["observed"].startswith("image not available: ") for record in found)
    assert "image not available" in done.stdout
    assert "image not available" in (tmp_path / "out" / "summary.md").read_text()


def test_a_target_that_can_be_had_is_driven_beside_one_that_cannot(tmp_path):
    done = run(tmp_path / "out", "process", str(manifest(tmp_path)), "passthrough", STAND_IN_BIN="")
    assert done.returncode == 0
    assert {(record["target"], record["verdict"]) for record in results(tmp_path / "out")} == {
        ("stand-in", "not-exercised"),
        ("passthrough", "pass"),
    }


def test_the_program_stands_in_for_the_image(tmp_path):
    done = run(tmp_path / "out", "process", str(manifest(tmp_path)), STAND_IN_BIN=str(stand_in(tmp_path)))
    assert done.returncode == 0, done
    assert {record["verdict"] for record in results(tmp_path / "out")} == {"pass"}


def test_a_program_that_is_none_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("STAND_IN_BIN", str(tmp_path / "nothing"))
    with pytest.raises(
        CannotJudgeError, match=r"STAND_IN_BIN is .*nothing', which is no program; give the path of one"
    ):
        ensure_installed(load_target(manifest(tmp_path)), print)


def test_the_docker_gateway_says_which_variable_names_its_program(monkeypatch):
    monkeypatch.delenv("DOCKER_MCP_GATEWAY_BIN", raising=False)
    with pytest.raises(NotExercisedError, match=r"^image not available: .*name its program in DOCKER_MCP_GATEWAY_BIN"):
        ensure_installed(load_target("docker-mcp-gateway"), print)


class TestWithAnEngine:
    pytestmark = engine_test

    def test_an_image_that_cannot_be_pulled_is_not_available(self):
        told: list[str] = []
        with (
            engine_run() as (client, _, _),
            pytest.raises(NotExercisedError, match=r"^image not available: .*cannot pull"),
        ):
            ensure_ready_image(client, NOWHERE, told.append)
        assert told == [f"pulling {NOWHERE}"]

    @pytest.mark.packages
    def test_an_image_that_is_there_is_run_by_its_own_entrypoint(self, tmp_path):
        with engine_run() as (client, run_id, _):
            parent = images.ensure_gateway_image(client, load_target("passthrough"), (), print)
            entrypoint = [images.python_of(load_target("passthrough")), "-m", "fixtures.gateways.passthrough.gateway"]
            image = build_image(
                client,
                tag=f"{run_id}:stand-in",
                files={"Dockerfile": f"FROM {parent}\nENTRYPOINT {json.dumps(entrypoint)}\n".encode()},
                arguments={},
                labels=run_labels(run_id),
            )
            done = run(tmp_path / "out", "containers", str(manifest(tmp_path, image)))
        assert done.returncode == 0, done
        assert {record["verdict"] for record in results(tmp_path / "out")} == {"pass"}

    def test_a_run_in_containers_without_the_image_says_so(self, tmp_path):
        with engine_run():
            done = run(tmp_path / "out", "containers", str(manifest(tmp_path)))
        assert done.returncode == 5, done
        assert {record["verdict"] for record in results(tmp_path / "out")} == {"not-exercised"}
