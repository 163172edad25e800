"""Cached environments: what is reused, what is built once, and what a failed installation says."""

import os
import shutil
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path

import pytest

from conformance.errors import CannotJudgeError, ExitCode
from conformance.stage import packages
from conformance.stage.manifest import load_backend, load_target
from conformance.stage.packages import Installed, ensure_installed, ensure_npm_env, ensure_python_env, find_python


def silent(_line: str) -> None:
    pass


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("MCP_GATEWAY_CONFORMANCE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def built(monkeypatch) -> list[list[str]]:
    """Replace the installers by a record of what they would have been asked."""
    commands: list[list[str]] = []

    def install(command, _what, _lock, *, cwd=None, env=None) -> None:
        commands.append(command)
        if command[1:3] == ["-m", "venv"]:
            Path(command[3]).mkdir(parents=True)

    monkeypatch.setattr(packages, "_install", install)
    return commands


def test_an_environment_is_built_once_per_content(cache, built):
    first = ensure_python_env(["gw==1"], on_progress=silent)
    assert len(built) == 2
    assert built[1][-1] == "gw==1"
    assert ensure_python_env(["gw==1"], on_progress=silent) == first
    assert len(built) == 2
    assert ensure_python_env(["gw==2"], on_progress=silent) != first
    assert first.is_relative_to(cache)


def test_constraints_are_part_of_the_content_and_of_the_command(cache, built, tmp_path):
    pins = tmp_path / "constraints.txt"
    pins.write_text("h11==0.16.0\n")
    first = ensure_python_env(["gw==1"], constraints=pins, on_progress=silent)
    assert ["--constraint", str(pins)] == built[1][-3:-1]
    pins.write_text("h11==0.15.0\n")
    assert ensure_python_env(["gw==1"], constraints=pins, on_progress=silent) != first


def test_a_half_built_environment_is_built_again(cache, built):
    folder = ensure_python_env(["gw==1"], on_progress=silent).parent
    (folder / "complete").unlink()
    (folder / "half").touch()
    ensure_python_env(["gw==1"], on_progress=silent)
    assert len(built) == 4
    assert not (folder / "half").exists()


def test_two_at_once_build_once(cache, built):
    told: list[str] = []
    ask = partial(ensure_python_env, ["gw==1"], on_progress=told.append)
    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert told == ["installing gw==1"]
    assert len(built) == 2


def test_a_failed_installation_names_package_output_and_command(cache, monkeypatch):
    def run(command, **_options):
        output = "Collecting gw\nWARNING: noise\nERROR: No matching distribution found for gw==9\n"
        return subprocess.CompletedProcess(command, 0 if "venv" in command else 1, stdout=output)

    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(CannotJudgeError) as caught:
        ensure_python_env(["gw==9"], on_progress=silent)
    assert caught.value.exit_code is ExitCode.CANNOT_JUDGE
    text = str(caught.value)
    assert text.startswith("Installing gw==9 failed: Collecting gw\nERROR: No matching distribution found for gw==9\n")
    assert "\nSee it again with: " in text
    assert text.endswith(" gw==9")
    assert "noise" not in text


def test_a_cache_that_cannot_be_written(monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("MCP_GATEWAY_CONFORMANCE_CACHE", str(tmp_path / "file"))
    with pytest.raises(CannotJudgeError, match="set MCP_GATEWAY_CONFORMANCE_CACHE to a writable folder"):
        ensure_python_env(["gw==1"], on_progress=silent)


def test_the_lock_is_held_while_an_installer_lives_on(cache, tmp_path):
    """An installer that outlives its harness still keeps others out: it inherited the lock."""
    file = tmp_path / "env.lock"
    with packages._locked(file) as lock:
        survivor = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=(lock,))
    try:
        entered = threading.Event()

        def enter() -> None:
            with packages._locked(file):
                entered.set()

        other = threading.Thread(target=enter)
        other.start()
        assert not entered.wait(0.3)
        survivor.communicate(b"\n")
        other.join(timeout=30)
        assert entered.is_set()
    finally:
        survivor.kill()
        survivor.wait()


def test_our_own_interpreter_is_taken_when_it_fits():
    assert find_python(">=3.11") == Path(sys.executable)


def test_another_interpreter_is_found_on_path(tmp_path, monkeypatch):
    fake = tmp_path / "python3.99"
    fake.write_text("#!/bin/sh\necho 3 99\n")
    fake.chmod(0o755)
    broken = tmp_path / "python3.98"
    broken.write_text("#!/bin/sh\necho 'pyenv: python3.98: command not found' >&2; exit 127\n")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path) + os.pathsep + os.defpath)
    assert find_python(">=3.99") == fake
    with pytest.raises(CannotJudgeError, match=r"No Python >=3\.98,<3\.99 was found"):
        find_python(">=3.98,<3.99")


def test_programs_are_resolved_and_node_scripts_get_their_node(tmp_path):
    script = tmp_path / "lib" / "index.js"
    script.parent.mkdir()
    script.write_text("#!/usr/bin/env node\n")
    script.chmod(0o755)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "gw").symlink_to(script)
    installed = Installed(Path(sys.executable), Path("/opt/node"), (tmp_path / "bin",))
    assert installed.resolve(["gw", "--port", "1"]) == ("/opt/node", str(script.resolve()), "--port", "1")
    assert installed.resolve(["docker", "run"]) == ("docker", "run")
    assert Installed(Path(sys.executable), None, ()).resolve(["sh", "-c", "x"]) == ("sh", "-c", "x")


def test_nothing_to_install_gives_our_own_interpreter():
    installed = ensure_installed(load_target("passthrough"), silent)
    assert installed.python == Path(sys.executable)


@pytest.mark.packages
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", ["fastmcp-proxy", "mcp-proxy", "supergateway"])
def test_the_shipped_gateways_install(name):
    target = load_target(name)
    argv = ensure_installed(target, silent).resolve(target.start.command)
    assert Path(argv[0]).is_file()


@pytest.mark.packages
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", ["everything", "time"])
def test_the_shipped_backends_install(name):
    backend = load_backend(name)
    argv = ensure_installed(backend, silent).resolve(backend.faces.stdio.command)
    assert Path(argv[0]).is_file()


@pytest.mark.packages
@pytest.mark.timeout(600)
def test_a_package_that_does_not_exist(cache):
    with pytest.raises(CannotJudgeError, match=r"Installing h11==0\.0\.999 failed: "):
        ensure_python_env(["h11==0.0.999"], on_progress=silent)


@pytest.mark.packages
@pytest.mark.timeout(600)
def test_without_a_node_on_the_machine_pypi_supplies_it(monkeypatch, tmp_path):
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    node = packages.node_command(on_progress=silent)
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout
    assert int(version[1:].partition(".")[0]) >= packages.OLDEST_NODE
    monkeypatch.setenv("MCP_GATEWAY_CONFORMANCE_CACHE", str(tmp_path))
    monkeypatch.setattr(packages, "_wheel_node", lambda _told: node.parent.parent)
    modules = ensure_npm_env(["picocolors@1.1.1"], on_progress=silent)
    assert (modules / "picocolors" / "package.json").is_file()
