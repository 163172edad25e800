"""`init`, `witness`, `doctor`."""

import asyncio
import json
import re
import socket
import subprocess
import sys
import tomllib

import httpx
import jsonschema
import pytest
from cli_setup import cli

from conformance.commands import doctor
from conformance.errors import ExitCode
from conformance.paths import ROOT
from conformance.stage.engine_probe import Check, EngineReport
from conformance.stage.manifest import load_target, target_json_schema
from conformance.witness import SCRIPTS

# init


def test_the_scaffold_is_a_target_file(tmp_path, capsys):
    file = tmp_path / "gateway.toml"
    assert cli(capsys, "init", str(file)).code == 0
    assert load_target(file).name == "my-gateway"
    jsonschema.validate(tomllib.loads(file.read_text()), target_json_schema())


def test_every_key_of_the_scaffold_is_a_target_file_too(tmp_path, capsys):
    file = tmp_path / "gateway.toml"
    cli(capsys, "init", str(file))
    lines = file.read_text().splitlines()
    code = [line.removeprefix("# ") if line.startswith("# ") and _is_toml(line[2:]) else line for line in lines]
    file.write_text("\n".join(code))
    target = load_target(file)
    assert target.install.pypi
    assert target.start.files
    assert target.secrets
    assert target.endpoint.headers
    assert target.tools.pattern != "{tool}"


def _is_toml(line):
    try:
        return bool(tomllib.loads(line))
    except tomllib.TOMLDecodeError:
        return False


def test_init_names_the_schema(tmp_path, capsys):
    said = cli(capsys, "init", str(tmp_path / "x.toml")).out
    named = re.search(r"\S+target\.schema\.json", (tmp_path / "x.toml").read_text())
    assert named is not None
    assert (ROOT / named.group()).is_file()
    assert str(ROOT / named.group()) in said


def test_init_refuses_to_overwrite(tmp_path, capsys):
    file = tmp_path / "gateway.toml"
    file.write_text("mine")
    assert "is left as it is" in cli(capsys, "init", str(file)).sentence(ExitCode.USAGE)
    assert file.read_text() == "mine"


def test_init_into_no_folder(tmp_path, capsys):
    assert "cannot be written" in cli(capsys, "init", str(tmp_path / "no" / "x.toml")).sentence(ExitCode.USAGE)


# witness


def test_scripts_are_listed(capsys):
    shown = cli(capsys, "witness", "--list").out
    assert [name for name in SCRIPTS if name not in shown] == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--listen", "8080"), "HOST:PORT"),
        (("--listen", "127.0.0.1:http"), "HOST:PORT"),
        (("--listen", "127.0.0.1:99999"), "HOST:PORT"),
        (("--script", "nonsense"), "no script 'nonsense'"),
        (("--script", "get_400", "--face", "stdio"), "no meaning over stdio"),
    ],
)
def test_witness_usage(capsys, arguments, said):
    assert said in cli(capsys, "witness", *arguments).sentence(ExitCode.USAGE)


def test_witness_says_that_its_port_is_taken(capsys):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        shown = cli(capsys, "witness", "--listen", f"127.0.0.1:{port}")
    assert "choose another address" in shown.sentence(ExitCode.CANNOT_JUDGE)


def test_witness_serves_its_script():
    command = [sys.executable, "-m", "conformance", "witness", "--script", "get_405", "--listen", "127.0.0.1:0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=ROOT) as process:
        try:
            url = json.loads(process.stderr.readline())["url"]
            assert httpx.get(url, headers={"Accept": "text/event-stream"}).status_code == 405
        finally:
            process.terminate()
        assert process.wait() == 0


# doctor

GOOD = Check("container engine", ok=True, seen="version 1")
BAD = Check("container engine", ok=False, seen="none", remedy="start one")


@pytest.fixture
def engine(monkeypatch):
    def stands(check):
        async def probe():
            await asyncio.sleep(0)
            return EngineReport("1" if check.ok else "", "", check, check, check, check)

        monkeypatch.setattr(doctor, "probe_engine", probe)

    return stands


def test_doctor_with_an_engine(capsys, engine):
    engine(GOOD)
    shown = cli(capsys, "doctor", "--json")
    assert shown.code == 0
    assert shown.json["runtimes"] == {"containers": True, "process": True}
    assert {"what", "ok", "seen", "remedy"} == set(shown.json["checks"][0])


def test_doctor_without_an_engine_says_what_to_type(capsys, engine):
    engine(BAD)
    shown = cli(capsys, "doctor")
    assert shown.code == 0
    assert "start one" in shown.out
    assert "runtimes that can run: process" in shown.out


def test_doctor_where_nothing_can_run(capsys, engine, monkeypatch, tmp_path):
    engine(GOOD)
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MCP_GATEWAY_CONFORMANCE_CACHE", str(tmp_path / "file" / "cache"))
    shown = cli(capsys, "doctor")
    assert shown.code == ExitCode.CANNOT_JUDGE
    assert "MCP_GATEWAY_CONFORMANCE_CACHE" in shown.out
    assert "runtimes that can run: none" in shown.out


def test_doctor_asks_no_registry_unless_told(capsys, engine, monkeypatch):
    asked = []

    def answers(what, command, remedy):
        asked.append(what)
        return Check(what, ok=True, seen="answers", remedy=remedy)

    engine(GOOD)
    monkeypatch.setattr(doctor, "_registry", answers)
    monkeypatch.setattr(doctor.shutil, "which", lambda name, **_: f"/bin/{name}" if name == "npm" else None)
    cli(capsys, "doctor")
    assert asked == []
    cli(capsys, "doctor", "--online")
    assert asked == ["PyPI", "npm registry"]


def test_doctor_leaves_no_cache_folder_behind(capsys, engine, monkeypatch, tmp_path):
    engine(GOOD)
    monkeypatch.setenv("MCP_GATEWAY_CONFORMANCE_CACHE", str(tmp_path / "cache"))
    cli(capsys, "doctor")
    assert list(tmp_path.iterdir()) == []
